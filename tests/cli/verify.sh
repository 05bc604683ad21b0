#!/usr/bin/env bash
# verify finds every flipped bit, whatever file it is in, and everything that is missing, too much or not the original's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny --shard-size 200000
"$HYPERC" compress in -o good --method pair --quiet >/dev/null
hyperc 0 verify good --against in
prints "sound: "

# flip FILE OFFSET BIT
flip()
{
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # an escape
    printf "\\x$(printf %x $((byte ^ 1 << $3)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# What verify says of the folder `bad`: exit code 3, and one of the faults is TEXT. Then `bad` is good again.
bad() # TEXT
{
    hyperc 3 verify bad
    prints "$1"
    prints "NOT SOUND"
    hyperc 3 verify bad --json
    json sound false
    [ "$("$PYTHON" "$here/json_get.py" "$stdout" faults.#)" -gt 0 ] || fail "no faults in the JSON"
    rm -r bad
    cp -r good bad
}

# ---- Every byte counts
# The manifest is its own witness: of what people read in it, nothing can be said. What verify works with counts.
meaning()
{
    "$PYTHON" - "$1" <<'PYTHON'
import json, sys
manifest = json.load(open(sys.argv[1], encoding="utf-8"))
print([manifest[key] for key in ("format", "shards", "files")])
PYTHON
}

flips=0
cp -r good bad
while read -r file; do
    size=$(stat -c %s "good/$file")
    for place in 0 1 7 8 9 50 $((size / 7)) $((size / 3)) $((size / 2)) $((size * 2 / 3)) $((size * 9 / 10)) \
        $((size - 2)) $((size - 1)); do
        [ $place -lt "$size" ] && [ $place -ge 0 ] || continue
        flip "bad/$file" $place $(((place + flips) % 8))
        code=0
        "$HYPERC" verify bad >"$stdout" 2>"$stderr" || code=$?
        if [ "$file" = ./hyperc.json ]; then
            # A number that is another version of the format is nothing that this one could judge.
            [ $code -eq 3 ] || { [ $code -eq 1 ] && says "another version of the format"; } ||
                { [ $code -eq 0 ] && [ "$(meaning bad/hyperc.json)" = "$(meaning good/hyperc.json)" ]; } ||
                fail "exit code $code with a bit of byte $place of $file flipped"
        else
            [ $code -eq 3 ] || fail "exit code $code with a bit of byte $place of $file flipped"
        fi
        flips=$((flips + 1))
        cp "good/$file" "bad/$file"
    done
done < <(cd good && find . -type f | sort)
same good bad
ok "$flips flipped bits, each of them found"

# ---- The manifest, member by member
member() # STATEMENT, in Python, that changes `manifest`
{
    "$PYTHON" - "$1" <<'PYTHON'
import json, sys
manifest = json.load(open("bad/hyperc.json"))
exec(sys.argv[1])
json.dump(manifest, open("bad/hyperc.json", "w"))
PYTHON
}
member 'manifest["shards"][0]["bytes"] += 1'
bad "is not of the recorded size"
member 'manifest["shards"][0]["header_bytes"] += 8'
bad "its header fails its checksum"
member 'manifest["shards"][0]["header_bytes"] = 1 << 60'
bad "the recorded size of its header cannot be"
member 'manifest["shards"][1]["header_xxh3"] = "0" * 32'
bad "model-00002-of-"
member 'manifest["shards"][0]["name"] = "other.safetensors"'
bad "other.safetensors: is missing"
member 'manifest["shards"].pop()'
bad "there are weight files that the manifest does not list"
member 'manifest["files"][0]["bytes"] += 1'
bad "is not of the recorded size"
member 'manifest["files"][0]["xxh3"] = "0" * 32'
bad "fails its checksum"
member 'manifest["files"].append(dict(manifest["files"][0], name="nowhere.txt"))'
bad "nowhere.txt: is missing"
for text in 'manifest["files"][0]["name"] = "../good/config.json"' 'manifest["files"][0]["name"] = "/etc/passwd"' \
    'del manifest["files"]' 'manifest["shards"] = {}' 'manifest["files"][0]["xxh3"] = 1'; do
    member "$text"
    hyperc 3 verify bad
    says "bad/hyperc.json: malformed"
    cp good/hyperc.json bad
done
member 'manifest["format"] = 99'
hyperc 1 verify bad
says "bad/hyperc.json: another version of the format"
rm bad/hyperc.json
hyperc 3 verify bad
says "bad: there is no hyperc.json"
cp good/hyperc.json bad
ok "the manifest is held against the folder"

# ---- Files that are missing, cut, too long or too many
shard=$(cd good && ls model-00002-of-*)
truncate -s -1 bad/"$shard"
bad "$shard: is not of the recorded size"
truncate -s 100 bad/"$shard"
bad "$shard: is not of the recorded size"
: >bad/"$shard"
bad "$shard: is not of the recorded size"
echo >>bad/"$shard"
bad "$shard: is not of the recorded size"
rm bad/"$shard"
bad "$shard: is missing"
rm bad/notes.txt
bad "notes.txt: is missing"
rm -r bad/sub
bad "sub/more.json: is missing"
: >bad/config.json
bad "config.json: is not of the recorded size"
rm bad/config.json
mkdir bad/config.json
bad "config.json: cannot be read"
rm bad/model.safetensors.index.json
bad "model.safetensors.index.json: is missing"
rm bad/"$shard" bad/notes.txt
hyperc 3 verify bad
prints "3 faults" # the third: the index names the shard
rm -r bad
cp -r good bad
rm bad/model.safetensors.index.json
"$MAKE_CASE" small bad/model-extra.safetensors
bad "model.safetensors.index.json: is missing"
echo more >bad/more.txt # a file beside the model is nobody's business
hyperc 0 verify bad
"$HYPERC" compress in/"$shard" -o single --method pair --quiet >/dev/null
"$MAKE_CASE" small small.safetensors
"$HYPERC" compress small.safetensors -o second --method pair --quiet >/dev/null
cp second/model.safetensors single/zz.safetensors
mv single/model.safetensors single/aa.safetensors
sed -i 's/"model.safetensors"/"aa.safetensors"/' single/hyperc.json
hyperc 3 verify single
prints "there are weight files that the manifest does not list"
ok "missing, cut, long and additional files"

# ---- A recorded error that is not the true one, in a folder whose checksums are all right
rm -rf bad
cp -r good bad
"$PYTHON" "$here/forge.py" bad
hyperc 0 verify bad
hyperc 3 verify bad --against in
prints "its error is not the recorded one"
says "1 fault found"
rm -r bad
ok "a recorded error that is not the true one"

# ---- Another original
cp -r in other
flip other/"$shard" $(($(stat -c %s other/"$shard") - 40)) 0
hyperc 3 verify good --against other
says "1 fault found"
hyperc 3 verify good --against in/"$shard"
prints "the original has no such tensor"
"$MAKE_CHECKPOINT" --model tiny --seed 2 -o twin >/dev/null
hyperc 3 verify good --against twin
prints "its error is not the recorded one"
prints "is not the original's, bit for bit"
hyperc 1 verify good --against nowhere
"$MAKE_CASE" small wide.safetensors
"$HYPERC" compress wide.safetensors -o narrow --method pair --quiet >/dev/null
"$PYTHON" - wide.safetensors <<'PYTHON'
import sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[1], "wb").write(data.replace(b"[16,16]", b"[8,32] ", 1).replace(b"[4,8]", b"[8,4]", 1))
PYTHON
hyperc 3 verify narrow --against wide.safetensors
prints "coded.weight: is not of the original's shape"
prints "infinity.weight: is not of the original's shape"
hyperc 1 verify nowhere
says "nowhere: No such file or directory"
hyperc 1 verify in
says "in: is not compressed by hyperc"
ok "an original that is another one"
finish
