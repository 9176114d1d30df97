"""Readers of everything that the module answers, in every way a client may
ask, without end."""

import gzip
import random
import threading
import time
from urllib.parse import quote

from places import cell, cell_x, cell_y
from servers import wait_until

# what a status may be, by kind; a reader that is not answered has failed
KNOWN = {"wrong": (400, 404), "contribution": (200, 404)}


def kinds(stack):
    """kind -> function(rng) -> path"""
    rows = stack.pg.query("SELECT id, lon_e7, lat_e7 FROM scc.place "
                          "WHERE NOT is_closed ORDER BY id")
    events = [x[0] for x in stack.pg.query(
        "SELECT event_id::text FROM scc.contribution LIMIT 50")]

    def cells(rng):
        _, lon, lat = rng.choice(rows)
        x, y = cell(lon, lat) >> 16, cell(lon, lat) & 65535
        w, h = rng.randrange(9), rng.randrange(9)
        return f"/v1/cells/16/{x - w}-{x}/{y - h}-{y}.json"

    def box(rng):
        _, lon, lat = rng.choice(rows)
        half = rng.choice((3000, 30000, 300000, 30000000))
        more = rng.choice(("", "&limit=3", "&level_max=2", "&registered=true",
                           "&has_slope=true", "&registered=false&limit=7"))
        return "/v1/places?bbox=" + ",".join(
            f"{v / 1e7:.7f}" for v in (lon - half, lat - half, lon + half,
                                       lat + half)) + more

    def tile(rng):
        _, lon, lat = rng.choice(rows)
        z = rng.randint(5, 16)
        return (f"/v1/tiles/{z}/{cell_x(lon, z)}/{cell_y(lat, z)}."
                + rng.choice(("mvt", "json")))

    def nearby(rng):
        _, lon, lat = rng.choice(rows)
        return (f"/v1/nearby?lng={lon / 1e7:.7f}&lat={lat / 1e7:.7f}"
                + rng.choice(("", "&k=50&radius=5000", "&registered=false")))

    def ogc(rng):
        base = "/ogc/"
        return base + rng.choice((
            "", "api", "conformance", "collections", "collections/places",
            "collections/places/items?limit=5",
            "collections/places/items?bbox=126,37,127,38&limit=20",
            "collections/places/items/"
            + quote(rng.choice(rows)[0], safe="")))

    return {
        "cells": cells, "box": box, "tile": tile, "nearby": nearby,
        "ogc": ogc,
        "place": lambda rng: "/v1/places/" + quote(rng.choice(rows)[0],
                                                   safe=""),
        "meta": lambda rng: "/v1/tiles.json",
        "export": lambda rng: "/v1/export.geojsonl",
        "contribution": lambda rng: "/v1/contributions/"
        + (rng.choice(events) if events
           else "00000000-0000-7000-8000-000000000000"),
        "wrong": lambda rng: rng.choice((
            "/v1/places?bbox=1,2,3", "/v1/tiles/16/70000/1.mvt", "/v1/no",
            "/v1/places/none", "/v1/cells/16/5-4/1-2.json",
            "/v1/places?bbox=1,2,3,4&x=1")),
    }


class Readers:
    """allow: statuses beside 200 that are no failure, of any kind."""

    def __init__(self, stack, n=4, allow=(), pause=0.0, timeout=30, seed=1):
        self.stack, self.allow, self.pause = stack, allow, pause
        self.timeout, self.seed = timeout, seed
        self.kinds = kinds(stack)
        self.end = threading.Event()
        self.counts, self.failed = {}, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(n)]

    def run(self, number):
        rng = random.Random(self.seed * 100 + number)
        names = sorted(self.kinds)
        known = {}
        with self.stack.nginx.client(timeout=self.timeout) as http:
            while not self.end.is_set():
                kind = rng.choice(names)
                if kind == "export" and rng.random() < .9:
                    continue
                path = self.kinds[kind](rng)
                headers = {}
                if rng.random() < .5:
                    headers["Accept-Encoding"] = "gzip"
                if path in known and rng.random() < .3:
                    headers["If-None-Match"] = known[path]
                method = "HEAD" if rng.random() < .1 else "GET"
                try:
                    a = http.get(path, headers, method)
                    self.check(kind, a, headers, method)
                except Exception as e:                  # noqa: BLE001
                    self.failed.append(f"{method} {path} {headers}: {e!r}")
                    http.close()
                    continue
                if "etag" in a.headers:
                    known[path] = a.headers["etag"]
                with self.lock:
                    self.counts[kind, a.status] = \
                        self.counts.get((kind, a.status), 0) + 1
                if self.pause:
                    time.sleep(self.pause)

    def check(self, kind, a, headers, method):
        good = KNOWN.get(kind, (200,)) + self.allow
        if a.status == 304:
            assert "If-None-Match" in headers and not a.body, a
            return
        assert a.status in good, a
        if method == "GET" and a.headers.get("content-encoding") == "gzip":
            gzip.decompress(a.body)

    def total(self):
        with self.lock:
            return sum(self.counts.values())

    def more(self, n, limit=120):
        """Waits for so many more answers."""
        want = self.total() + n
        wait_until(lambda: self.total() >= want or self.failed, limit,
                   f"{n} more answers", .02)
        assert not self.failed, self.failed[:3]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, value, trace):
        self.end.set()
        for t in self.threads:
            t.join(self.timeout + 10)
        if kind is None:
            assert not self.failed, (
                f"{len(self.failed)} failed of {self.total()}:\n"
                + "\n".join(self.failed[:5]))

    def __str__(self):
        return ", ".join(f"{kind} {n} × {status}" for (kind, status), n in
                         sorted(self.counts.items()))
