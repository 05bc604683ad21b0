#!/usr/bin/env bash
# A rank is killed at a random moment, twenty times: the others end within the time, nothing is lost, and another number
# of ranks finishes the run, byte for byte. So with a rank that is stopped.
#
# usage: kills.sh [SEED]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
RANDOM=${1:-1}

checkpoint in --model stories-15m --shard-size 2MB
export INPUT=in
what=(--method pair --tier c --only '*layers*' --quiet)
options=(-o out --threads 1 --resume "${what[@]}")
hyperc 0 compress in -o whole "${what[@]}"

# milliseconds TEXT
nap()
{
    sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"
}
now()
{
    echo $(($(date +%s%N) / 1000000))
}
begin=$(now)
over 3 "${options[@]}"
[ $code -eq 0 ] || fail "exit code $code"
same whole out
took=$(($(now) - begin))

# Whether one of so many ranks has not ended.
some_live()
{
    local rank state
    for rank in $(seq 0 $(($1 - 1))); do
        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(cat "pid.$rank" 2>/dev/null || echo none)/status" \
            2>/dev/null) || true
        [ -z "$state" ] || [ "$state" = Z ] || return 0
    done
    return 1
}

# strike SIGNAL RANKS RANK MILLISECONDS [FILE]: so long after there is FILE, or rank RANK. $code is mpirun's; $struck
# says whether there was somebody to strike.
strike()
{
    local job begin
    rm -f pid.* # before a rank can have written its own
    mpirun -n "$2" sh "$scratch/rank.sh" "${options[@]}" --timeout 10 >"$stdout" 2>"$stderr" </dev/null &
    job=$!
    until [ -s "pid.$3" ] && [ -e "${5:-pid.$3}" ]; do
        kill -0 $job 2>/dev/null || { cat "$stderr"; fail "rank $3 of $2 did not start"; }
        sleep 0.01
    done
    nap "$4"
    struck=no
    kill -"$1" "$(cat "pid.$3")" 2>/dev/null && struck=yes
    begin=$(now)
    while some_live "$2"; do
        [ $(($(now) - begin)) -lt 30000 ] || fail "rank $3 of $2 is struck by SIG$1, and the others hang"
        sleep 0.05
    done
    # When a rank dies while it joins, mpirun of Open MPI 4.1 may wait for ever for a lock of its own.
    for _ in $(seq 100); do
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL $job 2>/dev/null && echo "mpirun does not end, though all ranks have"
    code=0
    wait $job || code=$?
}

kills=0 rounds=0
while [ $kills -lt 20 ]; do
    rounds=$((rounds + 1))
    [ $rounds -lt 100 ] || fail "no end in sight"
    rm -rf out out.partial
    ranks=$((RANDOM % 3 + 2))
    victim=$((RANDOM % ranks))
    strike KILL $ranks $victim $((RANDOM % took))
    [ ! -e out ] || same whole out # there only as a whole
    if [ $struck = no ] || [ $code -eq 0 ]; then
        same whole out
        continue
    fi
    kills=$((kills + 1))
    for rank in $(seq 0 $((ranks - 1))); do
        [ $victim -eq "$rank" ] || [ ! -s "said.$rank" ] || rank_says "$rank" "rank $victim"
    done
    over $((RANDOM % 3 + 1)) "${options[@]}"
    [ $code -eq 0 ] || { cat said.*; fail "--resume: exit code $code"; }
    same whole out
    absent out.partial
done
ok "a rank killed $kills times in $rounds runs: each was finished, byte for byte"

rm -rf out
strike STOP 3 1 $((took / 10)) out.partial/journal
[ $struck = yes ] || fail "there was nobody to stop"
[ $code -ne 0 ] || fail "it went on without rank 1"
absent out
rank_says 0 "rank 1"
kill -KILL "$(cat pid.1)" 2>/dev/null || true
over 2 "${options[@]}"
same whole out
ok "a rank that is stopped is named, and the others end in time"
finish
