#!/usr/bin/env python3
"""Turns `hyperc inspect --json` into a table of comma-separated values, and compares two such tables.

usage: table.py INSPECTION.json                  prints the table; its last row is the total
       table.py --compare COMMITTED.csv NOW.csv  text and sizes exactly, errors to one in a million; exit: 0 same, 1 not
"""
import csv
import json
import math
import sys

EXACT = ["tensor", "type", "weights", "bytes", "method", "parameters"]
MEASURED = ["bits_per_weight", "mean_abs_error", "max_abs_error", "signal_to_noise_db"]
TOLERANCE = 1e-6


def figure(value):
    return "" if value is None else f"{value:.9g}"


def write_table(path):
    with open(path, encoding="utf-8") as file:
        model = json.load(file)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(EXACT + MEASURED)
    for tensor in model["tensors"]:
        table.writerow([tensor["name"], tensor["type"], tensor["weights"], tensor["bytes"], tensor.get("method", ""),
                        tensor.get("parameters", "")] +
                       [figure(tensor.get(key)) for key in
                        ("bits_per_weight", "mean_abs_error", "max_abs_error", "signal_to_noise")])
    totals = model["totals"]
    table.writerow(["total coded", "", totals["coded_weights"], totals["coded_bytes"], "", "",
                    figure(totals["coded_bits_per_weight"]), figure(totals["mean_abs_error"]), "",
                    figure(totals["signal_to_noise"])])
    table.writerow(["total of the files", "", totals["weights"], totals["file_bytes"], "", "",
                    figure(totals["bits_per_weight"]), "", "", ""])


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {row["tensor"]: row for row in csv.DictReader(file)}


def same(key, was, now):
    if key in EXACT or was == "" or now == "":
        return was == now
    return math.isclose(float(was), float(now), rel_tol=TOLERANCE)


def compare(committed, measured):
    was, now = read_table(committed), read_table(measured)
    faults = [f"{name}: only in one of the tables" for name in sorted(was.keys() ^ now.keys())]
    for name in was.keys() & now.keys():
        faults += [f"{name}: {key} was {was[name][key]}, is {now[name][key]}" for key in EXACT + MEASURED
                   if not same(key, was[name][key], now[name][key])]
    for fault in sorted(faults):
        print(fault)
    print(f"{committed}: {len(was)} rows, {len(faults)} differences")
    return 1 if faults or not was else 0


def main(arguments):
    if len(arguments) == 1:
        write_table(arguments[0])
        return 0
    if len(arguments) == 3 and arguments[0] == "--compare":
        return compare(arguments[1], arguments[2])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
