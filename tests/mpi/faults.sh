#!/bin/sh
# A rank is killed, hangs, fails, or sees another input: all others end in time, with 1 and a message that names the
# rank and the operation, and nobody is left.
#
# usage: run.sh 0 faults.sh PROGRAM DIRECTORY
set -u
program=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch"
# Under a name of its own, by which what is left running is found: the kernel keeps 15 characters.
name=faults-$$
mine=$scratch/$name
cp "$program" "$mine" || exit 1
trap 'rm -f "$mine"' EXIT

# Ranks write to files of their own: mpirun may lose words when it ends them. SIGTERM is for the rank, not for this.
cat >"$scratch/rank.sh" <<'END'
exec >"$SCRATCH/said.$OMPI_COMM_WORLD_RANK" 2>&1
trap : TERM
"$@"
echo $? >"$SCRATCH/status.$OMPI_COMM_WORLD_RANK"
END
# The same without a shell in between: mpirun sees how the rank ends.
cat >"$scratch/bare.sh" <<'END'
exec "$@" >"$SCRATCH/said.$OMPI_COMM_WORLD_RANK" 2>&1
END
export SCRATCH="$scratch"

bad()
{
    echo "$*"
    sed 's/^/    /' "$scratch/output" "$scratch"/said.*
    exit 1
}

# mpirun does not wait for those that it has told to end.
nobody_left()
{
    for _ in 1 2 3 4 5 6; do
        pgrep -x "$name" >/dev/null || return 0
        sleep 0.5
    done
    return 1
}

# survivors RANKS CULPRIT MESSAGE WRAPPER: what every other rank must have said, and ended with.
survivors()
{
    r=0
    while [ "$r" -lt "$1" ]; do
        if [ "$r" != "$2" ]; then
            grep -q "^rank $r: $3" "$scratch/said.$r" || bad "rank $r of $1 does not say: $3"
            if [ "$4" = rank ] && [ "$(cat "$scratch/status.$r" 2>&1)" != 1 ]; then
                bad "rank $r of $1 ends with $(cat "$scratch/status.$r" 2>&1)"
            fi
        fi
        r=$((r + 1))
    done
}

# fault RANKS FAULT CULPRIT TIMEOUT SECONDS WRAPPER MESSAGE [STOP]; STOP: when to end mpirun
fault()
{
    rm -f "$scratch"/status.* "$scratch"/said.*
    begin=$(date +%s)
    # In the foreground: else it passes the signal on twice, at which mpirun leaves without its ranks.
    timeout --foreground -k 5 100 mpirun -n "$1" sh "$scratch/$6.sh" "$mine" "$2" "$3" "$4" >"$scratch/output" 2>&1 &
    [ -z "${8:-}" ] || { sleep "$8" && kill -TERM $!; }
    wait $!
    code=$?
    took=$(($(date +%s) - begin))
    case $code in
    0 | 124) bad "mpirun ends with $code" ;;
    esac
    nobody_left || bad "$2, $1 ranks: somebody is left running"
    survivors "$1" "$3" "$7" "$6"
    [ $took -le "$5" ] || bad "$2, $1 ranks: that took $took s"
    echo "$1 ranks, rank $3 $2: all others said so, after $took s"
}

# A rank that does not come. That takes 20 s, during which the rest goes on.
late=$scratch/late
mkdir "$late"
cp "$program" "$late/late-$$" || exit 1
cat >"$late/late.sh" <<'END'
[ "$OMPI_COMM_WORLD_RANK" != 1 ] || kill -STOP $$
exec "$@" 2>"$LATE/said.$OMPI_COMM_WORLD_RANK"
END
LATE=$late timeout --foreground -k 5 60 mpirun -n 3 sh "$late/late.sh" "$late/late-$$" hung 1 1 >"$late/output" 2>&1 &
waits=$!

for wrapper in bare rank; do
    fault 3 killed 1 60 10 $wrapper "rank 1 is gone: the column norms of X"
    fault 2 killed 0 60 10 $wrapper "rank 0 is gone: the column norms of X"
done
fault 3 hung 2 2 15 rank "rank 2 does not answer: the column norms of X (2 s)"
fault 4 hung 0 2 15 bare "rank 0 does not answer: the column norms of X (2 s)"
fault 3 busy 1 2 15 bare "rank 1 does not answer: the column norms of X (2 s)"
fault 3 busy 1 60 15 bare "cancelled at rank [02]: the column norms of X" 3
fault 3 aborts 0 60 10 rank "rank 0 failed: the device is out of memory (here: the column norms of X)"
fault 4 aborts 3 60 10 bare "rank 3 failed: the device is out of memory (here: the column norms of X)"
fault 3 told 0 60 10 rank "rank 0 failed: the device is out of memory (here: its own work)"
fault 3 differs 2 60 10 rank "rank 2 and rank 0 do not see the same: the input"

# A rank that works alone for longer than the timeout is not lost, whoever waits for it.
for culprit in 0 2; do
    rm -f "$scratch"/status.* "$scratch"/said.*
    timeout --foreground -k 5 60 mpirun -n 3 sh "$scratch/bare.sh" "$mine" works $culprit 1 >"$scratch/output" 2>&1 ||
        bad "rank $culprit of 3 works, and mpirun ends with $?"
    echo "3 ranks, rank $culprit works: the others waited"
done

wait $waits
[ $? -eq 1 ] || bad "3 ranks, one does not join, and mpirun does not end with 1"
grep -q "not all ranks have joined within 20 s" "$late"/said.* || bad "nobody says that one did not join"
! pgrep -x "late-$$" >/dev/null || bad "3 ranks, one does not join: somebody is left running"
echo "3 ranks, rank 1 does not join: said so"
