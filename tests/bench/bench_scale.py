# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""The same views of stores of different sizes.

A larger store is the real one again and again, side by side, each copy moved
east by a whole number of cells.  The views are the same in all: no two of
them share a cell, and each is asked for in one of the copies; so all sizes
answer the same features from as much memory, and nothing but the size differs.
BENCH_BIG=1 adds 5 million.
"""

import math
import os
import random
import re
import statistics
import time

from bench_common import (HTTP, Part, answer, load_store, measure, median,
                          requests, times, turns)
from bench_hot import choose
from servers import Nginx, Postgres, Redis

SIZES = (100_000, 1_000_000) + (
    (5_000_000,) if os.environ.get("BENCH_BIG") == "1" else ())
MOST = 1.15
NEARBY = 20
FARTHEST = "nearby, 5 km, nothing found"
VIEWS = 200
STEP = 768                              # cells between two copies
STEP_E7 = 3600000000 // 65536 * STEP + 3600000000 % 65536 * STEP // 65536


def grow(pg, size, say):
    """Copies the store's places until there are so many; how many times
    they are there as a whole."""
    base = have = pg.query("SELECT count(*) FROM scc.place")[0][0]
    pg.query("CREATE TABLE base AS SELECT id, name, category, address, "
             "source, extra, lon_e7, lat_e7 FROM scc.place ORDER BY cell, "
             "id")
    copies = 1
    while have < size:
        n = min(base, size - have)
        pg.query(
            "INSERT INTO scc.place (id, name, category, address, source, "
            "extra, lon_e7, lat_e7) SELECT %s || id, name, category, "
            "address, source, extra, (lon_e7::bigint + 1800000000 + %s) "
            "%% 3600000000 - 1800000000, lat_e7 FROM base LIMIT %s",
            (f"copy{copies}:", copies * STEP_E7, n))
        have, copies = have + n, copies + (n == base)
        if copies % 10 == 0:
            say(f"  {have:,} places")
    return copies


def moved(path, copy):
    """A view's cells in another copy, or None: it would cross 180 degrees."""
    x0, x1 = map(int, re.search(r"/16/(\d+)-(\d+)/", path).groups())
    a, b = ((x + copy * STEP) % 65536 for x in (x0, x1))
    return path.replace(f"/{x0}-{x1}/", f"/{a}-{b}/") if a <= b else None


class Size:
    """A store, and four nginx in front of it."""

    def __init__(self, size, say):
        self.size = size
        self.pg = Postgres(fsync=False, shared_buffers="512MB",
                           max_wal_size="4GB")
        self.redis = Redis()
        self.sides = {}
        self.first = []
        self.say = say

    def __enter__(self):
        self.pg.start()
        self.redis.start()
        load_store(self.pg)
        views = choose(self.pg, 50, 70, VIEWS, apart=True)
        assert len(views) >= VIEWS / 2, f"only {len(views)} views"
        copies = grow(self.pg, self.size, self.say)
        self.pg.psql("VACUUM ANALYZE")
        rng = random.Random(self.size)
        paths = []
        for view in views:
            path = None
            while path is None:
                path = moved(view, rng.randrange(copies))
            paths.append(path)
        none = {"scc_answer_cache": "0"}
        for name, layer, redis, scc in (
                ("store", "pg", None, none),
                ("Redis", "redis", self.redis, none),
                ("shared memory, put together", "l1", self.redis,
                 {"scc_zone": "scc:256m", **none}),
                ("shared memory", "l1", self.redis,
                 {"scc_zone": "scc:256m"})):
            nginx = self.start(name, redis, scc, paths)
            features = 0
            with nginx.client() as c:
                for path in paths:
                    # the feed's first round is of all cells
                    features += len(answer(c, path, layer=layer,
                                           limit=900).json()["features"])
        self.features, self.views = features / len(paths), len(paths)
        self.nearby(paths[:NEARBY])
        self.say(f"{self.size:,} places, {copies} whole copies, "
                 f"{self.features:.1f} features a view")
        return self

    def start(self, name, redis, scc, paths):
        nginx = Nginx(self.pg, redis, scc=scc, http=HTTP,
                      server="access_log off;")
        nginx.start()
        pids = nginx.workers() + ([redis.pid] if redis else [])
        self.sides[name] = (nginx, requests(nginx.dir, "views", paths), pids)
        return nginx

    def nearby(self, paths):
        """The farthest that may be asked for, with a filter that nothing
        passes, so that all of it is looked at."""
        asked = []
        for path in paths:
            x, y = map(int, re.search(r"/16/(\d+)-\d+/(\d+)", path).groups())
            lon = x / 65536 * 360 - 180
            lat = math.degrees(math.atan(math.sinh(
                math.pi * (1 - 2 * y / 65536))))
            asked.append(f"/v1/nearby?lng={lon:.6f}&lat={lat:.6f}&k=50"
                         "&radius=5000&registered=true&category=none")
        nginx = self.start(FARTHEST, self.redis, {"scc_zone": "scc:256m"},
                           asked)
        with nginx.client() as c:
            for path in asked:
                began = time.monotonic()
                a = c.get(path)
                assert a.status == 200 and not a.json()["features"], a
                self.first.append((time.monotonic() - began) * 1000)

    def __exit__(self, *a):
        for nginx, _, _ in self.sides.values():
            nginx.stop()
        self.redis.stop()
        self.pg.stop()

    def turn(self, name, seconds):
        nginx, file, pids = self.sides[name]
        return lambda: measure(nginx, file, seconds, pids=pids)


def table(seconds=0.5, rounds=15, say=print, ready=None, **_):
    part = Part()
    sizes = []
    try:
        for size in SIZES:
            sizes.append(Size(size, say).__enter__())
        if ready:
            ready()
        part.lines += [
            f"The same {sizes[0].views} views in all, from everywhere in "
            f"the store, of {sizes[0].features:.0f} features on "
            "average; one nginx worker, wrk with 8 connections, "
            f"{rounds} rounds of {seconds} s in turn. Cost: time for a view "
            f"against its time at {SIZES[0]:,} places in the same round, "
            "median of the rounds (from the lower to the upper quartile); "
            "in the next column the same of processor time, of nginx's worker "
            "and Redis, which other load disturbs less. \"Put together\": "
            "`scc_answer_cache 0`, every answer is made from its cells. "
            "\"Nearby\": `k=50&radius=5000` and a "
            "filter that nothing passes, the dearest there is.",
            "", "| view from | " + " | ".join(
                f"{s:,} places, req/s | p50, p99 µs | CPU µs" + (
                    "" if s == SIZES[0] else " | cost | of CPU")
                for s in SIZES) + " |",
            "|---" * (1 + 3 + 5 * (len(SIZES) - 1)) + "|"]
        for name in ("shared memory", "shared memory, put together", "Redis",
                     "store", FARTHEST):
            turns(1, *(s.turn(name, seconds) for s in sizes))
            row(part, name, turns(rounds, *(s.turn(name, seconds)
                                            for s in sizes)), say)
        text = "Nearby for the first time, from a cold cache, ms: " + "; ".join(
            f"{s.size:,} places {statistics.median(s.first):,.0f}, at most "
            f"{max(s.first):,.0f}" for s in sizes) + "."
        say(text)
        part.lines += ["", text]
    finally:
        for s in sizes:
            s.__exit__()
    return part


def pairs(a, b, key):
    """b's cost to a's, round by round: quartiles."""
    return statistics.quantiles([
        y[key] / x[key] if key == "busy" else x[key] / y[key]
        for x, y in zip(a, b)], n=4)


def row(part, name, results, say):
    cells = [name]
    most = None if name == FARTHEST else MOST
    for size, r in zip(SIZES, results):
        cells += [f"{median(r, 'rps'):,.0f}", times(r),
                  f"{median(r, 'busy'):,.1f}"]
        if size == SIZES[0]:
            continue
        low, cost, high = pairs(results[0], r, "rps")
        a, cpu, b = pairs(results[0], r, "busy")
        cells += [f"**{cost:.2f}×** ({low:.2f}-{high:.2f})"
                  + (f" ≤ {MOST}×" if most else ""),
                  f"{cpu:.2f}× ({a:.2f}-{b:.2f})"]
        part.bar(f"{name}, {size // 1000000} million", cost, low, high,
                 most=most)
    line = "| " + " | ".join(cells) + " |"
    say(line)
    part.lines.append(line)
