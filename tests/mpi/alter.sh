#!/bin/sh
# Alters three bytes of a safetensors file, half way between two of the 64 places of 4 KiB that hc_file_sample looks at.
#
# usage: alter.sh FILE
set -eu
file=$1
header=$(($(od -An -tu8 -N8 "$file") + 8))
stride=$((($(wc -c <"$file") - header) / 64))
[ $stride -ge 8192 ] || { echo "$file: these places leave too few bytes out"; exit 1; }
at=$((header + 32 * stride + stride / 2))
before=$(od -An -tx1 -j $at -N 3 "$file")
printf '\252\125\252' | dd of="$file" bs=1 seek=$at conv=notrunc 2>&1
[ "$before" != "$(od -An -tx1 -j $at -N 3 "$file")" ] || { echo "$file: it is as it was"; exit 1; }
