#!/usr/bin/env bash
# What bench/scale predicts: the table, and the memory of a model that is really split.
#
# usage: scale.sh [--write] [BUILD]
#        scale.sh --held HYPERC SCALE
#   Prints the table. --write puts it into bench/results/scale.csv and draws docs/scaling.svg from it. BUILD: where the
#   programs are, default build/release. --held compresses the 260K story model, and holds the prediction against
#   what 1 to 4 emulated devices have of it, and 12, more than its down has Hadamard blocks; it lies in $HYPERC_DATA, or
#   ../shared/data.
#   Exit: 0 sound, 1 failed or different, 77 not run (no story model, no emulator).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

mode=show build=build/release
case ${1:-} in
--write) mode=write && shift ;;
--held) mode=held && shift ;;
--help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/scale.sh; exit 0 ;;
-*) sed -n '4,5p' bench/scale.sh >&2; exit 2 ;;
esac
[ $mode = held ] || build=${1:-$build}
[ $mode != show ] || exec "$build/bench/scale"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ $mode = write ]; then
    need gnuplot-nox
    "$build/bench/scale" >"$scratch/table"
    gnuplot -e "table='$scratch/table'" bench/scale.gp >"$scratch/plot"
    cp "$scratch/table" bench/results/scale.csv
    cp "$scratch/plot" docs/scaling.svg
    wc -l bench/results/scale.csv docs/scaling.svg
    exit
fi

story=${HYPERC_DATA:-../shared/data}/story260K
[ -d "$story" ] || { echo "not run: no story model"; exit 77; }
"$1" compress "$story" -o "$scratch/model" --quiet >"$scratch/log" || { cat "$scratch/log"; exit 1; }
for devices in 1 2 3 4 12; do
    for split in tensors layers; do
        [ $devices = 12 ] && [ $split = layers ] && continue # it has 5
        echo "--devices $devices --split $split"
        CUEMU_DEVICES=12 tests/cuda/run.sh --emulator "$2" --memory "$scratch/model" --context 512 --held \
            --devices $devices --split $split
    done
done
