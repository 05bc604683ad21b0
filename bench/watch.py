#!/usr/bin/env python3
"""Watches a process until it ends, and tells what it used.

usage: watch.py PID WEIGHTS THREADS

Anonymous memory is sampled a hundred times a second from RssAnon: pages of mapped files do not count. Where it is
largest, the areas that most of it lies in are told. Times are the process' own; reads that the page cache served do not
show in the bytes read from storage.
"""
import collections
import contextlib
import os
import sys
import time


def fields(path):
    with open(path, encoding="ascii") as file:
        return {key: value.split()[0] for key, _, value in (line.partition(":") for line in file) if value.split()}


def sample(pid):
    status, io = fields(f"/proc/{pid}/status"), fields(f"/proc/{pid}/io")
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        stat = file.read().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return {
        "alive": stat[0] not in "ZX",
        "anonymous": int(status.get("RssAnon", 0)) * 1024,
        "resident": int(status.get("VmHWM", 0)) * 1024,
        "user": int(stat[11]) / tick,
        "system": int(stat[12]) / tick,
        "major_faults": int(stat[9]),
        "read": int(io["read_bytes"]),
        "written": int(io["write_bytes"]),
    }


def largest_areas(pid, count=4):
    """Of anonymous memory, as text: MiB and name of each, a mapping without one being what malloc or a stack took."""
    areas, name = collections.Counter(), ""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                name = f"{words[5] if len(words) > 5 else 'unnamed'} {words[0]}"
            elif words[0] == "Anonymous:":
                areas[name] += int(words[1]) / 1024
    return ", ".join(f"{size:.0f} in {name}" for name, size in areas.most_common(count))


def main(pid, weights, threads):
    begin = time.monotonic()
    last, peak, areas_at, areas = None, 0, 0, ""
    while True:
        try:
            now = sample(pid)
        except OSError:
            break
        if not now["alive"]:
            # A process that has ended keeps its times, but no memory.
            last = {**(last or now), "user": now["user"], "system": now["system"]}
            break
        last, peak = now, max(peak, now["anonymous"])
        if peak > 1.1 * areas_at:  # looking is not cheap
            with contextlib.suppress(OSError):
                areas_at, areas = peak, largest_areas(pid)
        time.sleep(0.01)
    seconds = time.monotonic() - begin
    if last is None:
        print("the process ended before it could be watched", file=sys.stderr)
        return 1
    busy = last["user"] + last["system"]
    print(f"time               {seconds:.1f} s, {weights / seconds / 1e6:.1f} million weights per second")
    print(f"processor          {last['user']:.1f} s user, {last['system']:.1f} s system: "
          f"{100 * busy / seconds / threads:.0f} % of {threads} threads")
    print(f"waiting            {100 * (1 - min(1, busy / seconds / threads)):.0f} % of the threads' time, "
          f"{last['major_faults']} major page faults")
    print(f"peak memory        {peak / 2**20:.0f} MiB anonymous, {last['resident'] / 2**20:.0f} MiB with mapped files")
    print(f"                   at {areas_at / 2**20:.0f} MiB: {areas}")
    print(f"storage            {last['read'] / 1e9:.2f} GB read, {last['written'] / 1e9:.2f} GB written, "
          f"{(last['read'] + last['written']) / seconds / 1e6:.0f} MB/s")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
