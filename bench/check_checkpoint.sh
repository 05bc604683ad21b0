#!/bin/sh
# make_checkpoint writes the same bytes with any number of threads, and the bytes that it once wrote.
#
# usage: check_checkpoint.sh MAKE_CHECKPOINT SCRATCH
set -eu
make=$1 scratch=$2/checkpoint
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

for threads in 1 2 3; do
    "$make" --model tiny -o $threads --shard-size 300KB --threads $threads >/dev/null
done
"$make" --model tiny -o other --shard-size 300KB --seed 2 >/dev/null
diff -r 1 2
diff -r 1 3
! cmp -s 1/model-00001-of-00002.safetensors other/model-00001-of-00002.safetensors || { echo "the seed is unused"; exit 1; }
! "$make" --model tiny -o 1 2>/dev/null || { echo "an existing directory was overwritten"; exit 1; }
(cd 1 && sha256sum --check --quiet) <<'TEXT'
9d9b633e2a8d7d842a9a8b7ebdf91f9ddfb40beb267e84c317fa5c52b7f9bb34  config.json
e1962dfb8c7700bc4c548cdfb3a4cf09a2072a796ed41e108e3fc7b661d70b91  model-00001-of-00002.safetensors
88bac858419e17f0737c16177045685b1b4cceda04cb77a7f2d5c2c0e2b319c9  model-00002-of-00002.safetensors
5de6b525ea905ffa707c969d5db745c71a4535ee0953f6368c37fe24a0bb6334  model.safetensors.index.json
TEXT
rm -rf "$scratch"
echo "make_checkpoint: the same bytes with 1, 2 and 3 threads, and as ever"
