#!/bin/sh
# The 260K story model, plain and compressed, on several CUDA devices: the greedy text of one CPU thread, however it is
# split, also with a CPU among them; the perplexity of one device; what is said of a device that is not there. Then a
# model that is shared in other ways (make_columns.py), in BF16 and by both methods.
#
# usage: devices.sh HYPERC SCRATCH_DIRECTORY [RANKS]     (under the emulator, with four devices)
#   RANKS: only the text, by so many processes, each with a device; and who has which layers where memory differs
# HYPERC_DATA: where the model lies, or else ../shared/data. PYTHON: makes the other one, default python3
set -eu
hyperc=$1 scratch=$2 ranks=${3:-} python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
mpi=$here/../mpi/run.sh
data=${HYPERC_DATA:-$here/../../../shared/data}
model=$data/story260K
if [ ! -d "$model" ]; then
    echo "not run: no story model (HYPERC_DATA)"
    exit 77
fi
export CUEMU_NCCL_TIMEOUT=20

# text MODEL COMMAND...: what the command goes on with
text()
{
    coded=$1
    shift
    "$@" generate "$coded" -p "Once upon a time" -n 16 --temp 0 $options 2>"$scratch/message" ||
        { cat "$scratch/message" >&2; exit 1; }
}

alone="--devices cpu --threads 1" # what says what is expected

# same MODEL OPTION...
same()
{
    coded=$1
    shift
    options=$alone
    [ -f "$scratch/expected.txt" ] || text "$coded" "$hyperc" >"$scratch/expected.txt"
    options=$*
    text "$coded" "$hyperc" >"$scratch/got.txt"
    diff "$scratch/expected.txt" "$scratch/got.txt" || { echo "another text: $*"; exit 1; }
    echo "the same: $*"
}

# everywhere MODEL
everywhere()
{
    rm -f "$scratch/expected.txt"
    same "$1" --devices cuda:0
    same "$1" --devices cuda:0,cuda:0
    for split in tensors layers; do
        for devices in cuda:0,cuda:1 cuda:2,cuda:0,cuda:1 cuda:0,cuda:1,cuda:2,cuda:3 cuda:1,cpu; do
            same "$1" --devices $devices --split $split
        done
    done
    tr '\n' ' ' <"$scratch/expected.txt"
    echo
}

# in_processes MODEL
in_processes()
{
    rm -f "$scratch/expected.txt"
    same "$1" --devices cuda:0
    for split in tensors layers; do
        options="--device cuda --split $split"
        text "$1" "$mpi" "$ranks" "$hyperc" >"$scratch/got.txt"
        diff "$scratch/expected.txt" "$scratch/got.txt" || { echo "another text: $ranks processes, $options"; exit 1; }
        echo "the same: $ranks processes, $options"
    done
}

# uneven_processes MODEL COMMAND...: three of them, of which the second one's device has twice the memory of the others
uneven_processes()
{
    coded=$1
    shift
    set -- "$hyperc" "$@" "$coded" --device cuda --split layers
    "$mpi" 1 env CUEMU_MEM_MB=4096 "$@" $options : -n 1 env CUEMU_MEM_MB=8192 "$@" $options : \
        -n 1 env CUEMU_MEM_MB=4096 "$@" $options 2>"$scratch/message" || { cat "$scratch/message" >&2; exit 1; }
}

# of_the_second: what the second process holds, of the JSON of bench
of_the_second()
{
    sed -n 's/.*"weight_bytes": *\([0-9]*\),$/\1/p' | sed -n 2p
}

# by_memory MODEL: of 5 layers the second of three processes has 1 where all are alike, and 3 with twice the memory
by_memory()
{
    options="-p 4 -n 0 -r 1 --json"
    alike=$("$mpi" 3 "$hyperc" bench "$1" --device cuda --split layers $options | of_the_second)
    uneven=$(uneven_processes "$1" bench | of_the_second)
    echo "with twice the memory: $uneven bytes, not $alike"
    [ "$alike" -gt 0 ] && [ "$uneven" -eq $((3 * alike)) ] || { echo "layers do not follow memory"; exit 1; }
    options="-p Once -n 8 --temp 0"
    "$hyperc" generate "$1" --device cuda $options >"$scratch/expected.txt" 2>"$scratch/message"
    uneven_processes "$1" generate >"$scratch/got.txt"
    diff "$scratch/expected.txt" "$scratch/got.txt" || { echo "another text: uneven memory"; exit 1; }
}

# columns [OPTION...]: the other model, compressed with these options if there are any
columns()
{
    coded=$scratch/columns
    rm -rf "$scratch/expected.txt" "$scratch/columns-coded"
    if [ $# -gt 0 ]; then
        "$hyperc" compress "$coded" -o "$scratch/columns-coded" "$@" >/dev/null
        coded=$scratch/columns-coded
    fi
    echo "by columns: ${*:-plain}"
    for devices in cuda:0 cuda:0,cuda:1 cuda:2,cuda:0,cuda:1; do
        same "$coded" --devices $devices
    done
}

# perplexity OPTION...
perplexity()
{
    "$hyperc" perplexity "$scratch/coded" -f "$scratch/lines.txt" --protocol lines --json "$@" 2>/dev/null |
        sed -n 's/^ *"value": *\([0-9.]*\).*/\1/p' | head -n 1
}

# missing COMMAND...: a device that is not there
missing()
{
    code=0
    "$@" >/dev/null 2>"$scratch/message" || code=$?
    cat "$scratch/message"
    [ $code -eq 1 ] || { echo "exit code $code, expected 1"; exit 1; }
    grep -q 'there is no CUDA device 4: 4 are here' "$scratch/message" || { echo "it is not said"; exit 1; }
}

if [ -n "$ranks" ]; then
    "$mpi" 0 true || exit $?
fi
rm -rf "$scratch"
mkdir -p "$scratch"
"$hyperc" compress "$model" -o "$scratch/coded" --bits 4 >/dev/null
if [ -n "$ranks" ]; then
    in_processes "$model"
    in_processes "$scratch/coded"
    by_memory "$model"
    rm -rf "$scratch"
    exit
fi
echo "plain:"
everywhere "$model"
echo "compressed:"
everywhere "$scratch/coded"
head -n 1 "$data/tinystories_valid_30k.txt" | head -c 900 >"$scratch/lines.txt"
awk -v one="$(perplexity --device cuda:0)" -v four="$(perplexity --devices cuda:0,cuda:1,cuda:2,cuda:3)" 'BEGIN {
    share = (four - one) / one; if (share < 0) share = -share
    print "perplexity: one device " one ", four " four
    exit !(one > 1 && share <= 1e-3) }'
missing "$hyperc" generate "$model" -p "Once" -n 2 --devices cuda:0,cuda:4
missing "$hyperc" compress "$model" -o "$scratch/none" --devices cuda:4
[ ! -e "$scratch/none" ] || { echo "a result was left behind"; exit 1; }
if command -v "$python" >/dev/null; then
    "$python" "$here/make_columns.py" "$scratch/columns"
    cp "$model"/tokenizer*.json "$scratch/columns"
    columns
    columns --method pair
    alone="--devices cuda:0" # inputs have 8 bits on the CPU, and the text of a random model soon parts from that
    columns --method window --bits 4
else
    echo "not run: by columns (no Python)"
fi
rm -rf "$scratch"
