#!/usr/bin/env bash
# A rank is killed at a random moment, again and again, by turns with each method: the others end within the time, nothing
# is lost, and another number of ranks finishes the run, byte for byte. So with a rank that is stopped.
#
# usage: kills.sh [SEED]              twenty of two to four ranks
#        kills.sh --devices [SEED]    six of two ranks with two CUDA devices each (under the emulator, with six devices)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
devices=no enough=20 most=3 from=
if [ "${1:-}" = --devices ]; then
    # The time until tensors are done is long, and is that of any rank.
    devices=yes enough=6 most=2 from=out.partial/model/model-00003-of-00011.safetensors
    shift
fi
RANDOM=${1:-1}

if [ $devices = yes ]; then
    checkpoint in --model tiny --shard-size 50000
else
    checkpoint in --model stories-15m --shard-size 2MB
fi
export INPUT=in
methods=(pair window)
declare -A took # milliseconds that a run takes, at most
limit=10        # seconds that ranks wait for one another

# choose METHOD: what is to be done, and how ranks do it
choose()
{
    method=$1
    case $method in
    pair) what=(--method pair --tier c --only '*layers*' --quiet) ;;
    window) what=(--method window --window 8 --moments none --only '*layers*' --quiet) ;;
    esac
    [ "$devices.$method" != yes.window ] || what+=(--keep '*layers.[34]*' --keep '*self_attn*') # an emulator is slow
    options=(-o out --threads 1 --resume "${what[@]}")
    [ $devices = no ] || options+=(--devices "cuda,cuda")
}

# milliseconds TEXT
nap()
{
    sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"
}
now()
{
    echo $(($(date +%s%N) / 1000000))
}
for method in "${methods[@]}"; do
    choose "$method"
    hyperc 0 compress in -o "whole.$method" "${what[@]}"
    rm -rf out
    begin=$(now)
    over $most "${options[@]}"
    [ $code -eq 0 ] || { cat said.*; fail "$method: exit code $code"; }
    took[$method]=$(($(now) - begin))
    same "whole.$method" out
done

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
    mpirun -n "$2" sh "$scratch/rank.sh" "${options[@]}" --timeout "$limit" >"$stdout" 2>"$stderr" </dev/null &
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

# Ranks for a run that had so many.
other_ranks()
{
    local ranks=$((RANDOM % 3 + 1))
    [ $ranks -ne "$1" ] || ranks=$((ranks % 3 + 1))
    echo $ranks
}

kills=0 rounds=0 begun=0
while [ $kills -lt $enough ]; do
    rounds=$((rounds + 1))
    [ $rounds -lt $((5 * enough)) ] || fail "no end in sight"
    rm -rf out out.partial
    choose "${methods[kills % ${#methods[@]}]}"
    ranks=2
    [ $devices = yes ] || ranks=$((RANDOM % 3 + 2))
    victim=$((RANDOM % ranks)) moment=$((RANDOM % took[$method]))
    strike KILL $ranks $victim $moment $from
    [ ! -e out ] || same "whole.$method" out # there only as a whole
    if [ $struck = no ] || [ $code -eq 0 ]; then
        same "whole.$method" out
        took[$method]=$((moment + 1)) # or less
        continue
    fi
    kills=$((kills + 1))
    ! sed -n 2p out.partial/journal 2>/dev/null | grep -q . || begun=$((begun + 1))
    for rank in $(seq 0 $((ranks - 1))); do
        [ $victim -eq "$rank" ] || [ ! -s "said.$rank" ] || rank_says "$rank" "rank $victim"
    done
    over "$(other_ranks $ranks)" "${options[@]}"
    [ $code -eq 0 ] || { cat said.*; fail "--resume: exit code $code"; }
    same "whole.$method" out
    absent out.partial
done
[ $begun -gt 0 ] || fail "no kill came after the first tensors"
ok "a rank killed $kills times in $rounds runs, $begun with tensors in the journal: each was finished, byte for byte"
[ $devices = no ] || { finish; exit; }

choose pair
struck=no
while [ $struck = no ]; do
    rm -rf out out.partial
    strike STOP 3 1 $((RANDOM % 100)) out.partial/journal
done
[ "$code" -ne 0 ] || fail "it went on without rank 1"
absent out
rank_says 0 "rank 1"
kill -KILL "$(cat pid.1)" 2>/dev/null || true
over 2 "${options[@]}"
same whole.pair out
ok "a rank that is stopped is named, and the others end in time"

# While it measures moments, which takes it long, the others wait ten times as long.
rm -rf out
options=(-o out --threads 1 --quiet --moments self) limit=1
strike STOP 2 0 1000
rank_says 1 "rank 0 does not answer: the measured moments (10 s)"
kill -KILL "$(cat pid.0)" 2>/dev/null || true
ok "so is one that is stopped while it measures moments"
finish
