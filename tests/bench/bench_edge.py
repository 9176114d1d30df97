# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""Hits in Varnish when the boxes of a real map's log are asked, as they came,
in the forms a client may give them."""

import csv
import math
import os

from bench_common import DATA, Part, load_store
from edge import Varnish
from places import cell_x, cell_y
from servers import Nginx, Postgres, Redis

LOG = "wheelmap_bbox_on_seoul_A.csv"
SCREEN = 1024           # pixels a view is wide; MapLibre's tiles are 512
MOST = 256              # scc_cells_max
WIDEST = .3             # degrees: 54 cells


def boxes():
    with open(os.path.join(DATA, LOG), encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f):
            yield tuple(float(r[k]) for k in
                        ("minlng", "minlat", "maxlng", "maxlat"))


def grid(box, z):
    """First and last tile of a box."""
    w, s, e, n = (round(max(-1, min(1, v / lim)) * lim * 1e7) for v, lim in
                  zip(box, (180, 85.05, 180, 85.05)))
    return cell_x(w, z), cell_x(e, z), cell_y(n, z), cell_y(s, z)


def raw(box):
    return ["/v1/places?bbox=" + ",".join(f"{v:.6f}" for v in box)]


def cells(box, step=1):
    """Whole cells; step: blocks of so many on a side.  A view of more than
    one answer may have is asked in pieces."""
    x0, x1, y0, y1 = grid(box, 16)
    side = max(step, 16 // step * step)
    if step == 1 and (x1 - x0 + 1) * (y1 - y0 + 1) <= MOST:
        return [f"/v1/cells/16/{x0}-{x1}/{y0}-{y1}.json"]
    x0, y0 = x0 // step * step, y0 // step * step
    x1, y1 = x1 // step * step + step - 1, y1 // step * step + step - 1
    if (x1 - x0 + 1) * (y1 - y0 + 1) <= MOST:
        return [f"/v1/cells/16/{x0}-{x1}/{y0}-{y1}.json"]
    return [f"/v1/cells/16/{x}-{min(x + side - 1, x1)}/"
            f"{y}-{min(y + side - 1, y1)}.json"
            for x in range(x0, x1 + 1, side)
            for y in range(y0, y1 + 1, side)]


def tiles(box):
    """What a map draws: tiles of the view's zoom."""
    z = round(math.log2(360 / max(box[2] - box[0], 1e-6) * SCREEN / 512))
    z = max(5, min(16, z))
    x0, x1, y0, y1 = grid(box, z)
    return [f"/v1/tiles/{z}/{x}/{y}.mvt"
            for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]


def table(say=print, **_):
    part = Part(unit=" %")
    with Postgres(fsync=False) as pg, Redis() as redis:
        say("loading")
        data = load_store(pg)
        every = list(boxes())
        views = [b for b in every if b[2] - b[0] <= WIDEST]
        part.lines += [
            f"{len(views)} of the {len(every)} boxes of {LOG}, those no wider "
            f"than {WIDEST} degrees, in their order, once; {data}; "
            "Varnish with `docker/varnish/scc.vcl`, empty before each row, "
            "nothing expires or is purged meanwhile. A tile is of the view's "
            f"own zoom, {SCREEN} pixels wide. Views too large for an answer "
            f"of cells are asked in pieces of at most {MOST}. \"Views hit\": "
            "nothing of them came from the origin.", "",
            "| form | requests a view | hits | views hit | origin answers a "
            "view |", "|---|---|---|---|---|"]
        with Nginx(pg, redis, scc={"scc_zone": "scc:128m"}) as scc:
            for name, form in (
                    ("raw boxes", raw), ("canonical cells", cells),
                    ("cells in blocks of 4 × 4", lambda b: cells(b, 4)),
                    ("tiles", tiles)):
                row(part, scc, name, form, views, say)
    return part


def row(part, scc, name, form, views, say):
    asked = hits = whole = 0
    with Varnish(scc.port, "2g") as edge, edge.client() as c:
        for box in views:
            missed = 0
            for path in form(box):
                a = c.get(path, {"Accept-Encoding": "gzip"})
                assert a.status == 200, a
                hit = "edge; hit" in a.headers["cache-status"]
                asked += 1
                hits += hit
                missed += not hit
            whole += not missed
    n = len(views)
    share = 100 * hits / asked
    part.bar(name, share, share, share)
    line = (f"| {name} | {asked / n:.1f} | **{100 * hits / asked:.1f} %** | "
            f"{100 * whole / n:.1f} % | {(asked - hits) / n:.2f} |")
    say(line)
    part.lines.append(line)
