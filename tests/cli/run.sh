#!/usr/bin/env bash
# The commands that run a model, on a model of 260 thousand weights that writes stories for children.
# HYPERC_DATA: a folder with story260K/ and tinystories_valid_30k.txt; by default ../shared/data, seen from the top of
# the sources. Without it this is not run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

data=${HYPERC_DATA:-$here/../../../shared/data}
if [ ! -r "$data/story260K/config.json" ] || [ ! -r "$data/tinystories_valid_30k.txt" ]; then
    echo "not run: no model in $data (HYPERC_DATA)"
    exit 77
fi
story=$data/story260K text=$data/tinystories_valid_30k.txt
beginning="Once upon a time, there was a little girl named Lily."
greedy=(--temp 0 --quiet)

# ---- Help and wrong usage
for command in generate chat perplexity calibrate bench; do
    run 0 "$HYPERC" $command --help
    prints "usage: hyperc $command "
    prints "--threads N"
done
run 0 "$HYPERC" generate --help
for option in prompt file system no-bos predict ctx temp top-k top-p min-p repeat-penalty repeat-last seed stop \
    cache; do
    prints "--$option "
done
run 0 "$HYPERC" chat --help
for option in prompt system predict ctx temp top-k top-p min-p repeat-penalty seed; do
    prints "--$option "
done
usage() # TEXT ARGUMENT...
{
    local words=$1
    shift
    hyperc 2 "$@"
    [ ! -s "$stdout" ] || fail "something on stdout"
    says "$words"
}
usage "generate needs one prompt" generate "$story"
usage "generate needs one prompt" generate "$story" -p a -f "$text"
usage "--no-bos is for a text that is continued" generate "$story" -p a --system S --no-bos
usage "--predict takes a number" generate "$story" -p a -n -1
usage "--ctx takes a positive number" generate "$story" -p a -c 0
usage "--temp takes a number of at least 0" generate "$story" -p a --temp -1
usage "--top-k takes a number" generate "$story" -p a --top-k few
usage "--top-p takes a number from 0 to 1" generate "$story" -p a --top-p 1.5
usage "--min-p takes a number from 0 to 1" generate "$story" -p a --min-p nan
usage "--repeat-penalty takes a number from 0.001 to 1000" generate "$story" -p a --repeat-penalty 0
hyperc 0 generate "$story" -p a -n 1 "${greedy[@]}" --repeat-penalty 0.001
usage "--seed takes a number" generate "$story" -p a --seed x
usage "--stop takes a text" generate "$story" -p a --stop ''
usage "--cache takes f16, f32 or i8" generate "$story" -p a --cache q4
usage "perplexity needs a text" perplexity "$story"
usage "--protocol takes hf, llama.cpp or lines" perplexity "$story" -f "$text" --protocol gptq
usage "--ctx takes a number of at least 2, not '1'" perplexity "$story" -f "$text" --ctx 1
usage "calibrate needs an output" calibrate "$story"
usage "bench needs something to do" bench "$story" -p 0 -n 0
ok "help and wrong usage"

# ---- The most likely text
hyperc 0 generate "$story" -p '' -n 60 "${greedy[@]}"
silent
[ "$(head -c ${#beginning} "$stdout")" = "$beginning" ] || fail "another beginning"
cp "$stdout" greedy
hyperc 0 generate "$story" -p '' -n 60 --temp 0 --json
json prompt '[1]'
json written_tokens 60
json tokens.# 60
json ending count
json context 512
"$PYTHON" "$here/json_get.py" "$stdout" text | diff - greedy || fail "--json has another text"
for options in "--threads 1" "--threads 2" "--threads 3" "--tier c" "--tier avx2" "--tier c --threads 1"; do
    # The program takes the best that the machine has up to the tier; commands.sh says which it lacks.
    # shellcheck disable=SC2086 # options and their values
    hyperc 0 generate "$story" -p '' -n 60 "${greedy[@]}" $options
    prints_exactly <greedy
done
ok "the most likely text, the same from all threads and tiers"

# A prompt in pieces: what is written goes on where it ends.
hyperc 0 generate "$story" -p "Once upon a time" -n 40 "${greedy[@]}"
[ "$(head -c 37 "$stdout")" = ", there was a little girl named Lily." ] || fail "the text does not go on"
printf 'Once upon a time\n' >prompt
cp "$stdout" continued
hyperc 0 generate "$story" -f prompt -n 40 "${greedy[@]}"
prints_exactly <continued
"$HYPERC" generate "$story" -f - -n 40 "${greedy[@]}" <prompt | diff - continued || fail "stdin is another prompt"
for cache in f32 i8; do
    hyperc 0 generate "$story" -p '' -n 12 "${greedy[@]}" --cache $cache
    prints "Once upon a time, there was"
done
ok "prompts, files, caches"

# ---- How much is evaluated at once
# batch TOKENS COMMAND...: what is decoded serves so many positions.
batch()
{
    local tokens=$1
    shift
    hyperc 0 "$@" --json
    json batch "$tokens"
}
copy_model "$story" wide
sed -i 's/"max_position_embeddings": *512/"max_position_embeddings": 2048/' wide/config.json
# Next to so small a model 64 is all that activations may take.
for share in 100 3000; do
    head -c $share "$text" >long
    hyperc 0 generate wide -f long -n 4 --temp 0 --json
    read=$("$PYTHON" "$here/json_get.py" "$stdout" prompt_tokens)
    json batch $((read < 64 ? read : 64))
    [ $share -gt 100 ] || [ "$read" -lt 64 ] || fail "a prompt of $read tokens"
done
[ "$read" -gt 600 ] || fail "a prompt of $read tokens"
batch 1 generate "$story" -p '' -n 2 --temp 0
batch 64 bench "$story" -p 300 -n 2 -r 1
batch 50 bench "$story" -p 50 -n 2 -r 1
batch 1 bench "$story" -p 0 -n 2 -r 1
batch 511 perplexity "$story" -f "$text" --chunks 1
batch 256 perplexity "$story" -f "$text" --chunks 1 --protocol llama.cpp
batch 2047 perplexity wide -f "$text" --chunks 1 --ctx 2048
copy_with_template wide wide_talker
echo Hello | "$HYPERC" chat wide_talker --temp 0 -n 2 --json >"$stdout" 2>"$stderr" || fail "chat"
json batch 64
ok "prompts and windows are evaluated at once"

# ---- Where a text ends
hyperc 0 generate "$story" -p '' --temp 0 --stop 'named L' --stop 'no such text' --json
json text "Once upon a time, there was a little girl "
json ending 'stop string'
hyperc 0 generate "$story" -p '' "${greedy[@]}" --stop Lily.
printf 'Once upon a time, there was a little girl named \n' | prints_exactly
hyperc 0 generate "$story" -p '' -c 20 --temp 0 --json
json ending 'context full'
json written_tokens 20 # all but the first of 20, and the one that the last of them predicts
hyperc 0 generate "$story" -p '' -c 20 --temp 0
says "the context of 20 tokens is full" "hyperc: note: "
hyperc 0 generate "$story" -f <(echo) -n 1 "${greedy[@]}"
prints_exactly <<<Once # without a space in front: no text stands before it
hyperc 0 generate "$story" -p 'Once upon' -n 0 --temp 0 --json
json text ''
json written_tokens 0
ok "stop strings, counts, a full context"

# ---- Chances
hyperc 0 generate "$story" -p '' -n 40 --seed 5 --quiet
cp "$stdout" seeded
for options in "--threads 1" "--tier c"; do
    # shellcheck disable=SC2086 # an option and its value
    hyperc 0 generate "$story" -p '' -n 40 --seed 5 --quiet $options
    prints_exactly <seeded
done
hyperc 0 generate "$story" -p '' -n 40 --seed 6 --quiet
! diff -q seeded "$stdout" >/dev/null || fail "two seeds, one text"
hyperc 0 generate "$story" -p '' -n 40
seed=$(sed -n 's/.*--seed //p' "$stderr")
cp "$stdout" drawn
hyperc 0 generate "$story" -p '' -n 40 --quiet --seed "$seed"
prints_exactly <drawn
hyperc 0 generate "$story" -p '' -n 60 --top-k 1 --quiet
prints_exactly <greedy
ok "a seed makes the text, and a drawn one is told"

# ---- What cannot be
usage "512" generate "$story" -p a -c 513
usage "more than the context of 4" generate "$story" -p "Once upon a time, there was" -c 4
usage "the prompt is empty" generate "$story" -p '' --no-bos
hyperc 1 generate "$story" -f nowhere
says "nowhere: No such file or directory"
hyperc 1 generate nowhere -p a
says "nowhere: No such file or directory"
copy_model "$story" mute
rm mute/tokenizer.json
hyperc 1 generate mute -p a
says "tokenizer"
hyperc 0 bench mute -p 4 -n 4 -r 1
copy_model "$story" cut
truncate -s 900000 cut/model.safetensors
hyperc 3 generate cut -p a
# One norm that is no number leaves no number among the logits.
copy_model "$story" damaged
"$PYTHON" - damaged/model.safetensors <<'PYTHON'
import json, sys
with open(sys.argv[1], "r+b") as file:
    size = int.from_bytes(file.read(8), "little")
    begin, end = json.loads(file.read(size))["model.norm.weight"]["data_offsets"]
    file.seek(8 + size + begin)
    file.write(b"\xff" * (end - begin))
PYTHON
for wish in "--temp 0" "--temp 1" "--temp 1 --repeat-penalty 2"; do
    # shellcheck disable=SC2086 # options and their values
    hyperc 3 generate damaged -p a -n 4 $wish
    [ ! -s "$stdout" ] || fail "it wrote something"
    says "damaged: the logits are not finite"
done
hyperc 3 perplexity damaged -f "$text" --ctx 64 --chunks 1
says "damaged: the logits are not finite"
copy_model "$story" other
sed -i 's/"intermediate_size": 172/"intermediate_size": 176/' other/config.json
hyperc 3 generate other -p a
says "has not the shape that the configuration says"
copy_model "$story" bert
sed -i 's/LlamaForCausalLM/BertModel/' bert/config.json
hyperc 1 generate bert -p a --json
says "BertModel"
json status unsupported
# change DIR CODE: its tokenizer.json, by Python; `vocab` and `merges` are the model's.
change()
{
    "$PYTHON" - "$1/tokenizer.json" "$2" <<'PYTHON'
import json, sys
with open(sys.argv[1]) as file:
    tokenizer = json.load(file)
model = tokenizer["model"]
exec(sys.argv[2])
with open(sys.argv[1], "w") as file:
    json.dump(tokenizer, file)
PYTHON
}
copy_model "$story" padded
change padded '
model["vocab"] = {text: number for text, number in model["vocab"].items() if number < 430}
model["merges"] = []'
hyperc 0 generate padded -p '' -n 60 --temp 0 --json
json tokens.# 60
"$PYTHON" - "$stdout" <<'PYTHON' || fail "no token without a text was chosen, or it has one"
import json, sys
with open(sys.argv[1]) as file:
    result = json.load(file)
sys.exit(not (max(result["tokens"]) >= 430 and 0 < len(result["text"]) and "\ufffd" not in result["text"]))
PYTHON
copy_model "$story" beyond
change beyond 'model["vocab"]["z"] = 2000000'
hyperc 0 generate beyond -p Once -n 2
hyperc 3 generate beyond -p "a zebra"
says "the tokenizer has a token number 2000000, the model 512 tokens"
printf 'A zebra\n' >zebra
hyperc 3 perplexity beyond -f zebra --protocol lines
ok "bad input"

if [ -w /dev/full ]; then
    code=0
    "$HYPERC" generate "$story" -p '' --temp 0 >/dev/full 2>"$stderr" || code=$?
    [ $code -eq 1 ] || fail "exit code $code on a full disk"
    says "cannot write the output: No space left on device"
else
    not_run "a full disk: no /dev/full"
fi
mkfifo pipe
code=0
{ head -c 1 >/dev/null; } <pipe &
"$HYPERC" generate "$story" -p '' --temp 0 >pipe 2>"$stderr" || code=$?
wait
[ $code -eq 1 ] || fail "exit code $code on a pipe without a reader"
says "cannot write the output: Broken pipe"
ok "an output that cannot be written"

# A signal ends the text, not the program. The pipe is full, so that it waits with its first word until it got one.
code=0
"$PYTHON" - "$HYPERC" generate "$story" -p '' --temp 0 2>"$stderr" <<'PYTHON' || code=$?
import fcntl, os, signal, subprocess, sys, time
reader, writer = os.pipe()
os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)))
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=writer)
os.close(writer)
def caught():
    with open(f"/proc/{process.pid}/status") as file:
        return int(next(line for line in file if line.startswith("SigCgt")).split()[1], 16)
while process.poll() is None and not caught() >> (signal.SIGINT - 1) & 1:
    time.sleep(0.01)
process.send_signal(signal.SIGINT)
while os.read(reader, 4096):
    pass
sys.exit(process.wait())
PYTHON
[ $code -eq 0 ] || fail "exit code $code after a signal"
written=$(sed -n 's/.*; written \([0-9]*\),.*/\1/p' "$stderr")
[ "$written" -le 2 ] || fail "it wrote $written tokens after the signal"
ok "a signal ends the text"

# ---- Conversations
hyperc 1 chat "$story"
says "the model has no chat template; hyperc generate"
copy_with_template "$story" talker
copy_model talker foreign
sed -i 's/im_start/beginning/' foreign/tokenizer_config.json
hyperc 1 chat foreign
says "the model's chat template is not one that is known; hyperc generate"
hyperc 1 chat mute
says "there is no tokenizer with this model"
printf 'Tell me a story\n\nAnother one\n/exit\nNo more\n' >questions
"$HYPERC" chat talker --temp 0 -n 8 --system "Be brief" --json <questions >"$stdout" 2>"$stderr" || fail "chat"
json answers.# 2
json written_tokens 16
"$HYPERC" chat talker --temp 0 -n 8 -c 100 --json <questions >"$stdout" 2>"$stderr" || fail "chat"
says "the oldest turns are forgotten" "hyperc: note: "
json answers.# 2
code=0
printf '%0900d\nHello\n' 0 | "$HYPERC" chat talker --temp 0 -n 8 --json >"$stdout" 2>"$stderr" || code=$?
[ $code -eq 1 ] || fail "exit code $code after a question that does not fit"
says "more than the context"
json answers.0 null
json answers.# 2
printf 'Hello\0 you\n' | "$HYPERC" chat talker --temp 0 -n 8 >"$stdout" 2>"$stderr" && fail "a zero byte"
says "there can be no zero byte in a question"
[ ! -s "$stdout" ] || fail "an answer to what is before a zero byte"
printf 'Tell me\ra story\r\n/exit\r\nNo more' | "$HYPERC" chat talker --temp 0 -n 8 --json >"$stdout" 2>"$stderr" ||
    fail "lines with returns"
json answers.# 1
json prompt_tokens
returns=$(cat "$scratch/json")
hyperc 0 chat talker --temp 0 -n 8 -p $'Tell me\ra story' --json
json prompt_tokens "$returns"
if [ -w /dev/full ]; then
    for options in "" --json; do
        code=0
        # shellcheck disable=SC2086 # an option, or none
        "$HYPERC" chat talker --temp 0 -n 8 $options <questions >/dev/full 2>"$stderr" || code=$?
        [ $code -eq 1 ] || fail "exit code $code of a conversation on a full disk"
        says "cannot write the output: No space left on device"
    done
else
    not_run "a conversation on a full disk: no /dev/full"
fi
ok "conversations"

# What is said first is answered as the first line would be, even if it has more than one.
hyperc 0 chat talker --temp 0 -n 8 --system "Be brief" -p "Tell me a story" --json
json answers.# 1
echo "Another one" | "$HYPERC" chat talker --temp 0 -n 8 --system "Be brief" -p "Tell me a story" >"$stdout" \
    2>"$stderr" || fail "chat -p"
cp "$stdout" both
"$HYPERC" chat talker --temp 0 -n 8 --system "Be brief" <questions 2>"$stderr" | diff - both || fail "other answers"
hyperc 0 chat talker --temp 0 -n 8 -p $'Tell me\na story' --json
json answers.# 1
hyperc 0 chat talker --temp 0 -n 8 -p '' --json
json answers.# 0
hyperc 1 chat talker --temp 0 -n 8 -p "$(printf '%0900d' 0)" --json
says "more than the context"
ok "what is said first"

# ---- One answer
answer=$(head -n 1 both)
hyperc 0 generate talker "${greedy[@]}" -n 8 --system "Be brief" -p "Tell me a story"
silent
printf '%s\n' "$answer" | prints_exactly
printf 'Tell me a story\n' >prompt
hyperc 0 generate talker "${greedy[@]}" -n 8 --system "Be brief" -f prompt
printf '%s\n' "$answer" | prints_exactly
hyperc 0 generate talker --temp 0 -n 8 --system "Be brief" -p "Tell me a story" --json
json text "$answer"
json written_tokens 8
prompt=$("$PYTHON" "$here/json_get.py" "$stdout" prompt)
asked="<|im_start|>system
Be brief<|im_end|>
<|im_start|>user
Tell me a story<|im_end|>
<|im_start|>assistant
"
hyperc 0 generate talker --no-bos --temp 0 -n 8 -p "$asked" --json
json prompt "$prompt"
printf 'a\0b' >zero
usage "no zero byte in the prompt" generate talker --system S -f zero
usage "more than the context of 20" generate talker --system S -p "Tell me a story" -c 20
hyperc 1 generate "$story" --system S -p a
says "the model has no chat template; without --system the prompt is continued"
hyperc 1 generate foreign --system S -p a
says "the model's chat template is not one that is known; without --system the prompt is continued"
hyperc 1 generate mute --system S -p a
says "there is no tokenizer with this model"
copy_model "$story" untold
cat >untold/chat_template.jinja <<'JINJA'
{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] +
' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}
JINJA
hyperc 1 generate untold --system S -p a
says "the model's chat template takes no system prompt"
hyperc 1 chat untold --system S -p a
says "the model's chat template takes no system prompt"
hyperc 0 chat untold --temp 0 -n 2 -p a
ok "one answer"

# ---- Today
copy_model "$story" today
cat >today/chat_template.jinja <<'JINJA'
{{- bos_token }}{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}
{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] | trim %}
{%- set messages = messages[1:] %}{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}{{- "Cutting Knowledge Date: December 2023\n" }}
{{- "Today Date: " + date_string + "\n\n" }}{{- system_message }}{{- "<|eot_id|>" }}{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
JINJA
cp -r today once
for zone in EAST-14 WEST12; do # it is never the same day in both
    export TZ=$zone
    while
        day=$(LC_ALL=C date '+%d %b %Y')
        hyperc 0 generate today --system S -p Hi -n 0 --json
        [ "$day" != "$(LC_ALL=C date '+%d %b %Y')" ]
    do :; done
    unset TZ
    prompt=$("$PYTHON" "$here/json_get.py" "$stdout" prompt)
    sed "s/strftime_now(\"%d %b %Y\")/\"$day\"/" today/chat_template.jinja >once/chat_template.jinja
    hyperc 0 generate once --system S -p Hi -n 0 --json
    json prompt "$prompt"
done
ok "models that are told today's date"

# ---- Perplexity
# 5.18; an evaluation of the original file in float64, with its own tokenizer, gives 5.17745
for cache in f16 f32; do
    hyperc 0 perplexity "$story" -f "$text" --protocol lines --quiet --cache $cache
    silent
    prints "perplexity 5.177"
    prints "19 windows, 9149 predictions"
done
for protocol in hf llama.cpp; do
    hyperc 0 perplexity "$story" -f "$text" --protocol $protocol --ctx 256 --chunks 8 --json
    json windows 8
    json predictions "$([ $protocol = hf ] && echo $((8 * 255)) || echo $((8 * 127)))"
    cp "$stdout" all
    hyperc 0 perplexity "$story" -f "$text" --protocol $protocol --ctx 256 --chunks 8 --json --threads 1 --tier c
    json perplexity "$("$PYTHON" "$here/json_get.py" all perplexity)"
done
hyperc 0 perplexity "$story" -f "$text" --chunks 4 --against "$story" --json
json kl_divergence '{"value": 0.0, "standard_error": 0.0}'
json kl_divergence_at_99_9_percent '{"value": 0.0, "standard_error": 0.0}'
json top_1_agreement '{"value": 1.0, "standard_error": 0.0}'
json perplexity_against "$("$PYTHON" "$here/json_get.py" "$stdout" perplexity)"
hyperc 0 perplexity "$story" -f "$text" --ctx 128 --chunks 3 --against "$story" --json
json kl_divergence_at_99_9_percent '{"value": 0.0, "standard_error": null}'
hyperc 0 perplexity "$story" -f "$text" --ctx 128 --chunks 3 --against "$story" --quiet
prints "KL divergence 0.000000 +- 0.000000 nats, 99.9 % of them up to 0.0000 +- unknown"
usage "less than one window of 512" perplexity "$story" -f prompt
usage "windows of 2 tokens have no second half" perplexity "$story" -f "$text" --protocol llama.cpp --ctx 2
usage "no line of the text has a token to predict" perplexity "$story" -f /dev/null --protocol lines
usage "513" perplexity "$story" -f "$text" --ctx 513
hyperc 1 perplexity "$story" -f nowhere
says "nowhere: No such file or directory"
ok "perplexity"

# ---- The compressed model
for method in window pair; do
    hyperc 0 compress "$story" -o $method --method $method --quiet
    hyperc 0 generate $method -p '' -n 40 "${greedy[@]}"
    cp "$stdout" coded
    [ "$(wc -c <coded)" -gt 60 ] || fail "$method: no text"
    for options in "--threads 1" "--tier c" "--tier avx2"; do
        # shellcheck disable=SC2086 # an option and its value
        hyperc 0 generate $method -p '' -n 40 "${greedy[@]}" $options
        prints_exactly <coded
    done
    hyperc 0 perplexity $method -f "$text" --protocol lines --chunks 20 --against "$story" --json
    "$PYTHON" - "$stdout" <<'PYTHON' || fail "$method: far from the original"
import json, sys
with open(sys.argv[1]) as file:
    figures = {name: value["value"] for name, value in json.load(file).items() if isinstance(value, dict)}
sys.exit(not (0 < figures["kl_divergence"] < 0.2 and figures["kl_divergence_at_99_9_percent"] > figures["kl_divergence"]
              and 0.7 < figures["top_1_agreement"] < 1
              and figures["perplexity_against"] < figures["perplexity"] < 1.2 * figures["perplexity_against"]))
PYTHON
    # Cut short by a byte, in the middle of the codes, in the header.
    whole=$(stat -c %s $method/model.safetensors)
    copy_model $method $method.cut
    for bytes in $((whole - 1)) $((whole / 2)) 100; do
        truncate -s $bytes $method.cut/model.safetensors
        hyperc 3 generate $method.cut -p a
        [ ! -s "$stdout" ] || fail "$method, $bytes bytes: it wrote something"
        says "$method.cut/model.safetensors: "
    done
done
ok "a compressed model writes, near to the original; one that is cut short does not"

# ---- Calibration and speed
hyperc 0 calibrate "$story" -o moments.safetensors -f "$text" --ctx 128 --chunks 4 --json
json output moments.safetensors
hyperc 0 inspect moments.safetensors --json
json tensors.#
hyperc 1 calibrate "$story" -o nowhere/moments.safetensors -f "$text"
hyperc 0 bench window -p 32 -n 8 -r 2 --json
json prompt.tokens 32
json predict.tokens 8
json context 32
hyperc 0 bench window -p 32 -n 8 -r 2
prints "tokens/s"
usage "513" bench "$story" -p 513
ok "calibrate and bench"
finish
