# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""Hot views, gzip and 304, against nginx serving the same bytes from files.

The static side is the same nginx binary with sendfile, open_file_cache and
gzip_static: each view is a file, and its gzip answer a file beside it, both
as the module answered them.
"""

import gzip
import random

from bench_common import (HTTP, Part, Ratio, Static, answer, load_store,
                          measure, requests, spread, times, turns)
from servers import Nginx, Postgres, Redis

GROUPS = [(60, 50, 70), (600, 540, 660)]
VIEWS = 50
LEAST = 0.8
GZIP = {"Accept-Encoding": "gzip"}


def choose(pg, low, high, views=VIEWS, apart=False):
    """Rectangles of cells with so many features, about as high as wide;
    apart: no two share a cell."""
    cells = {(x, y): n for x, y, n in pg.query(
        "SELECT cell >> 16, cell & 65535, count(*) FROM scc.place "
        "GROUP BY 1, 2")}
    rng, keys, found = random.Random(high), sorted(cells), []
    taken = set()
    for _ in range(400 * views):
        x, y = rng.choice(keys)
        w, h = rng.randint(1, 15), rng.randint(1, 16)
        n = sum(cells.get((i, j), 0) for i in range(x, x + w)
                for j in range(y, y + h))
        if low <= n <= high:
            area = {(i, j) for i in range(x, x + w) for j in range(y, y + h)}
            if apart and area & taken:
                continue
            taken |= area
            found.append(f"/v1/cells/16/{x}-{x + w - 1}/{y}-{y + h - 1}.json")
            if len(found) == views:
                break
    return found


def copy(scc, static, paths):
    """Makes files of the answers; both sides' validators."""
    with scc.client() as c:
        for _ in range(2):
            plain = [answer(c, p, layer="l1") for p in paths]
            coded = [answer(c, p, GZIP, layer="l1") for p in paths]
    for a, b in zip(plain, coded):
        whole = gzip.decompress(b.body) if "content-encoding" in b.headers \
            else b.body
        assert whole == a.body
        static.keep(a.path, a.body, b.body)
    static.show()
    with static.client() as c:
        theirs = [c.get(p) for p in paths]
        assert [a.body for a in theirs] == [a.body for a in plain]
        assert [c.get(p, GZIP).body for p in paths] == [
            a.body for a in coded]
    return plain, coded, theirs


def sides(scc, static, name, paths, mine, others, seconds):
    a = requests(scc.dir, name, paths, *mine)
    b = requests(static.dir, name, paths, *others)
    return (lambda: measure(scc, a, seconds),
            lambda: measure(static, b, seconds))


def table(seconds=1, rounds=5, workers=(1, 2), say=print, **_):
    part = Part()
    with Postgres(fsync=False) as pg, Redis() as cache:
        say("loading")
        data = load_store(pg)
        views = {about: choose(pg, low, high) for about, low, high in GROUPS}
        part.lines += [
            f"{data}; whole cells from shared memory (`cache-status: scc; "
            f"hit; detail=l1`), {VIEWS} views a row; wrk with 8 connections, "
            f"{rounds} rounds of {seconds} s in turn; median "
            "(lowest-highest). With one worker nginx and wrk have a "
            "processor each.", "",
            "| workers | features | answer | bytes | ngx_scc_module, req/s "
            "| p50, p99 µs | static file, req/s | p50, p99 µs | ratio |",
            "|---|---|---|---|---|---|---|---|---|"]
        for n in workers:
            with Nginx(pg, cache, scc={"scc_zone": "scc:128m"}, workers=n,
                       http=HTTP, server="access_log off;") as scc, \
                    Static(n) as static:
                for about, paths in views.items():
                    assert len(paths) >= 20, f"only {len(paths)} views"
                    rows(part, scc, static, n, about, paths, seconds,
                         rounds, say)
    return part


def rows(part, scc, static, workers, about, paths, seconds, rounds, say):
    plain, coded, theirs = copy(scc, static, paths)
    accept = ["Accept-Encoding: gzip"]
    cases = {
        "identity": ([], [], plain),
        "gzip": (accept, accept, coded),
        "304": ([["If-None-Match: " + a.headers["etag"] for a in plain]],
                [["If-None-Match: " + a.headers["etag"] for a in theirs]],
                []),
    }
    for name, (mine, others, bodies) in cases.items():
        a, b = turns(rounds, *sides(scc, static, f"{about}{name}", paths,
                                    mine, others, seconds))
        r = Ratio(a, b)
        size = sum(len(x.body) for x in bodies) / len(paths)
        part.bar(f"{about} features, {name}, {workers} worker"
                 + "s" * (workers > 1), r.value, r.low, r.high, LEAST)
        line = (f"| {workers} | {about} | {name} | {size:,.0f} | {spread(a)} "
                f"| {times(a)} | {spread(b)} | {times(b)} | {r.text()} "
                f"≥ {LEAST}× |")
        say(line)
        part.lines.append(line)
