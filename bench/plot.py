#!/usr/bin/env python3
"""Draws the table of bench/rate_distortion: how far each method stays behind the limit of normal weights.

usage: plot.py TABLE.csv > PLOT.svg
"""
import csv
import math
import sys

LIMIT_DB = 20 * math.log10(2)  # of normal data, for each bit
WIDTH, HEIGHT, TOP, BOTTOM = 900, 440, 84, 372
PANELS = [("normal", "normally distributed weights", 64), ("all-MiniLM-L6-v2", "every matrix of all-MiniLM-L6-v2", 500)]
PANEL_WIDTH = 376
BITS, GAP = (1, 8), (-15, 1)  # ranges of the axes

# Method, what must stand in the settings, text in the legend, colour on a light ground and on a dark one.
SERIES = [
    ("window", "L=12", "window, L = 12", "#0969da", "#58a6ff"),
    ("window", "L=16", "window, L = 16", "#0550ae", "#a5d6ff"),
    ("nf4", "", "NF4, groups of 64", "#1a7f37", "#56d364"),
    ("int-symmetric", "group=32", "integers, groups of 32", "#9a6700", "#d29922"),
    ("int-symmetric", "group=128", "integers, groups of 128", "#bc4c00", "#f0883e"),
    ("pair", "side=auto", "pair, side chosen", "#8250df", "#bc8cff"),
    ("pair", "side=0.1", "pair, as published", "#cf222e", "#ff7b72"),
]
INK, FAINT, GRID = ("#24292f", "#e6edf3"), ("#57606a", "#9ea7b3"), ("#d0d7de", "#3d444d")


def read_points(path):
    """(data, method, settings) and the two figures, of all rows that are about the whole of the data."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tensor"] == "all"]
    if not rows:
        sys.exit(f"{path}: no rows")
    return [(row["data"], row["method"], row["settings"], float(row["bits_per_weight"]),
             float(row["signal_to_noise_db"])) for row in rows]


def series_points(points, data, method, setting):
    return sorted((bits, decibel - LIMIT_DB * bits) for of, by, settings, bits, decibel in points
                  if of == data and by == method and (not setting or setting in settings.split()))


def x_at(left, bits):
    return left + (bits - BITS[0]) / (BITS[1] - BITS[0]) * PANEL_WIDTH


def y_at(gap):
    return BOTTOM - (gap - GAP[0]) / (GAP[1] - GAP[0]) * (BOTTOM - TOP)


def clip(points):
    """The points within the axes; a line that leaves them is cut where it does."""
    kept = []
    for i, (bits, gap) in enumerate(points):
        inside = BITS[0] <= bits <= BITS[1] and GAP[0] <= gap <= GAP[1]
        if inside:
            kept.append((bits, gap, True))
        elif i > 0 and points[i - 1][0] < BITS[1] < bits and GAP[0] <= gap <= GAP[1]:
            before, at = points[i - 1]
            kept.append((BITS[1], at + (gap - at) * (BITS[1] - before) / (bits - before), False))
    return kept


def style(dark):
    """Colours as plain rules: not every program that shows SVG knows variables."""
    rules = [f"text {{ fill: {INK[dark]}; }}", f".faint {{ fill: {FAINT[dark]}; }}",
             f".grid {{ stroke: {GRID[dark]}; }}", f".limit {{ stroke: {INK[dark]}; }}"]
    for i, series in enumerate(SERIES):
        colour = series[3 + dark]
        rules += [f".line{i} {{ stroke: {colour}; }}", f".mark{i} {{ fill: {colour}; }}"]
    return "\n".join(rules)


def draw_head():
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 40}" role="img">')
    print("<title>Signal to noise of compressed weights, relative to the limit, against bits per weight</title>")
    print("<style>\ntext { font: 13px system-ui, sans-serif; }\n.title { font-size: 15px; font-weight: 600; }\n"
          ".limit { stroke-width: 1.5; stroke-dasharray: 5 4; }\n"
          ".line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }")
    print(style(0))
    print(f"@media (prefers-color-scheme: dark) {{\n{style(1)}\n}}\n</style>")
    print(f'<text x="{PANELS[0][2]}" y="30">'
          "Signal to noise, in decibel, less 6.02 for each stored bit: higher is better</text>")


def draw_axes(title, left, first):
    right = left + PANEL_WIDTH
    print(f'<text class="title" x="{left}" y="{TOP - 14}">{title}</text>')
    for gap in range(GAP[0] + GAP[0] % 2, GAP[1] + 1, 2):
        print(f'<line class="grid" x1="{left}" x2="{right}" y1="{y_at(gap):.1f}" y2="{y_at(gap):.1f}"/>')
        print(f'<text class="faint" x="{left - 8}" y="{y_at(gap) + 4:.1f}" text-anchor="end">'
              f'{"&#8722;" if gap < 0 else ""}{abs(gap)}</text>')
    for bits in range(BITS[0], BITS[1] + 1):
        print(f'<text class="faint" x="{x_at(left, bits):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{bits}</text>')
    print(f'<text class="faint" x="{(left + right) / 2}" y="{BOTTOM + 38}" text-anchor="middle">'
          "bits per weight, everything stored</text>")
    print(f'<line class="limit" x1="{left}" x2="{right}" y1="{y_at(0):.1f}" y2="{y_at(0):.1f}"/>')
    print(f'<text x="{right}" y="{y_at(0) - 6:.1f}" text-anchor="end">'
          f'{"the limit" if first else "the limit of normal weights"}</text>')


def draw_below(points, left, i):
    """An arrow at the lower rim for what lies beneath it."""
    for bits, gap in points:
        if gap < GAP[0] and BITS[0] <= bits <= BITS[1]:
            x = x_at(left, bits)
            print(f'<path class="mark{i}" d="M{x - 5:.1f} {BOTTOM - 9} h10 l-5 8 z"/>')
            print(f'<text x="{x:.1f}" y="{BOTTOM - 14}" text-anchor="middle">&#8722;{-gap:.1f}</text>')


def draw_series(points, left, i):
    kept = clip(points)
    if len(kept) > 1:
        path = " ".join(f"{x_at(left, bits):.1f},{y_at(gap):.1f}" for bits, gap, _ in kept)
        print(f'<polyline class="line line{i}" points="{path}"/>')
    for bits, gap, _ in (point for point in kept if point[2]):
        print(f'<circle class="mark{i}" cx="{x_at(left, bits):.1f}" cy="{y_at(gap):.1f}" r="3.5"/>')
    draw_below(points, left, i)


def draw_legend():
    left = PANELS[0][2]
    for i, series in enumerate(SERIES):
        x, y = left + i % 4 * 205, HEIGHT + 4 + i // 4 * 20
        print(f'<line class="line line{i}" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"/>')
        print(f'<circle class="mark{i}" cx="{x + 11}" cy="{y - 4}" r="3.5"/>')
        print(f'<text x="{x + 30}" y="{y}">{series[2]}</text>')


def main(path):
    points = read_points(path)
    draw_head()
    for data, title, left in PANELS:
        draw_axes(title, left, data == "normal")
        for i, series in reversed(list(enumerate(SERIES))):
            draw_series(series_points(points, data, *series[:2]), left, i)
    draw_legend()
    print("</svg>")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(0 if "--help" in sys.argv else 2)
    main(sys.argv[1])
