#!/usr/bin/env python3
"""Computes the golden results in figures/, by transformers in float32 on the CPU, with its plain ("eager") attention.

usage: make_figures.py small            of the random models of make_model.py
       make_figures.py story MODEL      of the story model, a directory
       make_figures.py smollm2 GGUF     of SmolLM2-135M
The packages torch and transformers must be installed, and gguf for the last. A file holds

  tokens     what was evaluated, from an empty context
  stride     of "last": logits of the tokens 0, stride, 2 stride ... behind the last of `tokens`
  probes     five tokens
  positions  behind every one of `tokens`: the logits of the probes, and the logarithm of the sum of all exponentials
"""
import json
import os
import sys
import tempfile

import torch
import transformers

import make_model

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = 56  # tokens: eight windows of the model that has a short one


def make_tokens(vocabulary, count):
    state, tokens = 12345, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        tokens.append((state >> 33) % vocabulary)
    return tokens


def figure(value):
    return float(f"{value:.7g}")


def layout(figures):
    """JSON with a line for every member, and for every position."""
    text = json.dumps(figures, ensure_ascii=False)
    text = text.replace(', "', ',\n"').replace("[[", "[\n[").replace("], [", "],\n[").replace("]]", "]\n]") + "\n"
    assert json.loads(text) == figures
    return text


def evaluate(model, tokens):
    model.eval()
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].double()


def write_figures(name, model, count, stride):
    vocabulary = model.config.vocab_size
    tokens = make_tokens(vocabulary, count)
    probes = [(2 * i + 1) * vocabulary // 10 for i in range(5)]
    logits = evaluate(model, tokens)
    sums = torch.logsumexp(logits, 1)
    figures = {
        "model": name,
        "made_by": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}",
        "tokens": tokens,
        "stride": stride,
        "last": [figure(x) for x in logits[-1][::stride].tolist()],
        "probes": probes,
        "positions": [[figure(x) for x in row[probes].tolist() + [total.item()]] for row, total in zip(logits, sums)],
    }
    with open(os.path.join(HERE, "figures", name + ".json"), "w", encoding="utf-8") as file:
        file.write(layout(figures))
    print(f"{name}: logits of deviation {logits.std().item():.2f}")


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
