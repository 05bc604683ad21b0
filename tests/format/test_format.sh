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

# refused CODE OLD NEW: neither reader takes the model $sound with this change in a header; ours exits with CODE.
refused()
{
    cp -r "$sound" wrong.c && rm -rf wrong.d && mkdir wrong.d &&
        change "wrong.c/model-00001-of-00002.safetensors" "$2" "$3" || fault "cannot change $2"
    exits "$1" "$hyperc" decompress wrong.c -o wrong.safetensors --force --threads 1 --quiet
    exits 1 "$decode" wrong.c -o wrong.d
    rm -rf wrong.c
}

# noticed MODEL AT: verify finds a flipped bit of the first file
noticed()
{
    rm -rf flipped.c && cp -r "$1" flipped.c && change "flipped.c/model-00001-of-00002.safetensors" "$2"
    exits 3 "$hyperc" verify flipped.c --quiet
}

rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" || exit 1
"$python" -S -B "$here/make_model.py" pair pair && "$python" -S -B "$here/make_model.py" window window &&
    "$make_checkpoint" --model tiny -o checkpoint --shard-size 300KB >/dev/null || exit 1

# ---- pair

pair()
{
    expected=$1 name=$2 model=$3
    shift 3
    agree "$expected" "$name" "$model" --method pair "$@"
}

pair '2 files, 7 coded tensors, 9 pieces, 0 1 3 classes, 1 11 12 13 bits' default pair --side 0.05
pair '2 files, 7 coded tensors, 9 pieces, 0 1 3 classes, * bits' published pair
pair '2 files, 7 coded tensors, 9 pieces, 0 * 15 classes, * bits' classes pair --side 0.02 --points 7,1000 --classes 15 \
    --loss-threshold 0
pair '2 files, 7 coded tensors, 9 pieces, 0 * classes, * bits' one-point pair --side 0.01 --points 1 --classes 2
pair '2 files, 1 coded tensors, 1 pieces, 1 classes, 23 bits' wide pair --points 4194303 --side 0.2 --only '*attention*'
pair '2 files, 7 coded tensors, 9 pieces, * classes, * bits' chosen pair --side auto
pair '2 files, 3 coded tensors, 5 pieces, * classes, * bits' some pair --only '*.mlp.*' --only 'norm*' --only '[ce]*.weight'
pair '* coded tensors, * pieces, * classes, * bits' checkpoint-pair checkpoint

# One tensor on stdout, from its file alone.
"$decode" default.c/model-00002-of-00002.safetensors conv.weight | cmp -s - default.d/conv.weight.f32 || fault "one tensor"
exits 1 "$decode" default.c small.weight
exits 1 "$decode" default.c no.such.tensor

# A flipped bit is noticed: in the codes of the first tensor, in the header, in a copied file.
begin=$("$python" -S -c 'import struct, sys; print(8 + struct.unpack("<Q", open(sys.argv[1], "rb").read(8))[0])' \
    default.c/model-00001-of-00002.safetensors)
noticed default.c "$begin"
noticed default.c "$((begin - 1))"
rm -rf flipped.c && cp -r default.c flipped.c && change flipped.c/config.json 3
exits 3 "$hyperc" verify flipped.c --quiet
exits 0 "$hyperc" verify default.c --quiet
exits 0 "$hyperc" verify default.c --against pair --quiet

# The comparison itself can fail.
rm -rf flipped.c && cp -r default.c flipped.c && change flipped.c/model-00001-of-00002.safetensors "$begin" &&
    mkdir flipped.d && "$decode" flipped.c -o flipped.d
exits 1 "$python" -S -B "$here/compare.py" pair default.c default.safetensors flipped.d

sound=default.c
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

# ---- window

agree '2 files, 11 coded tensors, 13 pieces, 4 6 k, 12 window, 16 32 64 128 block, norm columns' w12 window
agree '2 files, 11 coded tensors, 13 pieces, 2 3 k, 8 window, 16 32 64 128 block, none columns' w8 window --bits 3 \
    --window 8 --columns none --embed-bits 2
agree '2 files, 12 coded tensors, 14 pieces, 1 6 8 k, 10 window, * block, norm columns' w10 window --bits 8 \
    --window 10 --bits-for '[ab].o*=1'
agree '2 files, * coded tensors, * pieces, 1 2 * k, 9 window, * block, none columns' w9 window --bits 3.4 --window 9 \
    --columns none
agree '2 files, 2 coded tensors, 2 pieces, 2 k, 14 window, * block, norm columns' w14 window --bits 2 --window 14 \
    --only '*odd*' --only '*.tiny.*'
agree '2 files, 2 coded tensors, 2 pieces, 5 k, 16 window, 16 32 block, norm columns' w16 window --bits 5 --window 16 \
    --only '*flat*' --only '*.head.*'
agree '* coded tensors, * pieces, * k, 12 window, * block, norm columns' checkpoint-window checkpoint \
    --only '*.0.self_attn.*' --only '*embed*'

# Codes, scales and columns of a tensor, and what lies behind them.
begin=$("$python" -S -c 'import struct, sys; print(8 + struct.unpack("<Q", open(sys.argv[1], "rb").read(8))[0])' \
    w12.c/model-00001-of-00002.safetensors)
codes=$((40 * 256 / 2 + 8 * 256 / 2)) # the first tensor's, of 48 rows
for at in 0 $codes $((codes + 80)) $((codes + 80 + 255)) $((codes + 80 + 256)); do
    noticed w12.c $((begin + at))
done
exits 0 "$hyperc" verify w12.c --quiet
exits 0 "$hyperc" verify w12.c --against window --quiet

sound=w12.c
refused 1 'method\":\"window' 'method\":\"widnow'
refused 3 '"F16"' '"I16"'
refused 3 'weight.hc_scales' 'weight.hc_sclaes'
refused 3 'weight.hc_columns' 'weight.hc_culomns'
refused 3 'k\":4' 'k\":3'
refused 3 'multiplier\":' 'multiplyer\":'
refused 3 'columns\":\"norm' 'columns\":\"none'
refused 3 'columns\":\"norm' 'columns\":\"nope'
refused 3 'exponent\":' 'exponend\":'
refused 3 'seed\":' 'sede\":'
refused 3 'shape\":[40,256]' 'shape\":[256,40]'
refused 3 'shape\":[3,20,33]' 'shape\":[20,3,33]'

# What no encoder would write, to the ends of all ranges.
mkdir random random.d && "$python" -S -B "$here/random_window.py" write random/model.safetensors &&
    "$hyperc" decompress random -o random.safetensors --dtype F32 --threads 1 --quiet >/dev/null &&
    "$decode" random -o random.d && outcome=$("$python" -S -B "$here/random_window.py" check random.safetensors random.d) ||
    fault "random codes: $outcome"
echo "random codes: $outcome"
rm -f random/* && "$python" -S -B "$here/random_window.py" write random/model.safetensors exponent=-126 || fault "one tensor"
exits 0 "$hyperc" decompress random -o wrong.safetensors --force --threads 1 --quiet
exits 0 "$decode" random one
for change in k=0 k=7 window=7 window=17 multiplier=2 multiplier=4097 multiplier=-1 seed=-1 seed=4294967296 block=8 \
    block=24 block=32 exponent=-127 exponent=128 more=1 scale=0x8000 scale=0x7C00 scale=0x7E00 scale=0xBC00 stray=64 \
    stray=40; do
    "$python" -S -B "$here/random_window.py" write random/model.safetensors $change || fault "$change"
    exits 3 "$hyperc" decompress random -o wrong.safetensors --force --threads 1 --quiet
    exits 1 "$decode" random one
done

[ $failures -eq 0 ] || { echo "$failures failures" >&2; exit 1; }
