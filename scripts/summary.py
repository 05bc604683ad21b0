#!/usr/bin/env python3
"""Reads CTest's JUnit files, prints what tests called table.* say, what failed and what did not run, and the closing
line of a test run.

usage: summary.py FILE...       Exit: 0 nothing failed, 1 something failed or nothing ran.

A Criterion program counts as its single tests, a program that ends with "N passed, N failed, N not run" as it says, and
anything else as one. A file that is missing is a failure; so is a program that fails in another way than it counts.
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

CRITERION = re.compile(r"^\[====\] Synthesis: Tested: (\d+) \| Passing: (\d+) ", re.MULTILINE)
SKIP = re.compile(r"^\[SKIP\] (.*)$", re.MULTILINE)
COUNTED = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) not run$", re.MULTILINE)
ROW = re.compile(r"(?: not run +- +|^not run: )(.+)$", re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def count(output):
    """(passed, failed, reasons why others did not run, how many did not), or None if the program does not count."""
    criterion, counted = CRITERION.search(output), COUNTED.findall(output)
    if criterion:
        tested, passed = map(int, criterion.groups())
        skips = SKIP.findall(output)
        return passed, tested - passed, skips, len(skips)
    if counted:
        passed, failed, skipped = map(int, counted[-1])
        why = "; ".join(sorted(set(ROW.findall(output)))) or "see its output"
        return passed, failed, [f"{skipped} of its checks: {why}"][:skipped], skipped
    return None


def judge(case):
    """(passed, failed, skipped, lines that say why) of one test of CTest."""
    name = case.get("name")
    output = COLOURS.sub("", case.findtext("system-out") or "")
    skipped = case.find("skipped")
    if skipped is not None and "SKIP_RETURN_CODE" in skipped.get("message", ""):
        why = [line for line in output.splitlines() if line.startswith("not run")] or ["not run"]
        return 0, 0, 1, [f"not run: {name}{why[-1].removeprefix('not run')}"]
    good = case.get("status") == "run"
    passed, failed, skips, skipped = count(output) or (int(good), int(not good), [], 0)
    if not good:
        failed = max(failed, 1)
    lines = [f"not run: {name}: {skip.replace('not run: ', '')}" for skip in skips]
    if failed:
        lines.append(f"FAILED: {name}")
    return passed, failed, skipped, lines


def main(files):
    total = [0, 0, 0]
    for file in files:
        preset = os.path.basename(os.path.dirname(file))
        try:
            cases = ElementTree.parse(file).getroot().iter("testcase")
        except (OSError, ElementTree.ParseError) as error:
            print(f"FAILED: {preset}: {error}")
            total[1] += 1
            continue
        for case in cases:
            if case.get("name").startswith("table."):
                print(f"{preset}: {case.get('name')}\n{case.findtext('system-out')}")
            *counts, lines = judge(case)
            total = [a + b for a, b in zip(total, counts)]
            for line in lines:
                print(f"{preset}: {line}")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 0 if total[0] and not total[1] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
