#!/usr/bin/env python3
"""Computes the golden logits of llama.cpp, figures/*_llamacpp.json (figure_file.py says what they hold).

usage: make_llamacpp.py story MODEL      of the story model, a directory, on the tokens of figures/story260K.json
       make_llamacpp.py smollm2 GGUF     of SmolLM2-135M, on the first window of figures/smollm2_text.json

Packages: numpy, gguf, llama-cpp-python; the last built from its sources (pip install --no-binary llama-cpp-python).
llama.cpp rounds activations to 8 bits where weights are quantised, and keys and values to half precision. Here it gets
a GGUF whose weights are all float32, and keeps keys and values in float32 too, without flash attention. What is left
is another order of sums, and approximate exponentials.
"""
import json
import os
import struct
import sys
import tempfile

import gguf
import llama_cpp
import numpy

import figure_file

LLAMA = gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA]


def write_tensors(writer, tensors):
    for name, values in tensors:
        writer.add_tensor(name, numpy.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def widen(source, path):
    """Writes the GGUF `source` anew, every tensor in float32."""
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(path, LLAMA)
    for name, field in reader.fields.items():
        if name == gguf.Keys.General.ARCHITECTURE:
            assert field.contents() == LLAMA
        elif not name.startswith("GGUF.") and name != gguf.Keys.General.FILE_TYPE:
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind,
                                 field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    write_tensors(writer, ((t.name, gguf.dequantize(t.data, t.tensor_type)) for t in reader.tensors))


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(*struct.unpack("<Q", file.read(8))))
        data = file.read()
    for name, tensor in header.items():
        if name != "__metadata__":
            assert tensor["dtype"] == "F32"
            values = numpy.frombuffer(data[slice(*tensor["data_offsets"])], "<f4")
            yield name, values.reshape(tensor["shape"])


def pair_rows(values, heads):
    """Of every head, rows i and i + half next to one another: which dimensions llama.cpp turns together."""
    return values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def convert(folder, path):
    """Writes a GGUF of a Llama checkpoint in float32, without a tokenizer."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    layers, heads, key_heads = (config[key] for key in ("num_hidden_layers", "num_attention_heads",
                                                        "num_key_value_heads"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    writer = gguf.GGUFWriter(path, LLAMA)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    turned = {"q_proj": heads, "k_proj": key_heads}
    tensors = []
    for name, values in read_safetensors(os.path.join(folder, "model.safetensors")):
        part = name.split(".")[-2]
        if part in turned:
            values = pair_rows(values, turned[part])
        tensors.append((names.get_name(name, (".weight",)), values))
    write_tensors(writer, tensors)


def evaluate(path, tokens):
    """A row of logits for every token."""
    llama = llama_cpp.Llama(path, n_ctx=len(tokens), n_batch=len(tokens), n_ubatch=len(tokens), logits_all=True,
                            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False,
                            verbose=False)
    llama.eval(tokens)
    return llama.scores[:len(tokens)]


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("story", "smollm2"):
        print(__doc__, file=sys.stderr)
        return 2
    kind, source = arguments
    if kind == "story":
        name, make, stride, tokens = "story260K", convert, 1, figure_file.read("story260K")["tokens"]
    else:
        text = figure_file.read("smollm2_text")
        name, make, stride, tokens = "smollm2", widen, 48, text["tokens"][:text["context"]]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "float32.gguf")
        make(source, path)
        figure_file.write_logits(name + "_llamacpp", name, f"llama-cpp-python {llama_cpp.__version__}", tokens, stride,
                                 evaluate(path, tokens))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
