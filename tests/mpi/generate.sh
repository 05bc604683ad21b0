#!/bin/sh
# A model over several processes: the same text as one process, drawn or not; one process alone prints.
#
# usage: run.sh 0 generate.sh HYPERC DIRECTORY
# HYPERC_DATA: a folder with story260K/; by default ../shared/data, seen from the top of the sources. Without it this is
# not run.
set -u
hyperc=$1 scratch=$2
data=${HYPERC_DATA:-$(cd "$(dirname "$0")" && pwd)/../../../shared/data}
story=$data/story260K
if [ ! -r "$story/config.json" ]; then
    echo "not run: no model in $data (HYPERC_DATA)"
    exit 77
fi
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch" || exit 1
export OMP_WAIT_POLICY=passive

bad()
{
    echo "$*"
    sed 's/^/    /' output errors
    exit 1
}

# try CODE RANKS ARGUMENT...
try()
{
    expected=$1 ranks=$2
    shift 2
    timeout 120 mpirun -n "$ranks" "$hyperc" "$@" --threads 1 >output 2>errors </dev/null
    code=$?
    [ "$code" -eq "$expected" ] || bad "exit code $code, not $expected: $ranks ranks, $*"
}

# The text is what one process says: where the numbers differ by the order of sums alone, drawn tokens are the same too.
compare()
{
    "$hyperc" generate "$@" --threads 1 >alone 2>errors || bad "one process: $*"
    for ranks in 1 2 3; do
        for split in tensors layers; do
            try 0 $ranks generate "$@" --split $split
            cmp -s alone output || bad "another text: $ranks ranks, $split, $*"
            [ ! -s errors ] || bad "not silent: $ranks ranks, $*"
        done
    done
    echo "ok      $*"
}

"$hyperc" compress "$story" -o window --quiet >compressed &&
    "$hyperc" compress "$story" -o pair --method pair --quiet >>compressed || exit 1
for model in "$story" window pair; do
    compare "$model" -p "Once upon a time" -n 40 --quiet --temp 0
done
compare "$story" -p "Once upon a time" -n 30 --quiet --seed 7 --temp 1 --top-k 12
compare "$story" -p "Once upon a time" -n 30 --quiet --seed 7 --temp 1 --top-k 0 --repeat-penalty 1.2

# No seed given: all take that of the first.
try 0 2 generate "$story" -p "Once upon a time" -n 30
[ "$(grep -c "tokens/s; --seed" errors)" -eq 1 ] || bad "not one line of figures"
seed=$(sed -n 's/.*--seed \([0-9]*\).*/\1/p' errors)
cp output drawn
try 0 2 generate "$story" -p "Once upon a time" -n 30 --quiet --seed "$seed"
cmp -s drawn output || bad "another text with the seed that was told"
echo "ok      a drawn seed"

# Every rank reads all logits; the first prints.
try 0 2 perplexity "$story" -f drawn --ctx 16 --quiet
[ "$(grep -c perplexity output)" -eq 1 ] || bad "not one perplexity"
try 0 2 perplexity window -f drawn --ctx 16 --quiet --against "$story"
[ "$(grep -c "KL divergence" output)" -eq 1 ] || bad "not one KL divergence"
try 0 2 bench window -p 4 -n 4 -r 1
[ "$(grep -c "^rank" output)" -eq 2 ] || bad "not what two ranks hold"
echo "ok      perplexity, bench"

# Refused, by the first alone; and what ranks see must be the same.
try 1 2 chat "$story"
grep -q "does not work over several processes" errors || bad "chat is not refused"
try 1 2 generate "$story" -p a --devices cpu,cpu
grep -q "one device of each" errors || bad "several devices of several processes are not refused"
cat >other.sh <<'END'
model=$1
[ "$OMPI_COMM_WORLD_RANK" -eq 0 ] || model=$2
exec "$3" generate "$model" -p a -n 4 --quiet --threads 1
END
timeout 120 mpirun -n 2 sh other.sh window pair "$hyperc" >output 2>errors </dev/null && bad "different models are run"
grep -q "do not see the same" errors || bad "different models are not told"
echo "ok      refused"
