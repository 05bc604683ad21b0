"""Holds a compressed model against docs/FORMAT.md: compare.py ORIGINAL COMPRESSED RESTORED DECODED

RESTORED is what `hyperc decompress --dtype F32` made of it (one file), DECODED the folder that the independent decoder
filled. Exit 1 names the first thing that does not agree; else prints how much was compared."""
import array
import json
import math
import os
import struct
import sys

WIDTH = {'F64': 8, 'I64': 8, 'F32': 4, 'F16': 2, 'BF16': 2, 'BOOL': 1, 'U8': 1}
PARTS = {'pair': {'codes': 'U8'}, 'window': {'codes': 'U8', 'scales': 'F16', 'columns': 'U8'}}
BLOCK, LANES = 8192, 32


class Disagreement(Exception):
    pass


def demand(condition, *what):
    if not condition:
        raise Disagreement(' '.join(str(part) for part in what))


def read_file(path):
    with open(path, 'rb') as file:
        data = file.read()
    length = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop('__metadata__', {})
    return header, metadata, data[8 + length:], 8 + length


def read_model(path):
    """All weight files: name -> (header, metadata, data, where the data begin)."""
    if not os.path.isdir(path):
        return {os.path.basename(path): read_file(path)}
    index = os.path.join(path, 'model.safetensors.index.json')
    names = ['model.safetensors']
    if os.path.exists(index):
        with open(index) as file:
            names = sorted(set(json.load(file)['weight_map'].values()))
    return {name: read_file(os.path.join(path, name)) for name in names}


def tensors_of(model):
    """name -> (entry, bytes)"""
    found = {}
    for header, _, data, _ in model.values():
        for name, entry in header.items():
            begin, end = entry['data_offsets']
            found[name] = entry, data[begin:end]
    return found


def floats(dtype, data):
    """As float32, held in doubles."""
    if dtype == 'BF16':
        data, dtype = b''.join(b'\0\0' + data[i:i + 2] for i in range(0, len(data), 2)), 'F32'
    values = struct.unpack('<%d%s' % (len(data) // WIDTH[dtype], {'F64': 'd', 'F32': 'f', 'F16': 'e'}[dtype]), data)
    return array.array('f', values)


# Section 1

def check_manifest(path, model):
    with open(os.path.join(path, 'hyperc.json')) as file:
        manifest = json.load(file)
    demand(manifest['format'] == 1, 'manifest: format')
    demand({(shard['name'], shard['header_bytes']) for shard in manifest['shards']} ==
           {(name, begin) for name, (_, _, _, begin) in model.items()}, 'manifest: shards')
    entries = manifest['shards'] + manifest['files']
    demand({entry['name'] for entry in entries} | {'hyperc.json'} == set(os.listdir(path)), 'manifest: files')
    for entry in entries:
        demand(entry['bytes'] == os.path.getsize(os.path.join(path, entry['name'])), 'manifest:', entry['name'])
        checksum = entry['header_xxh3' if 'header_xxh3' in entry else 'xxh3']
        demand(len(checksum) == 32 and not checksum.strip('0123456789abcdef'), 'manifest: checksum', checksum)
    index = os.path.join(path, 'model.safetensors.index.json')
    if os.path.exists(index):
        with open(index) as file:
            weight_map = json.load(file)['weight_map']
        demand(weight_map == {tensor: name for name, (header, _, _, _) in model.items() for tensor in header}, 'index')


# Section 2

def part_of(stored):
    """What it is coded for and which part it is; the name itself and '' if it is kept."""
    name, mark, part = stored.rpartition('.hc_')
    return (name, part) if mark else (stored, '')


def check_layout(name, header, metadata, data, begin):
    """Returns the parts of every tensor, in the order of the file."""
    demand(begin % 64 == 0, name, 'the data begin at', begin)
    demand(metadata['hyperc.version'] == '1', name, 'version')
    order = sorted(header, key=lambda tensor: header[tensor]['data_offsets'])
    at, rank, groups = 0, 99, []
    for tensor in order:
        entry = header[tensor]
        described, part = part_of(tensor)
        demand(entry['data_offsets'][0] == at, tensor, 'a hole')
        at = entry['data_offsets'][1]
        demand((99 if part else WIDTH[entry['dtype']]) <= rank, tensor, 'is out of order')
        rank = 99 if part else WIDTH[entry['dtype']]
        demand('hyperc.tensor.' + described in metadata, described, 'is not described')
        if part in ('', 'codes'):
            groups.append((described, []))
        demand(groups and groups[-1][0] == described, tensor, 'does not lie behind its codes')
        groups[-1][1].append(part)
    demand(at == len(data), name, 'data of no tensor')
    demand(len(groups) == sum(key.startswith('hyperc.tensor.') for key in metadata), name, 'descriptions of nothing')
    return dict(groups)


# Section 4

def check_parts(name, description, parts, stored):
    """Their order, types and padding. How many bytes the pieces take of each is the decoder's affair."""
    types = PARTS[description['method']]
    demand(parts == [part for part in types if part in parts] and parts[0] == 'codes', name, 'has the parts', *parts)
    data = b''
    for part in parts:
        entry, piece = stored['%s.hc_%s' % (name, part)]
        demand(entry['dtype'] == types[part] and entry['shape'] == [len(piece) // WIDTH[types[part]]], name, part)
        data += piece
    demand(len(data) % 64 == 0, name, 'takes', len(data), 'bytes')
    if description['method'] == 'window':
        pieces = description['pieces']
        sizes = description['shape'][1 if len(pieces) > 1 else 0:]
        rows = sizes[0] if len(sizes) > 1 else 1
        used = len(stored[name + '.hc_codes'][1]) + 2 * rows * len(pieces) + \
            math.prod(sizes) // rows * sum(piece['columns'] == 'norm' for piece in pieces)
        demand(len(data) - used < 64 and not any(data[used:]), name, 'is not padded with zeros')


# Section 5

def lanes(terms):
    sums = []
    for first in range(0, len(terms), BLOCK):
        lane = [0.0] * LANES
        for i, term in enumerate(terms[first:first + BLOCK]):
            lane[i % LANES] += term
        width = LANES // 2
        while width:
            for j in range(width):
                lane[j] += lane[j + width]
            width //= 2
        sums.append(lane[0])
    return sums


def check_errors(name, description, original, decoded):
    size = len(original) // len(description['pieces'])
    absolute, squared, weights = [], [], []
    largest = 0.0
    for first in range(0, len(original), size):
        w = original[first:first + size]
        e = [d - v for d, v in zip(decoded[first:first + size], w)]
        absolute += lanes([abs(x) for x in e])
        squared += lanes([x * x for x in e])
        weights += lanes([x * x for x in w])
        largest = max(largest, max(abs(x) for x in e))
    for key, value in (('mean_abs_error', math.fsum(absolute) / len(original)), ('max_abs_error', largest),
                       ('squared_error', math.fsum(squared)), ('squared_weights', math.fsum(weights))):
        demand(description[key] == value, name, key, 'is', description[key], 'and should be', value)


# All

def main():
    original, compressed, restored, decoded = sys.argv[1:5]
    before, after, plain = (read_model(path) for path in (original, compressed, restored))
    was, stored, now = tensors_of(before), tensors_of(after), tensors_of(plain)
    check_manifest(compressed, after)
    descriptions, parts = {}, {}
    for name, (header, metadata, data, begin) in after.items():
        parts.update(check_layout(name, header, metadata, data, begin))
        for key, value in before[name][1].items():
            demand(metadata.get(key) == value, name, 'lost the metadata', key)
        for key, value in metadata.items():
            if key.startswith('hyperc.tensor.'):
                descriptions[key[len('hyperc.tensor.'):]] = json.loads(value)
    demand(set(descriptions) == set(was) == set(now), 'not the same tensors')
    coded = [name for name in was if 'method' in descriptions[name]]
    demand({name + '.f32' for name in coded} == set(os.listdir(decoded)), 'not the same coded tensors')
    for name, (entry, data) in was.items():
        description = descriptions[name]
        if name not in coded:
            demand(stored[name][0]['dtype'] == entry['dtype'] and stored[name][0]['shape'] == entry['shape'] and
                   stored[name][1] == data, name, 'was not kept as it is')
            continue
        demand(description['type'] == entry['dtype'] and description['shape'] == entry['shape'], name, 'type or shape')
        check_parts(name, description, parts[name], stored)
        with open(os.path.join(decoded, name + '.f32'), 'rb') as file:
            values = file.read()
        demand(now[name][0]['dtype'] == 'F32' and now[name][1] == values, name, 'is not decoded to the same bits')
        check_errors(name, description, floats(entry['dtype'], data), floats('F32', values))
    pieces = [piece for name in coded for piece in descriptions[name]['pieces']]
    told = ['%s %s' % (' '.join(map(str, sorted({piece[key] for piece in pieces if key in piece}))), key)
            for key in ('classes', 'bits', 'k', 'window', 'block', 'columns') if any(key in piece for piece in pieces)]
    print('%d files, %d coded tensors, %d pieces, %s' % (len(after), len(coded), len(pieces), ', '.join(told)))


try:
    main()
except Disagreement as fault:
    sys.exit('compare: %s' % fault)
