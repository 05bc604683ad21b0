#!/usr/bin/env bash
# What every command says and which exit code it ends with: help, wrong usage, JSON, progress, patterns, tiers, threads.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny
"$MAKE_CASE" small small.safetensors
"$MAKE_CASE" special special.safetensors

# ---- Help and version
run 0 "$HYPERC" --version
grep -Eqx 'hyperc [0-9]+\.[0-9]+\.[0-9]+' "$stdout" || fail "--version says something else"
silent
for word in --help -h help; do
    run 0 "$HYPERC" $word
    prints "usage: hyperc COMMAND"
    prints "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 corrupted or different."
    silent
done
for command in compress decompress inspect verify; do
    prints "  $command"
done
for command in compress decompress inspect verify; do
    for word in --help -h; do
        run 0 "$HYPERC" $command $word
        prints "usage: hyperc $command "
        prints "--threads N"
        prints "--json"
        silent
    done
done
run 0 "$HYPERC" compress --help
for option in output method side points classes loss-max loss-threshold keep-above only keep resume force dry-run; do
    prints "--$option"
done
ok "help of every command, and the version"

# ---- Wrong usage: exit code 2, a message, nothing done
usage()
{
    local text=$1
    shift
    run 2 "$HYPERC" "$@"
    [ ! -s "$stdout" ] || fail "something on stdout"
    grep -qF -- "$text" "$stderr" || fail "stderr does not say: $text"
    absent out out.partial
}
usage "usage: hyperc COMMAND"
usage "there is no command 'squash'" squash in -o out
usage "usage: hyperc compress" compress -o out
usage "usage: hyperc compress" compress in in -o out
usage "compress needs an output" compress in
usage "unrecognized option '--colour'" compress in -o out --colour
usage "hyperc compress --help lists the options" compress in -o out --colour
usage "requires an argument" compress in -o
usage "--threads takes a number" compress in -o out --threads many
usage "--threads takes a number" compress in -o out --threads -1
usage "--threads takes a number" compress in -o out --threads 5000
usage "--tier takes c, avx2 or avx512" compress in -o out --tier sse
usage "--side takes a positive number or auto" compress in -o out --side 0
usage "--side takes a positive number or auto" compress in -o out --side -0.1
usage "--side takes a positive number or auto" compress in -o out --side nan
usage "--side takes a positive number or auto" compress in -o out --side 0.1x
usage "--points takes a list of numbers" compress in -o out --points 1600,
usage "--points takes a list of numbers" compress in -o out --points 0
usage "--points takes a list of numbers" compress in -o out --points ,
usage "--points takes a list of numbers" compress in -o out --points 99999999999999999999
usage "--classes takes a number from 1 to 15" compress in -o out --classes 0
usage "--classes takes a number from 1 to 15" compress in -o out --classes 16
usage "--loss-max takes a number that is not negative" compress in -o out --loss-max -1
usage "--loss-threshold takes a number that is not negative" compress in -o out --loss-threshold x
usage "--keep-above takes a number that is not negative" compress in -o out --keep-above inf
usage "unknown method 'window2'" compress in -o out --method window2
usage "unknown device" compress in -o out --device tpu
usage "usage: hyperc decompress" decompress
usage "decompress needs an output" decompress in
usage "--dtype takes F64, F32, F16 or BF16" decompress in -o out --dtype I8
usage "usage: hyperc inspect" inspect
usage "usage: hyperc verify" verify
usage "doesn't allow an argument" inspect --json=yes in
usage "the output has no name" compress in -o ''
ok "wrong usage ends with 2 and says why"

# ---- Exit codes: 0, 1 and 3
run 0 "$HYPERC" compress in -o out --quiet
silent
prints "coded: 36 tensors, 259328 weights"
[ "$(head -n 1 "$stdout")" = out ] || fail "the first line does not name the result"
hyperc 1 compress in -o out
says "out: is there already; --force replaces it"
hyperc 1 inspect nowhere
says "nowhere: No such file or directory"
hyperc 1 decompress in -o restored
says "is not compressed by hyperc"
hyperc 1 verify in
says "is not compressed by hyperc"
hyperc 3 verify out --against small.safetensors
says "faults found"
prints "FAULT  model.embed_tokens.weight: the original has no such tensor"
prints "FAULT  vector.bias: is missing"
prints "NOT SOUND"
head -c 100 in/model.safetensors >cut.safetensors
hyperc 3 inspect cut.safetensors
says "cut.safetensors"
hyperc 0 verify out
prints "sound: 4 files and 47 tensors against their checksums, 0 coded tensors against the original: 0 faults"
ok "exit codes 0, 1 and 3"

# ---- JSON: one object on stdout, also for failures
hyperc 0 inspect out --json
json tensors.# 47
json totals.coded_tensors 36
json totals.coded_bits_per_weight 6.0
hyperc 0 inspect in --json
json totals.coded_tensors 0
hyperc 0 verify out --against in --json
json sound true
json errors.# 36
json faults.# 0
hyperc 3 verify out --against small.safetensors --json
json sound false
hyperc 0 compress special.safetensors -o special --json
json output special
json totals.tensors 36
hyperc 0 inspect special --json
json
hyperc 0 inspect special.safetensors --json
json
hyperc 0 compress in --dry-run --json --side auto
json dry_run true
json tensors.# 47
hyperc 0 decompress out -o restored --json
json output restored
hyperc 1 compress in -o out --json
json status exists
json error "out: is there already; --force replaces it"
hyperc 1 inspect nowhere --json
json status io
hyperc 3 inspect cut.safetensors --json
json status corrupt
ok "--json prints one object, also when it fails"

# ---- Patterns
hyperc 0 compress in -o only --only '*.q_proj.weight' --only '*k_proj*' --quiet
hyperc 0 inspect only --json
json totals.coded_tensors 10
hyperc 0 inspect only
prints "kept: not in --only"
hyperc 0 compress in -o keep --keep '*.mlp.*' --keep 'model.embed_tokens.weight' --quiet
hyperc 0 inspect keep --json
json totals.coded_tensors 20
hyperc 0 inspect keep
prints "kept: --keep"
hyperc 0 compress in -o none --keep '*' --quiet
hyperc 0 verify none --against in
hyperc 0 inspect none --json
json totals.coded_tensors 0
hyperc 0 compress in -o vectors --only 'model.norm.weight' --quiet # one dimension: coded if asked for by name
hyperc 0 inspect vectors --json
json totals.coded_tensors 1
ok "--only and --keep choose tensors"

# ---- A dry run
hyperc 0 compress in --dry-run
prints "dry run: 36 of 47 tensors would be coded, 259328 weights in 194.50 kB: 6.0000 bits per weight"
hyperc 0 compress in -o dry --dry-run
absent dry dry.partial
rm -rf none.partial
hyperc 0 compress in -o out --dry-run # nothing is written, so nothing is in the way
ok "--dry-run writes nothing"

# ---- stdout that cannot be written
full()
{
    local code=0
    "$HYPERC" "$@" >/dev/full 2>"$stderr" || code=$?
    [ $code -eq 1 ] || fail "exit code $code, not 1, with stdout full: $*"
    says "cannot write the output"
}
if [ -c /dev/full ]; then
    full --version
    full --help
    full inspect --help
    full inspect out
    full inspect out --json
    full verify out
    full verify out --json
    full compress in -o other
    hyperc 0 verify other # the model is whole all the same
    full compress in --dry-run --json
    full decompress out -o full
    ok "stdout that cannot be written: exit code 1"
else
    not_run "no /dev/full"
fi

# ---- The same bytes whatever computes them
checkpoint odd --model tiny --type f32 --seed 7
for input in in odd special.safetensors; do
    "$HYPERC" compress $input -o reference.$input --threads 1 --tier c --quiet >/dev/null
    for threads in 2 3; do
        hyperc 0 compress $input -o threads --threads $threads --tier c --quiet
        same reference.$input threads
        rm -r threads
    done
    hyperc 0 compress $input -o best --quiet
    same reference.$input best
    rm -r best
done
ok "any number of threads writes the same bytes"
for tier in avx2 avx512; do
    case $tier in
    avx2) flags='avx2 fma f16c' ;;
    avx512) flags='avx512f avx512bw avx512dq avx512vl avx512vbmi' ;;
    esac
    missing=
    for flag in $flags; do
        grep -qw "$flag" /proc/cpuinfo || missing="$missing $flag"
    done
    if [ -n "$missing" ]; then
        not_run "tier $tier: the machine has no$missing"
        case ,${HYPERC_REQUIRE:-}, in
        *,$tier,*) fail "tier $tier is required" ;;
        esac
        continue
    fi
    for input in in odd special.safetensors; do
        hyperc 0 compress $input -o tier --tier $tier --threads 2 --quiet
        same reference.$input tier
        rm -r tier
        hyperc 0 decompress reference.$input -o tier --tier $tier
        hyperc 0 decompress reference.$input -o plain --tier c
        same plain tier
        rm -r tier plain
    done
    ok "tier $tier writes the same bytes"
done

# ---- Progress: a line that renews itself on a terminal, plain lines now and then elsewhere, none with --quiet
run 0 "$HYPERC" compress in -o progress --quiet
silent
run 0 with_faults HC_FAIL_CLOCK=1 "$HYPERC" compress in -o progress --force
lines=$(grep -Ec '^[0-9]+ of 47 tensors, [0-9.]+ %, [0-9.]+ million weights/s, [0-9:?]+ left$' "$stderr")
[ "$lines" -ge 3 ] && [ "$lines" -eq "$(wc -l <"$stderr")" ] || fail "not a plain line of progress every ten seconds"
run 0 with_faults HC_FAIL_CLOCK=1 "$HYPERC" compress in -o progress --force --quiet
silent
if grep -q $'\r\|\x1b' "$stderr"; then
    fail "control characters where there is no terminal"
fi
checkpoint large --model stories-15m
if command -v script >/dev/null; then
    script -qec "\"$HYPERC\" compress large -o terminal --threads 1 --tier c" /dev/null >"$stdout" </dev/null
    grep -q $'\r[0-9]* of 56 tensors, .* left\x1b' "$stdout" || fail "no progress on a terminal"
    ok "progress: a line that renews itself on a terminal, plain lines elsewhere, nothing with --quiet"
else
    not_run "no terminal to be had: script is not installed"
fi
finish
