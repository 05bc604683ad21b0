#!/usr/bin/env bash
# SIGKILL and SIGINT at random moments of a run of some seconds, until --resume has finished it.
#
# usage: kills.sh KILL|INT [SEED]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
signal=$1
RANDOM=${2:-1}

checkpoint in --model stories-15m --shard-size 2MB
options=(--method pair --threads 1 --tier c --quiet)
begin=$(date +%s%N)
"$HYPERC" compress in -o whole "${options[@]}" >/dev/null
took=$((($(date +%s%N) - begin) / 1000000)) # milliseconds

# Sleeps a random time up to that of a whole run.
random_while()
{
    local most=$((took * ${1:-100} / 100 + 1)) while
    while=$(((RANDOM * 32768 + RANDOM) % most))
    sleep "$((while / 1000)).$(printf '%03d' $((while % 1000)))"
}

kills=0 rounds=0 enough=25
[ "$signal" = KILL ] || enough=15
[ -z "$sanitizer" ] || enough=10
while [ $kills -lt $enough ]; do
    # Short and long steps: some runs end after one kill, some after many.
    rounds=$((rounds + 1))
    share=$((RANDOM % 60 + 5))
    while :; do
        "$HYPERC" compress in -o out "${options[@]}" --resume >"$stdout" 2>"$stderr" &
        process=$!
        random_while $share
        kill -"$signal" $process 2>/dev/null || true
        code=0
        wait $process 2>/dev/null || code=$?
        [ ! -e out ] || same whole out # there only as a whole
        [ $code -ne 0 ] || break
        kills=$((kills + 1))
        if [ "$signal" = INT ]; then
            [ $code -eq 1 ] || [ $code -eq 130 ] || fail "exit code $code after SIGINT"
            if [ $code -eq 1 ]; then
                says "interrupted"
                if [ -s out.partial/journal ]; then
                    says "the same command with --resume finishes it"
                else
                    absent out.partial # nothing was done
                    ! grep -q -- --resume "$stderr" || fail "there is nothing to resume"
                fi
            fi
        else
            [ $code -eq 137 ] || fail "exit code $code after SIGKILL"
        fi
        [ $kills -lt 100 ] || fail "no end in sight"
        # Every try gets a little longer, so that all of them end.
        share=$((share + 10))
    done
    same whole out
    absent out.partial
    rm -r out
done
ok "SIG$signal $kills times in $rounds runs: each was finished, byte for byte"

if [ "$signal" = INT ]; then
    # decompress leaves nothing behind.
    interrupted=0
    for _ in 1 2 3 4 5 6 7 8; do
        "$HYPERC" decompress whole -o back --threads 1 --tier c >"$stdout" 2>"$stderr" &
        process=$!
        sleep 0.03
        kill -INT $process 2>/dev/null || true
        code=0
        wait $process || code=$?
        if [ $code -eq 1 ]; then
            says "interrupted"
            absent back back.partial
            interrupted=$((interrupted + 1))
        fi
        rm -rf back back.partial
    done
    if [ $interrupted -gt 0 ]; then
        ok "decompress, interrupted $interrupted times, leaves nothing"
    else
        not_run "decompress was too fast to be interrupted"
    fi
fi
finish
