#!/usr/bin/env bash
# --moments: where they come from, what is stored about them, and that they are the same everywhere.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

"$PYTHON" -B "$here/../golden/make_model.py" qwen2 in || fail "cannot make a model"
sed -i 's/"max_position_embeddings": 512/"max_position_embeddings": 48/' in/config.json # windows are short, too
short=(--window 8 --bits 3 --quiet)

# source DIR SOURCE: what its config.json says of the moments, and each of its 14 matrices (the embedding has none).
source_is()
{
    "$PYTHON" - "$@" <<'PYTHON' || fail "the moments of $1 are not $2"
import json, struct, sys
directory, expected = sys.argv[1:]
config = json.load(open(directory + "/config.json"))["quantization_config"]
data = open(directory + "/model.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
labels = [json.loads(text).get("moments", "none:").split(":")[0]
          for key, text in json.loads(data[8:8 + size])["__metadata__"].items()
          if key.startswith("hyperc.tensor.") and key.endswith("_proj.weight")]
sys.exit(config["moments"].split(":")[0] != expected or len(labels) != 14 or set(labels) != {expected})
PYTHON
}

# ---- From the weights alone, which is the default
hyperc 0 compress in -o default "${short[@]}"
silent
source_is default weights
hyperc 0 compress in -o weights "${short[@]}" --moments weights --threads 1 --tier c
same default weights
hyperc 0 compress in -o none "${short[@]}" --moments none
source_is none none
cmp -s none/model.safetensors default/model.safetensors && fail "moments make no difference"
for folder in default none; do
    hyperc 0 verify $folder --against in
    prints "0 faults"
done
hyperc 0 compress in -o fraction --window 8 --bits 3.5 --quiet
hyperc 0 compress in -o fraction2 --window 8 --bits 3.5 --quiet --threads 1
same fraction fraction2
ok "propagated through the weights, by default: the same from every tier and number of threads"

# ---- Models that are not known
"$MAKE_CASE" window other.safetensors
hyperc 0 compress other.safetensors -o other "${short[@]}"
silent
hyperc 0 compress other.safetensors -o other2 "${short[@]}" --moments weights
says "no config.json" "hyperc: note: "
same other other2
mkdir unknown
cp in/model.safetensors unknown
sed 's/Qwen2ForCausalLM/UnknownForCausalLM/' in/config.json >unknown/config.json
hyperc 0 compress unknown -o guessed "${short[@]}"
silent
source_is guessed none
hyperc 1 compress unknown -o refused "${short[@]}" --moments self
says "UnknownForCausalLM"
absent refused refused.partial
ok "models that are not known have none, and say so where they are asked for"

# ---- A model that contradicts itself: its head is none of its own, and yet another
"$PYTHON" -B "$here/../golden/make_model.py" llama contradiction || fail "cannot make a model"
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' contradiction/config.json
for moments in "" none weights; do
    hyperc 0 compress contradiction -o contradicted ${moments:+--moments $moments} "${short[@]}"
    says "so the result cannot be run: contradiction: the configuration ties lm_head.weight" "hyperc: note: "
    [ "$(wc -l <"$stderr")" -eq 1 ] || fail "it is said more than once"
    source_is contradicted none
    rm -r contradicted
done
hyperc 0 compress contradiction -o contradicted --method pair --quiet
says "so the result cannot be run: contradiction: " "hyperc: note: "
hyperc 3 compress contradiction -o refused "${short[@]}" --moments self
says "the configuration ties lm_head.weight to the embedding"
hyperc 3 generate contradiction -p a
says "the configuration ties lm_head.weight to the embedding"
ok "what cannot be run is told before it is compressed, whatever the moments"

# ---- Measured
hyperc 0 calibrate in -o measured --chunks 4 -c 32 --quiet
hyperc 0 compress in -o file "${short[@]}" --moments measured
silent
source_is file file
hyperc 0 verify file --against in
hyperc 1 calibrate in -o measured --chunks 4 -c 32 --quiet
says "is there already"
hyperc 0 compress in -o self "${short[@]}" --moments self
source_is self self
hyperc 0 compress in -o self2 "${short[@]}" --moments self --threads 1
same self self2
hyperc 0 calibrate in -o all --quiet
hyperc 0 compress in -o file_of_all "${short[@]}" --moments all
for codes in self file_of_all; do
    hyperc 0 decompress $codes -o $codes.safetensors --quiet
done
cmp self.safetensors file_of_all.safetensors || fail "measured in one go, or through a file: not the same"
ok "measured on text of its own: in one go or through a file, the same"

# ---- Files that do not fit
"$PYTHON" - <<'PYTHON'
import json, struct
def write(path, vectors, dtype="F32"):
    header, data = {}, b""
    for name, values in vectors.items():
        bytes = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": dtype, "shape": [len(values)], "data_offsets": [len(data), len(data) + len(bytes)]}
        data += bytes
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
q = "model.layers.0.self_attn.q_proj.weight.moments"
write("some", {q: [1.0] * 64, "nothing.weight.moments": [1.0]})
write("short", {q: [1.0] * 63})
write("negative", {q: [1.0] * 63 + [-1.0]})
write("nan", {q: [1.0] * 63 + [float("nan")]})
write("integers", {q: [1.0] * 64}, "I32")
PYTHON
hyperc 0 compress in -o some_known "${short[@]}" --moments some
says "--moments: 13 matrices go without, model.layers.0." "hyperc: note: "
says "--moments: 1 vectors belong to no tensor" "hyperc: note: "
for file in short negative nan integers in/model.safetensors; do
    hyperc 3 compress in -o refused "${short[@]}" --moments $file
    says "moments"
done
hyperc 1 compress in -o refused "${short[@]}" --moments nowhere
says "nowhere"
hyperc 2 compress in -o refused --moments weights --columns none
says "--moments has no use with --columns none"
hyperc 2 compress in -o refused --moments weights --method pair
says "--moments is an option of --method window"
absent refused refused.partial
ok "files of moments that do not fit are refused, or what they lack is told"

# ---- Resuming
if [ -z "$gcov" ]; then
    HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" compress in -o counted "${short[@]}" --moments measured >/dev/null
    read -r calls _ <count
    HC_FAIL_CALL=$((calls * 2 / 3)) HC_FAIL_HOW=kill with_faults "$HYPERC" compress in -o out "${short[@]}" \
        --moments measured >/dev/null 2>&1 || true
    [ -s out.partial/journal ] || fail "no interrupted run"
    for other in weights none self all; do
        hyperc 1 compress in -o out "${short[@]}" --moments $other --resume
        says "other"
    done
    cp measured elsewhere # the same vectors are the same moments
    hyperc 0 compress in -o out "${short[@]}" --moments elsewhere --resume
    same file out
    ok "a run is not resumed with other moments"
else
    not_run "resuming with other moments: gcov makes file calls of its own"
fi

finish
