#!/bin/sh
# Small models on the CUDA device: the logits of the CPU, whatever the matrices are stored as. Coded ones are held
# against the same model decompressed to float32.
#
# usage: network.sh HYPERC MAKE_CHECKPOINT CUDA_NETWORK SCRATCH_DIRECTORY
set -eu
hyperc=$1 make_checkpoint=$2 network=$3 scratch=$4

# stored TYPE BOUND [CACHE]
stored()
{
    "$make_checkpoint" --model tiny --type "$1" -o "$scratch/in" >/dev/null
    echo "tiny, $1, cache ${3:-f16}:"
    "$network" "$scratch/in" "$scratch/in" "$2" ${3:+"$3"}
    rm -rf "$scratch/in"
}

# coded BOUND CACHE [OPTION...]
coded()
{
    bound=$1 cache=$2
    shift 2
    "$make_checkpoint" --model tiny --type f32 -o "$scratch/in" >/dev/null
    "$hyperc" compress "$scratch/in" -o "$scratch/out" "$@" >/dev/null
    grep -q 'hc_codes' "$scratch/out"/*.safetensors || { echo "nothing was coded"; exit 1; }
    "$hyperc" decompress "$scratch/out" -o "$scratch/truth" --dtype F32 >/dev/null
    echo "tiny, $*, cache $cache:"
    "$network" "$scratch/out" "$scratch/truth" "$bound" "$cache"
    rm -rf "$scratch/in" "$scratch/out" "$scratch/truth"
}

rm -rf "$scratch"
mkdir -p "$scratch"
stored f32 1e-4 f32
stored f16 4e-3
stored bf16 2e-2 f32
coded 1e-2 f16 --bits 4
coded 4e-2 i8 --bits 2 --head-bits 3
coded 1e-2 f32 --bits 5 --window 14
coded 3e-2 f16 --bits 3.25 --columns none
coded 1e-2 f16 --method pair
rm -rf "$scratch"
