"""What a public accessibility map was really asked, asked of this one.

The paths of a day's log in their order and at once from several clients;
no answer may be a 5xx, and what a box is answered must be right.
"""

import functools
import math
import re
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

import places
from servers import Nginx, Postgres, Redis, open_data
from test_oracle import Box

THREADS = 4


@pytest.fixture(scope="module")
def pg(real_store):
    with Postgres(template=real_store) as server:
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(pg, redis):
    with Nginx(pg, redis, workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def rows():
    return places.in_order(p for f in places.REAL for p in places.read_csv(f))


def translate(path):
    """A request of the old map as one of this."""
    m = re.match(r"(?:/[a-z]{2,3})?/nodes(?:\.geojson)?\?(bbox=.*)$", path)
    if m:
        return "/v1/places?" + m.group(1)
    m = re.match(r"(?:/[a-z]{2,3})?/nodes?/(\d+)$", path)
    if m:
        return "/v1/places/node/" + m.group(1)
    return "/v1" + path


class Index:
    """Which places are in a box, by exact integers."""

    def __init__(self, rows):
        self.rows = rows
        self.by_lon = sorted(range(len(rows)), key=lambda i: rows[i].lon)
        self.lons = [rows[i].lon for i in self.by_lon]

    @functools.cache
    def ids(self, text):
        """None where the box is none."""
        try:
            w, s, e, n = map(Decimal, text.split(","))
        except (ArithmeticError, ValueError):
            return None
        if s > n or min(w, e) < -540 or max(w, e) > 540 or (
                w > e and (min(w, e) < -180 or max(w, e) > 180)):
            return None
        found = set()
        for w, s, e, n in Box("", w, s, e, n).rects():
            w, s = (math.ceil(x * 10**7) for x in (w, s))
            e, n = (math.floor(x * 10**7) for x in (e, n))
            for i in self.by_lon[bisect_left(self.lons, w):
                                 bisect_right(self.lons, e)]:
                if s <= self.rows[i].lat <= n:
                    found.add(i)
        return [self.rows[i].id for i in sorted(found)]


def check_box(index, path, answer):
    text = parse_qs(urlsplit(path).query)["bbox"][0]
    want = index.ids(text)
    if want is None:
        assert answer.status == 400, (path, answer)
        return
    assert answer.status == 200, (path, answer)
    doc = answer.json()
    got = [f["id"] for f in doc["features"]]
    assert got == want[:len(got)], path
    assert doc["numberReturned"] == len(got)
    assert doc.get("numberMatched", len(want)) == len(want), path
    more = any(x["rel"] == "next" for x in doc["links"])
    assert more == (len(got) < len(want)), path


def replay(nginx, paths, index):
    tally, layers = Counter(), Counter()
    local = threading.local()

    def one(path):
        if not hasattr(local, "client"):
            local.client = nginx.client()
        a = local.client.get(path)
        assert a.status < 500, (path, a)
        if path.startswith("/v1/places?bbox="):
            check_box(index, path, a)
            layers[a.headers.get("cache-status", "-")] += 1
        elif a.status == 200:
            a.json()
        if a.status >= 400:
            assert a.headers["content-type"] == "application/problem+json"
            assert a.json()["status"] == a.status
        kind = re.sub(r"\d[\d.,e-]*", "N", urlsplit(path).path)
        tally[kind if a.status == 200 else "", a.status] += 1

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, paths))
    return tally, layers


def show(tally):
    total = Counter()
    for (_, status), n in tally.items():
        total[status] += n
    return ", ".join(f"{n} × {s}" for s, n in sorted(total.items()))


def test_requests_of_wheelmap(nginx, rows, figure):
    with open_data("wheelmap_requests_A.log.gz") as f:
        paths = [translate(line.rstrip("\n")) for line in f]
    assert len(paths) == 5000
    tally, layers = replay(nginx, paths, Index(rows))
    figure("wheelmap's requests", f"{len(paths)}: {show(tally)}; boxes: "
           + ", ".join(f"{n} × {k}" for k, n in layers.most_common()))
    assert sum(n for (_, s), n in tally.items() if s == 200) > 400


def test_boxes_of_wheelmap_on_seoul(nginx, redis, rows, figure):
    with open_data("wheelmap_bbox_on_seoul_A.csv") as f:
        next(f)
        boxes = [line.rstrip("\n").split(",", 1)[1] for line in f]
    assert len(boxes) == 434
    index = Index(rows)
    redis.forget()
    paths = ["/v1/places?bbox=" + b for b in boxes]
    tally, layers = replay(nginx, paths * 2, index)
    figure("wheelmap's boxes on Seoul", f"{len(paths)} twice: "
           f"{show(tally)}; " + ", ".join(
               f"{n} × {k}" for k, n in layers.most_common()))
