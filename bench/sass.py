#!/usr/bin/env python3
"""Counts instead of clocks: what the compiled kernels cost, and the bound that follows for named GPUs.

usage: sass.py [--quick] [--csv | --check COMMITTED.csv] [--jobs N]
               --nvcc NVCC --nvdisasm NVDISASM --top FOLDER --work FOLDER
exit: 0 good, 1 not as committed, or a kernel keeps something in local memory, 77 committed by another compiler
"""
import argparse
import collections
import concurrent.futures
import csv
import glob
import math
import os
import re
import subprocess
import sys

LANES, TILE_WEIGHTS, UNIT_WEIGHTS, NOT_RUN = 32, 256, 8 * 256, 77
PRODUCT_BITS = (1, 2, 3, 4, 5, 6, 8)
FLAGS = ["--fmad=false", "-lineinfo", "-std=c++17", "-Ikernels", "-Iinclude"]  # as cuda/CMakeLists.txt has them
LLAMA2_7B = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)  # weights of its linear layers

# ---- GPUs ----------------------------------------------------------------------------------------------------------


class Gpu(collections.namedtuple("Gpu", "sm name processors gigahertz bandwidth shared warps blocks")):
    """bandwidth: GB/s. Of a multiprocessor: shared memory in KB, and how many warps and blocks it holds.

    Multiprocessors, boost clocks and bandwidths: NVIDIA's A100 data sheet (80 GB, SXM), "Ada GPU Architecture" white
    paper (appendix A), "H100 Tensor Core GPU Architecture" white paper (SXM5). The clocks are those of the published
    peaks: dense half precision, in operations a clock of a multiprocessor (see LIMITS), is 312 TFLOPS = 108 x 2048 x
    1.41 GHz, 165.2 = 128 x 512 x 2.52, 989.4 = 132 x 4096 x 1.83. So is float32 of the first two, 19.5 = 108 x 128 x
    1.41, 82.6 = 128 x 256 x 2.52; 66.9 = 132 x 256 x 1.98 on the H100, of whose two clocks the lower is taken.
    The rest: CUDA programming guide, technical specifications per compute capability."""


GPUS = [Gpu(80, "A100 80GB", 108, 1.410, 2039, 164, 64, 32),
        Gpu(89, "RTX 4090", 128, 2.520, 1008, 100, 48, 24),
        Gpu(90, "H100 SXM", 132, 1.830, 3352, 228, 64, 32)]
REGISTERS, REGISTER_UNIT, RESERVED_SHARED = 65536, 256, 1024

# ---- Pipes ---------------------------------------------------------------------------------------------------------

# Which instructions share a pipe: the pipelines of NVIDIA's Nsight Compute documentation. What is not in the table
# stops the program when it is met in a loop that counts.
PIPES = {
    "alu": "LOP3 LOP SHF SHL SHR IADD3 IADD LEA PRMT ISETP SEL IMNMX VIMNMX VIMNMX3 VIADD VIADDMNMX PLOP3 FSETP FSEL "
           "FMNMX MOV CS2R P2R R2P BMSK SGXT VOTE F2FP I2FP HMNMX2 IABS",
    "imad": "IMAD IDP IMUL",
    "fp32": "FFMA FMUL FADD",
    "half": "HFMA2 HADD2 HMUL2 HSETP2",
    "fp64": "DADD DMUL DFMA DSETP DMNMX",
    "special": "MUFU I2F F2I F2F FRND POPC FLO BREV REDUX FCHK S2R",
    "memory": "LDS STS LDG STG LDGSTS LDSM LDL STL LDC ATOMS ATOMG RED SHFL LD ST",
    "tensor": "HMMA",
    # An issue slot and nothing else: control, and the uniform datapath.
    "other": "BRA BSSY BSYNC BAR NOP WARPSYNC EXIT CALL RET YIELD LDGDEPBAR DEPBAR R2UR S2UR ENDCOLLECTIVE "
             "ULDC UIADD3 UMOV ULOP3 UISETP UIMAD ULEA USHF USEL UPLOP3 UPRMT VOTEU",
}
PIPE_OF = {opcode: pipe for pipe, opcodes in PIPES.items() for opcode in opcodes.split()}

# What a multiprocessor does in a clock, in instructions of a warp: {limit: (rate, {pipe: its weight})}. From NVIDIA's
# table "Throughput of Native Arithmetic Instructions" (CUDA C++ Programming Guide 12.6, table 4; from version 13
# on in the Best Practices Guide). Its results per clock, over 32, or over 64 for halves, which come in pairs:
#                                                            8.0  8.9  9.0
#   halves: add, multiply, multiply-add                      256  128  256
#   float32: the same                                         64  128  128
#   float64: the same                                         32    2   64
#   integers: add, logic, shift, compare, minimum; multiply   64   64   64   (alu; imad)
#   special functions, population count, warp reduction,
#   conversions but of small integers to larger ones          16   16   16   (special)
#   warp shuffle                                              32   32   32   (memory)
# The published peaks say the same: int32 19.5, 41.3, 33.5 TOPS are 64 multiply-adds at the clocks above, of the H100's
# the higher one; halves outside of tensor cores 78, 82.6, 133.8 TFLOPS; float64 9.7, 1.29, 33.5. And the guide's
# chapter on compute capabilities gives each multiprocessor 16 special function units.
# On 8.0 integer multiplication and float32 share a pipe of 64 lanes; later there are two of these, of which one
# multiplies integers. Pairs of halves take a pipe of their own on 8.0, both of these on 8.9, either on 9.0. Tensor:
# mma.m16n8k16 with float32 sums is 2048 multiply-adds, of which there are 1024, 256 and 2048 a clock (data sheets,
# without sparsity; on 9.0 only wgmma is known to reach that). Memory: 128 bytes, a register of each lane.
LIMITS = {
    80: {"fma": (2, {"imad": 1, "fp32": 1}), "half": (4, {"half": 1}), "fp64": (1, {"fp64": 1}),
         "tensor": (0.5, {"tensor": 1})},
    89: {"imad": (2, {"imad": 1, "half": 1}), "fma": (4, {"imad": 1, "fp32": 1, "half": 2}),
         "fp64": (1 / 16, {"fp64": 1}), "tensor": (0.125, {"tensor": 1})},
    90: {"imad": (2, {"imad": 1}), "fma": (4, {"imad": 1, "fp32": 1, "half": 1}), "fp64": (2, {"fp64": 1}),
         "tensor": (1, {"tensor": 1})},
}
for limits in LIMITS.values():
    limits.update({"issue": (4, {pipe: 1 for pipe in PIPES}), "alu": (2, {"alu": 1}), "special": (0.5, {"special": 1}),
                   "memory": (1, {"passes": 1})})
COUNTED = list(PIPES) + ["passes"]


def opcode_of(instruction):
    return re.sub(r"^@\S+\s+", "", instruction).split()[0]


def passes_of(opcode):
    """Registers a lane that an access to memory moves; what banks in conflict cost is not to be seen here."""
    words = re.search(r"\.(64|128)\b", opcode)
    if words:
        return int(words[1]) // 32
    matrices = re.match(r"LDSM.*\.([24])$", opcode)
    return int(matrices[1]) if matrices else 1


def count(instructions):
    counts = dict.fromkeys(COUNTED, 0)
    for instruction in instructions:
        opcode = opcode_of(instruction)
        pipe = PIPE_OF.get(opcode.split(".")[0])
        if pipe is None:
            sys.exit(f"sass.py: {opcode} belongs to no pipe yet")
        counts[pipe] += 1
        if pipe == "memory":
            counts["passes"] += passes_of(opcode)
    return counts


def clocks_of(sm, counts):
    """(clocks of a multiprocessor, what they are spent on)"""
    return max((sum(counts[pipe] * weight for pipe, weight in weights.items()) / rate, name)
               for name, (rate, weights) in LIMITS[sm].items())


# ---- Kernels -------------------------------------------------------------------------------------------------------


class Kernel(collections.namedtuple("Kernel", "name source pattern threads shared k length positions marker items "
                                              "around per_weight bytes", defaults=[None] * 5)):
    """pattern: of the demangled name. shared: dynamic, bytes. marker: opcodes of which the loop that counts has most;
    None: no loop does the same for one weight after another, and nothing is counted but registers and memory.
    items(opcodes): how many items a warp gets done in a pass of the loop with so many of each opcode. An item is a
    weight, or in searches a candidate, of which there are per_weight. around: the same of the loop around that; if it
    is more, what that does besides counts too. None: it does not. bytes: that a weight brings from and to memory;
    None in searches of paths, which memory does not limit."""


def window_panels(quick):
    """Behind the table of 64 KB. A lane writes four words of a tile, two weights each; a unit is 8 tiles."""
    for k in (4,) if quick else PRODUCT_BITS:
        yield Kernel("window_panel", f"kernels/window_product/window_product_{k}.cu", rf"window_panel<{k}>\(", 512,
                     65536, k, "any", "", "STG", lambda n: n["STG"] / 4 * TILE_WEIGHTS, UNIT_WEIGHTS, 1, k / 8 + 2)


def window_products(quick):
    """16 KB of inputs (one position) or two stages of 2 KB for 8 positions, behind the table of 64 KB. A tile takes two
    mma for one position, else one for every 8; a unit is 8 tiles."""
    for k in (4,) if quick else PRODUCT_BITS:
        source = f"kernels/window_product/window_product_{k}.cu"
        yield Kernel("window_product", source, rf"window_one<{k}>\(", 512, 81920, k, "any", 1, "HMMA",
                     lambda n: n["HMMA"] / 2 * TILE_WEIGHTS, UNIT_WEIGHTS, 1, k / 8)
        for tiles in 1, 2, 4, 8:
            yield Kernel("window_product", source, rf"window_many<{k}, {tiles}>\(", 512, 65536 + tiles * 4096, k, "any",
                         8 * tiles, "HMMA", lambda n, tiles=tiles: n["HMMA"] / tiles * TILE_WEIGHTS, UNIT_WEIGHTS, 1,
                         k / 8)


def pair_products():
    """With codes of 13 bits, and the largest table that goes to shared memory; _l1: a larger one, read through the
    first-level cache. An mma a tile for every 8 positions."""
    for where, name, shared in ("true", "pair_product", 49152), ("false", "pair_product_l1", 0):
        for tiles in 1, 2, 4, 8:
            yield Kernel(name, "kernels/pair_product/pair_product.cu", rf"pair_product<{where}, {tiles}>\(", 512,
                         shared + tiles * 4096, 6.5, "", 8 * tiles, "HMMA",
                         lambda n, tiles=tiles: n["HMMA"] / tiles * TILE_WEIGHTS, UNIT_WEIGHTS, 1, 13 / 16)


# What kernels/window_encode/window_encode.h says of (k, L): branches looked at, steps of the second turn.
def near_of(k, length):
    reach = (32 << 2 * k) >> length
    return 2 ** k if k <= 2 else 2 + max(reach, 1)


def seam_of(k, length):
    if length <= 14:
        return 48 if k <= 2 else 16 if length <= 12 else 32
    return 96 if k == 3 else 128


def window_encodes():
    """A lane takes a column of states a pass, each stored once, whose candidates it compares. Without importance, as
    compression runs it."""
    for k, length, block in (2, 12, 4), (2, 16, 4), (3, 12, 8), (3, 16, 8), (4, 12, 8), (4, 16, 16):
        near, states = near_of(k, length), 2 ** (length - k)
        columns = states // block
        yield Kernel("window_encode", "kernels/window_encode/window_encode.cu",
                     rf"window_encode<sweeping<{k}u, {2 ** k // block}u, {near}u, false> *>", min(columns, 512),
                     4 * (columns // LANES * (block * 34 + 10)), k, length, "", "IMNMX VIMNMX VIMNMX3 VIADDMNMX",
                     lambda n, near=near: n["STS"] * near * LANES, None,
                     states * near * (1 + seam_of(k, length) / TILE_WEIGHTS), None)


def pair_searches():
    """A lane takes a pair a pass; weights are read in float32, a code of 32 bits is written. Classes and the rim, which
    few pairs meet, are loops of their own, and left out."""
    yield Kernel("pair_search", "kernels/pair_search/pair_search.cu", r"^pair_search\(", 256, 0, "", "", "",
                 "DADD DMUL DSETP", lambda n: 2 * LANES, None, 1, 6)


def plain_encodes():
    """The shapes that are not swept: k = 5 holds differences, k >= 6 sums widely (the numbers are those of enum sums).
    What a candidate costs depends on how many a state looks at, as the loop over them is short: 2 (k = 1) to 256. _rest:
    tiles that are left over."""
    source = "kernels/window_encode/window_encode.cu"
    for k in 1, 5, 6, 8:
        for length in 12, 16:
            far, states, wide = (k, length) == (1, 16), 2 ** (length - k), k >= 6
            shared = 0 if far else 2 * (states * (4 if wide else 2) + (states // LANES + 1) * 4)
            steps = rf"plain<\(sums\){3 if wide else 2 if k == 5 else 1}, {'true' if far else 'false'}> *>"
            yield Kernel("window_encode_plain", source, rf"window_encode<{steps}", min(max(states, LANES), 512), shared,
                         k, length, "")
    yield Kernel("window_encode_rest", source, r"^window_encode_rest\(", 512, 0, "", "", "")


def attentions():
    """A query at a time (each), or 64 by tensor cores (tile); by the type of the cache, and the largest width."""
    source = "kernels/attention/attention.cu"
    types = {"f32": 1, "f16": 2, "i8": 12}  # as enum hc_type has them
    for name, number in types.items():
        for pairs, width in (2, 128), (8, 256):
            yield Kernel(f"attend_each_{name}_{width}", source, rf"attend_each<\(hc_type\){number}, {pairs}>\(", 128, 0,
                         "", "", "")
    for name in "f16", "i8":
        for width in 128, 256:
            yield Kernel(f"attend_tile_{name}_{width}", source, rf"attend_tile<\(hc_type\){types[name]}, {width}>\(",
                         128, 0, "", "", "")
    yield Kernel("attention_store", source, r"^store\(", 128, 0, "", "", "")
    yield Kernel("attention_together", source, r"^put_together\(", 128, 0, "", "", "")


def row_kernels():
    """A thread has four columns of a row, or goes over a row twice."""
    source = "kernels/window_input/window_input.cu"
    yield Kernel("window_input_groups", source, r"^input_groups\(", 256, 0, "", "", "")
    yield Kernel("window_input_positions", source, r"^input_positions\(", 256, 0, "", "", "")
    yield Kernel("window_restore", "kernels/window_decode/window_decode.cu", r"^restore\(", 128, 0, "any", "any", "")


def all_kernels(quick):
    return [*window_products(quick), *pair_products(), *window_encodes(), *pair_searches(), *window_panels(quick),
            *plain_encodes(), *attentions(), *row_kernels()]


# What is compiled, and held to keep nothing in local memory: all of kernels/, but with --quick of the products of
# window those of k = 4 alone.
def all_sources(top, quick):
    sources = sorted(os.path.relpath(path, top) for path in glob.glob(os.path.join(top, "kernels/*/*.cu")))
    others = [f"kernels/window_product/window_product_{k}.cu" for k in PRODUCT_BITS if k != 4]
    return [source for source in sources if not (quick and source in others)]


# ---- From sources to instructions ----------------------------------------------------------------------------------

Function = collections.namedtuple("Function", "name body registers spills shared")


def run(*command, cwd=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done


def resources_of(log):
    """{mangled name: (registers, bytes of spills, static shared bytes)} from what ptxas says."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        shared = re.search(r"(\d+) bytes smem", part)
        found[part.split("'")[0]] = (int(re.search(r"Used (\d+) registers", part)[1]),
                                     int(spills[1]) + int(spills[2]), int(shared[1]) if shared else 0)
    return found


def bodies_of(listing):
    """{mangled name: [label or instruction]}; labels end with a colon."""
    bodies, body = {}, None
    for line in listing.splitlines():
        section = re.match(r"\.text\.(\S+):$", line)
        if section:
            body = bodies.setdefault(section[1], [])
        elif line.startswith("\t.section"):
            body = None
        elif body is not None:
            found = re.match(r"(\.L_x_\d+:)$", line) or re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;", line)
            if found:
                body.append(found[1])
    return bodies


def demangle(names):
    return run("c++filt", *names).stdout.splitlines() if names else []


# Bytes of stack that are no spills, by the function's name. turns (kernels/rotary) takes cos and sin in double
# precision: for angles of 2^31 and more, which no position has, CUDA's library keeps digits in an array.
STACKS = {"turns": 40}


def overflows_of(log, source, sm):
    """What any function, called ones too, keeps in local memory, as lines; from what ptxas says."""
    found = re.findall(r"Function properties for (\S+)\s+(\d+) bytes stack frame, (\d+) bytes spill stores, "
                       r"(\d+) bytes spill loads", log)
    entries = set(re.findall(r"Compiling entry function '([^']+)'", log))
    if not entries or entries - {name for name, *_ in found}:
        sys.exit(f"sass.py: {source}: the compiler does not say what each kernel keeps in local memory")
    return [f"{source} for {sm / 10}: {name}: {stack} bytes of stack, {stores} of spill stores, {loads} of spill loads"
            for name, (_, stack, stores, loads) in zip(demangle([mangled for mangled, *_ in found]), found)
            if int(stores) + int(loads) > 0 or int(stack) > STACKS.get(name.split("(")[0], 0)]


Compiled = collections.namedtuple("Compiled", "functions overflows")


def compile_source(arguments, source, sm, disassemble):
    """functions: {demangled name: Function}, empty if not to be disassembled."""
    cubin = os.path.join(arguments.work, f"{os.path.basename(source)}.{sm}.cubin")
    log = run(arguments.nvcc, "-cubin", f"-arch=sm_{sm}", *FLAGS, "-Xptxas=-v", source, "-o", cubin,
              cwd=arguments.top).stderr
    overflows = overflows_of(log, source, sm)
    if not disassemble:
        return Compiled({}, overflows)
    bodies, resources = bodies_of(run(arguments.nvdisasm, "-c", cubin).stdout), resources_of(log)
    names = sorted(bodies.keys() & resources.keys())
    return Compiled({name: Function(name, bodies[mangled], *resources[mangled])
                     for mangled, name in zip(names, demangle(names))}, overflows)


# ---- Loops ---------------------------------------------------------------------------------------------------------


def successors_of(block, labels, number):
    """Where a basic block leads. Paths that only a warp takes whose lanes went different ways are left out."""
    instruction = block[-1] if block else "NOP"
    opcode = opcode_of(instruction)
    name, conditional = opcode.split(".")[0], instruction.startswith("@")
    target = re.search(r"`\((\.L_x_\d+)\)", instruction)
    if opcode.startswith("BRA.DIV") or (name == "CALL" and not target):
        return {number + 1}
    if name in ("BRA", "CALL"):
        conditional = conditional or not re.search(r"(BRA|CALL)\S*\s+`", instruction)
        return {labels[target[1]], number + 1} if conditional else {labels[target[1]]}
    return {number + 1} if conditional or name not in ("EXIT", "RET") else set()


def graph_of(body):
    """(basic blocks, {number: numbers of those that follow})"""
    blocks, labels = [[]], {}
    for line in body:
        if line.endswith(":"):
            if blocks[-1]:
                blocks.append([])
            labels[line[:-1]] = len(blocks) - 1
            continue
        blocks[-1].append(line)
        if opcode_of(line).split(".")[0] in ("BRA", "CALL", "EXIT", "RET"):
            blocks.append([])
    edges = {i: {to for to in successors_of(block, labels, i) if to < len(blocks)} for i, block in enumerate(blocks)}
    return blocks, edges


def reached(edges, start, avoid=None):
    """What can be reached from `start`, without passing through `avoid`."""
    found, left = {start}, [start]
    while left:
        for to in edges[left.pop()]:
            if to != avoid and to not in found:
                found.add(to)
                left.append(to)
    return found


def loops_of(edges):
    """The blocks of every natural loop: those with a way back to a block that all ways into them lead through."""
    live = reached(edges, 0)
    back = {block: {other for other in live if block in edges[other]} for block in live}
    loops = []
    for head in sorted(live):
        dominated = live - reached(edges, 0, head) if head != 0 else live
        latches = [block for block in back[head] if block in dominated | {head}]
        if latches:
            inside = {head}
            for latch in latches:
                inside |= reached({block: back[block] - {head} if block != head else set() for block in live}, latch)
            loops.append(inside)
    return loops


def own_instructions(blocks, loops, loop):
    """Those of a loop without those of loops within it."""
    inner = set().union(*(other for other in loops if other < loop))
    return [instruction for block in sorted(loop - inner) for instruction in blocks[block]]


def opcodes_of(instructions):
    return collections.Counter(opcode_of(instruction).split(".")[0] for instruction in instructions)


def find_loop(function, markers):
    """The instructions of the loop with most markers, and of the loop around it."""
    blocks, edges = graph_of(function.body)
    loops = loops_of(edges)

    def rank(loop):
        own = opcodes_of(own_instructions(blocks, loops, loop))
        return sum(own[marker] for marker in markers.split()), own.total()

    best = max(loops, key=rank)
    around = min((loop for loop in loops if loop > best), key=len, default=None)
    return own_instructions(blocks, loops, best), own_instructions(blocks, loops, around) if around else []


# ---- The table -----------------------------------------------------------------------------------------------------

COLUMNS = ["compiler", "gpu", "kernel", "k", "length", "positions", "registers", "spill_bytes", "shared_bytes", "warps",
           "items_per_pass", "instructions", *COUNTED, "items_per_weight", "bytes_per_weight", "bound_by",
           "billion_weights_per_second", "share_of_bandwidth", "llama2_7b_seconds"]


def resident_warps(gpu, kernel, function):
    warps = kernel.threads // LANES
    of_warp = math.ceil(function.registers * LANES / REGISTER_UNIT) * REGISTER_UNIT
    shared = function.shared + kernel.shared + RESERVED_SHARED
    blocks = min(gpu.blocks, gpu.warps // warps, REGISTERS // of_warp // warps, gpu.shared * 1024 // shared)
    return blocks * warps


def cost_of(kernel, function):
    """(items of a pass of the loop, what a pass costs)"""
    loop, around = find_loop(function, kernel.marker)
    items, counts = kernel.items(opcodes_of(loop)), count(loop)
    if kernel.around and items < kernel.around:
        rest = count(around)
        counts = {name: counts[name] + rest[name] * items / kernel.around for name in COUNTED}
    return items, counts


def counted_columns(gpu, kernel, function):
    """From items_per_pass on."""
    items, counts = cost_of(kernel, function)
    clocks, bound_by = clocks_of(gpu.sm, counts)
    rate = items / clocks * gpu.processors * gpu.gigahertz / kernel.per_weight  # billion weights a second
    share = "" if kernel.bytes is None else f"{min(1, rate * kernel.bytes / gpu.bandwidth):.3f}"
    per_item = [f"{counts[name] * LANES / items:.3f}" for name in COUNTED]
    return [int(items), f"{sum(counts[pipe] for pipe in PIPES) * LANES / items:.3f}", *per_item,
            f"{kernel.per_weight:g}", "" if kernel.bytes is None else f"{kernel.bytes:g}", bound_by, f"{rate:.4g}",
            share, f"{LLAMA2_7B / rate / 1e9:.3g}" if kernel.bytes is None else ""]


def row_of(compiler, gpu, kernel, function):
    row = [compiler, gpu.name, kernel.name, kernel.k, kernel.length, kernel.positions, function.registers,
           function.spills, function.shared + kernel.shared, resident_warps(gpu, kernel, function)]
    return row + (counted_columns(gpu, kernel, function) if kernel.marker else [""] * (len(COLUMNS) - len(row)))


def compiler_of(nvcc):
    return re.search(r"V([\d.]+)", run(nvcc, "--version").stdout)[1]


def pick(functions, kernel):
    found = [function for name, function in functions.items() if re.search(kernel.pattern, name)]
    if len(found) != 1:
        sys.exit(f"sass.py: {len(found)} functions in {kernel.source} match {kernel.pattern}")
    return found[0]


def make_rows(arguments, compiler):
    """(rows, what kernels keep in local memory)"""
    kernels, sources = all_kernels(arguments.quick), all_sources(arguments.top, arguments.quick)
    counted = {kernel.source for kernel in kernels}
    wanted = [(source, gpu.sm) for source in sources for gpu in GPUS]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        compiled = dict(zip(wanted, pool.map(lambda job: compile_source(arguments, *job, job[0] in counted), wanted)))
    rows = [row_of(compiler, gpu, kernel, pick(compiled[kernel.source, gpu.sm].functions, kernel))
            for kernel in kernels for gpu in GPUS]
    return rows, [line for job in wanted for line in compiled[job].overflows]


# Columns of the text: heading, and width.
SHOWN = {"gpu": ("GPU", 10), "kernel": ("kernel", 15), "k": ("k", 3), "length": ("L", 3), "positions": ("n", 2),
         "registers": ("regs", 4), "spill_bytes": ("spill", 5), "shared_bytes": ("shared", 6), "warps": ("warps", 5),
         "instructions": ("instr", 7), "alu": ("alu", 6), "imad": ("imad", 6), "fp32": ("fp32", 5), "half": ("half", 5),
         "fp64": ("fp64", 6), "special": ("spec", 6), "memory": ("mem", 5), "passes": ("pass", 5),
         "tensor": ("mma", 5), "other": ("other", 6), "bound_by": ("bound by", 8)}
MEMORY = {**{name: SHOWN[name] for name in list(SHOWN)[:9]}, "kernel": ("kernel", 22)}
RATE = {"billion_weights_per_second": ("Gw/s", 7)}


def print_part(title, rows, columns):
    print(f"\n{title}\n")
    print(" ".join(heading.rjust(width) for heading, width in columns.values()))
    for row in rows:
        values = dict(zip(COLUMNS, row))
        print(" ".join(str(values[name]).rjust(width) for name, (_, width) in columns.items()))


def print_text(rows):
    uncounted = [row for row in rows if row[COLUMNS.index("instructions")] == ""]
    counted = [row for row in rows if row not in uncounted]
    searches = [row for row in counted if row[COLUMNS.index("bytes_per_weight")] == ""]
    print(f"Compiled by nvcc {rows[0][0]}. Bounds from counts of instructions, not measured speeds: all pipes full, no "
          "wait,\nno banks in conflict, every branch of the loop taken.")
    print_part("Instructions of a lane per weight, and the share of the memory bandwidth that they allow:",
               [row for row in counted if row not in searches],
               {**SHOWN, "bytes_per_weight": ("bytes", 6), **RATE, "share_of_bandwidth": ("share", 5)})
    print_part("Searches: instructions of a lane per candidate, and the seconds for the linear layers of LLaMA2-7B:",
               searches, {**SHOWN, "items_per_weight": ("cand.", 6), **RATE, "llama2_7b_seconds": ("7B, s", 6)})
    print_part("Registers and memory alone:", uncounted, MEMORY)


# ---- Comparison ----------------------------------------------------------------------------------------------------


def table_of(rows):
    """{key: row}"""
    return {tuple(row[key] for key in ("gpu", "kernel", "k", "length", "positions")): row for row in rows}


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return table_of(csv.DictReader(file))


def differences(was, rows):
    """Of rows, which may be some of those in the table `was`, as lines."""
    now = table_of(dict(zip(COLUMNS, map(str, row))) for row in rows)
    found = [f"{' '.join(row)}: not in the table" for row in now if row not in was]
    for row in now.keys() & was.keys():
        found += [f"{' '.join(row)}: {key} was {was[row][key]}, is {now[row][key]}" for key in COLUMNS
                  if was[row][key] != now[row][key]]
    return sorted(found)


def check(arguments, compiler):
    was = read_table(arguments.check)
    made_by = sorted({row["compiler"] for row in was.values()})
    if made_by != [compiler]:
        print(f"not run: compiler version differs: {', '.join(made_by)} made the table, {compiler} is here")
        return NOT_RUN
    rows, overflows = make_rows(arguments, compiler)
    faults = differences(was, rows) + overflows
    print(*faults, f"{arguments.check}: {len(rows)} of {len(was)} rows, {len(faults)} faults", sep="\n")
    return 1 if faults else 0


def count_and_print(arguments, compiler):
    rows, overflows = make_rows(arguments, compiler)
    if arguments.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([COLUMNS, *rows])
    else:
        print_text(rows)
    for line in overflows:
        print(line, file=sys.stderr)
    return 1 if overflows else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in "--nvcc", "--nvdisasm", "--top", "--work":
        parser.add_argument(name, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--check")
    arguments = parser.parse_args()
    return (check if arguments.check else count_and_print)(arguments, compiler_of(arguments.nvcc))


if __name__ == "__main__":
    sys.exit(main())
