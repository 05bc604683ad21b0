#!/usr/bin/env bash
# What --resume takes over and what it refuses: torn and foreign journals, other options, another input, another run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

if [ -n "$gcov" ]; then
    echo "not run: gcov makes file calls of its own, and these are counted here"
    exit 77
fi

checkpoint in --model tiny --shard-size 100000
options=(--method pair --threads 1 --quiet)
"$HYPERC" compress in -o whole "${options[@]}" >/dev/null
HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" compress in -o counted "${options[@]}" >/dev/null
read -r calls _ <count

# Every folder on the way is synced in its parent.
HC_FAIL_COUNT=$scratch/folders with_faults "$HYPERC" compress in -o new/deep/er "${options[@]}" >/dev/null
read -r _ _ unsynced <folders
[ "$unsynced" -eq 0 ] || fail "$unsynced new folders were not synced in their parents"
rm -r new

# A run that was killed at two thirds.
partial()
{
    rm -rf out out.partial
    code=0
    HC_FAIL_CALL=$((calls * 2 / 3)) HC_FAIL_HOW=kill with_faults "$HYPERC" compress in -o out "${options[@]}" \
        >/dev/null || code=$?
    [ $code -eq 137 ] && [ -s out.partial/journal ] || fail "no interrupted run"
}
resume()
{
    hyperc 0 compress in -o out "${options[@]}" --resume
    same whole out
    absent out.partial
}

partial
lines=$(wc -l <out.partial/journal)
[ "$lines" -ge 10 ] || fail "the journal has $lines lines: too few to try anything with"
resume
ok "a run that was killed is resumed"

# ---- The tail of the journal is torn, or garbage
bytes=0
for cut in 1 2 10 33 34 100 500 1500; do
    partial
    bytes=$(stat -c %s out.partial/journal)
    [ "$cut" -lt "$bytes" ] || continue
    truncate -s $((bytes - cut)) out.partial/journal
    resume
done
partial
: >out.partial/journal
resume
for garbage in 'x' $'\n\n' 'ffffffffffffffffffffffffffffffff {}' $'00000000000000000000000000000000 {"tensor": "x"}\n'; do
    partial
    printf '%s' "$garbage" >>out.partial/journal
    resume
done
for line in 2 5 "$lines"; do
    partial
    sed -i "${line}s/[0-9a-f]/x/" out.partial/journal
    resume
    partial
    sed -i "${line}s/codes\|tensor/tenson/" out.partial/journal
    resume
done
ok "a torn or damaged journal costs work, and nothing else"

# ---- What is done is damaged
partial
shard=$(ls out.partial/model/model-*.safetensors | head -n 1)
printf 'x' | dd of="$shard" bs=1 seek=$(($(stat -c %s "$shard") / 2)) conv=notrunc status=none
hyperc 3 compress in -o out "${options[@]}" --resume
says "start over with --force"
absent out
partial
truncate -s 1000 "$shard"
hyperc 3 compress in -o out "${options[@]}" --resume
says "start over with --force"
rm "$shard"
hyperc 3 compress in -o out "${options[@]}" --resume
hyperc 0 compress in -o out "${options[@]}" --force
same whole out
ok "codes that were damaged meanwhile are noticed"

# ---- Other options, another input
other()
{
    local text=$1
    shift
    hyperc 1 compress in -o out "${options[@]}" --resume "$@"
    says "the interrupted run had another $text; finish it as it was begun, or start over with --force"
    absent out
}
partial
cp -r out.partial before
hyperc 1 compress in -o out "${options[@]}"
says "out.partial: an interrupted run lies there; --resume finishes it, --force starts over"
other options --side 0.2
other options --points 900
other options --classes 4
other options --loss-max 0.5
other options --keep-above 1
other only --only '*'
other keep --keep '*norm*'
same before out.partial
touch in/model-00002*
other "input time"
cp -rp in in.changed
shard=$(ls in.changed/model-00002*)
printf 'xyz' | dd of="$shard" bs=1 seek=$(($(stat -c %s "$shard") - 3)) conv=notrunc status=none
hyperc 1 compress in.changed -o out "${options[@]}" --resume
says "the interrupted run had another input"
same before out.partial
hyperc 0 compress in -o out "${options[@]}" --side 0.2 --force
hyperc 0 compress in -o other "${options[@]}" --side 0.2
same other out
rm -r out other in.changed before
ok "other options and a changed input are refused, and --force starts over"

# Threads, tiers and progress change nothing, so they may differ.
partial
hyperc 0 compress in -o out --method pair --resume --threads 2 --tier c
same whole out
ok "threads and tiers may change"

# ---- Nothing to resume
hyperc 0 compress in -o out "${options[@]}" --resume # finished already
same whole out
for file in in/notes.txt in/model-00002*.safetensors; do # a checksum of samples may miss what has changed
    touch "$file"
    hyperc 1 compress in -o out "${options[@]}" --resume
    says "out: is there already"
    touch -d '1 hour ago' "$file"
done
hyperc 1 compress in -o out "${options[@]}" --resume --side 0.2
says "out: is there already"
hyperc 1 compress in -o out "${options[@]}" --resume --only '*'
checkpoint twin --model tiny --shard-size 100000 --seed 2
hyperc 1 compress twin -o out "${options[@]}" --resume # the same shapes and names
says "out: is there already"
same whole out
rm -r out
hyperc 0 compress in -o out "${options[@]}" --resume # nothing was begun
same whole out
rm -r out
mkdir -p out.partial/model
echo mine >out.partial/model/mine
hyperc 1 compress in -o out "${options[@]}" --resume
says "out.partial: is in the way, and is no interrupted run"
hyperc 1 compress in -o out "${options[@]}" --force
hyperc 1 compress in -o out "${options[@]}"
[ "$(cat out.partial/model/mine)" = mine ] || fail "a folder that is not ours was touched"
rm -r out.partial
ok "--resume where there is nothing to resume"

# A run that is resumed where meanwhile another result has come: nothing of either is lost.
partial
cp -r in out
hyperc 1 compress in -o out "${options[@]}" --resume
says "out: is there already; --resume with --force replaces it"
same in out
hyperc 0 compress in -o out "${options[@]}" --resume --force
same whole out
ok "--resume over something else needs --force"

# A file system that cannot exchange two folders: the finished result is not lost.
cp -r out old
printf 'x' >>out/notes.txt
code=0
HC_FAIL_EXCHANGE=1 with_faults "$HYPERC" compress in -o out "${options[@]}" --force 2>"$stderr" || code=$?
[ $code -eq 1 ] || fail "exit code $code without an exchange"
says "the finished result lies in out.partial/model: move the old one away, then --resume"
same whole out.partial/model
rm -r out
HC_FAIL_EXCHANGE=1 with_faults "$HYPERC" compress in -o out "${options[@]}" --resume >/dev/null
same whole out
absent out.partial
rm -r old
ok "a file system that cannot exchange folders"

# The input may not be what --force removes.
cp -r in name.partial
hyperc 2 compress name.partial -o name --force
hyperc 2 compress name.partial/model-00001*.safetensors -o name --force
same in name.partial
ok "an input in the place of the work folder is left alone"

# ---- Two runs at once
rm -rf out
checkpoint large --model stories-15m
"$HYPERC" compress large -o out --method pair --threads 1 --tier c --quiet >/dev/null 2>&1 &
first=$!
for _ in $(seq 200); do
    [ ! -s out.partial/journal ] || break
    sleep 0.01
done
kill -STOP $first
[ -s out.partial/journal ] || fail "no run to come between"
hyperc 1 compress large -o out --method pair --resume
says "another run is at work here"
hyperc 1 compress large -o out --method pair --force
says "another run is at work here"
hyperc 1 compress large -o out --method pair
kill -CONT $first
code=0
wait $first || code=$?
[ $code -eq 0 ] || fail "the first run ended with $code"
hyperc 0 verify out --against large
absent out.partial
ok "two runs at once: the second is refused"
finish
