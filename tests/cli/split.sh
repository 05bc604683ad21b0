#!/usr/bin/env bash
# A model over several devices: the same text and the same perplexity as on one, and what each device holds.
# HYPERC_DATA: as for run.sh. Without it this is not run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

data=${HYPERC_DATA:-$here/../../../shared/data}
if [ ! -r "$data/story260K/config.json" ] || [ ! -r "$data/tinystories_valid_30k.txt" ]; then
    echo "not run: no model in $data (HYPERC_DATA)"
    exit 77
fi
story=$data/story260K text=$data/tinystories_valid_30k.txt
prompt=(-p "Once upon a time" -n 40 --quiet)
some="cpu,cpu cpu,cpu,cpu cpu,cpu,cpu,cpu"

figure() # PATH: the number there in what was printed
{
    "$PYTHON" "$here/json_get.py" "$stdout" "$1"
}
near() # NUMBER EXPECTED PART
{
    awk -v a="$1" -v b="$2" -v part="$3" 'BEGIN { d = a > b ? a - b : b - a; exit !(d <= part * b) }'
}

hyperc 0 compress "$story" -o window --quiet
hyperc 0 compress "$story" -o pair --method pair --quiet

# ---- The same most likely text
for model in "$story" window pair; do
    hyperc 0 generate "$model" "${prompt[@]}" --temp 0 --threads 1
    cp "$stdout" alone
    for devices in $some; do
        for split in tensors layers; do
            hyperc 0 generate "$model" "${prompt[@]}" --temp 0 --devices "$devices" --split $split
            silent
            cmp -s alone "$stdout" || fail "$model, $devices, $split: another text"
        done
    done
done
ok "the most likely text"

# ---- Drawn texts, with a penalty and without: layers make no difference at all
for how in "--top-k 10" "--top-k 0 --repeat-penalty 1.3"; do
    # shellcheck disable=SC2086
    hyperc 0 generate "$story" "${prompt[@]}" --seed 3 --temp 1 $how
    cp "$stdout" alone
    # shellcheck disable=SC2086
    hyperc 0 generate "$story" "${prompt[@]}" --seed 3 --temp 1 $how --devices cpu,cpu,cpu --split layers
    cmp -s alone "$stdout" || fail "$how: another text"
done
ok "drawn texts"

# ---- Perplexity
perplexity() # MODEL ARGUMENT...
{
    hyperc 0 perplexity "$1" -f "$text" --chunks 2 --ctx 200 --json "${@:2}"
    figure perplexity.value
}
for model in "$story" pair window; do
    alone=$(perplexity "$model")
    for split in tensors layers; do
        several=$(perplexity "$model" --devices cpu,cpu,cpu --split $split)
        near "$several" "$alone" 1e-3 || fail "$model, $split: perplexity $several, not $alone"
    done
done
ok "perplexity"

# ---- What each holds
hyperc 0 bench window -p 8 -n 8 -r 1 --json
whole=$(figure stored_bytes)
hyperc 0 bench window -p 8 -n 8 -r 1 --json --devices cpu,cpu
for rank in 0 1; do
    held=$(figure ranks.$rank.weight_bytes)
    near "$held" "$((whole / 2))" 0.1 || fail "rank $rank holds $held of $whole bytes"
done
hyperc 0 bench window -p 8 -n 8 -r 1 --devices cpu,cpu
prints "rank 1, cpu: weights"
ok "what each holds"

# ---- Some layers on a device, the rest on the CPU
hyperc 0 generate window "${prompt[@]}" --temp 0
cp "$stdout" alone
for layers in 0 1 4 5 99 auto; do
    hyperc 0 generate window "${prompt[@]}" --temp 0 --device cpu --gpu-layers $layers
    cmp -s alone "$stdout" || fail "--gpu-layers $layers: another text"
    hyperc 0 bench window -p 4 -n 0 -r 1 --device cpu --gpu-layers $layers --json
    case $layers in
    1 | 4) json ranks.# 2 ;;
    *) json ranks.# 1 ;;
    esac
done
hyperc 0 generate window "${prompt[@]}" --temp 0 --device cpu,cpu --gpu-layers 3
cmp -s alone "$stdout" || fail "two devices and the CPU: another text"
ok "layers on a device"

# ---- What is refused
hyperc 2 generate "$story" -p a --gpu-layers -2
says "--gpu-layers takes a number or auto"
hyperc 1 generate "$story" -p a --devices cpu,cpu,cpu,cpu,cpu,cpu --split layers
says "5 layers cannot be split over 6 devices"
hyperc 2 generate "$story" -p a --split rows
says "--split takes tensors or layers"
hyperc 1 calibrate "$story" -o moments -f "$text" --devices cpu,cpu
says "calibrating runs on one device"
ok "refused"
finish
