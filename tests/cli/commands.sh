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
commands=(compress decompress inspect verify generate chat perplexity calibrate bench plan)
for command in "${commands[@]}"; do
    prints "  $command"
done
for command in "${commands[@]}"; do
    for word in --help -h; do
        run 0 "$HYPERC" "$command" $word
        prints "usage: hyperc $command "
        prints "--threads N"
        prints "--json"
        silent
    done
done
run 0 "$HYPERC" compress --help
for option in output method bits embed-bits head-bits bits-for window effort columns side points classes loss-max \
    loss-threshold keep-above only keep resume force dry-run; do
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
for bits in 0 7 7.0 9 0.5 8.1 -3 nan inf 4x ''; do
    usage "--bits takes 1 to 6, 8 or a fraction from 1 to 8" compress in -o out --bits "$bits"
done
for bits in 0 7 9 3.5 -1 none ''; do
    usage "--embed-bits takes 1 to 6, 8 or keep" compress in -o out --embed-bits "$bits"
    usage "--head-bits takes 1 to 6, 8 or keep" compress in -o out --head-bits "$bits"
    usage "--bits-for takes PATTERN=K with a K of 1 to 6 or 8" compress in -o out --bits-for "*q_proj*=$bits"
done
usage "--bits-for takes PATTERN=K" compress in -o out --bits-for '*q_proj*'
usage "--bits-for takes PATTERN=K" compress in -o out --bits-for =4
usage "too much of --bits-for" compress in -o out --bits-for "$(printf '%20000s' x)=4"
for length in 0 7 17 12.5 x; do
    usage "--window takes a number from 8 to 16" compress in -o out --window $length
done
usage "--effort takes fast, default or best" compress in -o out --effort most
usage "--columns takes norm or none" compress in -o out --columns both
usage "--window 14 contradicts --effort, which means --window 16" compress in -o out --window 14 --effort best
usage "--window 16 contradicts --effort, which means --window 12" compress in -o out --effort fast --window 16
for words in "--bits 4" "--embed-bits 4" "--head-bits keep" "--bits-for *=4" "--window 12" "--effort fast" "--columns none"; do
    set -f
    # shellcheck disable=SC2086 # an option and its value
    usage "${words% *} is an option of --method window" compress in -o out $words --method pair
    set +f
done
for words in "--side auto" "--points 900" "--classes 2" "--loss-max 1" "--loss-threshold 1" "--keep-above 1"; do
    # shellcheck disable=SC2086 # an option and its value
    usage "${words% *} is an option of --method pair" compress in -o out $words
done
usage "unknown method 'window2'" compress in -o out --method window2
usage "unknown device" compress in -o out --device tpu
usage "usage: hyperc decompress" decompress
usage "decompress needs an output" decompress in
usage "--dtype takes F64, F32, F16 or BF16" decompress in -o out --dtype I8
usage "usage: hyperc inspect" inspect
usage "usage: hyperc verify" verify
usage "doesn't allow an argument" inspect --json=yes in
usage "the output has no name" compress in -o ''
for words in "compress in --json" "compress in -o out --points 0 --json" "compress in -o out --side auto --json" "inspect --json" "verify --frob --json"; do
    # shellcheck disable=SC2086 # a list
    hyperc 2 $words
    json status argument
done
ok "wrong usage ends with 2 and says why"

# ---- What is not as the user may think
hyperc 0 compress in -o noted --method pair --quiet --only 'no such tensor' --keep 'model.*'
says "--only no such tensor: matches no tensor" "hyperc: note: "
rm -r noted
ok "a pattern that matches nothing is noted"

# ---- Exit codes: 0, 1 and 3
run 0 "$HYPERC" compress in -o out --method pair --quiet
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
prints "sound: 4 files and 47 tensors against their checksums: 0 faults"
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
json compared_tensors.# 36
json faults.# 0
hyperc 3 verify out --against small.safetensors --json
json sound false
hyperc 0 compress special.safetensors -o special --method pair --json
json output special
json totals.tensors 36
hyperc 0 inspect special --json
json
hyperc 0 inspect special.safetensors --json
json
hyperc 0 compress in --dry-run --method pair --json --side auto
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
hyperc 0 compress in -o only --method pair --only '*.q_proj.weight' --only '*k_proj*' --quiet
hyperc 0 inspect only --json
json totals.coded_tensors 10
hyperc 0 inspect only
prints "kept: not in --only"
hyperc 0 compress in -o keep --method pair --keep '*.mlp.*' --keep 'model.embed_tokens.weight' --quiet
hyperc 0 inspect keep --json
json totals.coded_tensors 20
hyperc 0 inspect keep
prints "kept: --keep"
hyperc 0 compress in -o none --method pair --keep '*' --quiet
hyperc 0 verify none --against in
hyperc 0 inspect none --json
json totals.coded_tensors 0
hyperc 0 compress in -o vectors --method pair --only model.norm.weight --quiet # one dimension: coded if asked for by name
hyperc 0 inspect vectors --json
json totals.coded_tensors 1
ok "--only and --keep choose tensors"

# ---- A dry run
hyperc 0 compress in --dry-run --method pair
prints "dry run: 36 of 47 tensors would be coded, 259328 weights in 194.50 kB: 6.0000 bits per weight"
hyperc 0 compress in -o dry --method pair --dry-run
absent dry dry.partial
rm -rf none.partial
hyperc 0 compress in -o out --method pair --dry-run # nothing is written, so nothing is in the way
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
    full compress in -o other --method pair
    hyperc 0 verify other # the model is whole all the same
    full compress in --dry-run --method pair --json
    full decompress out -o full
    ok "stdout that cannot be written: exit code 1"
else
    not_run "no /dev/full"
fi

# ---- The same bytes whatever computes them
checkpoint odd --model tiny --type f32 --seed 7
for input in in odd special.safetensors; do
    "$HYPERC" compress $input -o reference.$input --method pair --threads 1 --tier c --quiet >/dev/null
    for threads in 2 3; do
        hyperc 0 compress $input -o threads --method pair --threads $threads --tier c --quiet
        same reference.$input threads
        rm -r threads
    done
    hyperc 0 compress $input -o best --method pair --quiet
    same reference.$input best
    rm -r best
done
ok "any number of threads writes the same bytes"
for tier in avx2 avx512; do
    case $tier in
    avx2) flags='avx2 fma f16c bmi2' ;;
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
        hyperc 0 compress $input -o tier --method pair --tier $tier --threads 2 --quiet
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
run 0 "$HYPERC" compress in -o progress --method pair --quiet
silent
run 0 with_faults HC_FAIL_CLOCK=1 "$HYPERC" compress in -o progress --method pair --force
lines=$(grep -Ec '^[0-9]+ of 47 tensors, [0-9.]+ %, [0-9.]+ million weights/s, [0-9:?]+ left$' "$stderr")
[ "$lines" -ge 3 ] && [ "$lines" -eq "$(wc -l <"$stderr")" ] || fail "not a plain line of progress every ten seconds"
run 0 with_faults HC_FAIL_CLOCK=1 "$HYPERC" compress in -o progress --method pair --force --quiet
silent
if grep -q $'\r\|\x1b' "$stderr"; then
    fail "control characters where there is no terminal"
fi
checkpoint large --model stories-15m
if command -v script >/dev/null; then
    script -qec "\"$HYPERC\" compress large -o terminal --method pair --threads 1 --tier c" /dev/null >"$stdout" </dev/null
    grep -q $'\r[0-9]* of 56 tensors, .* left\x1b' "$stdout" || fail "no progress on a terminal"
    ok "progress: a line that renews itself on a terminal, plain lines elsewhere, nothing with --quiet"
else
    not_run "no terminal to be had: script is not installed"
fi
# ---- Names that could steer a terminal, and names that are not UTF-8
"$PYTHON" - steering.safetensors <<'PYTHON'
import json, struct, sys
names = ["a\x1b[31m\x9b1m\nb\x7f", "gr\xfc\xdf \u20ac"]
header = {name: {"dtype": "F32", "shape": [4, 8], "data_offsets": [128 * i, 128 * i + 128]} for i, name in enumerate(names)}
header["long\x1b"] = {"dtype": "U8", "shape": [1], "data_offsets": [256, 257]}
text = json.dumps(header).encode()
data = struct.pack("<64f", *(i % 13 / 130 for i in range(64)))
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data + b"x")
PYTHON
printable() # and the two names are there
{
    prints "$1"
    if LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc0-\xff\x80-\xbf])[\x80-\xbf]|\xff' "$stdout" "$stderr"; then
        fail "a character that could steer a terminal"
    fi
}
hyperc 0 compress steering.safetensors -o steering --method pair --quiet
hyperc 0 inspect steering
printable 'a?[31m?1m?b? '
printable 'grüß € '
hyperc 0 verify steering --against steering.safetensors
printable 'same   a?[31m?1m?b? '
hyperc 3 verify steering --against in
printable 'FAULT  a?[31m?1m?b?: '
hyperc 0 inspect steering --json
json tensors.1.name "$(printf 'gr\303\274\303\237 \342\202\254')"
not_utf8=$'out\xff'
hyperc 0 compress steering.safetensors -o "$not_utf8" --method pair --json --quiet
json output 'out?'
hyperc 1 inspect $'nowhere\xff\xc2\x9b' --json
json status io
prints 'nowhere???: No such file or directory'
mv "$not_utf8" $'bad\xff'
truncate -s 100 $'bad\xff/model.safetensors'
hyperc 3 verify $'bad\xff' --json
json sound false
json faults.1.where 'bad?'
hyperc 3 verify $'bad\xff'
printable 'NOT SOUND'
ok "no name steers the terminal or breaks the JSON"

# ---- Signals
# ends CODE: the process in the background ends with it, soon.
ends()
{
    local code=0
    for _ in $(seq 200); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$process" 2>/dev/null && fail "it goes on"
    wait "$process" || code=$?
    [ $code -eq "$1" ] || fail "exit code $code, not $1"
}

# A command that reports no progress ends at once, here while it waits for whoever reads its output.
"$PYTHON" - many.safetensors <<'PYTHON'
import json, struct, sys
text = json.dumps({f"tensor.{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(3000)}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + bytes(3000))
PYTHON
mkfifo pipe
exec 9<>pipe
"$HYPERC" inspect many.safetensors --json >pipe 2>"$stderr" 9<&- &
process=$!
IFS= read -r -n 1 -u 9 -t 20 _ || fail "inspect prints nothing"
kill -TERM "$process"
ends 143
exec 9<&-
ok "a signal ends a command that reports no progress"

# The input is cut while it is in use: a message, not a crash.
"$HYPERC" compress large -o cut --method pair --threads 1 --tier c --quiet >"$stdout" 2>"$stderr" &
process=$!
until [ -s cut.partial/journal ] || [ -e cut ]; do
    kill -0 "$process" 2>/dev/null || break
    sleep 0.01
done
kill -STOP "$process"
if [ -e cut ]; then
    kill -CONT "$process"
    wait "$process"
    not_run "compress was done before its input could be cut"
else
    truncate -s 4096 large/model.safetensors
    kill -CONT "$process"
    ends 1
    says "a file changed or could not be read while it was in use"
    absent cut
    ok "an input that is cut while it is in use"
fi
finish
