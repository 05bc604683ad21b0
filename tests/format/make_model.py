"""Writes a small model of every kind of tensor that docs/FORMAT.md tells apart, always the same.

make_model.py METHOD DIRECTORY    what METHOD, pair or window, could get wrong"""
import json
import math
import os
import random
import struct
import sys


def bf16(value):
    return struct.pack('<f', value)[2:]


PACK = {'F64': lambda v: struct.pack('<d', v), 'F32': lambda v: struct.pack('<f', v),
        'F16': lambda v: struct.pack('<e', v), 'BF16': bf16, 'I64': lambda v: struct.pack('<q', int(100 * v)),
        'BOOL': lambda v: struct.pack('<?', v > 0)}

# name, dtype, shape, spread of the weights (None: all zero), every how many weights an outlier, in which row and column
# (and the 8th of them from there, and so on) everything is zero (None: in none)
PAIR = {
    'model-00001-of-00002.safetensors': [
        ('layers.0.attention.weight', 'F32', [33, 301], 0.03, 50),     # odd, more than one block of 8192
        ('layers.0.mlp.experts.weight', 'F32', [3, 5, 9], 0.05, 20),   # three pieces of 45
        ('layers.0.norm.weight', 'F32', [7], 1, 0),
        ('layers.0.positions', 'I64', [3], 1, 0),
    ],
    'model-00002-of-00002.safetensors': [
        ('conv.weight', 'F32', [4, 3, 2], 0.02, 0),
        ('embedding.weight', 'F16', [20, 21], 0.2, 0),
        ('flat.weight', 'BF16', [6, 6], None, 0),
        ('head.weight', 'F64', [5, 5], 0.01, 0),
        ('mask', 'BOOL', [3], 1, 0),
        ('quarter.weight', 'BF16', [130, 127], 0.02, 1000),
        ('small.weight', 'F32', [3, 3], 0.02, 0),                      # too few weights to be coded
    ],
}
WINDOW = {
    'model-00001-of-00002.safetensors': [
        ('a.attention.weight', 'F32', [40, 256], 0.03, 50),            # blocks of 128, more than one block of 8192
        ('a.mlp.experts.weight', 'F32', [3, 20, 33], 0.05, 20),        # three pieces, padded
        ('a.narrow.weight', 'F32', [65, 16], 0.03, 0, 5),              # one tile to a row; rows and columns of zeros
        ('a.norm.weight', 'F32', [64], 1, 0),
        ('a.odd.weight', 'F32', [31, 61], 0.02, 100, 2),
        ('a.positions', 'I64', [3], 1, 0),
    ],
    'model-00002-of-00002.safetensors': [
        ('b.conv.weight', 'F32', [16, 4, 3, 3], 0.02, 0),              # 36 columns
        ('b.flat.weight', 'F32', [18, 20], None, 0),
        ('b.head.weight', 'F64', [9, 7], 0.01, 0),                     # less than a tile, and worth it
        ('b.huge.weight', 'F32', [17, 96], 1e37, 0),                   # blocks of 32; near the ends of float32
        ('b.one.weight', 'F32', [1, 300], 0.5, 0),
        ('b.quarter.weight', 'BF16', [24, 64], 0.02, 1000),
        ('b.small.weight', 'F32', [3, 3], 0.02, 0),                    # would not be smaller
        ('b.tiny.weight', 'F32', [20, 40], 1e-39, 0),                  # subnormal numbers
        ('embedding.weight', 'F16', [30, 20], 0.2, 0),
    ],
}


def draw(generator, shape, spread, outliers, zeros=None):
    for i in range(math.prod(shape)):
        value = generator.gauss(min(0.001, spread), spread) if spread else 0.0
        if zeros is not None and (i // shape[-1] % 8 == zeros or i % shape[-1] % 8 == zeros):
            value = 0.0
        yield value * 12 if outliers and i % outliers == 3 else value


def main():
    shards = {'pair': PAIR, 'window': WINDOW}[sys.argv[1]]
    directory = sys.argv[2]
    generator = random.Random(20240902)
    weight_map = {}
    os.makedirs(directory, exist_ok=True)
    for name, tensors in shards.items():
        header, data = {'__metadata__': {'format': 'pt', 'note': 'a "quoted" text, ümlauts'}}, b''
        for tensor, dtype, shape, *how in tensors:
            begin = len(data)
            data += b''.join(PACK[dtype](value) for value in draw(generator, shape, *how))
            header[tensor] = {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, len(data)]}
            weight_map[tensor] = name
        text = json.dumps(header).encode()
        with open(os.path.join(directory, name), 'wb') as file:
            file.write(struct.pack('<Q', len(text)) + text + data)
    with open(os.path.join(directory, 'model.safetensors.index.json'), 'w') as file:
        json.dump({'metadata': {'total_size': 0}, 'weight_map': weight_map}, file)
    with open(os.path.join(directory, 'config.json'), 'w') as file:
        json.dump({'model_type': 'llama', 'nested': {'quantization': None}}, file, indent=1)


main()
