# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""RESULTS.md, put together from parts: each part is written by itself and
leaves the others as they are."""

import os
import re

import plot
from bench_common import HERE, machine

PATH = os.path.join(HERE, "RESULTS.md")

TITLES = {
    "hot": "Hot views, gzip and 304, against nginx serving files",
    "beside": "Hot views beside a stream of cold ones",
    "tiles": "Hot vector tiles, against nginx serving files",
    "redis": "A view from Redis, against nginx + Lua with GEOSEARCH + HMGET",
    "herd": "1,000 clients, one cold view",
    "scale": "100 thousand, 1 million, 5 million places",
    "edge": "Hits at the edge: a real map's traffic",
    "memory": "Memory of a place",
    "writes": "Acknowledged writes, against PostgreSQL's own",
    "drill": "A drill: the store from its copies alone",
    "verify": "Verify and adopt: a store compared with its journals",
}

HEAD = """\
# Measured

Written by `make bench`, one part at a time; each part is one run, in which
both sides of a ratio were asked in turn. Only ratios mean something on another
machine.
"""


def write(part, lines, bars=(), unit="×"):
    """Replaces a part; bars, if there are any, become PART.svg."""
    body = list(lines)
    if bars:
        plot.draw(os.path.join(HERE, part + ".svg"), TITLES[part], bars,
                  unit)
        body += ["", f"![{TITLES[part]}]({part}.svg)"]
    body += ["", machine() + "."]

    parts = {}
    if os.path.exists(PATH):
        with open(PATH, encoding="utf-8") as f:
            parts = dict(re.findall(r"<!-- part: (\w+) -->\n(.*?)\n"
                                    r"<!-- end: \1 -->", f.read(), re.S))
    parts[part] = f"## {TITLES[part]}\n\n" + "\n".join(body)

    with open(PATH, "w", encoding="utf-8") as f:
        f.write(HEAD)
        for name in [*TITLES, *(x for x in parts if x not in TITLES)]:
            if name in parts:
                f.write(f"\n<!-- part: {name} -->\n{parts[name]}\n"
                        f"<!-- end: {name} -->\n")
