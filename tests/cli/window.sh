#!/usr/bin/env bash
# The method window: rates, whole and shared out, which tensors get which, unusual shapes and contents, and the same bytes
# from every thread count, tier and interrupted run.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

"$MAKE_CASE" window in.safetensors
checkpoint tiny --model tiny
short=(--window 8 --quiet) # the shortest codes are found soonest

# table DIRECTORY: name, shape and outcome of every tensor, on stdout.
table()
{
    hyperc 0 inspect "$1" --json
    "$PYTHON" - "$stdout" <<'PYTHON'
import json, sys
for t in sorted(json.load(open(sys.argv[1]))["tensors"], key=lambda t: t["name"]):
    what = f"{t['method']}: {t['parameters']}" if "method" in t else "kept: " + t["kept_because"]
    print(t["name"], "x".join(map(str, t["shape"])), what)
PYTHON
}

# holds STATEMENT: about `tensors` (by name) and `totals` of the JSON in stdout, in Python.
holds()
{
    "$PYTHON" - "$stdout" "$1" <<'PYTHON' || fail "it does not hold that $1"
import json, math, sys
document = json.load(open(sys.argv[1]))
tensors, totals = {t["name"]: t for t in document["tensors"]}, document["totals"]
sys.exit(not eval(sys.argv[2]))
PYTHON
}

# ---- The default
hyperc 0 compress in.safetensors -o default --quiet
table default >outcome
diff - outcome <<'TABLE' || fail "the outcome of some tensor is another"
column.weight 100x1 kept: would not be smaller
conv.weight 8x3x3x3 window: k 4, L 12
conv1d.weight 12x7x9 window: k 4, L 12
huge_column.weight 32x32 window: k 4, L 12
infinity.weight 16x32 kept: NaN or infinity in it
lm_head.weight 40x24 window: k 6, L 12
mlp.experts.up.weight 3x16x20 window: k 4, L 12
model.embed_tokens.weight 40x24 window: k 6, L 12
model.layers.0.k_proj.weight 24x40 window: k 4, L 12
model.layers.0.q_proj.weight 24x40 window: k 4, L 12
nan.weight 16x32 kept: NaN or infinity in it
odd.weight 17x33 window: k 4, L 12
row.weight 1x100 kept: would not be smaller
small.weight 7x5 window: k 4, L 12
tiny.weight 3x5 kept: would not be smaller
zero_column.weight 20x40 window: k 4, L 12
zero_row.weight 20x40 window: k 4, L 12
zeros.weight 32x32 window: k 4, L 12
TABLE
hyperc 0 verify default --against in.safetensors
prints "13 coded tensors against the original: 0 faults"
hyperc 0 compress in.safetensors -o explicit --method window --bits 4 --embed-bits 6 --head-bits 6 --effort fast --window 12 \
    --columns norm --quiet
same default explicit
ok "the default: 4 bits, embeddings and head 6, L 12, columns by their norm"

# ---- Options that name tensors
hyperc 0 compress in.safetensors -o named "${short[@]}" --bits 2 --embed-bits keep --head-bits 3 --bits-for '*.q_proj.*=5' \
    --bits-for '*_proj.*=8' --bits-for 'row.*=1'
table named >outcome
diff - outcome <<'TABLE' || fail "some tensor got other bits than its options say"
column.weight 100x1 window: k 2, L 8
conv.weight 8x3x3x3 window: k 2, L 8
conv1d.weight 12x7x9 window: k 2, L 8
huge_column.weight 32x32 window: k 2, L 8
infinity.weight 16x32 kept: NaN or infinity in it
lm_head.weight 40x24 window: k 3, L 8
mlp.experts.up.weight 3x16x20 window: k 2, L 8
model.embed_tokens.weight 40x24 kept: --embed-bits keep
model.layers.0.k_proj.weight 24x40 window: k 8, L 8
model.layers.0.q_proj.weight 24x40 window: k 5, L 8
nan.weight 16x32 kept: NaN or infinity in it
odd.weight 17x33 window: k 2, L 8
row.weight 1x100 window: k 1, L 8
small.weight 7x5 window: k 2, L 8
tiny.weight 3x5 kept: would not be smaller
zero_column.weight 20x40 window: k 2, L 8
zero_row.weight 20x40 window: k 2, L 8
zeros.weight 32x32 window: k 2, L 8
TABLE
hyperc 0 verify named --against in.safetensors
hyperc 0 compress in.safetensors -o head "${short[@]}" --head-bits keep --keep '*odd*' --bits-for 'no such tensor=3'
says "--bits-for no such tensor: matches no tensor" "hyperc: note: "
hyperc 0 inspect head
prints "kept: --head-bits keep"
prints "kept: --keep"
hyperc 2 compress in.safetensors -o refused --bits-for $'\xff=3'
says "the pattern '?' is not UTF-8"
absent refused refused.partial
ok "--embed-bits, --head-bits, --bits-for"

# ---- What comes back. Every k has its own tensors here; the more bits, the nearer.
for k in 1 2 3 4 5 6 8; do
    hyperc 0 compress in.safetensors -o k$k "${short[@]}" --bits $k --embed-bits $k --head-bits $k
    hyperc 0 verify k$k --against in.safetensors
    prints "0 faults"
    hyperc 0 inspect k$k --json
    "$PYTHON" "$here/json_get.py" "$stdout" totals.signal_to_noise >>signals
    # four tiles of 32 k bytes, two bytes a row, one a column, in multiples of 64: all that is stored counts
    holds "tensors['zeros.weight']['bytes'] == -(-(4 * 32 * $k + 2 * 32 + 32) // 64) * 64"
    holds "totals['coded_bytes'] == sum(t['bytes'] for t in tensors.values() if 'method' in t)"
    holds "totals['coded_bits_per_weight'] == 8 * totals['coded_bytes'] / totals['coded_weights']"
done
sort -g signals | diff - signals || fail "more bits do not come nearer"
hyperc 0 decompress named -o back.safetensors
hyperc 0 inspect back.safetensors
prints "as they are: 18 tensors"
ok "every k: checked, and more bits come nearer"

# weights FILE TENSOR STATEMENT: about the float32 matrices `a` (of the original) and `b` (of FILE), in Python.
weights()
{
    "$PYTHON" - in.safetensors "$@" <<'PYTHON' || fail "$2: it does not hold that $3"
import json, math, struct, sys
def matrix(path, name):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])[name]
    begin, end = entry["data_offsets"]
    flat = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin:8 + size + end])
    columns = entry["shape"][-1]
    return [flat[i:i + columns] for i in range(0, len(flat), columns)]
a, b = matrix(sys.argv[1], sys.argv[3]), matrix(sys.argv[2], sys.argv[3])
def error(j):
    """Of a column, relative."""
    return math.sqrt(sum((x[j] - y[j]) ** 2 for x, y in zip(a, b)) / sum(x[j] ** 2 for x in a))
sys.exit(not eval(sys.argv[4]))
PYTHON
}
hyperc 0 decompress k4 -o k4.safetensors
weights k4.safetensors zeros.weight 'b == a'
weights k4.safetensors zero_row.weight 'b[2] == a[2] and max(map(abs, b[2])) == 0'
weights k4.safetensors zero_row.weight 'max(error(j) for j in range(40)) < 0.25'
weights k4.safetensors zero_column.weight 'max(abs(x[2]) for x in b) < 0.02 and max(error(j) for j in range(40) if j != 2) < 0.25'
weights k4.safetensors huge_column.weight 'max(error(j) for j in range(32)) < 0.25'
hyperc 0 compress in.safetensors -o none "${short[@]}" --columns none
hyperc 0 verify none --against in.safetensors
hyperc 0 decompress none -o none.safetensors
weights none.safetensors huge_column.weight 'error(2) < 0.25 and min(error(j) for j in range(32) if j != 2) > 1'
weights none.safetensors zero_row.weight 'max(map(abs, b[2])) == 0'
hyperc 0 inspect none --json
holds "tensors['zeros.weight']['bytes'] == 4 * 32 * 4 + 2 * 32" # no byte for columns
ok "zeros stay zero, and a huge column does not drown the others unless it is asked for"

# ---- A fraction
# The rate is that of what is stored of the tensors that share it.
shared() # DIRECTORY RATE
{
    hyperc 0 inspect "$1" --json
    holds "abs(8 * sum(t['bytes'] for n, t in tensors.items() if 'layers' in n and 'method' in t) /
               sum(t['weights'] for n, t in tensors.items() if 'layers' in n and 'method' in t) - $2) <= 0.01"
}
for rate in 2.25 5.9; do
    hyperc 0 compress tiny -o f$rate "${short[@]}" --bits $rate --threads 1
    prints "--bits $rate: "
    prints "over the 35 tensors that share this rate"
    shared f$rate $rate
    holds "tensors['model.embed_tokens.weight']['parameters'] == 'k 6, L 8'"
done
hyperc 0 verify f2.25 --against tiny
hyperc 0 compress tiny -o again "${short[@]}" --bits 2.25 --threads 2 --tier c --json
json shared_rate.asked 2.25
json shared_rate.tensors 35
same f2.25 again
rm -r again
hyperc 0 compress in.safetensors "${short[@]}" --bits 4.5 --only '*_proj*' --dry-run
prints "over the 2 tensors that share this rate"
ok "a fraction is met within 0.01 bits"

hyperc 0 compress in.safetensors -o near "${short[@]}" --bits 1.5 # scales and padding of small tensors take more
says "--bits 1.5: the tensors at hand come to " "hyperc: note: "
hyperc 0 compress tiny -o one "${short[@]}" --bits 3.9 --only '*.0.*q_proj*'
says "--bits 3.9: the tensors at hand come to 3.3750" "hyperc: note: "
hyperc 0 inspect one --json
holds "tensors['model.layers.0.self_attn.q_proj.weight']['parameters'] == 'k 3, L 8'"
ok "a rate that cannot be met is told"

# ---- The same bytes whatever computes them
for threads in 1 2; do
    for tier in c avx2 avx512; do
        # The program takes the best that the machine has up to the tier; commands.sh says which it lacks.
        hyperc 0 compress in.safetensors -o again --threads $threads --tier $tier --quiet
        same default again
        hyperc 0 verify default --against in.safetensors --threads $threads --tier $tier
        rm -r again
    done
done
ok "threads and tiers write the same bytes"

# ---- A run that was killed
if [ -n "$gcov" ]; then
    not_run "an interrupted run: gcov makes file calls of its own, and these are counted here"
else
    export HC_FAIL_CLOCK=1 # so that the journal is written after every tensor
    fraction=("${short[@]}" --bits 3.25 --threads 1)
    HC_FAIL_COUNT=$scratch/count with_faults "$HYPERC" compress in.safetensors -o whole "${fraction[@]}" >/dev/null 2>&1
    read -r calls _ <count
    for share in 4 6; do
        code=0
        HC_FAIL_CALL=$((calls * share / 10)) HC_FAIL_HOW=kill with_faults "$HYPERC" compress in.safetensors -o out \
            "${fraction[@]}" >/dev/null 2>&1 || code=$?
        [ $code -eq 137 ] && [ "$(wc -l <out.partial/journal)" -ge 4 ] || fail "no interrupted run"
        hyperc 1 compress in.safetensors -o out "${fraction[@]}" --resume --bits 3.5
        says "the interrupted run had another options"
        hyperc 0 compress in.safetensors -o out "${fraction[@]}" --resume
        same whole out
        rm -r out
    done
    ok "a run that was killed is resumed, byte for byte"
fi
finish
