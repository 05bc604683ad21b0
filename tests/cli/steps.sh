#!/usr/bin/env bash
# A run that ends, or fails, at each of the system calls that change files, one after the other: the result is never
# there in part, and --resume gives the bytes of a run that nothing disturbed.
#
# usage: steps.sh kill|torn|lose|ENOSPC|EIO [--replace|--replace-damaged]
#
# --replace: over an older result, with --force; --replace-damaged: one of the same options, with a wrong byte.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
how=$1 replace=${2:-}
export HC_FAIL_CLOCK=1 # so that the journal is written after every tensor, not every two seconds

mkdir in in/sub
"$MAKE_CASE" small in/model-00001-of-00002.safetensors
"$MAKE_CHECKPOINT" --model tiny -o tiny >/dev/null
cp tiny/model.safetensors in/model-00002-of-00002.safetensors
echo '{"a": 1}' >in/config.json
echo text >in/sub/text
cat >selection <<'OPTIONS'
--only
coded.weight
--only
infinity.weight
--only
*.layers.[01].self_attn.?_proj.weight
--method
pair
--quiet
--threads
1
OPTIONS
mapfile -t options <selection
"$HYPERC" compress in -o whole "${options[@]}" >/dev/null
if [ "$replace" = --replace-damaged ]; then
    cp -r whole old
    printf 'x' | dd of=old/model-00001-of-00002.safetensors bs=1 conv=notrunc status=none \
        seek=$(($(stat -c %s old/model-00001-of-00002.safetensors) - 1))
else
    "$HYPERC" compress in -o old "${options[@]}" --keep coded.weight >/dev/null
fi
[ -z "$replace" ] || options+=(--force)

# Once without a fault, to count the calls.
start()
{
    rm -rf out out.partial
    [ -z "$replace" ] || cp -r old out
}
start
HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" compress in -o out "${options[@]}" >/dev/null
same whole out
read -r calls _ unsynced <count
[ "$calls" -ge 30 ] || fail "only $calls calls"
[ "$unsynced" -eq 0 ] || fail "$unsynced new folders were not synced in their parents"

# What lies at the output is a whole result, old or new, or nothing.
check_output()
{
    if [ -e out ]; then
        if [ -z "$replace" ] || ! diff -r old out >/dev/null; then
            same whole out
        fi
    else
        [ -z "$replace" ] || fail "call $n: the old result is gone"
    fi
}

# Programs with sanitizers start slowly: they get a sample.
stride=${sanitizer:+3}
stride=${stride:-1}
for ((n = 1; n <= calls; n += stride)); do
    start
    code=0
    HC_FAIL_CALL=$n HC_FAIL_HOW=$how with_faults "$HYPERC" compress in -o out "${options[@]}" >"$stdout" 2>"$stderr" ||
        code=$?
    case $how in
    kill | torn | lose) [ $code -eq 137 ] || fail "call $n: exit code $code, not 137" ;;
    # What fails may be of no consequence, but then everything is as it should be.
    *) [ $code -eq 1 ] || { [ $code -eq 0 ] && same whole out && absent out.partial; } || fail "call $n: exit code $code" ;;
    esac
    check_output
    if [ $code -ne 0 ]; then
        [ $code -eq 137 ] || says ""
        hyperc 0 compress in -o out "${options[@]}" --resume
    fi
    same whole out
    absent out.partial
done
ok "compress, $how at each of $calls calls${sanitizer:+ (every third)}${replace:+, over an older result}"

# decompress has nothing to resume: it starts over.
for output in back back.safetensors; do
    rm -rf back*
    HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" decompress whole -o $output --quiet >/dev/null
    mv $output restored
    read -r calls _ <count
    for ((n = 1; n <= calls; n += stride)); do
        rm -rf $output $output.partial
        code=0
        HC_FAIL_CALL=$n HC_FAIL_HOW=$how with_faults "$HYPERC" decompress whole -o $output --quiet >"$stdout" 2>"$stderr" || code=$?
        [ ! -e $output ] || same restored $output
        case $how in
        kill | torn | lose) [ $code -eq 137 ] || fail "call $n: exit code $code, not 137" ;;
        *)
            [ $code -le 1 ] || fail "call $n: exit code $code"
            [ $code -eq 0 ] || says ""
            # The disk lets it remove what it began, unless it is that which fails.
            [ $code -eq 0 ] || [ "$how" = EIO ] || absent $output.partial
            ;;
        esac
        hyperc 0 decompress whole -o $output --force
        same restored $output
        absent $output.partial
    done
    rm -r restored
    ok "decompress -o $output, $how at each of $calls calls${sanitizer:+ (every third)}"
done
finish
