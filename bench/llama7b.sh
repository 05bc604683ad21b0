#!/usr/bin/env bash
# Compresses a checkpoint of the shape of LLaMA2-7B, 13.5 GB of bfloat16, and tells how long it took, what limited it,
# how much memory it held, and what it read and wrote.
#
# usage: llama7b.sh [--model NAME] [--threads N] [--build DIR] [--warm] [--keep] SCRATCH [COMPRESS OPTION...]
#   SCRATCH: a directory with room for the checkpoint and its compressed form (20 GB for llama2-7b); a folder is made in
#   it and removed again, unless --keep. DIR: where hyperc was built (default build/release). The checkpoint is dropped
#   from the page cache first, so that it is read from storage, unless --warm.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
model=llama2-7b threads=2 build=$here/build/release keep="" warm=""
while [ $# -gt 0 ]; do
    case $1 in
    --model) model=$2; shift ;;
    --threads) threads=$2; shift ;;
    --build) build=$2; shift ;;
    --keep) keep=1 ;;
    --warm) warm=1 ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    -*) sed -n '5p' "$0" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    sed -n '5p' "$0" >&2
    exit 2
fi
scratch=$1
shift
hyperc=$build/hyperc make=$build/bench/make_checkpoint
for program in "$hyperc" "$make"; do
    [ -x "$program" ] || { echo "$program is not built: cmake --preset release, then --build it" >&2; exit 1; }
done

wanted=$("$make" --model "$model" --dry-run | awk '{ for (i = 2; i <= NF; i++) if ($i ~ /^bytes/) printf "%.0f", $(i - 1) * 1.45 }')
free=$(df --output=avail -B1 "$scratch" | tail -n 1)
[ "$free" -gt "$wanted" ] || { echo "$scratch has $free bytes free, and $wanted are wanted" >&2; exit 1; }

folder=$(mktemp -d "$scratch/hyperc-bench.XXXXXX")
pid=
finish()
{
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -n "$keep" ] || rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$make" --model "$model" -o "$folder/model"
weights=$("$make" --model "$model" --dry-run | awk '{ for (i = 2; i <= NF; i++) if ($i ~ /^weights/) print $(i - 1) }')
# What the generator left in the page cache is written out before the clock runs.
sync
if [ -z "$warm" ]; then
    for file in "$folder"/model/*.safetensors; do
        dd of="$file" oflag=nocache conv=notrunc,fdatasync count=0 status=none
    done
fi

"$hyperc" compress "$folder/model" -o "$folder/compressed" --threads "$threads" "$@" >"$folder/log" 2>&1 &
pid=$!
python3 -B "$here/bench/watch.py" $pid "$weights" "$threads" || true
code=0
wait $pid || code=$?
pid=
tail -n 3 "$folder/log"
[ $code -eq 0 ] || { echo "hyperc compress failed, exit code $code" >&2; exit 1; }
du -sb "$folder/model" "$folder/compressed" | awk '{ printf "%s: %.2f GB\n", $2, $1 / 1e9 }'
[ -z "$keep" ] || echo "kept: $folder"
