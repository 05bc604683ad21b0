#!/bin/sh
# Runs a command where CUDA works: on a GPU if there is one, else under the emulator cuemu, else not at all.
#
# usage: run.sh [--emulator] COMMAND [ARGUMENT...]
#   --emulator   under the emulator or not at all: for what cannot be arranged on a GPU
# HYPERC_CUEMU: the emulator's folder; by default ../shared/cuemu, seen from the top of the sources.
# HYPERC_REQUIRE: a list with commas; where it has "cuda", not run is a failure.
# Exit: the command's; 77 not run.
set -u
cuemu=${HYPERC_CUEMU:-$(cd "$(dirname "$0")/../.." && pwd)/../shared/cuemu}/cuemu
only_emulator=no
if [ "${1:-}" = --emulator ]; then
    only_emulator=yes
    shift
fi
[ $# -gt 0 ] || { echo "usage: run.sh [--emulator] COMMAND [ARGUMENT...]" >&2; exit 2; }

have_gpu=no
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    have_gpu=yes
fi

required=no
case ,${HYPERC_REQUIRE:-}, in
*,cuda,*) required=yes ;;
esac

# From here on a device is there: whoever does not find it fails.
if [ $have_gpu = yes ] && [ $only_emulator = no ]; then
    HYPERC_REQUIRE=cuda${HYPERC_REQUIRE:+,$HYPERC_REQUIRE} exec "$@"
elif [ -x "$cuemu" ]; then
    HYPERC_REQUIRE=cuda${HYPERC_REQUIRE:+,$HYPERC_REQUIRE} exec "$cuemu" "$@"
elif [ $have_gpu = yes ]; then
    echo "not run: no emulator (HYPERC_CUEMU), and a GPU cannot show this"
    exit 77
fi
echo "not run: no GPU, and no emulator (HYPERC_CUEMU)"
[ $required = no ] || exit 1
exit 77
