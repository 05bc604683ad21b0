#!/bin/sh
# A rank is killed, or stopped, while a model runs over two: the other ends in time, and says who is missing.
#
# usage: run.sh 0 generate_faults.sh HYPERC DIRECTORY
# HYPERC_DATA: as in story.sh
# shellcheck source-path=SCRIPTDIR source=story.sh
set -u
. "$(dirname "$0")/story.sh"
for _ in $(seq 20); do
    cat "$data/tinystories_valid_30k.txt"
done >text

bad()
{
    echo "$*"
    sed 's/^/    /' output errors said.*
    exit 1
}

cat >rank.sh <<'END'
echo $$ >pid.$OMPI_COMM_WORLD_RANK
exec "$@" 2>said.$OMPI_COMM_WORLD_RANK
END

# Whether a rank is the program, and listens to SIGINT, number 2 of those caught: then it is about to begin.
listens()
{
    process=/proc/$(cat "pid.$1" 2>>errors)
    ! grep -q '^sh$' "$process/comm" 2>>errors && grep -q '^SigCgt:.*[2367abef]$' "$process/status" 2>>errors
}

# struck SIGNAL RANK TEXT: a rank gets a signal in the midst of its work; the other ends in time, and says TEXT.
struck()
{
    rm -f pid.* said.*
    timeout 60 mpirun -n 2 sh rank.sh "$hyperc" perplexity "$story" -f text --ctx 256 --threads 1 --timeout 2 \
        >output 2>errors </dev/null &
    job=$!
    until listens 0 && listens 1; do
        kill -0 $job 2>>errors || bad "it has ended before rank $2 was struck"
        sleep 0.05
    done
    sleep 1 # until the text is tokens
    kill -"$1" "$(cat pid."$2")"
    wait $job
    code=$?
    kill -KILL "$(cat pid."$2")" 2>>errors
    [ $code -ne 0 ] && [ $code -ne 124 ] || bad "exit code $code: rank $2 gets SIG$1"
    grep -q "$3" said.$((1 - $2)) || bad "not told '$3': rank $2 gets SIG$1"
    echo "ok      rank $2 gets SIG$1"
}

for rank in 0 1; do
    struck KILL $rank "rank $rank is gone: "
    struck STOP $rank "rank $rank does not answer: .*(2 s)"
done
