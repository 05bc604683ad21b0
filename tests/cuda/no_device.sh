#!/bin/sh
# A machine without a CUDA device, or with its devices hidden, or a build without CUDA: exit code 1 and a message that
# says so.
#
# usage: no_device.sh HYPERC MAKE_CHECKPOINT SCRATCH_DIRECTORY MESSAGE
set -eu
hyperc=$1 make_checkpoint=$2 scratch=$3 said=$4

rm -rf "$scratch"
mkdir -p "$scratch"
"$make_checkpoint" --model tiny -o "$scratch/in" >/dev/null
# refused COMMAND...
refused()
{
    code=0
    CUDA_VISIBLE_DEVICES='' "$hyperc" "$@" --device cuda >/dev/null 2>"$scratch/message" || code=$?
    cat "$scratch/message"
    [ $code -eq 1 ] || { echo "$1: exit code $code, expected 1"; exit 1; }
    grep -q "$said" "$scratch/message" || { echo "$1: the message does not say so"; exit 1; }
}

refused compress "$scratch/in" -o "$scratch/out" --method pair
refused bench "$scratch/in" -p 4 -n 2
[ ! -e "$scratch/out" ] || { echo "a result was left behind"; exit 1; }
rm -rf "$scratch"
