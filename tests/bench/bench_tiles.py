# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""A hot vector tile beside a static file of the same bytes."""

import random

import mvt
from bench_common import (HTTP, Part, Ratio, Static, load_store, measure,
                          requests, spread, times, turns)
from bench_hot import GZIP, LEAST
from places import cell_x, cell_y
from servers import Nginx, Postgres, Redis, wait_until

TILES = 50
ZOOMS = (9, 12, 14, 16)


def choose(rows, z):
    """Tiles as users see them: where the places are."""
    rng = random.Random(z)
    found = {}
    for lon, lat in rng.sample(rows, min(len(rows), 40 * TILES)):
        found[(z, cell_x(lon, z), cell_y(lat, z))] = 1
        if len(found) == TILES:
            break
    return ["/v1/tiles/{}/{}/{}.mvt".format(*t) for t in found]


def hot(client, path, headers):
    def ask():
        a = client.get(path, headers)
        assert a.status == 200, a
        return a if "l1" in a.headers["cache-status"] else None
    return wait_until(ask, 20, f"{path} to come from memory")


def table(seconds=1, rounds=4, workers=(1, 2), say=print, **_):
    part = Part()
    with Postgres(fsync=False) as pg, Redis() as cache:
        say("loading")
        data = load_store(pg)
        places = pg.query("SELECT lon_e7, lat_e7 FROM scc.place")
        part.lines += [
            f"{data}; {TILES} tiles a row, from 13 on of places, below of "
            f"aggregates; wrk with 8 connections, {rounds} rounds of "
            f"{seconds} s in turn; median (lowest-highest).", "",
            "| workers | z | coding | features | bytes | tile, req/s "
            "| p50, p99 µs | static file, req/s | p50, p99 µs | ratio |",
            "|---|---|---|---|---|---|---|---|---|---|"]
        for n in workers:
            with Nginx(pg, cache, scc={"scc_zone": "scc:128m",
                                       "scc_aggregates_valid": "1h"},
                       workers=n, http=HTTP,
                       server="access_log off;") as scc, \
                    Static(n) as static:
                wait_until(lambda: scc.get("/v1/tiles/5/0/0.mvt").status
                           == 200, 60, "the roll-up")
                for z in ZOOMS:
                    rows(part, scc, static, n, z, choose(places, z),
                         seconds, rounds, say)
    return part


def rows(part, scc, static, workers, z, paths, seconds, rounds, say):
    layer = "places" if z > 12 else "aggregates"
    with scc.client() as c:
        for _ in range(2 * workers):
            plain = [hot(c, p, {}) for p in paths]
            coded = [hot(c, p, GZIP) for p in paths]
    for a, b in zip(plain, coded):
        static.keep(a.path, a.body,
                    b.body if "content-encoding" in b.headers else None)
    static.show()
    features = sum(len(mvt.points(a.body, layer)) for a in plain)
    for name, mine, bodies in (("identity", [], plain),
                               ("gzip", ["Accept-Encoding: gzip"], coded)):
        with static.client() as c:
            headers = GZIP if mine else {}
            assert [c.get(p, headers).body for p in paths] == [
                a.body for a in bodies]
        x = requests(scc.dir, f"{z}{name}", paths, *mine)
        y = requests(static.dir, f"{z}{name}", paths, *mine)
        a, b = turns(rounds, lambda: measure(scc, x, seconds),
                     lambda: measure(static, y, seconds))
        r = Ratio(a, b)
        size = sum(len(t.body) for t in bodies) / len(paths)
        part.bar(f"z {z}, {name}, {workers} worker" + "s" * (workers > 1),
                 r.value, r.low, r.high, LEAST)
        line = (f"| {workers} | {z} | {name} | {features / len(paths):,.0f} "
                f"| {size:,.0f} | {spread(a)} | {times(a)} | {spread(b)} | "
                f"{times(b)} | {r.text()} ≥ {LEAST}× |")
        say(line)
        part.lines.append(line)
