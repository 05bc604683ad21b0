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

# The CPU beside it goes on alone.
"$hyperc" compress "$scratch/in" -o "$scratch/alone" --method pair --quiet >/dev/null
CUEMU_MEM_MB=64 "$hyperc" compress "$scratch/in" -o "$scratch/out" --method pair --devices cuda,cpu --quiet >/dev/null \
    2>"$scratch/message" || { cat "$scratch/message"; echo "the CPU does not go on"; exit 1; }
cat "$scratch/message"
grep -q 'cuda:0 fails, and the run goes on without it: CUDA device 0 is out of memory' "$scratch/message" ||
    { echo "nothing is said of the device that was left out"; exit 1; }
diff -r "$scratch/alone" "$scratch/out"

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
