#!/usr/bin/env bash
# Unusual tensors, inputs and places: each has a defined outcome.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# ---- Tensors
"$MAKE_CASE" special special.safetensors
hyperc 0 compress special.safetensors -o special --method pair --quiet
hyperc 0 inspect special --json
"$PYTHON" - "$stdout" >table <<'PYTHON'
import json, sys
for t in sorted(json.load(open(sys.argv[1]))["tensors"], key=lambda t: t["name"]):
    print(t["name"], "x".join(map(str, t["shape"])) or "scalar", t["type"], t.get("parameters") or "kept: " + t["kept_because"])
PYTHON
diff - table <<'TABLE' || fail "the outcome of some tensor is another"
constant.weight 16x16 F32 side 0.1, 1600 points, 0 classes, 1 bits
conv.weight 4x3x5 F32 side 0.1, 1600 points, 1 class, 12 bits
conv2d.weight 4x3x3x3 F16 side 0.1, 1600 points, 0 classes, 11 bits
empty.weight 0x4 F32 kept: empty
empty_row.weight 4x0 BF16 kept: empty
empty_vector.bias 0 F32 kept: empty
f64.weight 8x8 F64 side 0.1, 1600 points, 1 class, 12 bits
f64_beyond_f32.weight 4x4 F64 kept: NaN, infinity or beyond float32
f8_e4m3.weight 8x8 F8_E4M3 side 0.1, 1600 points, 3 classes, 13 bits
f8_e5m2.weight 8x8 F8_E5M2 side 0.1, 1600 points, 3 classes, 13 bits
huge.weight 8x8 F32 side 0.1, 1600 points, 3 classes, 13 bits
i16.weight 4x4 I16 kept: not floating point
i32.weight 4x4 I32 kept: not floating point
i64.weight 4x4 I64 kept: not floating point
i8.weight 4x4 I8 kept: not floating point
infinity.weight 4x8 F32 kept: NaN, infinity or beyond float32
infinity_bf16.weight 4x8 BF16 kept: NaN, infinity or beyond float32
infinity_f16.weight 4x8 F16 kept: NaN, infinity or beyond float32
mask.weight 4x4 BOOL kept: not floating point
mlp.experts.up.weight 3x8x8 F32 side 0.1, 1600 points, 1 class, 12 bits
nan.weight 4x8 F32 kept: NaN, infinity or beyond float32
nan_bf16.weight 4x8 BF16 kept: NaN, infinity or beyond float32
nan_f16.weight 4x8 F16 kept: NaN, infinity or beyond float32
nan_f64.weight 4x8 F64 kept: NaN, infinity or beyond float32
nine.weight 3x3 F32 kept: fewer than 10 weights
odd.weight 7x11 F32 side 0.1, 1600 points, 0 classes, 11 bits
odd_bf16.weight 5x13 BF16 side 0.1, 1600 points, 1 class, 12 bits
outlier.weight 16x16 F32 side 0.1, 1600 points, 1 class, 12 bits
quote"d/ü.weight 4x8 F32 side 0.1, 1600 points, 1 class, 11 bits
scalar scalar F32 kept: fewer than two dimensions
subnormal.weight 8x8 F32 side 0.1, 1600 points, 0 classes, 1 bits
ten.weight 2x5 F32 side 0.1, 1600 points, 0 classes, 11 bits
u16.weight 4x4 U16 kept: not floating point
u8.weight 4x4 U8 kept: not floating point
vector.bias 64 F32 kept: fewer than two dimensions
zeros.weight 8x8 F32 side 0.1, 1600 points, 0 classes, 1 bits
TABLE
hyperc 0 verify special --against special.safetensors
prints "0 faults"
hyperc 0 decompress special -o special_back.safetensors
hyperc 0 decompress special -o special_back
same special_back/model.safetensors special_back.safetensors
hyperc 0 inspect special_back
prints "as they are: 36 tensors, 1866 weights"
# What is kept comes back bit for bit, what is coded comes back at all: verify compares both with the original.
hyperc 0 compress special_back.safetensors -o again --method pair --quiet --keep '*'
hyperc 3 verify again --against special.safetensors
says "13 faults found" # the coded ones but the two constants, and no other
prints "FAULT  odd.weight: is not the original's, bit for bit"
ok "every kind of tensor is coded or kept as stated, and restored"

# Errors are recorded as they are: none, and the whole weight where nothing is near.
hyperc 0 inspect special --json
"$PYTHON" - "$stdout" <<'PYTHON' || fail "recorded errors"
import json, sys
tensors = {t["name"]: t for t in json.load(open(sys.argv[1]))["tensors"]}
def check(name, what): assert what(tensors[name]), tensors[name]
for name in ("constant.weight", "zeros.weight"):
    check(name, lambda t: t["mean_abs_error"] == 0 and t["signal_to_noise"] is None)
check("outlier.weight", lambda t: t["max_abs_error"] < 0.4)
check("huge.weight", lambda t: t["signal_to_noise"] > 30)
check("ten.weight", lambda t: 0 < t["mean_abs_error"] < 1e-3)
check("nine.weight", lambda t: t["bits_per_weight"] == 32)
check("empty.weight", lambda t: t["bits_per_weight"] == 0 and t["weights"] == 0 and t["shape"] == [0, 4])
check("scalar", lambda t: t["shape"] == [] and t["weights"] == 1)
PYTHON
hyperc 0 compress special.safetensors -o strict --method pair --keep-above 0.001 --quiet
hyperc 0 inspect strict
prints "kept: "
ok "errors are recorded as they are"

# ---- Every --dtype (restore.sh: weights that it cannot hold)
hyperc 0 compress special.safetensors -o moderate --method pair --keep huge.weight --quiet
for type in F64 F32 F16 BF16; do
    hyperc 0 decompress moderate -o "$type" --dtype $type
    hyperc 0 inspect "$type" --json
    "$PYTHON" - "$stdout" $type <<'PYTHON' || fail "--dtype $type"
import json, sys
for t in json.load(open(sys.argv[1]))["tensors"]:
    if t["name"] == "odd.weight":
        assert t["type"] == sys.argv[2], t
    if t["name"] == "scalar": # kept tensors keep their type
        assert t["type"] == "F32", t
PYTHON
done
hyperc 2 decompress special -o I8 --dtype I8
absent I8
ok "decompress writes every float type"

# ---- GGUF
"$MAKE_CASE" gguf model.gguf
hyperc 0 compress model.gguf -o gguf --method pair --quiet
hyperc 0 verify gguf --against model.gguf
prints "7 tensors against their checksums, 5 coded tensors against the original: 0 faults"
mkdir gguf_folder
cp model.gguf gguf_folder
hyperc 0 compress gguf_folder -o gguf2 --method pair --quiet
same gguf gguf2
hyperc 0 compress model.gguf -o gguf_kept --method pair --keep '*' --quiet # block types become F16
hyperc 0 verify gguf_kept --against model.gguf
hyperc 0 inspect gguf_kept
grep -q '^model.embed_tokens.weight .* F16 ' "$stdout" || fail "Q8_0 is not stored as F16"
hyperc 0 decompress gguf -o gguf_back
"$PYTHON" "$here/json_get.py" gguf_back/config.json num_key_value_heads >"$stdout"
echo 2 | prints_exactly
# A family that is not known: its folder has the config.json.
mkdir gguf_other
sed 's/llama/alpha/g' model.gguf >gguf_other/model.gguf
echo '{"model_type": "alpha"}' >gguf_other/config.json
hyperc 0 compress gguf_other -o gguf_other_out --method pair --quiet
hyperc 0 decompress gguf_other_out -o gguf_other_back
same gguf_other/config.json gguf_other_back/config.json
# Without one the result cannot be run: that is said, once, with the reason, which whoever would run the file is told.
reason="the architecture 'alpha' of this GGUF is not known (general.architecture)"
for method in "pair" "window --bits 3" "window --bits 3 --moments weights"; do
    # shellcheck disable=SC2086
    hyperc 0 compress gguf_other/model.gguf -o gguf_bare --force --quiet --method $method
    says "$reason" "hyperc: note: no configuration of the network can be made, so the result cannot be run: "
    [ "$(grep -c "$reason" "$stderr")" = 1 ] || fail "the reason is not said once"
done
hyperc 1 compress gguf_other/model.gguf -o gguf_self --quiet --method window --moments self
says "$reason"
absent gguf_self gguf_self.partial
hyperc 1 generate gguf_other/model.gguf -p a
says "$reason"
cp model.gguf gguf_folder/second.gguf
hyperc 1 compress gguf_folder -o gguf3
says "gguf_folder holds 2 GGUF files: name the one that is wanted"
absent gguf3 gguf3.partial
ok "GGUF, alone and in a folder"

# ---- A folder, and back
checkpoint in --model tiny --shard-size 150000
[ -f in/model.safetensors.index.json ] || fail "the checkpoint is not sharded"
hyperc 0 compress in -o out --method pair --quiet
hyperc 0 verify out --against in
same in/notes.txt out/notes.txt
same in/sub out/sub
grep -q '"quantization_config": {"quant_method": "hyperc"' out/config.json || fail "config.json says nothing of hyperc"
hyperc 0 decompress out -o back
same in/config.json back/config.json
same in/notes.txt back/notes.txt
same in/sub back/sub
absent back/hyperc.json
[ "$(cd in && ls)" = "$(cd back && ls)" ] || fail "the restored folder has other files"
hyperc 0 inspect back --json
json totals.tensors 47
hyperc 0 decompress out -o one.safetensors
hyperc 0 inspect one.safetensors --json
json totals.tensors 47
hyperc 1 decompress out -o one.safetensors
says "one.safetensors: is there already; --force replaces it"
hyperc 0 decompress out -o one.safetensors --force --dtype F32
hyperc 1 decompress out -o back
hyperc 0 decompress out -o back --force
absent back.partial one.safetensors.partial
hyperc 0 decompress out -o deep/er/back
same back deep/er/back
ok "a sharded folder goes and comes back with all its files"

# What is beside the model goes along, or is told.
checkpoint beside_in --model tiny
mkdir -p beside_in/2_Dense beside_in/a/b/c
"$MAKE_CASE" small beside_in/2_Dense/model.safetensors
"$MAKE_CASE" small beside_in/other.safetensors
echo x | tee beside_in/training_args.bin beside_in/2_Dense/pytorch_model.bin beside_in/a/b/c/deep >beside_in/.hidden
hyperc 0 compress beside_in -o beside_out --method pair --quiet
same beside_in/2_Dense/model.safetensors beside_out/2_Dense/model.safetensors
hyperc 0 verify beside_out --against beside_in
for line in "2_Dense/pytorch_model.bin: not copied: of a format that is not read" "a/b/c: not copied: a folder too deep" \
    "other.safetensors: not copied: not a part of the model" "training_args.bin: not copied: of a format that is not read"; do
    hyperc 0 compress beside_in -o beside_out --method pair --quiet --force
    says "$line" "hyperc: note: "
done
[ "$(grep -c 'not copied' "$stderr")" -eq 4 ] || fail "other notes"
ok "what is not copied does not go unsaid"

# One shard of a name that needs the index.
mkdir single
"$MAKE_CASE" small single/model-00001-of-00001.safetensors
names='"coded.weight": "S", "infinity.weight": "S", "vector.bias": "S"'
echo "{\"weight_map\": {${names//S/model-00001-of-00001.safetensors}}}" >single/model.safetensors.index.json
hyperc 0 compress single -o single_out --method pair --quiet
"$PYTHON" "$here/json_get.py" single_out/model.safetensors.index.json weight_map >"$stdout"
prints "model-00001-of-00001.safetensors"
hyperc 0 verify single_out --against single
ok "one shard with an index keeps it"

# The layout of config.json is the author's, whatever it is.
for text in '{}' '{ }' '{"a":1}' $'{\n\t"a": [1, 2.50, "}"],\n\t"b": {"c": null}\n}\n' $'{"a": "\\u00e9",\r\n  "b": 1e-05}\r\n\r\n'; do
    rm -rf layout layout_out layout_back
    mkdir layout
    "$MAKE_CASE" small layout/model.safetensors
    printf '%s' "$text" >layout/config.json
    hyperc 0 compress layout -o layout_out --method pair --quiet
    hyperc 0 verify layout_out --against layout
    "$PYTHON" "$here/json_get.py" layout_out/config.json quantization_config.method >/dev/null || fail "config.json: $text"
    hyperc 0 decompress layout_out -o layout_back
    same layout/config.json layout_back/config.json
done
ok "config.json comes back byte for byte"

# ---- Inputs that are refused
refused() # CODE TEXT INPUT
{
    hyperc "$1" compress "$3" -o refused
    says "$2"
    absent refused refused.partial # before any work
}
refused 1 "is compressed already" out
refused 1 "is compressed already" special/model.safetensors
refused 1 "cannot open nowhere" nowhere
mkdir empty
refused 1 "empty holds no model: no .safetensors and no .gguf file" empty
mkdir foreign
echo x >foreign/pytorch_model.bin
refused 1 "foreign holds weights as pytorch_model.bin only" foreign
: >nothing.safetensors
refused 3 "nothing.safetensors" nothing.safetensors
cp -r in missing
rm "$(find missing -name 'model-00002*')"
refused 1 "model-00002-of-" missing
cp -r layout broken
printf '{"a": 1,\n "b" 2}\n' >broken/config.json
refused 3 "broken/config.json is not valid JSON: byte" broken
printf '[1]\n' >broken/config.json
refused 3 "broken/config.json is not a JSON object" broken
printf '{"quantization_config": {"quant_method": "gptq"}}' >broken/config.json
refused 1 "broken/config.json: the model is quantized already (gptq)" broken
printf '\xff\xfe{}' >broken/config.json
refused 3 "broken/config.json" broken
refused 1 "is a device or pipe, not a regular file" <(cat model.gguf)
mkfifo pipe
refused 1 "pipe is a device or pipe, not a regular file" pipe # and does not wait for a writer
cp -r layout odd_name
touch odd_name/$'caf\xe9.txt'
refused 1 "odd_name/caf?.txt: its name is not UTF-8" odd_name
cp layout/model.safetensors $'caf\xe9.safetensors'
refused 1 "caf?.safetensors: its name is not UTF-8" $'caf\xe9.safetensors'
for option in --keep --only; do
    hyperc 2 compress layout -o refused $option $'\xff'
    says "the pattern '?' is not UTF-8"
    absent refused refused.partial
done
hyperc 0 compress layout -o $'out-\xe9' --method pair --quiet --json # it is written to nowhere
json output 'out-?'
ok "inputs that are no models are refused"

# ---- Outputs in the wrong place
checkpoint model --model tiny
cp -r model model_before
for place in model model/ ./model model/../model; do
    hyperc 2 compress model -o $place
    says "is the input itself"
    hyperc 2 compress model -o $place --force
done
ln -s model link
hyperc 2 compress model -o link --force
hyperc 2 compress model/model.safetensors -o model/model.safetensors --force
hyperc 2 compress model/model.safetensors -o model --force
says "is a folder that holds the input"
mkdir -p above
cp -r model above/model
hyperc 2 compress above/model -o above --force
says "is a folder that holds the input"
for place in model/inside model/inside/ model/sub/deep model/new/deep link/inside; do
    hyperc 2 compress model -o $place
    says "lies inside of the input"
done
same model_before model
same model_before above/model
hyperc 0 compress model/model.safetensors -o beside --method pair --quiet # a file holds nothing
hyperc 0 compress model -o packed --method pair --quiet
cp -r packed packed_before
hyperc 2 decompress packed -o packed --force
hyperc 2 decompress packed -o . --force
hyperc 2 decompress packed -o packed/inside
hyperc 2 decompress packed -o packed/one.safetensors
same packed_before packed
# What the input's links lead to is the input too, as in the cache of Hugging Face's hub.
mkdir -p hub/blobs hub/snapshots/abc
cp model/model.safetensors hub/blobs/deadbeef
ln -s ../../blobs/deadbeef hub/snapshots/abc/model.safetensors
hyperc 2 compress hub/snapshots/abc -o hub/blobs --force
[ -s hub/blobs/deadbeef ] || fail "the input is gone"
ok "input and output in each other are refused, and nothing is touched"

echo file >a_file
hyperc 1 compress model -o a_file/out
says "a_file"
hyperc 1 compress model -o /proc/hyperc-test
says "/proc/hyperc-test"
hyperc 1 decompress packed -o /proc/hyperc-test
hyperc 1 decompress packed -o a_file/out.safetensors
[ "$(cat a_file)" = file ] || fail "a_file has changed"
mkdir read_only
chmod 500 read_only
if touch read_only/try 2>/dev/null; then
    rm read_only/try
    not_run "permissions do not bind root"
else
    hyperc 1 compress model -o read_only/out
    says "read_only/out.partial: cannot make the folder: Permission denied"
    ok "a read-only folder"
fi
chmod 700 read_only
ok "a place where nothing can be written: exit code 1"

# ---- What is there already
hyperc 1 compress model -o packed
same packed_before packed
echo mine >packed/mine.txt
hyperc 1 compress model -o packed
hyperc 0 compress model -o packed --method pair --force --quiet
same packed_before packed
absent packed.partial
mkdir void
hyperc 0 compress model -o void --method pair --quiet
same packed void
hyperc 1 compress model -o a_file
[ "$(cat a_file)" = file ] || fail "a_file has changed"
hyperc 1 compress model -o a_file --force --quiet
[ "$(cat a_file)" = file ] || fail "--force replaced a file"
mkdir -p home/docs
echo thesis >home/docs/thesis.tex
for command in "compress model" "decompress packed"; do
    # shellcheck disable=SC2086 # two words
    hyperc 1 $command -o home --force
    says "home: holds no model: --force does not replace it"
done
[ "$(cat home/docs/thesis.tex)" = thesis ] || fail "--force replaced what is no model"
mkdir file.safetensors
hyperc 1 decompress packed -o file.safetensors
says "file.safetensors: is a folder, and a file is to be written"
ln -s packed to_packed
hyperc 1 compress model -o to_packed
hyperc 0 compress model -o trailing/ --method pair --quiet
same packed trailing
hyperc 0 compress model -o new/deep/er --method pair --quiet
same packed new/deep/er
ok "what is there is replaced by --force only, and an empty folder is free"
finish
