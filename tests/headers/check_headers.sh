#!/bin/sh
# Compiles every header alone: include/ as C11 and as C++17, kernels/ and host/ as C11. Headers that need CUDA
# (they include its headers) are CUDA's business; those of an x86 instruction set are left out elsewhere.
#
# usage: check_headers.sh SOURCE_DIRECTORY CC CXX [COMPILER_FLAG...]
# Exit: 0 sound, 1 a header does not compile alone, 77 not run (no C++ compiler).
set -u
source=$1 cc=$2 cxx=$3
shift 3
warnings="-Wall -Wextra -Wpedantic -Werror -fsyntax-only"
failed=0 count=0

# alone COMPILER LANGUAGE STANDARD HEADER [FLAG...]: the header is included by a file that has nothing else.
alone()
{
    compiler=$1 language=$2 standard=$3 header=$4
    shift 4
    count=$((count + 1))
    # shellcheck disable=SC2086 # a list of flags
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$compiler" -x "$language" -std="$standard" $warnings -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE "$@" - || {
        echo "$header does not compile alone as $standard" >&2
        failed=$((failed + 1))
    }
}

for header in $(find "$source/include" -name '*.h' | sort); do
    alone "$cc" c c11 "$header" -I "$source/include"
    [ "$cxx" = none ] || alone "$cxx" c++ c++17 "$header" -I "$source/include"
done
for header in $(find "$source/kernels" "$source/host" -name '*.h' | sort); do
    grep -q '#include <cu' "$header" && continue
    vectors=
    case $header in
    *_avx2.h | *_avx512.h) "$cc" -dM -E -x c /dev/null | grep -q __x86_64__ || continue ;;
    esac
    case $header in # inline helpers of one instruction set are read with that one on, as kernels/CMakeLists.txt does
    *_avx2.h) vectors="-mavx2 -mfma -mf16c -mbmi2" ;;
    *_avx512.h) vectors="-mavx2 -mfma -mf16c -mbmi2 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi" ;;
    esac
    # shellcheck disable=SC2086 # a list of flags
    alone "$cc" c c11 "$header" $vectors -I "$source/include" -I "$source/kernels" -I "$source/host" "$@"
done
[ $count -gt 0 ] || { echo "no headers found" >&2; exit 1; }
echo "headers: $count compilations, $failed failed"
[ $failed -eq 0 ] || exit 1
[ "$cxx" != none ] || { echo "not run: no C++ compiler"; exit 77; }
