#!/usr/bin/env bash
# decompress never passes on what is not right: damaged bytes, and weights that the asked type cannot hold.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

"$MAKE_CASE" special in.safetensors
hyperc 0 compress in.safetensors -o coded --method pair

for type in F16 BF16; do
    hyperc 1 decompress coded -o "$type" --dtype $type
    says "tensor huge.weight: has weights that $type cannot hold"
    absent "$type" "$type.partial"
done
hyperc 0 compress in.safetensors -o moderate --method pair --keep huge.weight
hyperc 0 decompress moderate -o moderate_f16 --dtype F16
ok "a type that cannot hold a weight is refused"

# Every byte of the data counts: codes at the beginning, kept tensors at the end.
size=$(stat -c %s moderate/model.safetensors)
header=$("$PYTHON" -c 'import sys; print(8 + int.from_bytes(open(sys.argv[1], "rb").read(8), "little"))' \
    moderate/model.safetensors)
for at in "$header" $((header + 100)) $(((header + size) / 2)) $((size - 1)); do
    rm -rf bad
    cp -r moderate bad
    "$PYTHON" -c 'import sys
path, at = sys.argv[1], int(sys.argv[2])
with open(path, "r+b") as file:
    file.seek(at)
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 7]))' bad/model.safetensors "$at"
    hyperc 3 decompress bad -o restored
    says "fails its checksum"
    absent restored restored.partial
done
ok "damaged bytes are not decoded"
finish
