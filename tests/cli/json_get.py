#!/usr/bin/env python3
"""Prints one value out of a file that must be one JSON object and nothing else.

usage: json_get.py FILE [PATH]     PATH: members and indices, with dots: totals.tensors, tensors.0.name; tensors.# counts
"""
import json
import sys


def constant(name):
    raise ValueError(f"{name} is not JSON")


with open(sys.argv[1], encoding="utf-8") as file:
    value = json.load(file, parse_constant=constant)
if not isinstance(value, dict):
    sys.exit("not an object")
for step in filter(None, (sys.argv[2] if len(sys.argv) > 2 else "").split(".")):
    if step == "#":
        value = len(value)
    else:
        value = value[int(step)] if isinstance(value, list) else value[step]
print(value if isinstance(value, str) else json.dumps(value))
