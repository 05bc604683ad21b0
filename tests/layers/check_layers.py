#!/usr/bin/env python3
"""Holds every #include against the table of layers. Exit: 0 sound, 1 an include breaks it, 2 wrong usage.

usage: check_layers.py SOURCE_DIRECTORY
       check_layers.py --self-test       plants violations in a scratch tree and expects each to be found
"""
import os
import re
import sys
import tempfile

# What a folder may include of ours, beside itself.
ALLOWED = {
    "include": set(),
    "kernels": {"include"},
    "host": {"include", "kernels"},
    "cuda": {"include", "kernels"},
    "models": {"include", "host"},
    "tools": {"include"},
    "tests": {"include", "kernels", "host", "cuda", "models", "tools", "bench"},
    "bench": {"include", "kernels", "host", "cuda", "models", "tools"},
}

# The backend and comm headers of host, through which cuda/ meets it.
HOST_FOR_CUDA = {"arena.h", "backend.h", "engine.h", "error.h", "exact_sum.h", "matrix_cpu.h", "pair.h", "runtime.h",
                 "share.h", "source.h", "window.h", "window_frame.h", "comm.h"}

# Kernels neither allocate, nor read or write, nor start threads.
NOT_IN_KERNELS = {"stdio.h", "stdlib.h", "malloc.h", "unistd.h", "fcntl.h", "pthread.h", "threads.h", "omp.h",
                  "jansson.h", "xxhash.h"}

CUDA_HEADER = re.compile(r"^(cuda|cublas|nccl|driver_types|vector_types|cusolver|curand|cooperative_groups|device_launch_parameters)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>|(\S+))', re.MULTILINE)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\\n])*")', re.DOTALL)
SUFFIXES = (".c", ".h", ".cu", ".cuh", ".cpp", ".hpp")


def blank_comments(text):
    """Comments become newlines and blanks, so that line numbers stay; strings stay."""
    return COMMENT.sub(lambda m: m.group(1) or re.sub(r"[^\n]", " ", m.group(0)), text)


def sources(root):
    for folder in sorted(ALLOWED):
        for path, folders, files in os.walk(os.path.join(root, folder)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(SUFFIXES):
                    yield os.path.relpath(os.path.join(path, name), root)


def resolve(root, source, name, quoted):
    """The included file relative to root, or None if it is none of ours."""
    places = [os.path.dirname(source)] if quoted else []
    for place in places + ["include", "kernels", "host", "cuda"]:
        path = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, path)):
            return path
    return None


def owns_cuda(source):
    return source.endswith((".cu", ".cuh")) or source.endswith("_cuda.h") or source.startswith("cuda/")


def fault_of(root, source, name, quoted):
    """Why `source` may not include `name`; None if it may."""
    folder = source.split(os.sep)[0]
    target = resolve(root, source, name, quoted)
    if target is None:
        if quoted:
            return "cannot be found"
        if folder == "kernels" and name in NOT_IN_KERNELS:
            return "kernels/ does not allocate, read, write or start threads"
        if folder != "tests" and CUDA_HEADER.match(name) and not owns_cuda(source):
            return "CUDA belongs to cuda/ and to the .cu files of kernels/"
        return None
    reached = target.split(os.sep)[0]
    if reached == folder:
        return None
    if folder == "cuda" and reached == "host":
        if os.path.basename(target) in HOST_FOR_CUDA:
            return None
        return "of host/, cuda/ may include " + ", ".join(sorted(HOST_FOR_CUDA)) + " only"
    if reached not in ALLOWED[folder]:
        return f"{folder}/ may not include {reached}/"
    return None


def faults(root):
    for source in sources(root):
        with open(os.path.join(root, source), encoding="utf-8") as file:
            text = blank_comments(file.read())
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = match.group(1) or match.group(2)
            if name is None:
                yield f"{source}:{line}: an include made by a macro cannot be checked"
                continue
            fault = fault_of(root, source, name, match.group(1) is not None)
            if fault:
                yield f"{source}:{line}: {name}: {fault}"


# What is planted, and whether it is a violation.
PLANTED = [
    ("include/hyperc/hyperc.h", "#include <stdint.h>", True),
    ("include/hyperc/bad.h", '#include "../../kernels/kernels.h"', False),
    ("kernels/kernels.h", "#include <hyperc/hyperc.h>", True),
    ("kernels/op/op.h", '#include "kernels.h"', True),
    ("kernels/op/op.c", '#include "engine.h"', False),
    ("kernels/op/io.c", "#include <stdio.h>", False),
    ("kernels/op/op.cu", "#include <cuda_runtime.h>", True),
    ("kernels/op/cuda.c", "#include <cuda_runtime.h>", False),
    ("host/engine.h", '#include "kernels.h"', True),
    ("host/secret.h", "/* nothing */", True),
    ("host/fine.c", '/* #include "device.h" */', True),
    ("host/bad.c", '#  include "device.h"', False),
    ("host/bad2.c", "#include MACRO", False),
    ("host/missing.c", '#include "nowhere.h"', False),
    ("host/backend.c", "#include <nccl.h>", False),
    ("cuda/device.h", '#include "engine.h"', True),
    ("cuda/bad.cu", '#include "secret.h"', False),
    ("models/llama.c", '#include "engine.h"', True),
    ("models/bad.c", '#include "../kernels/op/op.h"', False),
    ("tools/main.c", "#include <hyperc/hyperc.h>", True),
    ("tools/bad.c", '#include "secret.h"', False),
    ("tools/bad2.c", "#include <kernels.h>", False),
    ("tests/unit/check.h", '#include "secret.h"', True),
    ("bench/speed.c", '#include "engine.h"', True),
    ("bench/bad.c", '#include "../tests/unit/check.h"', False),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in PLANTED:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text + "\n")
        found = {fault.split(":")[0] for fault in faults(root)}
    wrong = [path for path, _, sound in PLANTED if sound == (path in found)]
    for path in wrong:
        print(f"{path}: {'found, but is sound' if path in found else 'a violation that was not found'}")
    print(f"layers: {len(PLANTED)} planted includes, {len(wrong)} misjudged")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    found = list(faults(arguments[0]))
    for fault in found:
        print(fault, file=sys.stderr)
    count = sum(1 for _ in sources(arguments[0]))
    if not count:
        print("layers: no sources found", file=sys.stderr)
        return 1
    if found:
        print(f"layers: {len(found)} includes break the table of layers", file=sys.stderr)
        return 1
    print(f"layers: {count} files sound")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
