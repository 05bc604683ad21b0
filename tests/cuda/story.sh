#!/bin/sh
# The 260K story model, compressed, on the CUDA device: greedy text as on the CPU, and the same perplexity to 1e-3.
#
# usage: story.sh HYPERC SCRATCH_DIRECTORY       HYPERC_DATA: where the model lies, or else ../shared/data
set -eu
hyperc=$1 scratch=$2
data=${HYPERC_DATA:-$(cd "$(dirname "$0")/../.." && pwd)/../shared/data}
model=$data/story260K
if [ ! -d "$model" ]; then
    echo "not run: no story model (HYPERC_DATA)"
    exit 77
fi

# same_text MODEL PROMPT
same_text()
{
    for device in cpu cuda; do
        "$hyperc" generate "$1" -p "$2" -n 24 --temp 0 --device $device >"$scratch/$device.txt" 2>/dev/null
    done
    diff "$scratch/cpu.txt" "$scratch/cuda.txt"
    echo "the same: $(tr '\n' ' ' <"$scratch/cuda.txt")"
}

perplexity()
{
    "$hyperc" perplexity "$1" -f "$scratch/lines.txt" --protocol lines --device "$2" --json 2>/dev/null |
        sed -n 's/^ *"value": *\([0-9.]*\).*/\1/p' | head -n 1
}

# same_perplexity MODEL TRUTH: MODEL on the device against TRUTH on the CPU
same_perplexity()
{
    awk -v cuda="$(perplexity "$1" cuda)" -v cpu="$(perplexity "$2" cpu)" 'BEGIN {
        share = (cuda - cpu) / cpu; if (share < 0) share = -share
        print "perplexity: cpu " cpu ", cuda " cuda
        exit !(cpu > 1 && share <= 1e-3) }'
}

rm -rf "$scratch"
mkdir -p "$scratch"
head -n 1 "$data/tinystories_valid_30k.txt" | head -c 900 >"$scratch/lines.txt"
same_text "$model" "Once upon a time"
same_perplexity "$model" "$model"
# The CPU rounds inputs of coded matrices to 8 bits: what they mean stands in the decompressed model.
"$hyperc" compress "$model" -o "$scratch/coded" --bits 4 >/dev/null
"$hyperc" decompress "$scratch/coded" -o "$scratch/decompressed" --dtype F32 >/dev/null
same_text "$scratch/coded" "Once upon a time"
same_perplexity "$scratch/coded" "$scratch/decompressed"
rm -rf "$scratch"
