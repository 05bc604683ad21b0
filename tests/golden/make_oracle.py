#!/usr/bin/env python3
"""Computes figures/smollm2_text.json: SmolLM2-135M on texts, by two public implementations.

usage: make_oracle.py GGUF TEXT      the model, and wiki.test.raw

Packages: llama-cpp-python, torch, transformers, numpy, gguf. The file holds

  texts       with the tokens that llama.cpp makes of them
  tokens      the first of TEXT, by llama.cpp: four windows of 512
  losses      of each window, and the perplexity of all, by llama.cpp's protocol: mean negative log-likelihood of the
              tokens that the second half predicts. By transformers in float32, and by llama.cpp itself, which rounds
              activations to 8 bits
"""
import math
import os
import sys

import llama_cpp
import numpy
import torch

import figure_file
import make_figures

WINDOWS, CONTEXT = 4, 512
TEXTS = [
    "Hello, world!", "", " ", "   three spaces,\ttab\n\n\nlines\r\n", "It's 1234567 o'clock; they'll go. I'd say: DON'T!",
    "Привет, мир! Как дела?", "你好，世界。我们走吧！", "नमस्ते दुनिया", "مرحبا بالعالم", "שלום עולם", "こんにちは世界", "สวัสดีชาวโลก",
    "👩‍👩‍👧‍👦 🏳️‍🌈 ✨", "for (int i = 0; i < n; i++)\n    sum += x[i] * y[i]; // dot", "naïve café — “quoted” … ½ ² ﬁ",
    "<|im_start|>user\nHi<|im_end|>",
]


def window_loss(logits, tokens):
    first = CONTEXT // 2
    logits = torch.as_tensor(numpy.asarray(logits)).double()[first:CONTEXT - 1]
    targets = torch.tensor(tokens[first + 1:CONTEXT])
    return (torch.logsumexp(logits, 1) - logits.gather(1, targets[:, None])[:, 0]).mean().item()


def window_losses(evaluate, tokens):
    windows = [tokens[i:i + CONTEXT] for i in range(0, WINDOWS * CONTEXT, CONTEXT)]
    return [figure_file.figure(window_loss(evaluate(window), window)) for window in windows]


def main(gguf, text):
    llama = llama_cpp.Llama(gguf, n_ctx=CONTEXT, n_batch=CONTEXT, logits_all=True, verbose=False)
    model = make_figures.load(*os.path.split(gguf)[:1], gguf_file=os.path.basename(gguf))

    def by_llama(tokens):
        llama.reset()
        llama.eval(tokens)
        return llama.scores[:len(tokens)]

    def tokenize(data, special=False):
        return llama.tokenize(data, add_bos=False, special=special)

    with open(text, "rb") as file:
        tokens = tokenize(file.read(20000))[:WINDOWS * CONTEXT]
    losses = window_losses(lambda window: make_figures.evaluate(model, window), tokens)
    losses_llama = window_losses(by_llama, tokens)
    figures = {
        "model": "smollm2",
        "made_by": f"llama-cpp-python {llama_cpp.__version__}, transformers {make_figures.transformers.__version__}",
        "windows": WINDOWS,
        "context": CONTEXT,
        "losses_transformers": losses,
        "losses_llamacpp": losses_llama,
        "perplexity_transformers": figure_file.figure(math.exp(sum(losses) / WINDOWS)),
        "perplexity_llamacpp": figure_file.figure(math.exp(sum(losses_llama) / WINDOWS)),
        "tokens": tokens,
        "texts": [[text, tokenize(text.encode())] for text in TEXTS],
        "special_texts": [[text, tokenize(text.encode(), True)] for text in TEXTS[-1:]],
    }
    print({key: value for key, value in figures.items() if key.startswith("perplexity")})
    figure_file.write("smollm2_text", figures)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
