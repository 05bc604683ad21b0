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
cpu               1       27           16576   33.15 kB   11.55 kB    8.61 kB   0.001346    6.220 %
cuda:0            4       41          123520  247.04 kB   71.26 kB   42.72 kB   0.002552   47.167 %
cuda:1            4       41          119936  239.87 kB   68.24 kB   39.87 kB   0.002522   46.612 %
cut: model.embed_tokens.weight: 3072 weights on cpu, 15360 on cuda:0, 14336 on cuda:1
cut: model.layers.0.mlp.down_proj.weight and 4 more: 2752 weights on cuda:0, cuda:1; 2 tiles on cpu, 10 on cuda:0, cuda:1
cut: model.layers.0.mlp.gate_proj.weight and 9 more: 1024 weights on cpu, 5120 on cuda:0, 4864 on cuda:1
cut: model.layers.0.self_attn.k_proj.weight and 9 more: 1024 weights on cuda:0, cuda:1
cut: model.layers.0.self_attn.o_proj.weight and 9 more: 2048 weights on cuda:0, cuda:1
47 tensors, 260032 weights, 36 of 47 pieces cut between devices
predicted to search 0.002555 s, which is 6.645 % more than an even share of the work
TABLE
hyperc 0 plan in --threads 3
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cpu               3       47          260032  520.06 kB  151.05 kB   91.20 kB   0.007187  100.000 %
47 tensors, 260032 weights, 0 of 47 pieces cut between devices
predicted to search 0.007187 s, which is 0.000 % more than an even share of the work
TABLE
hyperc 0 plan in --devices cuda:0,cuda:1 --memory 0,0.00001 --bits 2.5 --effort best --embed-bits keep
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cuda:0          100       47          153152  306.30 kB  118.04 kB   14.85 kB   0.002084   52.223 %
cuda:1          100       50          106880  213.76 kB   44.08 kB    9.86 kB   0.001907   47.777 %
cut: model.layers.0.mlp.down_proj.weight and 4 more: 5504 weights on cuda:0, cuda:1
cut: model.layers.0.mlp.gate_proj.weight and 9 more: 6144 weights on cuda:0, 4864 on cuda:1
cut: model.layers.0.self_attn.k_proj.weight and 9 more: 1024 weights on cuda:0, cuda:1
cut: model.layers.0.self_attn.o_proj.weight and 9 more: 2048 weights on cuda:0, cuda:1
47 tensors, 260032 weights, 35 of 47 pieces cut between devices
predicted to search 0.002084 s, which is 4.447 % more than an even share of the work
TABLE
hyperc 0 plan in --devices cpu,cpu,cpu --threads 1 --method pair --side auto
prints_exactly <<'TABLE'
device        cores    parts         weights       read    written  at a time    seconds      share
cpu               1       47          201408  402.82 kB  164.48 kB   46.08 kB   0.002027   77.395 %
cpu               1       16           50432  100.86 kB   40.98 kB   23.04 kB  0.0005094   19.446 %
cpu               1        1            8192   16.38 kB    6.66 kB   23.04 kB  8.274e-05    3.159 %
cut: model.embed_tokens.weight: 16384 weights on cpu, 8192 on cpu, cpu
cut: model.layers.0.mlp.down_proj.weight and 14 more: 8192 weights on cpu, 2816 on cpu
47 tensors, 260032 weights, 16 of 47 pieces cut between devices
predicted to search 0.002027 s, which is 132.186 % more than an even share of the work
TABLE
ok "the table: every device's part, what is cut, how even it is"

# ---- JSON
hyperc 0 plan in --devices cpu,cuda:0,cuda:1 --speeds 1,4,4 --json
json devices.# 3
json devices.1.device cuda:0
json devices.1.cores 4.0
json tensors 47
json weights 260032
json cut_pieces 36
json parts.# 109
json parts.8.tensor model.layers.0.mlp.down_proj.weight
json parts.8.first_tile 12
json parts.8.tiles 10
json parts.0.tensor model.embed_tokens.weight
json parts.0.first 0
json parts.1.first "$("$PYTHON" "$here/json_get.py" "$stdout" parts.0.weights)"
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
