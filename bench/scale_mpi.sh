#!/usr/bin/env bash
# Compressing over processes of one thread each: weights per second of 1 process and of several, and their ratio, taken
# in turns, so that what else the machine does meets both; the best of the repeats counts. By the clock, and by the
# processor's time of the rank that takes most of it, which other work on the machine changes less.
#
# usage: bench/scale_mpi.sh [--processes N] [--repeats N] [--method window|pair] [--model NAME] [HYPERC]
#   --model: a shape of make_checkpoint, with random weights (stories-15m; for pair smollm2-135m)
set -eu
processes=2 repeats=3 method=window model='' hyperc=''
while [ $# -gt 0 ]; do
    case $1 in
    --processes) processes=$2; shift ;;
    --repeats) repeats=$2; shift ;;
    --method) method=$2; shift ;;
    --model) model=$2; shift ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "unknown option $1" >&2; exit 2 ;;
    *) hyperc=$1 ;;
    esac
    shift
done
if [ -z "$model" ]; then
    [ "$method" = pair ] && model=smollm2-135m || model=stories-15m
fi
hyperc=${hyperc:-$(cd "$(dirname "$0")/.." && pwd)/build/release/hyperc}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/hyperc-scale-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$(dirname "$hyperc")/bench/make_checkpoint" --model "$model" -o "$scratch/in" >/dev/null
weights=$("$hyperc" inspect "$scratch/in" --json | sed -n 's/^ *"weights": \([0-9]*\),*$/\1/p' | tail -n 1)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

# run RANKS NAME [OPTION...]: one line more in NAME: seconds by the clock, and of the processor.
run()
{
    local ranks=$1 name=$2 begin wall
    shift 2
    rm -rf "$scratch/out"
    begin=$(date +%s%N)
    # shellcheck disable=SC2016 # expanded by each rank
    mpirun -n "$ranks" bash -c 'TIMEFORMAT="%U %S"; time "$@" >/dev/null 2>&1' rank "$hyperc" compress "$scratch/in" \
        -o "$scratch/out" --method "$method" --threads 1 --quiet "$@" 2>"$scratch/times"
    wall=$((($(date +%s%N) - begin) / 1000))
    awk -v wall=$wall '{ t = $1 + $2; if (t > most) most = t } END { print wall / 1e6, most }' \
        "$scratch/times" >>"$scratch/$name"
}
for _ in $(seq "$repeats"); do
    run 1 one
    run "$processes" many
    run 1 one.start --keep '*'
    run "$processes" many.start --keep '*'
done

# best NAME COLUMN
best()
{
    cut -d' ' -f"$2" "$scratch/$1" | sort -g | head -n 1
}
for column in 1 2; do
    awk -v w="$weights" -v n="$processes" -v m="$method, $model" -v by=$column -v a="$(best one $column)" \
        -v b="$(best many $column)" -v c="$(best one.start $column)" -v d="$(best many.start $column)" 'BEGIN {
        printf "%s, by the %s: 1 process %.2f, %d processes %.2f million weights/s: %.2f x; without starting and " \
            "copying %.2f x\n", m, by == 1 ? "clock" : "processor", w / a / 1e6, n, w / b / 1e6, a / b,
            (a - c) / (b - d) }'
done
