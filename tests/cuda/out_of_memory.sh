#!/bin/sh
# A device with too little memory: exit code 1, a message that says how much was wanted, and no result.
#
# usage: out_of_memory.sh HYPERC MAKE_CHECKPOINT SCRATCH_DIRECTORY     (under the emulator)
set -eu
hyperc=$1 make_checkpoint=$2 scratch=$3

rm -rf "$scratch"
mkdir -p "$scratch"
"$make_checkpoint" --model tiny -o "$scratch/in" >/dev/null
code=0
CUEMU_MEM_MB=64 "$hyperc" compress "$scratch/in" -o "$scratch/out" --method pair --device cuda >/dev/null \
    2>"$scratch/message" || code=$?
cat "$scratch/message"
[ $code -eq 1 ] || { echo "exit code $code, expected 1"; exit 1; }
grep -q 'CUDA device 0 is out of memory: [0-9]* MiB wanted, 64 MiB of its 64 MiB are free' "$scratch/message" ||
    { echo "the message does not say so"; exit 1; }
[ ! -e "$scratch/out" ] || { echo "a result was left behind"; exit 1; }

# A model that does not fit, and one that fits, but what it works with does not.
for megabytes in 0 20; do
    code=0
    CUEMU_MEM_MB=$megabytes "$hyperc" bench "$scratch/in" -p 4 -n 2 --device cuda >/dev/null 2>"$scratch/message" ||
        code=$?
    cat "$scratch/message"
    [ $code -eq 1 ] || { echo "exit code $code, expected 1"; exit 1; }
    grep -q 'CUDA device 0 is out of memory: [0-9]* MiB wanted' "$scratch/message" ||
        { echo "the message does not say so"; exit 1; }
done
rm -rf "$scratch"
