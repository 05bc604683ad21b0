#!/bin/sh
# Plants headers that do not stand alone, and expects check_headers.sh to refuse each of them.
#
# usage: self_test.sh CC CXX
set -u
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

# expect VERDICT FOLDER TEXT: a tree in which one header of FOLDER holds TEXT.
expect()
{
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/include/hyperc" "$scratch/tree/kernels" "$scratch/tree/host"
    printf '#include <stdint.h>\n' >"$scratch/tree/include/hyperc/sound.h"
    printf '%b\n' "$3" >"$scratch/tree/$2/planted.h"
    sh "$here/check_headers.sh" "$scratch/tree" "$cc" "$cxx" >"$scratch/log" 2>&1
    got=$?
    case "$1 $got" in
    "sound 0" | "refused 1") return ;;
    esac
    echo "expected $1, exit code $got: $2/planted.h: $3"
    cat "$scratch/log"
    failed=1
}

cc=$1 cxx=$2
[ "$cxx" != none ] || { echo "not run: no C++ compiler"; exit 77; }
guard='#ifndef P\n#define P\n%s\n#endif'
# shellcheck disable=SC2059 # the guard is the format
in_guard() { printf "$guard" "$1"; }

expect sound include/hyperc "$(in_guard '#include <stddef.h>\nsize_t hc_a(void);')"
expect refused include/hyperc "$(in_guard 'size_t hc_a(void);')"
expect refused include/hyperc "$(in_guard 'int hc_a(int class);')"
expect refused include/hyperc 'struct hc_twice { int a; };'
expect sound host "$(in_guard 'int hc_a(int class);')"
expect refused host "$(in_guard 'uint32_t hc_a(void);')"
expect refused kernels "$(in_guard '#include "nowhere.h"')"
[ $failed -eq 0 ] && echo "headers: planted faults were found"
exit $failed
