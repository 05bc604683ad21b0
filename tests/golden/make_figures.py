#!/usr/bin/env python3
"""Computes the golden results in figures/, by transformers in float32 on the CPU, with its plain ("eager") attention.

usage: make_figures.py small            of the random models of make_model.py
       make_figures.py story MODEL      of the story model, a directory
       make_figures.py smollm2 GGUF     of SmolLM2-135M
Packages: torch, transformers, numpy, and gguf for the last. figure_file.py says what a file holds.
"""
import os
import sys
import tempfile

import torch
import transformers

import figure_file
import make_model

COUNT = 56  # tokens: eight windows of the model that has a short one


def make_tokens(vocabulary, count):
    state, tokens = 12345, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        tokens.append((state >> 33) % vocabulary)
    return tokens


def evaluate(model, tokens):
    model.eval()
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].double()


def write_figures(name, model, count, stride):
    tokens = make_tokens(model.config.vocab_size, count)
    made_by = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    figure_file.write_logits(name, name, made_by, tokens, stride, evaluate(model, tokens))


def load(folder, **options):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                             **options)


def main(arguments):
    if arguments == ["small"]:
        with tempfile.TemporaryDirectory() as root:
            for name in make_model.MODELS:
                make_model.write_model(name, os.path.join(root, name))
                write_figures(name, load(os.path.join(root, name)), COUNT, 1)
    elif len(arguments) == 2 and arguments[0] == "story":
        write_figures("story260K", load(arguments[1]), COUNT, 1)
    elif len(arguments) == 2 and arguments[0] == "smollm2":
        folder, file = os.path.split(arguments[1])
        write_figures("smollm2", load(folder, gguf_file=file), 40, 48)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
