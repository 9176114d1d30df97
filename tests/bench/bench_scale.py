# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""The same views of stores of different sizes.

A larger store is the real one again and again, side by side, each copy moved
east by a whole number of cells: so views have the same features wherever
they are, and nothing but the size differs.  BENCH_BIG=1 adds 5 million.
"""

import os
import random
import re

from bench_common import (HTTP, Part, answer, load_store, measure, median,
                          requests, times, turns)
from bench_hot import choose
from servers import Nginx, Postgres, Redis

SIZES = (100_000, 1_000_000) + (
    (5_000_000,) if os.environ.get("BENCH_BIG") == "1" else ())
MOST = 1.15
VIEWS = 300
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
    """A store, and three nginx in front of it."""

    def __init__(self, size, say):
        self.size = size
        self.pg = Postgres(fsync=False, shared_buffers="512MB",
                           max_wal_size="4GB")
        self.redis = Redis()
        self.sides = {}
        self.say = say

    def __enter__(self):
        self.pg.start()
        self.redis.start()
        load_store(self.pg)
        views = choose(self.pg, 50, 70)
        copies = grow(self.pg, self.size, self.say)
        self.pg.psql("VACUUM ANALYZE")
        rng = random.Random(self.size)
        paths = []
        while len(paths) < VIEWS:
            path = moved(rng.choice(views), rng.randrange(copies))
            if path:
                paths.append(path)
        none = {"scc_answer_cache": "0"}
        for name, redis, scc in (
                ("store", None, none), ("Redis", self.redis, none),
                ("shared memory", self.redis, {"scc_zone": "scc:256m"})):
            nginx = Nginx(self.pg, redis, scc=scc, http=HTTP,
                          server="access_log off;")
            nginx.start()
            file = requests(nginx.dir, "views", paths)
            self.sides[name] = (nginx, file)
            features = 0
            with nginx.client() as c:
                for path in paths:
                    features += len(answer(
                        c, path, layer={"store": "pg", "Redis": "redis",
                                        "shared memory": "l1"}[name]
                    ).json()["features"])
        self.features = features / len(paths)
        self.say(f"{self.size:,} places, {copies} whole copies, "
                 f"{self.features:.1f} features a view")
        return self

    def __exit__(self, *a):
        for nginx, _ in self.sides.values():
            nginx.stop()
        self.redis.stop()
        self.pg.stop()

    def turn(self, name, seconds):
        nginx, file = self.sides[name]
        return lambda: measure(nginx, file, seconds)


def table(seconds=1, rounds=7, say=print, **_):
    part = Part()
    sizes = []
    try:
        for size in SIZES:
            sizes.append(Size(size, say).__enter__())
        part.lines += [
            f"{VIEWS} views, from anywhere in the store, of "
            f"{sizes[0].features:.0f} features on average; one nginx worker, "
            f"wrk with 8 connections, {rounds} rounds of {seconds} s in "
            "turn; cost of a view against its cost at "
            f"{SIZES[0]:,} places, median of the rounds (lowest-highest).",
            "", "| view from | " + " | ".join(
                f"{s:,} places, req/s | p50, p99 µs" + (
                    "" if s == SIZES[0] else " | cost") for s in SIZES)
            + " |",
            "|---" * (3 * len(SIZES)) + "|"]
        for name in ("shared memory", "Redis", "store"):
            results = turns(rounds, *(s.turn(name, seconds)
                                      for s in sizes))
            row(part, name, results, say)
    finally:
        for s in sizes:
            s.__exit__()
    return part


def row(part, name, results, say):
    cells = [name]
    for size, r in zip(SIZES, results):
        cells += [f"{median(r, 'rps'):,.0f}", times(r)]
        if size == SIZES[0]:
            continue
        each = sorted(x["rps"] / y["rps"] for x, y in zip(results[0], r))
        cost = median(results[0], "rps") / median(r, "rps")
        cells.append(f"**{cost:.2f}×** ({each[0]:.2f}-{each[-1]:.2f}) "
                     f"≤ {MOST}×")
        part.bar(f"{name}, {size:,} places", cost, each[0], each[-1],
                 most=MOST)
    line = "| " + " | ".join(cells) + " |"
    say(line)
    part.lines.append(line)
