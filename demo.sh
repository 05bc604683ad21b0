#!/usr/bin/env bash
# Compresses a real network, inspects and verifies the result, and restores it; from nothing on Debian 12.
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

fetch_minilm $out
# shellcheck disable=SC2154 # set by fetch_minilm
show $hyperc compress "$minilm" -o $out/compressed --force
show $hyperc inspect $out/compressed
show $hyperc verify $out/compressed --against "$minilm"
show $hyperc decompress $out/compressed -o $out/restored --force

cat <<TEXT

The model as it was published:  $minilm ($(megabytes "$minilm"))
compressed, verified:           $out/compressed ($(megabytes $out/compressed))
and restored, for any program:  $out/restored ($(megabytes $out/restored))
The program is $hyperc; see $hyperc --help, and README.md.
TEXT
