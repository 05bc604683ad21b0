#!/usr/bin/env python3
"""How near the winding (x, x a mod 1), 0 <= x < T turns, comes to every point of the unit square: the largest distance,
found from its passes, against the bound of docs/method.md.

usage: winding.py [--check]
  --check: exit 1 if a distance passes its bound.
"""
import math
import sys

SLOPES = {"golden ratio": (math.sqrt(5) - 1) / 2, "sqrt 2 - 1": math.sqrt(2) - 1, "pi - 3": math.pi - 3}
TURNS = (10, 100, 1000, 10000, 100000)


def largest_distance(slope, turns):
    """Passes cross the edge x = 0 at the multiples of the slope. Further along they are shifted, all alike."""
    heights = sorted(n * slope % 1 for n in range(turns))
    gaps = [b - a for a, b in zip(heights, heights[1:] + [heights[0] + 1])]
    return max(gaps) / 2 / math.sqrt(1 + slope * slope)


def bound(slope, turns):
    """From the denominators of the slope's convergents that lie around the number of turns."""
    before, after, rest = 0, 1, slope
    while after <= turns:
        quotient, rest = divmod(1 / rest, 1)
        before, after = after, int(quotient) * after + before
    return (1 / before + 1 / after) / 2


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    passed = True
    print("slope,turns,largest_distance,bound")
    for name, slope in SLOPES.items():
        for turns in TURNS:
            distance, most = largest_distance(slope, turns), bound(slope, turns)
            passed &= distance <= most
            print(f"{name},{turns},{distance:.3g},{most:.3g}")
    sys.exit(bool(sys.argv[1:]) and not passed)


if __name__ == "__main__":
    main()
