# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""A picture of ratios: bars, with the spread of the rounds as a thin line
and what is asked for as a dashed one.  Plain SVG, no libraries."""

import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, STEP = 860, 300, 120, 64, 26
MET, MISSED, FREE, INK, GRID = "#2b7a78", "#c0392b", "#7f8c8d", "#222", "#ddd"


def ticks(top, log, low):
    if log:
        first = math.floor(math.log10(low))
        return [10.0 ** i for i in range(first, math.ceil(
            math.log10(top)) + 1)]
    step = 10 ** math.floor(math.log10(top))
    while top / step < 4:
        step /= 2
    return [i * step for i in range(int(top / step) + 2)]


def short(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.3g}"


def draw(path, title, bars, unit="×"):
    """bars: (label, value, low, high, least or None, most or None)."""
    top = max(max(b[3], b[4] or 0, b[5] or 0) for b in bars)
    bottom = min(b[1] for b in bars)
    log = bottom > 0 and top / bottom > 20
    marks = ticks(top, log, bottom)
    height = TOP + STEP * len(bars) + 40

    def x(v):
        if log:
            low, high = math.log10(marks[0]), math.log10(marks[-1])
            part = (math.log10(max(v, marks[0])) - low) / (high - low)
        else:
            part = v / marks[-1]
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def text(at, y, s, anchor="start", size=12, fill=INK, weight="normal"):
        return (f'<text x="{at:.1f}" y="{y:.1f}" font-size="{size}" '
                f'text-anchor="{anchor}" fill="{fill}" '
                f'font-weight="{weight}">{escape(s)}</text>')

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
           f'height="{height}" viewBox="0 0 {WIDTH} {height}" '
           'font-family="DejaVu Sans, Verdana, sans-serif">',
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
           text(16, 26, title, size=15, weight="bold"),
           text(16, 46, "thin line: lowest and highest round; dashed: what "
                "is asked for" + ("; logarithmic" if log else ""), size=11,
                fill=FREE)]
    end = TOP + STEP * len(bars)
    for v in marks:
        out.append(f'<line x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{TOP}" '
                   f'y2="{end}" stroke="{GRID}"/>')
        out.append(text(x(v), end + 18, short(v) + unit, "middle", 11, FREE))
    for i, (label, value, low, high, least, most) in enumerate(bars):
        y = TOP + STEP * i + 5
        met = (least is None or value >= least) \
            and (most is None or value <= most)
        fill = FREE if least is None and most is None \
            else MET if met else MISSED
        out += [text(LEFT - 10, y + 12, label, "end"),
                f'<rect x="{LEFT}" y="{y}" width="{x(value) - LEFT:.1f}" '
                f'height="{STEP - 10}" fill="{fill}"/>',
                f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" '
                f'y1="{y + 8}" y2="{y + 8}" stroke="{INK}"/>',
                text(max(x(value), x(high)) + 8, y + 13,
                     f"{short(value)}{unit}", weight="bold")]
        want = least if least is not None else most
        if want is not None:
            out.append(f'<line x1="{x(want):.1f}" x2="{x(want):.1f}" '
                       f'y1="{y - 4}" y2="{y + STEP - 6}" stroke="{INK}" '
                       'stroke-width="2" stroke-dasharray="4 3"/>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
