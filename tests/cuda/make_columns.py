#!/usr/bin/env python3
"""Makes a small random model that several ranks share in the ways in which the story model is not shared: heads end where
Hadamard blocks do, so that o is cut by columns; down has one such block, so that it is cut by rows; three ranks share
two heads of keys and values. It has biases, norms of heads and a head of its own, in BF16.

usage: make_columns.py DIR      a new folder; a tokenizer of 512 tokens is to be added
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import make_model  # noqa: E402

make_model.MODELS["columns"] = {
    **make_model.QWEN3, "hidden_size": 256, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 512, "num_hidden_layers": 3, "attention_bias": True,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16"}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    make_model.write_model("columns", sys.argv[1])
