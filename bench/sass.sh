#!/usr/bin/env bash
# Counts instead of clocks: registers, spills and shared memory of the fused kernels and of the searches, from the
# machine code for compute capability 8.0, 8.9 and 9.0; where a loop goes over weights, instructions for each, and the
# bounds that follow for named GPUs. Compiles all of kernels/, and fails, naming it, if any kernel there spills
# registers or keeps a stack in local memory. (One may: sass.py says why.)
#
# usage: sass.sh [--fetch] [--quick] [--csv] [--check | --write]
#   Prints the table. --write puts it into bench/results/sass.csv; --check holds it against the committed one, exactly,
#   where nvcc is of the version that made that. --quick leaves out the products of window but those of k = 4, compiling
#   included. --fetch downloads the disassembler (5 MB, from PyPI) if it is not at hand. Exit: 0 sound, 1 failed,
#   different or spilling, 77 not run (no nvcc, no disassembler, or another version of nvcc).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/model.sh

fetch="" mode=show options=()
for argument in "$@"; do
    case $argument in
    --fetch) fetch=1 ;;
    --quick | --csv) options+=("$argument") ;;
    --check | --write) mode=${argument#--} ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/sass.sh; exit 0 ;;
    *) sed -n '7p' bench/sass.sh >&2; exit 2 ;;
    esac
done

not_run()
{
    echo "not run: $1"
    exit 77
}

# Where the build looks for it, too.
nvcc=$(PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin command -v nvcc) || not_run "no nvcc"
nvdisasm=$PWD/build/sass/nvdisasm/nvidia/cu13/bin/nvdisasm
if [ ! -f "$nvdisasm" ]; then
    [ -n "$fetch" ] || not_run "the disassembler is not at hand (bench/sass.sh --fetch downloads it)"
    mkdir -p build/sass
    fetch_package build/sass nvidia-cuda-nvdisasm 13.5.37 nvdisasm nvidia/cu13/bin/nvdisasm ||
        not_run "the disassembler could not be downloaded"
fi
chmod +x "$nvdisasm" # which unpacking forgets

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count=(python3 -B bench/sass.py --nvcc "$nvcc" --nvdisasm "$nvdisasm" --top . --work "$scratch" "${options[@]}")
case $mode in
show) "${count[@]}" ;;
check) "${count[@]}" --check bench/results/sass.csv ;;
write)
    "${count[@]}" --csv >"$scratch/table"
    cp "$scratch/table" bench/results/sass.csv
    wc -l bench/results/sass.csv
    ;;
esac
