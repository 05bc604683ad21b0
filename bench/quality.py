#!/usr/bin/env python3
"""Measures the quality table: perplexity and KL divergence of coded models against exact bits per weight.

usage: quality.py measure --hyperc PROGRAM --round PROGRAM --data FOLDER --work FOLDER [--quick] [--only PATTERN]...
                          [MODEL=DIRECTORY]...                      prints rows as they are measured, below their head
       quality.py merge COMMITTED.csv NOW.csv                       prints the first with the rows of the second in it
       quality.py compare COMMITTED.csv NOW.csv                     exit: 0 same, 1 not
       quality.py bars COMMITTED.csv                                exit: 0 all rows of BARS there and within, 1 not
MODEL is "smollm2" (the dithered one), "smollm2-short" (the same over two windows, two rows) or "story"; patterns
are those of fnmatch, on "model,method,settings,moments".
"""
import argparse
import csv
import fnmatch
import json
import math
import os
import shutil
import subprocess
import sys

KEYS = ["model", "method", "settings", "moments"]
MEASURED = ["bits_per_weight", "perplexity", "perplexity_error", "kl", "kl_error", "kl_999", "top1"]
# Codes and products are the same everywhere; the last digits of the mathematical library are not.
TOLERANCE = 1e-3
# The KL divergence that rows of the committed table must not exceed.
BARS = {
    "smollm2,window,k=4 L=12,none": 0.165,
    "smollm2,window,k=3 L=12,none": 0.70,
    "smollm2,window,k=4 L=12,weights": 0.125,
    "smollm2,window,k=3 L=12,weights": 0.49,
    "smollm2,window,k=4 L=12,file": 0.10,
    "smollm2,window,k=3 L=12,file": 0.42,
}

MODELS = {
    "smollm2": ["-f", "wiki.test.raw", "--protocol", "llama.cpp", "--ctx", "512", "--chunks", "32"],
    "smollm2-short": ["-f", "wiki.test.raw", "--protocol", "llama.cpp", "--ctx", "512", "--chunks", "2"],
    "story": ["-f", "tinystories_valid_30k.txt", "--protocol", "lines"],
}
CALIBRATION = "novels_130k.txt"  # not of the test's own kind
KEEP = ["--keep", "model.embed_tokens.weight", "--keep", "lm_head.weight"]


def window_row(k, length, moments):
    columns = ["--columns", "none"] if moments == "no columns" else ["--moments", moments]
    return ("window", f"k={k} L={length}", moments,
            ["--method", "window", "--bits", str(k), "--window", str(length)] + columns)


def plan_rows(model, quick):
    """(method, settings, moments, arguments) of every row; `hyperc compress` makes those of the methods."""
    if model == "smollm2-short":
        yield window_row(4, 12, "weights")
        yield window_row(3, 12, "none")
        return
    yield "none", "", "", None
    for kind, group in ("int4", 32), ("int4", 128), ("int8", 32), ("int8", 128), ("nf4", 64):
        if not quick or (kind, group) == ("int4", 32):
            yield kind, f"group={group}", "", ["--kind", kind, "--group", str(group)]
    for side in ("0.1",) if quick else ("0.1", "auto"):
        yield "pair", f"side={side}", "", ["--method", "pair", "--side", side]
    for length in (12,) if quick else (12, 16):
        for k in (3, 4) if quick else (2, 3, 4, 5):
            for moments in "no columns", "none", "weights", "self", "file":
                yield window_row(k, length, moments)


class Bench:
    def __init__(self, arguments, model, directory):
        self.arguments, self.model, self.directory = arguments, model, directory
        self.coded = os.path.join(arguments.work, "coded")
        self.moments = os.path.join(arguments.work, f"{model}.moments.safetensors")

    def run(self, *command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def text(self, name):
        return os.path.join(self.arguments.data, name)

    def make(self, method, arguments):
        """Makes the coded model; returns its bits per coded weight."""
        shutil.rmtree(self.coded, ignore_errors=True)
        if method not in ("pair", "window"):
            return json.loads(self.run(self.arguments.round, self.directory, "-o", self.coded, *arguments))[
                "bits_per_weight"]
        hyperc = self.arguments.hyperc
        if arguments[-1] == "file":
            if not os.path.exists(self.moments):
                self.run(hyperc, "calibrate", self.directory, "-o", self.moments, "-f", self.text(CALIBRATION))
            arguments = arguments[:-1] + [self.moments]
        self.run(hyperc, "compress", self.directory, "-o", self.coded, "--quiet", *KEEP, *arguments)
        return json.loads(self.run(hyperc, "inspect", self.coded, "--json"))["totals"]["coded_bits_per_weight"]

    def evaluate(self, directory, *options):
        protocol = MODELS[self.model]
        return json.loads(self.run(self.arguments.hyperc, "perplexity", directory, protocol[0], self.text(protocol[1]),
                                   *protocol[2:], *options, "--json"))

    def measure(self, method, arguments):
        """The figures of a row, in the order of MEASURED."""
        if method == "none":
            perplexity = self.evaluate(self.directory)["perplexity"]
            return [32, perplexity["value"], perplexity["standard_error"], 0, 0, 0, 1]
        bits = self.make(method, arguments)
        now = self.evaluate(self.coded, "--against", self.directory)
        perplexity, drift = now["perplexity"], now["kl_divergence"]
        return [bits, perplexity["value"], perplexity["standard_error"], drift["value"], drift["standard_error"],
                now["kl_divergence_at_99_9_percent"]["value"], now["top_1_agreement"]["value"]]


def measure(arguments):
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(KEYS + MEASURED)
    for item in arguments.models:
        model, directory = item.split("=", 1)
        bench = Bench(arguments, model, directory)
        for method, settings, moments, how in plan_rows(model, arguments.quick):
            key = [model, method, settings, moments]
            if not arguments.only or any(fnmatch.fnmatchcase(",".join(key), only) for only in arguments.only):
                table.writerow(key + [f"{value:.6g}" for value in bench.measure(method, how)])
                sys.stdout.flush()
        shutil.rmtree(bench.coded, ignore_errors=True)
    return 0


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {",".join(row[key] for key in KEYS): row for row in csv.DictReader(file)}


def merge(arguments):
    rows = read_table(arguments.committed) if os.path.exists(arguments.committed) else {}
    rows.update(read_table(arguments.now))
    order = [",".join((model,) + row[:3]) for model in MODELS for row in plan_rows(model, False)]
    table = csv.DictWriter(sys.stdout, KEYS + MEASURED, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[key] for key in order if key in rows)
    return 0


def compare(arguments):
    was, now = read_table(arguments.committed), read_table(arguments.now)
    faults = [f"{name}: not in the committed table" for name in sorted(now.keys() - was.keys())]
    for name in now.keys() & was.keys():
        faults += [f"{name}: {key} was {was[name][key]}, is {now[name][key]}" for key in MEASURED
                   if not math.isclose(float(was[name][key]), float(now[name][key]), rel_tol=TOLERANCE, abs_tol=1e-6)]
    for fault in sorted(faults):
        print(fault)
    print(f"{arguments.committed}: {len(now)} rows measured, {len(faults)} differences")
    return 1 if faults or not now else 0


def bars(arguments):
    rows, faults = read_table(arguments.committed), 0
    for name, bar in BARS.items():
        divergence = float(rows[name]["kl"]) if name in rows else math.nan
        good = 0 < divergence <= bar  # not so if it is not there
        faults += not good
        print(f"{'ok    ' if good else 'FAILED'}  {name}: KL divergence {divergence:g}, at most {bar:g}")
    return 1 if faults else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("measure")
    command.set_defaults(run=measure)
    for name in "--hyperc", "--round", "--data", "--work":
        command.add_argument(name, required=True)
    command.add_argument("--quick", action="store_true")
    command.add_argument("--only", action="append")
    command.add_argument("models", nargs="+")
    for name, run in ("merge", merge), ("compare", compare):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("committed")
        command.add_argument("now")
    command = commands.add_parser("bars")
    command.set_defaults(run=bars)
    command.add_argument("committed")
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    sys.exit(options.run(options))
