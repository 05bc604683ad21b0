#!/bin/sh
# Compresses small models on the CPU and on the CUDA device: every file must be the same, byte for byte. What the device
# cannot do it refuses.
#
# usage: identical.sh HYPERC MAKE_CHECKPOINT SCRATCH_DIRECTORY
set -eu
hyperc=$1 make_checkpoint=$2 scratch=$3

# same NAME MODEL TYPE [OPTION...]
same()
{
    name=$1 model=$2 type=$3
    shift 3
    "$make_checkpoint" --model "$model" --type "$type" -o "$scratch/$name" >/dev/null
    for device in cpu cuda; do
        "$hyperc" compress "$scratch/$name" -o "$scratch/$name.$device" --method pair --device $device "$@" >/dev/null
    done
    diff -r "$scratch/$name.cpu" "$scratch/$name.cuda"
    # Two equal results of which nothing was coded would prove nothing.
    grep -q 'hc_codes' "$scratch/$name.cuda"/*.safetensors || { echo "$name: nothing was coded"; exit 1; }
    echo "same: $name ($model $type $*)"
    rm -rf "${scratch:?}/$name"*
}

rm -rf "$scratch"
mkdir -p "$scratch"
same published tiny bf16
same classes tiny f16 --side 0.02 --points 100,1600 --loss-threshold 0 --classes 15
same wide tiny f32 --side 0.5 --points 4000000
# Nine million weights: many chunks, two of them under way at a time.
same chunks stories-15m bf16 --only model.embed_tokens.weight

# The default method has no CUDA version: exit code 1, a message, and nothing is left behind.
"$make_checkpoint" --model tiny -o "$scratch/in" >/dev/null
code=0
"$hyperc" compress "$scratch/in" -o "$scratch/out" --device cuda >/dev/null 2>"$scratch/message" || code=$?
[ $code -eq 1 ] && grep -q 'the method window does not run on device cuda' "$scratch/message" ||
    { cat "$scratch/message"; echo "exit code $code, expected 1 and a message"; exit 1; }
[ ! -e "$scratch/out" ] && [ ! -e "$scratch/out.partial" ] || { echo "a result was left behind"; exit 1; }
echo "refused: the method window"
rm -rf "$scratch"
