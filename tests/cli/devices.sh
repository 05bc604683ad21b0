#!/usr/bin/env bash
# Several devices in one process: the same bytes from any number of them, both methods, and with --resume.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny
"$MAKE_CASE" window shapes.safetensors
"$MAKE_CASE" gguf model.gguf

# everywhere NAME INPUT OPTION...
everywhere()
{
    local name=$1 input=$2
    shift 2
    hyperc 0 compress "$input" -o "$name" --quiet "$@"
    [ "$name" = gguf ] || silent # that is half a model, and a note says so
    cp "$stderr" said
    for devices in cpu,cpu cpu,cpu,cpu cpu,cpu,cpu,cpu,cpu,cpu,cpu; do
        hyperc 0 compress "$input" -o out --quiet --devices $devices "$@"
        cmp -s said "$stderr" || fail "$devices say something else than one device"
        same "$name" out
        rm -r out
    done
    grep -q hc_codes "$name"/*.safetensors || fail "$name: nothing was coded"
}
everywhere window in
everywhere fraction in --bits 3.25 --window 10
everywhere plain in --columns none --window 14 --bits 2 --only '*layers.1.*'
everywhere pair in --method pair --loss-threshold 0
everywhere side in --method pair --side auto
everywhere self in --moments self --window 8
everywhere shapes shapes.safetensors --window 10 --head-bits 8
everywhere gguf model.gguf --window 10 --bits 3
hyperc 0 compress in -o out --quiet --device cpu,cpu --threads 5
same window out
rm -r out
ok "the same from 1, 2, 3 and 7 devices"

hyperc 0 compress in -o out --quiet --speeds 0.5
same window out
rm -r out
hyperc 0 compress in -o out --quiet --devices cpu,cpu,cpu --speeds 100,1,0.01
silent
same window out
rm -r out
hyperc 0 compress in -o out --quiet --speeds 1,9 --devices cpu,cpu --method pair --loss-threshold 0
same pair out
rm -r out
ok "the same at any speeds"

hyperc 0 decompress window -o back
hyperc 0 decompress window -o out --devices cpu,cpu,cpu
same back out
rm -r out
hyperc 0 verify window --against in --devices cpu,cpu
hyperc 0 verify pair --against in --devices cpu,cpu
ok "decompress and verify on several"

# ---- What every device did
# told DEVICES NAME OPTION...: the same bytes, and JSON of these devices
told()
{
    local devices=$1 name=$2
    shift 2
    hyperc 0 compress in -o out --quiet --json --progress devices --devices "$devices" "$@"
    silent
    same "$name" out
    rm -r out
}
told cpu window
devices_add_up 0:cpu
told cpu,cpu,cpu window
devices_add_up 0:cpu 0:cpu 0:cpu
told cpu,cpu fraction --bits 3.25 --window 10
devices_add_up 0:cpu 0:cpu
told cpu,cpu pair --method pair --loss-threshold 0
devices_add_up 0:cpu 0:cpu
hyperc 0 compress in --dry-run --json --progress devices --device cpu
devices_add_up 0:cpu
hyperc 0 compress in -o out --progress devices --devices cpu,cpu
grep -A 2 "^device " "$stderr" >lines || fail "there is no table"
[ "$(grep -cE '^cpu +[0-9]+ +[0-9.]+ % +[0-9.]+ +[0-9.]+ %$' lines)" -eq 2 ] || fail "not a line for each device"
rm -r out
hyperc 0 compress in -o out --progress run --devices cpu,cpu --json
! grep -q "^device" "$stderr" || fail "a table that nobody asked for"
! grep -q '"devices"' "$stdout" || fail "devices that nobody asked for"
# all there is was made before
hyperc 0 compress in -o out --progress devices --resume --quiet --json
json devices.0.weights 0
json devices.0.share null
rm -r out
ok "what every device did, when it is asked for"

# ---- An interrupted run goes on with other devices
checkpoint long --model stories-15m --shard-size 2MB
hyperc 0 compress long -o whole --method pair --tier c --quiet
"$HYPERC" compress long -o out --method pair --tier c --quiet --devices cpu,cpu >"$stdout" 2>"$stderr" &
until [ -s out.partial/journal ] && [ "$(wc -l <out.partial/journal)" -gt 3 ]; do
    kill -0 $! 2>/dev/null || fail "it ended before it could be killed"
    sleep 0.02
done
kill -KILL $!
wait $! 2>/dev/null || true
absent out
hyperc 0 compress long -o out --method pair --tier c --quiet --devices cpu,cpu,cpu --speeds 1,2,3 --resume
same whole out
absent out.partial
ok "--resume with other devices"

# ---- Wrong usage
hyperc 2 compress in -o none --devices cpu,tpu
says "unknown device 'tpu': cpu, cuda or cuda:N"
hyperc 2 compress in -o none --devices cpu,
says "unknown device ''"
hyperc 2 compress in -o none --devices cpu,cpu --speeds 1
says "--speeds is to have as many numbers as there are devices, 2"
hyperc 2 compress in -o none --speeds 1,2 --json
json error "--speeds is to have as many numbers as there are devices, 1"
for list in '' '1,' 0 -1 x 1,nan; do
    hyperc 2 compress in -o none --speeds "$list"
    says "--speeds takes positive numbers"
done
hyperc 2 compress in -o none --speeds 1e10
says "cpu: 1e+10 is not a speed"
run 2 "$HYPERC" compress in -o none --timeout 0
says "--timeout takes a number of seconds"
run 2 "$HYPERC" compress in -o none --progress all
says "--progress takes run or devices, not 'all'"
absent none none.partial
ok "wrong usage"
finish
