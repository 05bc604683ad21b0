#!/usr/bin/env bash
# Who would compress what: the table, the JSON, what is wrong usage. Whether plans are even: unit.test_plan.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

checkpoint in --model tiny
"$MAKE_CASE" special special.safetensors
"$MAKE_CASE" gguf model.gguf

# ---- The table
hyperc 0 plan in --devices cpu,cuda:0,cuda:1 --speeds 1,4,4
silent
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cpu               1        1           21504   43.01 kB   16.86 kB   59.87 kB    0.00234   10.855 %
cuda:0            4       22          117312  234.62 kB   67.20 kB   31.33 kB   0.002406   44.634 %
cuda:1            4       26          121216  242.43 kB   66.98 kB   28.06 kB   0.002399   44.512 %
cut: model.embed_tokens.weight: rows 0 to 335 on cpu, 336 to 511 on cuda:0
cut: model.layers.2.mlp.gate_proj.weight: rows 0 to 63 on cuda:0, 64 to 171 on cuda:1
47 tensors, 260032 weights, 2 of 47 pieces cut between devices
the slowest is predicted to search 0.002406 s, 1.008 % longer than the mean
TABLE
hyperc 0 plan in --threads 3
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cpu               3       47          260032  520.06 kB  151.05 kB   91.20 kB   0.007187  100.000 %
47 tensors, 260032 weights, 0 of 47 pieces cut between devices
the slowest is predicted to search 0.007187 s, 0.000 % longer than the mean
TABLE
hyperc 0 plan in --devices cuda:0,cuda:1 --memory 0,0.00002 --bits 2.5 --effort best --embed-bits keep
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cuda:0          100       22          145728  291.46 kB  113.40 kB   26.65 kB   0.002743   49.779 %
cuda:1          100       32          114304  228.61 kB   48.72 kB   19.95 kB   0.002767   50.221 %
47 tensors, 260032 weights, 0 of 47 pieces cut between devices
the slowest is predicted to search 0.002767 s, 0.443 % longer than the mean
TABLE
hyperc 0 plan in --devices cpu,cpu,cpu --threads 1 --method pair --side auto
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cpu               1       11           78272  156.54 kB   63.82 kB   92.16 kB  0.0007887   30.108 %
cpu               1       18           90880  181.76 kB   74.14 kB   30.96 kB  0.0009154   34.946 %
cpu               1       18           90880  181.76 kB   74.14 kB   30.96 kB  0.0009154   34.946 %
47 tensors, 260032 weights, 0 of 47 pieces cut between devices
the slowest is predicted to search 0.0009154 s, 4.837 % longer than the mean
TABLE
ok "the table: every device's part, what is cut, how even it is"

# ---- JSON
hyperc 0 plan in --devices cpu,cuda:0,cuda:1 --speeds 1,4,4 --json
json devices.# 3
json devices.1.device cuda:0
json devices.1.cores 4.0
json tensors 47
json weights 260032
json cut_pieces 2
json parts.# 49
json parts.0.tensor model.embed_tokens.weight
json parts.0.first_row 0
json parts.1.first_row "$("$PYTHON" "$here/json_get.py" "$stdout" parts.0.rows)"
json parts.1.device 1
json parts.1.whole false
ok "--json tells every part"

# ---- The same plan whatever the machine does
cp "$stdout" plan.json
for words in "--threads 1" "--threads 7" "--tier c"; do
    # shellcheck disable=SC2086 # an option and its value
    hyperc 0 plan in --devices cpu,cuda:0,cuda:1 --speeds 1,4,4 --json $words
    cmp -s plan.json "$stdout" || fail "$words changes the plan"
done
ok "the same plan with any threads and instructions"

# ---- Every kind of tensor, every kind of input, no devices at hand
for method in window pair; do
    hyperc 0 plan special.safetensors --devices cpu,cuda,cuda:3 --method $method --json
    json tensors 36
    json parts.0.piece 0
done
hyperc 0 plan special.safetensors --keep '*' --json
json devices.0.read_bytes "$("$PYTHON" - special.safetensors <<'PYTHON'
import os, struct, sys
with open(sys.argv[1], "rb") as file:
    print(os.path.getsize(sys.argv[1]) - 8 - struct.unpack("<Q", file.read(8))[0])
PYTHON
)"
hyperc 0 plan model.gguf --devices cuda:0,cuda:1 --json
json tensors 7
names=$(printf 'cuda,%.0s' $(seq 1023))cuda
hyperc 0 plan in --devices "$names" --json
json devices.# 1024
json weights 260032
ok "every kind of tensor; more devices than there is work for"

# ---- What does not go
hyperc 0 compress in -o out --quiet
hyperc 1 plan out
says "out: is compressed already"
hyperc 1 plan nowhere
says "nowhere: No such file or directory"
hyperc 2 plan in --devices cpu,tpu
says "unknown device 'tpu'"
hyperc 2 plan in --devices cuda --memory 0.000001
says "cuda: 1000 bytes of memory do not hold the least part of model.embed_tokens.weight"
hyperc 2 plan in --devices cuda,cpu --speeds 100
says "--speeds is to have as many numbers as there are devices, 2"
hyperc 2 plan in --devices cuda,cpu --speeds 100,1 --memory 1,2,3 --json
json status argument
json error "--memory is to have as many numbers as there are devices, 2"
hyperc 2 plan in --side auto
says "--side is an option of --method pair"
hyperc 2 plan in --devices "$names,cuda"
says "--devices takes up to 1024 names"
for list in '' '1,' 0 -1 x 1,nan; do
    hyperc 2 plan in --speeds "$list"
    says "--speeds takes positive numbers"
done
for list in '' '1,' -1 x 1e30; do
    hyperc 2 plan in --memory "$list"
    says "--memory takes gigabytes, 0 for any number"
done
ok "wrong usage, and what cannot be planned"
finish
