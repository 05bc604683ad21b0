#!/usr/bin/env bash
# No memory, at each allocation of a run: the program ends with 1 and a message or does as it should, never anything else.
# It never crashes, never says it is done when it is not, and leaves nothing that --resume could not finish.
#
# OpenMP's runtime ends the process by itself, with 1 and a message of its own.
#
# usage: memory.sh [--full]      --full: really each of them, where otherwise some are passed over
# HYPERC_DATA: as in run.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
if [ -n "$sanitizer$gcov" ]; then
    echo "not run: the program is built with ${sanitizer:+a sanitizer}$gcov, which allocates for itself"
    exit 77
fi

full=${1:-}
data=${HYPERC_DATA:-$here/../../../shared/data}
"$MAKE_CASE" small in.safetensors
"$HYPERC" compress in.safetensors -o whole --method pair --quiet >/dev/null
fraction=(--bits 3.5 --window 8 --threads 1 --quiet) # of bits: shared out before anything is coded
"$HYPERC" compress in.safetensors -o window "${fraction[@]}" >/dev/null 2>&1
"$HYPERC" decompress whole -o restored >/dev/null

# sweep WHAT COMMAND...: each allocation fails once; then, for every seventh, all from there on.
sweep()
{
    local what=$1 most n code calls step
    shift
    prepare
    HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" "$@" >reference 2>/dev/null <"$input" || fail "$what fails by itself"
    read -r _ most _ <count
    [ "$most" -gt 20 ] || fail "$what: $most allocations"
    calls=0
    step=$((most / 150 + 1))
    [ -z "$full" ] || step=1
    for forever in '' 1; do
        for ((n = 1; n <= most; n += step * (${forever:-0} * 6 + 1))); do
            prepare
            code=0
            env ${forever:+HC_FAIL_MALLOC_FOREVER=1} HC_FAIL_MALLOC=$n LD_PRELOAD="$SHIM" "$HYPERC" "$@" >"$stdout" \
                2>"$stderr" <"$input" || code=$?
            calls=$((calls + 1))
            if [ $code -eq 0 ]; then
                same_output || fail "$what, allocation $n: done, but says something else"
            else
                [ $code -eq 1 ] || fail "$what, allocation $n of $most: exit code $code"
                grep -q 'memory\|libgomp' "$stderr" || fail "$what, allocation $n: no word of memory"
            fi
            afterwards
        done
    done
    ok "$what: $calls times without memory"
}

input=/dev/null
same_output() { cmp -s reference "$stdout"; }
prepare() { :; }
afterwards() { :; }
sweep "inspect" inspect whole --threads 1
sweep "inspect --json" inspect whole --threads 1 --json
sweep "plan" plan in.safetensors --devices cpu,cuda --threads 1
sweep "plan --json" plan in.safetensors --devices cpu,cuda --threads 1 --json
sweep "verify" verify whole --against in.safetensors --threads 1
sweep "verify, window" verify window --against in.safetensors --threads 1
sweep "verify --json" verify whole --against in.safetensors --threads 1 --json
sweep "compress --dry-run --json" compress in.safetensors --dry-run --method pair --threads 1 --json

prepare() { rm -rf out out.partial; }
afterwards()
{
    if [ "$code" -eq 0 ] || [ -e out ]; then
        same "$whole" out
    elif [ $((calls % 5)) -eq 0 ]; then
        hyperc 0 compress in.safetensors -o out "${options[@]}" --resume
        same "$whole" out
    fi
}
whole=whole options=(--method pair --threads 1 --quiet)
sweep "compress" compress in.safetensors -o out "${options[@]}"
whole=window options=("${fraction[@]}")
sweep "compress, a fraction of bits" compress in.safetensors -o out "${options[@]}"

prepare() { rm -rf back back.partial; }
afterwards()
{
    [ ! -e back ] || same restored back
    [ "$code" -ne 0 ] || same restored back
    # To remove what was begun takes some memory, too.
    [ -n "$forever" ] || grep -q libgomp "$stderr" || absent back.partial
}
sweep "decompress" decompress whole -o back --threads 1

# ---- Running a model
prepare() { :; }
afterwards() { :; }
if [ -r "$data/story260K/config.json" ]; then
    story=$data/story260K
    sweep "generate" generate "$story" -p Once -n 5 --temp 0 --quiet --threads 1
    "$HYPERC" compress "$story" -o coded --quiet >/dev/null
    sweep "generate, two devices" generate coded -p Once -n 5 --temp 0 --quiet --threads 1 --devices cpu,cpu
    sweep "generate, some layers" generate coded -p Once -n 5 --temp 0 --quiet --threads 1 --device cpu --gpu-layers 2
    copy_with_template "$story" talker
    printf 'Hello\nAgain\n' >questions
    input=questions
    sweep "chat" chat talker -n 3 --temp 0 -c 100 --system Talk --quiet --threads 1
    input=/dev/null
    sweep "generate --system" generate talker -p Hello -n 3 --temp 0 --system Talk --quiet --threads 1
    same_output() { cmp -s <(tr -d '0-9.e+-' <reference) <(tr -d '0-9.e+-' <"$stdout"); } # but for times
    sweep "bench --json" bench "$story" -p 4 -n 2 -r 1 --threads 1 --json
    printf 'Once upon a time, there was a little girl.\n%.0s' 1 2 3 >text
    sweep "perplexity --json" perplexity "$story" -f text --ctx 8 --against "$story" --threads 1 --json
else
    not_run "commands that run a model: no model in $data (HYPERC_DATA)"
fi

# Really little memory: not much more than the program itself, which a build with kernels for GPUs makes large.
own=$(($(stat -L -c %s "$HYPERC") / 1024))
for kilobytes in $((own + 3000)) $((own + 7000)) $((own + 19000)) $((own + 39000)); do
    for command in "inspect whole" "compress in.safetensors --dry-run --method pair"; do
        code=0
        # shellcheck disable=SC2086 # words
        (ulimit -v $kilobytes && exec "$HYPERC" $command --threads 1) >"$stdout" 2>"$stderr" || code=$?
        [ $code -le 1 ] || [ $code -eq 126 ] || [ $code -eq 127 ] || fail "$kilobytes kB: exit code $code"
    done
done
ok "little address space"
finish
