#!/usr/bin/env bash
# A disk that is full, and a limit on the size of files: exit code 1, a message, and --resume finishes when there is room.
# A slow disk: who waits for it can be interrupted.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny --shard-size 200000
options=(--method pair --threads 1 --quiet)
"$HYPERC" compress in -o whole "${options[@]}" >/dev/null

# The limit is for the program alone: what it says goes through a pipe.
limited()
{
    local blocks=$1 code
    shift
    (ulimit -f "$blocks" && exec "$HYPERC" "$@") 2>&1 | cat >"$stderr"
    code=${PIPESTATUS[0]}
    [ "$code" -eq 1 ] || fail "exit code $code, not 1, with files of at most $blocks kB"
    says "File too large"
}

for blocks in 0 1 4 20 60; do # of 1024 bytes
    limited $blocks compress in -o out "${options[@]}"
    absent out
    [ $blocks -gt 0 ] || absent out.partial # nothing was done: nothing is in the way
    hyperc 0 compress in -o out "${options[@]}" --resume
    same whole out
    rm -r out
    limited $blocks decompress whole -o back
    absent back back.partial
done
ok "a limit on file sizes"

env LD_PRELOAD="${sanitizer:+$sanitizer }$SHIM" HC_FAIL_SLOW=500 \
    "$HYPERC" compress in -o out "${options[@]}" >"$stdout" 2>"$stderr" &
process=$!
until compgen -G "out.partial/model/*.safetensors" >/dev/null; do
    kill -0 $process 2>/dev/null || fail "it ended before it wrote anything"
    sleep 0.01
done
sleep 1 # all is coded, and waits for the disk
kill -INT $process
code=0
wait $process || code=$?
[ $code -eq 1 ] || fail "exit code $code after SIGINT"
says "interrupted"
absent out
hyperc 0 compress in -o out "${options[@]}" --resume
same whole out
rm -r out
ok "a slow disk, and SIGINT"

mkdir disk
if mount -t tmpfs -o size=100k none disk 2>/dev/null; then
    trap 'umount "$scratch/disk"; clean_up' EXIT
    for size in 100k 180k 220k 248k; do
        mount -o remount,size=$size disk
        hyperc 1 compress in -o disk/out "${options[@]}"
        says "No space left on device"
        absent disk/out
        mount -o remount,size=4m disk
        hyperc 0 compress in -o disk/out "${options[@]}" --resume
        same whole disk/out
        rm -r disk/out
    done
    ok "a disk that is really full"
else
    not_run "no right to mount a small disk"
fi
finish
