"""A view from Redis, against nginx with Lua doing GEOSEARCH and HMGET.

The same places, the same views, the same features; each side has a Redis
of its own on a unix socket and one nginx worker, and is asked by wrk in
turn, A B A B, so that what disturbs the machine disturbs both.
"""

import json
import os
import random

from bench_common import (HERE, HTTP, Part, Ratio, answer, load_store,
                          measure, median, requests, spread, times, turns)
from servers import Nginx, Postgres, Redis
from store import COLUMNS, feature

MODULES = "/usr/lib/nginx/modules"
GROUPS = [(60, 50, 70), (600, 540, 660)]
LEAST = {60: 8.0, 600: 30.0}
VIEWS = 100

LUA_CONF = """\
@MAIN@
worker_processes  @WORKERS@;
pid               @DIR@/nginx.pid;
error_log         @DIR@/error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    lua_package_path "/usr/share/lua/5.1/?.lua;;";
    keepalive_requests 100000000;
    server {
        listen 127.0.0.1:@PORT@;
        set $geo_socket @SOCKET@;
        location /v1/ {
            set $geo_ready 0;
            content_by_lua_file @HERE@/geo.lua;
        }
        location /ready/ {
            set $geo_ready 1;
            content_by_lua_file @HERE@/geo.lua;
        }
    }
}
"""


class LuaNginx(Nginx):
    def __init__(self, redis, workers):
        super().__init__(module=f"{MODULES}/ndk_http_module.so",
                         load=[f"{MODULES}/ngx_http_lua_module.so"],
                         template=LUA_CONF, workers=workers)
        self.write(SOCKET=redis.sock, HERE=HERE)


def read_features(pg):
    c = pg.connect()
    with c, c.cursor() as cur:
        cur.execute(COLUMNS + " ORDER BY p.cell, p.id")
        rows = [(r, feature(r)) for r in cur.fetchall()]
    c.close()
    return rows


def decimal(n):
    sign = "-" if n < 0 else ""
    text = f"{abs(n) // 10**7}.{abs(n) % 10**7:07}".rstrip("0").rstrip(".")
    return sign + text


def fill_geo(redis, rows):
    """A geo index and a hash per place, as such services keep them."""
    def text(v):
        return {None: "", True: "true", False: "false"}.get(v, v)

    pipe = redis.r.pipeline(transaction=False)
    for i, (r, f) in enumerate(rows):
        ident, lon, lat, p = f["id"], decimal(r[2]), decimal(r[3]), \
            f["properties"]
        pipe.execute_command("GEOADD", "geo", lon, lat, ident)
        pipe.hset("p:" + ident, mapping={
            "lon": lon, "lat": lat, "name": p["name"],
            "category": text(p["category"]), "address": text(p["address"]),
            "level": text(p["level"]), "registered": text(p["registered"]),
            "stair": text(p["stairInfo"]),
            "height": text(p["stairHeightLevel"]),
            "slope": text(p["hasSlope"]), "first": text(p["isFirstFloor"]),
            "b_registered": text(p["buildingRegistered"]),
            "b_entrance": text(p["buildingEntranceStairInfo"]),
            "b_slope": text(p["buildingHasSlope"]),
            "b_elevator": text(p["buildingHasElevator"]),
            "b_elevator_stair": text(p["buildingElevatorStairInfo"])})
        pipe.hset("r:" + ident, mapping={
            "lon": lon, "lat": lat,
            "json": json.dumps(f, ensure_ascii=False,
                               separators=(",", ":"))})
        if i % 2000 == 1999:
            pipe.execute()
    pipe.execute()


def choose_views(pg, rows, low, high):
    """Views of a phone with so many features, near places."""
    rng = random.Random(high)
    found = []
    c = pg.connect()
    with c, c.cursor() as cur:
        for _ in range(60):
            boxes = []
            for _ in range(200):
                r = rng.choice(rows)[0]
                z = rng.uniform(13.2, 17)
                width = 360 * 360 / (512 * 2 ** z)
                height = width * 640 / 360 * .79
                lon, lat = r[2] / 1e7, r[3] / 1e7
                boxes.append((lon - width * rng.uniform(.2, .8),
                              lat - height * rng.uniform(.2, .8),
                              width, height))
            cur.execute(
                "SELECT v.w, v.s, v.w + v.x, v.s + v.y FROM "
                "unnest(%s::float8[], %s::float8[], %s::float8[], "
                "%s::float8[]) v(w, s, x, y), LATERAL (SELECT count(*) n "
                "FROM scc.place p WHERE p.geom && ST_MakeEnvelope(v.w, v.s,"
                " v.w + v.x, v.s + v.y, 4326)) k "
                "WHERE k.n BETWEEN %s AND %s",
                [list(x) for x in zip(*boxes)] + [low, high])
            found += [",".join(f"{v:.7f}" for v in row)
                      for row in cur.fetchall()]
            if len(found) >= VIEWS:
                break
    c.close()
    return found[:VIEWS]


def same_answers(scc, lua, views):
    """Both sides answer the same features; the mean number of them."""
    total = size = 0
    with scc.client() as a, lua.client() as b:
        for box in views:
            query = f"places?bbox={box}"
            mine = answer(a, "/v1/" + query)
            features = {f["id"]: f for f in mine.json()["features"]}
            for prefix in "/v1/", "/ready/":
                other = b.get(prefix + query)
                assert other.status == 200, other
                assert features == {f["id"]: f for f in
                                    other.json()["features"]}, box
            total += len(features)
            size += len(mine.body)
    return total / len(views), size / len(views)


def table(seconds=2, rounds=5, workers=(1, 2), say=print, **_):
    part = Part()
    with Postgres(fsync=False) as pg, Redis() as cache, Redis() as geo:
        say("loading")
        data = load_store(pg)
        places = read_features(pg)
        fill_geo(geo, places)
        views = {about: choose_views(pg, places, low, high)
                 for about, low, high in GROUPS}
        part.lines += [
            f"{data}; {VIEWS} boxes of a phone a row; no `scc_zone` and no "
            "`scc_answer_cache`, so that every answer is made from cells in "
            f"Redis; each side has a Redis of its own; wrk with 8 "
            f"connections, {rounds} rounds of {seconds} s in turn; median "
            "(lowest-highest). \"Ready\": the geo index with JSON made "
            "before, one string for each place.", "",
            "| workers | features | KB | ngx_scc_module, req/s | p50, p99 µs "
            "| Lua, req/s | p50, p99 µs | ratio | Lua, ready, req/s | ratio "
            "| Redis CPU per request: module, Lua |",
            "|---|---|---|---|---|---|---|---|---|---|---|"]
        for n in workers:
            with Nginx(pg, cache, scc={"scc_answer_cache": "0"}, workers=n,
                       http=HTTP, server="access_log off;") as scc, \
                    LuaNginx(geo, n) as lua:
                for about, boxes in views.items():
                    assert len(boxes) >= 20, f"only {len(boxes)} views"
                    row(part, scc, lua, cache, geo, n, about, boxes,
                        seconds, rounds, say)
    return part


def row(part, scc, lua, cache, geo, workers, about, boxes, seconds, rounds,
        say):
    mean, size = same_answers(scc, lua, boxes)
    files = {prefix: requests(scc.dir, f"{about}{prefix.strip('/')}",
                              [f"{prefix}places?bbox={b}" for b in boxes])
             for prefix in ("/v1/", "/ready/")}
    a, b, c = turns(rounds,
                    lambda: measure(scc, files["/v1/"], seconds, cache),
                    lambda: measure(lua, files["/v1/"], seconds, geo),
                    lambda: measure(lua, files["/ready/"], seconds, geo))
    r, ready = Ratio(a, b), Ratio(a, c)
    label = f"{mean:.0f} features, {workers} worker" + "s" * (workers > 1)
    part.bar(label, r.value, r.low, r.high, LEAST[about])
    part.bar(label + ", ready", ready.value, ready.low, ready.high)
    line = (f"| {workers} | {mean:.0f} | {size / 1024:.0f} | {spread(a)} | "
            f"{times(a)} | {spread(b)} | {times(b)} | {r.text(1)} "
            f"≥ {LEAST[about]:.0f}× | {spread(c)} | {ready.text(1)} | "
            f"{median(a, 'cpu'):,.0f}, {median(b, 'cpu'):,.0f} µs |")
    say(line)
    part.lines.append(line)
