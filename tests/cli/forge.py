#!/usr/bin/env python3
"""Changes the recorded error of one tensor, and every checksum that would tell.

usage: forge.py MODEL
"""
import ctypes
import ctypes.util
import glob
import json
import os
import sys


def xxh3(data):
    """XXH3-128 in its canonical form, as docs/FORMAT.md says."""
    class Hash(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_128bits.restype = Hash
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    result = library.XXH3_128bits(data, len(data))
    return f"{result.high:016x}{result.low:016x}"


model = sys.argv[1]
shard = sorted(glob.glob(os.path.join(model, "*.safetensors")))[0]
with open(shard, "rb") as file:
    data = file.read()
length = int.from_bytes(data[:8], "little")
header = json.loads(data[8:8 + length])
key = next(key for key, text in header["__metadata__"].items() if '"method"' in text)
description = json.loads(header["__metadata__"][key])
description["max_abs_error"] /= 2
header["__metadata__"][key] = json.dumps(description)
text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
if len(text) != length:
    sys.exit("no room in the header")
with open(shard, "wb") as file:
    file.write(data[:8] + text + data[8 + length:])
path = os.path.join(model, "hyperc.json")
with open(path, encoding="utf-8") as file:
    manifest = json.load(file)
for entry in manifest["shards"]:
    if entry["name"] == os.path.basename(shard):
        entry["header_xxh3"] = xxh3(data[:8] + text)
with open(path, "w", encoding="utf-8") as file:
    json.dump(manifest, file)
