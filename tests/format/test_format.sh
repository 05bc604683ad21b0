#!/bin/sh
# docs/FORMAT.md against the program: what `hyperc` writes is as the text says, and the decoder that was written from the
# text gives the same float32 values, bit for bit. What the text forbids, both refuse.
#
# test_format.sh HYPERC MAKE_CHECKPOINT DECODE PYTHON FOLDER
set -u
hyperc=$1 make_checkpoint=$2 decode=$3 python=$4 folder=$5
here=$(cd "$(dirname "$0")" && pwd)
failures=0

fault()
{
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# compressed NAME MODEL OPTION...: compresses to NAME.c, restores, decodes independently, compares; prints what was compared.
compressed()
{
    name=$1 model=$2
    shift 2
    mkdir "$name.d" &&
        "$hyperc" compress "$model" -o "$name.c" --threads 1 --quiet "$@" >/dev/null &&
        "$hyperc" decompress "$name.c" -o "$name.safetensors" --dtype F32 --threads 1 --quiet >/dev/null &&
        "$decode" "$name.c" -o "$name.d" &&
        "$python" -S -B "$here/compare.py" "$model" "$name.c" "$name.safetensors" "$name.d"
}

# agree EXPECTED NAME MODEL OPTION...
agree()
{
    expected=$1
    shift
    outcome=$(compressed "$@") || { fault "$1: $outcome"; return; }
    echo "$1: $outcome"
    case $outcome in
    $expected) ;;
    *) fault "$1: compared something else than '$expected'" ;;
    esac
}

# change FILE AT: flips one bit. change FILE OLD NEW: the first OLD becomes NEW, of the same length.
change()
{
    "$python" -S - "$@" <<'END'
import sys
path, *what = sys.argv[1:]
data = bytearray(open(path, 'rb').read())
if len(what) == 1:
    data[int(what[0])] ^= 1
else:
    old, new = (text.encode() for text in what)
    at = data.index(old)
    assert len(old) == len(new)
    data[at:at + len(old)] = new
open(path, 'wb').write(data)
END
}

# exits EXPECTED COMMAND...: with what code
exits()
{
    expected=$1
    shift
    "$@" >/dev/null 2>message
    code=$?
    [ $code -eq "$expected" ] || fault "exit code $code, not $expected: $* ($(cat message))"
}

# refused CODE OLD NEW: neither reader takes a file with this change in its header; ours exits with CODE.
refused()
{
    cp -r default.c wrong.c && rm -rf wrong.d && mkdir wrong.d &&
        change "wrong.c/model-00001-of-00002.safetensors" "$2" "$3" || fault "cannot change $2"
    exits "$1" "$hyperc" decompress wrong.c -o wrong.safetensors --force --threads 1 --quiet
    exits 1 "$decode" wrong.c -o wrong.d
    rm -rf wrong.c
}

rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" || exit 1
"$python" -S -B "$here/make_model.py" model || exit 1

agree '2 files, 7 coded tensors, 9 pieces, 0 1 3 classes, 1 11 12 13 bits' default model --side 0.05
agree '2 files, 7 coded tensors, 9 pieces, 0 1 3 classes, * bits' published model
agree '2 files, 7 coded tensors, 9 pieces, 0 * 15 classes, * bits' classes model --side 0.02 --points 7,1000 --classes 15 \
    --loss-threshold 0
agree '2 files, 7 coded tensors, 9 pieces, 0 * classes, * bits' one-point model --side 0.01 --points 1 --classes 2
agree '2 files, 1 coded tensors, 1 pieces, 1 classes, 23 bits' wide model --points 4194303 --side 0.2 --only '*attention*'
agree '2 files, 7 coded tensors, 9 pieces, * classes, * bits' chosen model --side auto
agree '2 files, 3 coded tensors, 5 pieces, * classes, * bits' some model --only '*.mlp.*' --only 'norm*' --only '[ce]*.weight'
"$make_checkpoint" --model tiny -o checkpoint --shard-size 300KB >/dev/null || exit 1
agree '* coded tensors, * pieces, * classes, * bits' checkpoint checkpoint

# One tensor on stdout, from its file alone.
"$decode" default.c/model-00002-of-00002.safetensors conv.weight | cmp -s - default.d/conv.weight.f32 || fault "one tensor"
exits 1 "$decode" default.c small.weight
exits 1 "$decode" default.c no.such.tensor

# A flipped bit is noticed: in the codes of the first tensor, in the header, in a copied file.
begin=$("$python" -S -c 'import struct, sys; print(8 + struct.unpack("<Q", open(sys.argv[1], "rb").read(8))[0])' \
    default.c/model-00001-of-00002.safetensors)
for place in model-00001-of-00002.safetensors:"$begin" model-00001-of-00002.safetensors:"$((begin - 1))" config.json:3; do
    rm -rf flipped.c && cp -r default.c flipped.c && change "flipped.c/${place%:*}" "${place#*:}"
    exits 3 "$hyperc" verify flipped.c --quiet
done
exits 0 "$hyperc" verify default.c --quiet
exits 0 "$hyperc" verify default.c --against model --quiet

# The comparison itself can fail.
rm -rf flipped.c && cp -r default.c flipped.c && change flipped.c/model-00001-of-00002.safetensors "$begin" &&
    mkdir flipped.d && "$decode" flipped.c -o flipped.d
exits 1 "$python" -S -B "$here/compare.py" model default.c default.safetensors flipped.d

refused 1 'hyperc.version":"1' 'hyperc.version":"2'
refused 1 'method\":\"pair' 'method\":\"pear'
refused 3 '"U8"' '"I8"'
refused 3 'points\":1600' 'points\":0000'
refused 3 'points\":1600' 'points\":1000'
refused 3 'classes\":3' 'classes\":0'
refused 3 'bits\":13' 'bits\":11'
refused 3 'bits\":13' 'bits\":25'
refused 3 'side\":0.05' 'side\":-.05'
refused 3 'farthest\":' 'furthest\":'
refused 3 'shape\":[33,301]' 'shape\":[33,310]'
refused 3 'shape\":[33,301]' 'shape\":[33, -1]'
refused 3 'tensor.layers.0.attention' 'tensor_layers.0.attention'
refused 3 'pieces\":[{' 'pieces\":{['

[ $failures -eq 0 ] || { echo "$failures failures" >&2; exit 1; }
