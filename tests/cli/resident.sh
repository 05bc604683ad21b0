#!/usr/bin/env bash
# What a compressed model takes to run: its file, which is mapped and never unpacked, the cache of keys and values, and at
# most 5 % of both beside them, however long the prompt is. Of the shape of SmolLM2-135M: what is taken for every matrix,
# column and token weighs less in larger ones.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
if [ -n "$sanitizer$gcov" ]; then
    echo "not run: the program is built with ${sanitizer:+a sanitizer}$gcov, which takes memory for itself"
    exit 77
fi

# peak DIR TOKENS: the JSON of what it takes to read a prompt of so many tokens, and to write.
peak()
{
    hyperc 0 bench "$1" -p "$2" -n 4 -r 1 --json
}

"$MAKE_CHECKPOINT" --model tiny -o tiny >"$stdout"
hyperc 0 compress tiny -o small --window 8 --quiet
"$MAKE_CHECKPOINT" --model smollm2-135m -o large >"$stdout"
hyperc 0 compress large -o coded --window 8 --quiet

# takes TOKENS: it takes at most 1.05 times the file and the cache.
takes()
{
    # The program's own memory, libraries and all, is what a model takes that is next to nothing.
    peak small "$1"
    cp "$stdout" own
    peak coded "$1"
    "$PYTHON" - own "$stdout" coded "$1" <<'PYTHON' || fail "the memory is not that of file and cache"
import glob, json, os, sys
own, now = (json.load(open(path)) for path in sys.argv[1:3])
config = json.load(open(os.path.join(sys.argv[3], "config.json")))
tokens = int(sys.argv[4])
files = sum(os.path.getsize(path) for path in glob.glob(os.path.join(sys.argv[3], "*.safetensors")))
keys = config["num_key_value_heads"] * config["hidden_size"] // config["num_attention_heads"]
cache = 2 * 2 * config["num_hidden_layers"] * keys * tokens
taken = now["peak_resident_bytes"] - own["peak_resident_bytes"]
print(f"{tokens} tokens: {taken / 1e6:.1f} MB beside the {own['peak_resident_bytes'] / 1e6:.1f} MB of the program, for "
      f"files of {files / 1e6:.1f} MB and a cache of {cache / 1e6:.1f} MB: {100 * taken / (files + cache):.1f} %")
# All of the file is read: the embedding is the head, too.
sys.exit(not 0.9 < taken / (files + cache) < 1.05)
PYTHON
    ok "a prompt of $1 tokens: a model takes at most 1.05 times its file and its cache"
}
takes 16
takes 128
takes 512
finish
