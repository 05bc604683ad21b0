#!/usr/bin/env bash
# Compresses a real language model, verifies the result, and lets it answer; from nothing on Debian 12.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh
. scripts/model.sh

if [ $# -gt 0 ]; then
    echo "usage: ./demo.sh      (no arguments; everything it makes lies in build/demo)"
    [ "$1" = --help ] && exit 0
    exit 2
fi

show()
{
    printf '\n$ %s\n' "$*"
    "$@"
}

megabytes()
{
    du -sb "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'
}

out=build/demo
hyperc=$out/program/hyperc
mkdir -p $out
# shellcheck disable=SC2154,SC2086 # a list, from scripts/packages.sh
need $build_packages python3

echo "Building hyperc (CPU only) in $out/program"
{
    cmake -S . -B $out/program -G Ninja -DCMAKE_BUILD_TYPE=Release -DHYPERC_CUDA=OFF -DHYPERC_MPI=OFF -DHYPERC_TESTS=OFF &&
        cmake --build $out/program -j "$(nproc)"
} >$out/build.log 2>&1 </dev/null || { cat $out/build.log; exit 1; }

fetch_smollm2 $out
# shellcheck disable=SC2154 # set by fetch_smollm2
show $hyperc compress "$smollm2" -o $out/compressed --force
show $hyperc verify $out/compressed --against "$smollm2" --quiet
show $hyperc generate $out/compressed -p "The capital of France is" -n 24 --temp 0
printf '\n$ hyperc chat %s --temp 0 <<< "What is gravity?"\n' $out/compressed
$hyperc chat $out/compressed --temp 0 -n 80 <<< "What is gravity?"

cat <<TEXT

The model as it was published:  $smollm2 ($(megabytes "$smollm2"))
compressed, verified:           $out/compressed ($(megabytes $out/compressed))
Talk to it:                     $hyperc chat $out/compressed
See $hyperc --help, and README.md.
TEXT
