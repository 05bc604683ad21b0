"""Weights of `window` that no encoder chose: random codes, scales and parameters, to the ends of their ranges.

random_window.py write FILE               a weight file as docs/FORMAT.md says, with a tensor for every k and L and more
random_window.py write FILE KEY=NUMBER    one with a single tensor, and this parameter instead of the right one;
                                          KEY scale: as the bits of the first row's scale; KEY stray: so many bytes of
                                          column scales, which it should not have
random_window.py check RESTORED FOLDER    do `hyperc decompress --dtype F32` and the independent decoder agree about it?
                                          Exit 1 names the first tensor that differs
"""
import ctypes
import ctypes.util
import json
import os
import random
import struct
import sys

EXTREMES = [-126, -125, -60, 0, 60, 100, 126, 127]
SHAPES = [[], [1], [37], [1, 1], [3, 5], [16, 16], [17, 31], [5, 64], [2, 128], [40, 129], [33, 3, 3], [7, 2, 3, 5],
          [20, 200]]


def xxh3(data):
    class Hash(ctypes.Structure):
        _fields_ = [('low', ctypes.c_uint64), ('high', ctypes.c_uint64)]

    library = ctypes.CDLL(ctypes.util.find_library('xxhash'))
    library.XXH3_128bits.restype = Hash
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    result = library.XXH3_128bits(data, len(data))
    return '%016x%016x' % (result.high, result.low)


def product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result


def up(value, unit):
    return (value + unit - 1) // unit * unit


def make_piece(generator, k, length, shape, columns):
    """Parameters, and the bytes of the three parts."""
    rows = shape[0] if len(shape) > 1 else 1
    inputs = product(shape) // rows
    wide, tall = up(inputs, 16), up(rows, 16)
    parameters = {'k': k, 'window': length, 'multiplier': generator.randrange(1, 1 << length, 2),
                  'seed': generator.choice([0, 0xFFFFFFFF, generator.getrandbits(32)]),
                  'block': generator.choice([block for block in (16, 32, 64, 128) if wide % block == 0]),
                  'columns': columns, 'exponent': generator.choice(EXTREMES)}
    codes = bytes(16 * k) + generator.randbytes(tall // 16 * wide // 16 * 32 * k - 16 * k)  # zeros: the least value
    scales = b''.join(struct.pack('<H', generator.choice([0, 1, 0x3FF, 0x7BFF] + 8 * [generator.randrange(0x7C00)]))
                      for _ in range(rows))
    scaled = bytes(generator.choice((0, 1, 255, generator.randrange(256))) for _ in range(inputs))
    return parameters, [codes + bytes(-len(codes) % 64), scales, scaled if columns == 'norm' else b'']


def make_tensor(generator, codes, shape, columns):
    """One piece for each (k, L) of codes. Returns the description without checksum, and its three parts."""
    inner = shape[1:] if len(codes) > 1 else shape
    pieces, parts = [], [b'', b'', b'']
    for (k, length), kind in zip(codes, columns):
        parameters, more = make_piece(generator, k, length, inner, kind)
        pieces.append(parameters)
        parts = [part + data for part, data in zip(parts, more)]
    last = 2 if parts[2] else 1
    parts[last] += bytes(-sum(map(len, parts)) % 64)
    return {'method': 'window', 'type': 'F32', 'shape': shape, 'pieces': pieces, 'mean_abs_error': 0,
            'max_abs_error': 0, 'squared_error': 0, 'squared_weights': 0}, parts


def spoil(description, parts, change):
    key, number = change.split('=')
    if key == 'scale':
        parts[1] = struct.pack('<H', int(number, 0)) + parts[1][2:]
    elif key == 'stray':
        parts[2] = bytes(int(number))
    else:
        description['pieces'][0][key] = int(number)


def tensors(generator):
    """name, codes of the pieces, shape, columns of the pieces"""
    codes = [(k, length) for k in (1, 2, 3, 4, 5, 6, 8) for length in range(8, 17)]
    for i, (k, length) in enumerate(codes):
        yield 'k%d.L%d' % (k, length), [(k, length)], SHAPES[i % len(SHAPES)], [('norm', 'none')[i // 2 % 2]]
    for shape in ([4, 18, 33], [5, 21], [2, 1, 1], [3, 16, 128], [2, 3, 4, 5]):
        yield ('experts.' + 'x'.join(map(str, shape)), generator.sample(codes, shape[0]), shape,
               [generator.choice(('norm', 'none')) for _ in range(shape[0])])


def write(path, change=''):
    generator = random.Random(20240902)
    header, data = {'__metadata__': {'hyperc.version': '1'}}, b''
    for name, codes, shape, columns in [('one', [(4, 12)], [17, 40], ['none'])] if change else tensors(generator):
        description, parts = make_tensor(generator, codes, shape, columns)
        if change:
            spoil(description, parts, change)
        description['xxh3'] = xxh3(b''.join(parts))
        header['__metadata__']['hyperc.tensor.' + name] = json.dumps(description)
        for suffix, kind, width, part in zip(('codes', 'scales', 'columns'), ('U8', 'F16', 'U8'), (1, 2, 1), parts):
            if part:
                header['%s.hc_%s' % (name, suffix)] = {'dtype': kind, 'shape': [len(part) // width],
                                                       'data_offsets': [len(data), len(data) + len(part)]}
                data += part
    text = json.dumps(header).encode()
    text += b' ' * (-(8 + len(text)) % 64)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def check(restored, folder):
    with open(restored, 'rb') as file:
        length, = struct.unpack('<Q', file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    header.pop('__metadata__', None)
    names = [name for name, *_ in tensors(random.Random(20240902))]
    if set(names) != set(header) or {name + '.f32' for name in names} != set(os.listdir(folder)):
        sys.exit('not the same tensors')
    values = 0
    for name in names:
        begin, end = header[name]['data_offsets']
        with open(os.path.join(folder, name + '.f32'), 'rb') as file:
            decoded = file.read()
        if header[name]['dtype'] != 'F32' or len(decoded) != 4 * product(header[name]['shape']):
            sys.exit('%s: type or shape' % name)
        for i in range(0, end - begin, 4):
            ours, theirs = data[begin + i:begin + i + 4], decoded[i:i + 4]
            if ours != theirs:
                sys.exit('%s: weight %d is %s, and decoded independently %s' % (name, i // 4, ours.hex(), theirs.hex()))
        values += len(decoded) // 4
    print('%d tensors, %d weights' % (len(names), values))


{'write': write, 'check': check}[sys.argv[1]](*sys.argv[2:])
