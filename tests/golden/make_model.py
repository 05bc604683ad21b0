#!/usr/bin/env python3
"""Makes small random models, one of each kind of decoder: config.json and safetensors files, the same bytes everywhere.

usage: make_model.py NAME DIR      one of them, in the new folder DIR
       make_model.py --all ROOT    all of them, in ROOT/NAME
       make_model.py --list        their names

Weights are sums of four uniform numbers, scaled so that attention and MLP matter as much as the embedding does, and
logits have a standard deviation of about 2.
"""
import array
import json
import math
import os
import random
import struct
import sys

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 192,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
}
MISTRAL = {**LLAMA, "architectures": ["MistralForCausalLM"], "model_type": "mistral"}
QWEN2 = {**LLAMA, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rms_norm_eps": 1e-06}
QWEN3 = {**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}

MODELS = {
    "llama": LLAMA,
    "llama-biases": {**LLAMA, "attention_bias": True, "mlp_bias": True, "num_key_value_heads": 4},
    # Sizes that are multiples of nothing; heads that are wider than their share.
    "llama-odd": {**LLAMA, "hidden_size": 72, "intermediate_size": 201, "num_attention_heads": 3,
                  "num_key_value_heads": 1, "head_dim": 30, "vocab_size": 203, "num_hidden_layers": 3},
    "llama-linear": {**LLAMA, "hidden_size": 96, "rope_scaling": {"type": "linear", "factor": 4.0}},
    # An original context so short that positions of the text meet all three ranges of wave lengths.
    "llama3": {**LLAMA, "rope_theta": 500.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
               "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                "original_max_position_embeddings": 32}},
    "mistral": {**MISTRAL, "sliding_window": 7, "num_hidden_layers": 3},
    "mistral-full": {**MISTRAL, "sliding_window": None, "head_dim": 24},
    "qwen2": {**QWEN2, "tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": 16,
              "max_window_layers": 2, "vocab_size": 256},
    "qwen3": {**QWEN3, "head_dim": 32, "rope_theta": 1000000.0, "attention_bias": False, "num_hidden_layers": 3},
}
SHARDS = {"llama-linear": 2}
SEED = 20240902


class Weights:
    """Random numbers of one tensor after the other."""

    def __init__(self, name):
        self.generator = random.Random(f"{SEED} {name}")

    def draw(self, count, deviation, mean=0.0):
        """Sums of four uniform 16-bit numbers: close to normal, and exact in double precision."""
        uniform = array.array("H", self.generator.randbytes(8 * count))
        if sys.byteorder == "big":
            uniform.byteswap()
        scale = deviation / math.sqrt(4 * (65536 ** 2 - 1) / 12)
        parts = [uniform[i::4] for i in range(4)]
        return array.array("f", [mean + (a + b + c + d - 131070) * scale for a, b, c, d in zip(*parts)])


def plan_tensors(config):
    """(name, shape, deviation, mean) of every tensor of a model."""
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    query, key = heads * head, config["num_key_value_heads"] * head
    kind, vocabulary = config["model_type"], config["vocab_size"]
    attention_bias = kind == "qwen2" or config.get("attention_bias", False)
    output_bias = kind != "qwen2" and attention_bias

    def linear(name, rows, columns, gain, bias):
        yield name + ".weight", [rows, columns], gain / math.sqrt(columns), 0
        if bias:
            yield name + ".bias", [rows], 0.3, 0

    def layer(at):
        attention, mlp = at + "self_attn.", at + "mlp."
        yield at + "input_layernorm.weight", [hidden], 0.2, 1
        yield from linear(attention + "q_proj", query, hidden, 1.5, attention_bias)
        yield from linear(attention + "k_proj", key, hidden, 1.5, attention_bias)
        yield from linear(attention + "v_proj", key, hidden, 1, attention_bias)
        yield from linear(attention + "o_proj", hidden, query, 1, output_bias)
        if kind == "qwen3":
            yield attention + "q_norm.weight", [head], 0.4, 1.5
            yield attention + "k_norm.weight", [head], 0.4, 1.5
        yield at + "post_attention_layernorm.weight", [hidden], 0.2, 1
        for name in "gate_proj", "up_proj":
            yield from linear(mlp + name, inner, hidden, 1.5, config.get("mlp_bias", False))
        yield from linear(mlp + "down_proj", hidden, inner, 1, config.get("mlp_bias", False))

    tied = config["tie_word_embeddings"]
    yield "model.embed_tokens.weight", [vocabulary, hidden], 2 / math.sqrt(hidden) if tied else 1, 0
    for i in range(config["num_hidden_layers"]):
        yield from layer(f"model.layers.{i}.")
    yield "model.norm.weight", [hidden], 0.2, 1
    if not tied:
        yield "lm_head.weight", [vocabulary, hidden], 2 / math.sqrt(hidden), 0


def encode(values, dtype):
    if sys.byteorder == "big":
        values.byteswap()
    if dtype == "F32":
        return values.tobytes()
    bits = struct.unpack(f"<{len(values)}I", values.tobytes())
    return struct.pack(f"<{len(bits)}H", *((b + 0x7fff + (b >> 16 & 1)) >> 16 for b in bits))


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_model(name, folder):
    config, weights, shards = MODELS[name], Weights(name), SHARDS.get(name, 1)
    dtype = {"float32": "F32", "bfloat16": "BF16"}[config["torch_dtype"]]
    tensors = [(tensor, dtype, shape, encode(weights.draw(math.prod(shape), deviation, mean), dtype))
               for tensor, shape, deviation, mean in plan_tensors(config)]
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    if shards == 1:
        write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
        return
    places = {}
    for i in range(shards):
        file_name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        write_safetensors(os.path.join(folder, file_name), tensors[i::shards])
        places.update({tensor[0]: file_name for tensor in tensors[i::shards]})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {"total_size": sum(len(t[3]) for t in tensors)}, "weight_map": places}, file)


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(MODELS))
    elif len(arguments) == 2 and arguments[0] == "--all":
        for name in MODELS:
            write_model(name, os.path.join(arguments[1], name))
    elif len(arguments) == 2 and arguments[0] in MODELS:
        write_model(*arguments)
    else:
        print(__doc__, file=sys.stderr)
        return 0 if arguments == ["--help"] else 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
