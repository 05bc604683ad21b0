#!/usr/bin/env python3
"""Counts instead of clocks: what the compiled kernels cost, and the bound that follows for named GPUs.

usage: sass.py [--quick] [--csv] [--jobs N] --nvcc NVCC --nvdisasm NVDISASM --top FOLDER --work FOLDER
       sass.py --compare COMMITTED.csv NOW.csv    exit: 0 same and no spills, 1 not, 77 made by different compilers
"""
import argparse
import collections
import concurrent.futures
import csv
import math
import os
import re
import subprocess
import sys

LANES, TILE_WEIGHTS, UNIT_WEIGHTS, NOT_RUN = 32, 256, 8 * 256, 77
FLAGS = ["--fmad=false", "-lineinfo", "-std=c++17", "-Ikernels", "-Iinclude"]  # as cuda/CMakeLists.txt has them
LLAMA2_7B = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)  # weights of its linear layers

# ---- GPUs ----------------------------------------------------------------------------------------------------------


class Gpu(collections.namedtuple("Gpu", "sm name processors gigahertz bandwidth shared warps blocks")):
    """bandwidth: GB/s. Of a multiprocessor: shared memory in KB, and how many warps and blocks it holds.

    Multiprocessors, boost clocks and bandwidths: NVIDIA's A100 data sheet (80 GB, SXM), "Ada GPU Architecture" white
    paper (appendix A), "H100 Tensor Core GPU Architecture" white paper (SXM5; the lower of its two boost clocks, that
    of tensor operations). The rest: CUDA programming guide, technical specifications per compute capability."""


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
# table "Throughput of Native Arithmetic Instructions" (CUDA C++ Best Practices Guide; before version 13 in the
# Programming Guide): results per clock, over 32, or over 64 for halves, which come in pairs. On 8.0
# integer multiplication and float32 share a pipe of 64 lanes; later there are two of these, of which one multiplies
# integers. Pairs of halves take a pipe of their own on 8.0, both of these on 8.9, either on 9.0. Tensor: mma.m16n8k16
# with float32 sums is 2048 multiply-adds, of which there are 1024, 256 and 2048 a clock (data sheets, without sparsity;
# on 9.0 only wgmma is known to reach that). Memory: 128 bytes, a register of each lane.
# The rates of 8.9, and of the special pipe, are still to be held against that table; so are the figures of the RTX 4090
# against its white paper.
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
                                              "around per_weight bytes")):
    """pattern: of the demangled name. shared: dynamic, bytes. marker: opcodes of which the loop that counts has most.
    items(opcodes): how many items a warp gets done in a pass of the loop with so many of each opcode. An item is a
    weight, or in searches a candidate, of which there are per_weight. around: the same of the loop around that; if it
    is more, what that does besides counts too. None: it does not. bytes: that a weight brings from and to memory;
    None in searches of paths, which memory does not limit."""


def window_products(quick):
    """16 KB of inputs (one position) or two stages of 2 KB for 8 positions, behind the table of 64 KB. A tile takes two
    mma for one position, else one for every 8; a unit is 8 tiles."""
    for k in (4,) if quick else (1, 2, 3, 4, 5, 6, 8):
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
    return (32 if k <= 2 else 16) if length <= 12 else 96 if k <= 3 else 128


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


def all_kernels(quick):
    return [*window_products(quick), *pair_products(), *window_encodes(), *pair_searches()]


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


def compile_source(arguments, source, sm):
    """{demangled name: Function}"""
    cubin = os.path.join(arguments.work, f"{os.path.basename(source)}.{sm}.cubin")
    log = run(arguments.nvcc, "-cubin", f"-arch=sm_{sm}", *FLAGS, "-Xptxas=-v", source, "-o", cubin,
              cwd=arguments.top).stderr
    bodies, resources = bodies_of(run(arguments.nvdisasm, "-c", cubin).stdout), resources_of(log)
    names = sorted(bodies)
    demangled = run("c++filt", *names).stdout.splitlines()
    return {name: Function(name, bodies[mangled], *resources[mangled]) for mangled, name in zip(names, demangled)}


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


def row_of(compiler, gpu, kernel, function):
    items, counts = cost_of(kernel, function)
    clocks, bound_by = clocks_of(gpu.sm, counts)
    rate = items / clocks * gpu.processors * gpu.gigahertz / kernel.per_weight  # billion weights a second
    share = "" if kernel.bytes is None else f"{min(1, rate * kernel.bytes / gpu.bandwidth):.3f}"
    per_item = [f"{counts[name] * LANES / items:.3f}" for name in COUNTED]
    return [compiler, gpu.name, kernel.name, kernel.k, kernel.length, kernel.positions, function.registers,
            function.spills, function.shared + kernel.shared, resident_warps(gpu, kernel, function), int(items),
            f"{sum(counts[pipe] for pipe in PIPES) * LANES / items:.3f}", *per_item, f"{kernel.per_weight:g}",
            "" if kernel.bytes is None else f"{kernel.bytes:g}", bound_by, f"{rate:.4g}", share,
            f"{LLAMA2_7B / rate / 1e9:.3g}" if kernel.bytes is None else ""]


def compiler_of(nvcc):
    return re.search(r"V([\d.]+)", run(nvcc, "--version").stdout)[1]


def pick(functions, kernel):
    found = [function for name, function in functions.items() if re.search(kernel.pattern, name)]
    if len(found) != 1:
        sys.exit(f"sass.py: {len(found)} functions in {kernel.source} match {kernel.pattern}")
    return found[0]


def make_rows(arguments):
    kernels, compiler = all_kernels(arguments.quick), compiler_of(arguments.nvcc)
    wanted = [(source, gpu.sm) for source in sorted({kernel.source for kernel in kernels}) for gpu in GPUS]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        compiled = dict(zip(wanted, pool.map(lambda job: compile_source(arguments, *job), wanted)))
    return [row_of(compiler, gpu, kernel, pick(compiled[kernel.source, gpu.sm], kernel))
            for kernel in kernels for gpu in GPUS]


# Columns of the text: heading, and width.
SHOWN = {"gpu": ("GPU", 10), "kernel": ("kernel", 15), "k": ("k", 3), "length": ("L", 3), "positions": ("n", 2),
         "registers": ("regs", 4), "spill_bytes": ("spill", 5), "shared_bytes": ("shared", 6), "warps": ("warps", 5),
         "instructions": ("instr", 7), "alu": ("alu", 6), "imad": ("imad", 6), "fp32": ("fp32", 5), "half": ("half", 5),
         "fp64": ("fp64", 6), "special": ("spec", 6), "memory": ("mem", 5), "passes": ("pass", 5),
         "tensor": ("mma", 5), "other": ("other", 6), "bound_by": ("bound by", 8)}
RATE = {"billion_weights_per_second": ("Gw/s", 7)}


def print_part(title, rows, columns):
    print(f"\n{title}\n")
    print(" ".join(heading.rjust(width) for heading, width in columns.values()))
    for row in rows:
        values = dict(zip(COLUMNS, row))
        print(" ".join(str(values[name]).rjust(width) for name, (_, width) in columns.items()))


def print_text(rows):
    searches = [row for row in rows if row[COLUMNS.index("bytes_per_weight")] == ""]
    print(f"Compiled by nvcc {rows[0][0]}. Bounds from counts of instructions, not measured speeds: all pipes full, no "
          "wait,\nno banks in conflict, every branch of the loop taken.")
    print_part("Instructions of a lane per weight, and the share of the memory bandwidth that they allow:",
               [row for row in rows if row not in searches],
               {**SHOWN, "bytes_per_weight": ("bytes", 6), **RATE, "share_of_bandwidth": ("share", 5)})
    print_part("Searches: instructions of a lane per candidate, and the seconds for the linear layers of LLaMA2-7B:",
               searches, {**SHOWN, "items_per_weight": ("cand.", 6), **RATE, "llama2_7b_seconds": ("7B, s", 6)})


# ---- Comparison ----------------------------------------------------------------------------------------------------


def read_table(path):
    keys = ("gpu", "kernel", "k", "length", "positions")
    with open(path, encoding="utf-8", newline="") as file:
        return {tuple(row[key] for key in keys): row for row in csv.DictReader(file)}


def compare(committed, counted):
    """Rows of `counted` may be some of those committed."""
    was, now = read_table(committed), read_table(counted)
    compilers = [sorted({row["compiler"] for row in table.values()}) for table in (was, now)]
    if compilers[0] != compilers[1]:
        print(f"not run: compiler version differs: {', '.join(compilers[0])} made the table, {', '.join(compilers[1])} "
              "is here")
        return NOT_RUN
    faults = [f"{' '.join(row)}: not in the table" for row in now if row not in was]
    # Whether or not it was so before.
    faults += [f"{' '.join(row)}: spills {now[row]['spill_bytes']} bytes" for row in now
               if now[row]["spill_bytes"] != "0"]
    for row in now.keys() & was.keys():
        faults += [f"{' '.join(row)}: {key} was {was[row][key]}, is {now[row][key]}" for key in COLUMNS
                   if was[row][key] != now[row][key]]
    for fault in sorted(faults):
        print(fault)
    print(f"{committed}: {len(now)} of {len(was)} rows, {len(faults)} faults")
    return 1 if faults or not now else 0


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--compare":
        return compare(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in "--nvcc", "--nvdisasm", "--top", "--work":
        parser.add_argument(name, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv", action="store_true")
    arguments = parser.parse_args()
    rows = make_rows(arguments)
    if arguments.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([COLUMNS, *rows])
    else:
        print_text(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
