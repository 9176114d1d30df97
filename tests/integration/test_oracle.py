"""Boxes, filters, cells and tiles against PostGIS and SQL.

The oracle is a database of its own, loaded by Python straight from the
files; for every box PostGIS says which places lie in it, and exact decimals
say it again.  What the map answers, page by page, must be the same ids, in
the promised order, none twice: from a cold cache, a warm one, and without.
"""

import itertools
import math
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import quote

import psycopg2.extras
import pytest

import places
from places import cell_x, cell_y, decimal, tile_lat, tile_lon
from servers import Nginx, Postgres, Redis, sccctl
from store import load_sample

SEED = 20230501
BOXES = {"cold": 3600, "warm": 4000, "off": 3600}
THREADS = 4
LIMIT_MAX = 5000


class Oracle:
    """The places of the files, and what PostGIS says about boxes."""

    def __init__(self, pg):
        self.pg = pg
        self.rows = places.in_order(
            p for f in places.REAL for p in places.read_csv(f))
        self.rank = {p.id: i for i, p in enumerate(self.rows)}
        assert len(self.rank) == len(self.rows)
        pg.create_database("oracle")
        with pg.connect(dbname="oracle") as c, c.cursor() as cur:
            cur.execute("CREATE EXTENSION IF NOT EXISTS postgis")
            cur.execute(
                "CREATE TABLE p (rank int PRIMARY KEY, lon numeric(11, 7), "
                "lat numeric(10, 7), geom geometry(Point, 4326))")
            psycopg2.extras.execute_values(
                cur, "INSERT INTO p VALUES %s",
                [(i, decimal(p.lon), decimal(p.lat), str(decimal(p.lon)),
                  str(decimal(p.lat))) for i, p in enumerate(self.rows)],
                "(%s, %s, %s, ST_SetSRID(ST_MakePoint(%s::float8, "
                "%s::float8), 4326))", 2000)
            cur.execute("CREATE INDEX ON p USING gist (geom)")
            cur.execute("CREATE INDEX ON p (lon, lat)")
            cur.execute("ANALYZE p")
        c.close()

    def answer(self, boxes):
        """Lists of ranks, ascending: one statement for all boxes."""
        parts = []
        for i, b in enumerate(boxes):
            parts += [(i, w, s, e, n) for w, s, e, n in b.rects()]
        out = [[] for _ in boxes]
        with self.pg.connect(dbname="oracle") as c, c.cursor() as cur:
            cur.execute(
                "CREATE TEMP TABLE r (box int, w numeric, s numeric, "
                "e numeric, n numeric) ON COMMIT DROP")
            psycopg2.extras.execute_values(
                cur, "INSERT INTO r VALUES %s", parts, page_size=2000)
            cur.execute("""
                SELECT q.box, array_agg(DISTINCT p.rank ORDER BY p.rank),
                       bool_and(p.lon BETWEEN q.w AND q.e
                                AND p.lat BETWEEN q.s AND q.n)
                  FROM (SELECT *, CASE
                        WHEN w = e AND s = n
                        THEN ST_SetSRID(ST_MakePoint(w::float8, s::float8),
                                        4326)
                        WHEN w = e OR s = n
                        THEN ST_SetSRID(ST_MakeLine(
                            ST_MakePoint(w::float8, s::float8),
                            ST_MakePoint(e::float8, n::float8)), 4326)
                        ELSE ST_MakeEnvelope(w::float8, s::float8,
                                             e::float8, n::float8, 4326)
                        END AS shape FROM r) q
                  JOIN p ON ST_Intersects(p.geom, q.shape)
                 GROUP BY q.box""")
            for box, ranks, same in cur.fetchall():
                # PostGIS's doubles and exact decimals agree
                assert same, boxes[box]
                out[box] = ranks
            cur.execute("""
                SELECT q.box, count(DISTINCT p.rank)
                  FROM r q JOIN p ON p.lon BETWEEN q.w AND q.e
                                 AND p.lat BETWEEN q.s AND q.n
                 GROUP BY q.box""")
            exact = dict(cur.fetchall())
        c.close()
        for i, ranks in enumerate(out):
            assert len(ranks) == exact.get(i, 0), boxes[i]
        return out


class Box:
    """A bbox parameter: text as it is sent, and what it means."""

    __slots__ = ("kind", "text")

    def __init__(self, kind, *edges):
        self.kind = kind
        self.text = ",".join(x if isinstance(x, str) else format(x, "f")
                             for x in edges)

    def __repr__(self):
        return f"<{self.kind} {self.text}>"

    def rects(self):
        """Rectangles within the world: a place is in the box if it, or it
        moved around the world, is between the edges."""
        w, s, e, n = map(Decimal, self.text.split(","))
        s, n = max(s, Decimal(-90)), min(n, Decimal(90))
        if w > e:
            return [(w, s, Decimal(180), n), (Decimal(-180), s, e, n)]
        out = []
        for k in (-2, -1, 0, 1, 2):
            a = max(w + 360 * k, Decimal(-180))
            b = min(e + 360 * k, Decimal(180))
            if a <= b and s <= n:
                out.append((a, s, b, n))
        return out


def view(rng, p, z):
    """A phone's view (360 x 640 pixels) of zoom z near a place."""
    width = Decimal(360) * 360 / (512 << z)
    height = width * 640 / 360 * Decimal(
        str(round(math.cos(math.radians(p.lat / 1e7)), 6)))
    digits = rng.choice((5, 6, 7, 9, 12, 15))
    q = Decimal(1).scaleb(-digits)
    lon = decimal(p.lon) + width * Decimal(str(round(rng.uniform(-.4, .4),
                                                     8)))
    lat = decimal(p.lat) + height * Decimal(str(round(rng.uniform(-.4, .4),
                                                      8)))
    return Box(f"view z{z}", (lon - width / 2).quantize(q),
               (lat - height / 2).quantize(q), (lon + width / 2).quantize(q),
               (lat + height / 2).quantize(q))


def make_boxes(rng, rows, n):
    """n boxes, no two alike: views as maps send them, and cruel ones."""
    step = Decimal("0.0000001")
    stacks = {}
    for p in rows:
        stacks.setdefault((p.lon, p.lat), []).append(p)
    stacked = [v[0] for v in stacks.values() if len(v) > 2]
    out, seen = [], set()

    def tiles(p):
        z = rng.choice((13, 14, 15, 15, 16, 16, 16))
        x, y = cell_x(p.lon, z), cell_y(p.lat, z)
        a, b = rng.choice(((1, 1), (1, 1), (2, 1), (2, 3)))
        return Box("tile edges", tile_lon(x, z), tile_lat(y + b, z),
                   tile_lon(x + a, z), tile_lat(y, z))

    def cells(p):
        x, y = cell_x(p.lon), cell_y(p.lat)
        inner = Decimal("0.00000005")
        return Box("cell edges", tile_lon(x, 16) + rng.choice((0, 1)) * inner,
                   tile_lat(y + 1, 16), tile_lon(x + 1, 16), tile_lat(y, 16))

    def on_places(p):
        q = rng.choice(rows)
        while abs(p.lon - q.lon) > 300000 or abs(p.lat - q.lat) > 300000:
            q = rng.choice(near.get(p.cell >> 22, rows))
        lon = sorted((decimal(p.lon), decimal(q.lon)))
        lat = sorted((decimal(p.lat), decimal(q.lat)))
        d = [rng.choice((0, 0, step, -step)) for _ in range(4)]
        w, s, e, n = (lon[0] + d[0], lat[0] + d[1],
                      max(lon[1] + d[2], lon[0] + d[0]),
                      max(lat[1] + d[3], lat[0] + d[1]))
        return Box("edges on places", w, s, e, n)

    def zero(p):
        q = rng.choice(stacked) if rng.random() < .7 else p
        lon, lat = decimal(q.lon), decimal(q.lat)
        if rng.random() < .3:
            lon += step * rng.choice((1, -1))
        return Box("zero area", lon, lat, lon, lat)

    def line(p):
        lon, lat = decimal(p.lon), decimal(p.lat)
        d = Decimal(str(rng.uniform(.0001, .02))).quantize(step)
        if rng.random() < .5:
            return Box("line", lon - d, lat, lon + d, lat)
        return Box("line", lon, lat - d, lon, lat + d)

    def tiny(p):
        d = step * rng.choice((1, 2, 5, 50))
        return Box("tiny", decimal(p.lon) - d, decimal(p.lat) - d,
                   decimal(p.lon) + d, decimal(p.lat) + d)

    def between(p):
        lon, lat = decimal(p.lon), decimal(p.lat)
        a, b = Decimal("0.00000003"), Decimal("0.00000007")
        return Box("between the grid", lon + a, lat + a, lon + b, lat + b)

    def strip(p):
        a = Decimal(str(rng.uniform(.00001, .0002))).quantize(step)
        b = Decimal(str(rng.uniform(.05, .25))).quantize(step)
        if rng.random() < .5:
            a, b = b, a
        return Box("strip", decimal(p.lon) - a, decimal(p.lat) - b,
                   decimal(p.lon) + a, decimal(p.lat) + b)

    def antimeridian(p):
        # the way round the world that is not the short one
        d = Decimal(str(rng.uniform(.001, .04))).quantize(step)
        if rng.random() < .3:
            return Box("antimeridian", decimal(p.lon) - d,
                       decimal(p.lat) - d / 4, Decimal(-179),
                       decimal(p.lat) + d / 4)
        return Box("antimeridian", Decimal("170.5"),
                   decimal(p.lat) - d / 4, decimal(p.lon) + d - 40,
                   decimal(p.lat) + d / 4)

    def turned(p):
        b = view(rng, p, rng.randint(14, 17))
        w, s, e, n = map(Decimal, b.text.split(","))
        k = rng.choice((360, -360))
        return Box("turned around the world", w + k, s, e + k, n)

    def world(p):
        lat = decimal(p.lat)
        d = Decimal(str(rng.uniform(.0001, .002))).quantize(step)
        w = rng.choice((-180, -200, -360, -540))
        return Box("around the world", Decimal(w), lat - d,
                   Decimal(w + rng.choice((360, 400, 720))
                           if w < -300 else 180), lat + d)

    def poles(p):
        lon = decimal(p.lon)
        d = Decimal(str(rng.uniform(.00001, .0002))).quantize(step)
        return Box("beyond the poles", lon - d,
                   Decimal(rng.randint(-1000, -90)), lon + d,
                   Decimal(rng.randint(90, 1000)))

    def nowhere(p):
        lon = Decimal(str(rng.uniform(-180, 179))).quantize(step)
        lat = Decimal(str(rng.uniform(-89, 88))).quantize(step)
        d = Decimal(str(10 ** rng.uniform(-6, 0))).quantize(step)
        return Box("anywhere", lon, lat, lon + d, lat + d)

    def exponent(p):
        def text(n):
            return f"{n}e-7" if rng.random() < .5 else f"{n / 10:.1f}E-6"
        d = rng.randint(0, 20000)
        return Box("exponents", text(p.lon - d), text(p.lat - d),
                   text(p.lon + d), text(p.lat + d))

    near = {}
    for p in rows:
        near.setdefault(p.cell >> 22, []).append(p)

    kinds = ([lambda p, z=z: view(rng, p, z)
              for z in [14] * 4 + [15] * 6 + [16] * 10 + [17] * 8 + [18] * 6]
             + [tiles] * 6 + [cells] * 4 + [on_places] * 10 + [zero] * 6
             + [line] * 3 + [tiny] * 4 + [between] * 1 + [strip] * 3
             + [antimeridian] * 2 + [turned] * 3 + [poles] * 1
             + [nowhere] * 4 + [exponent] * 3 + [world] * 1)
    rare = [lambda p, z=z: view(rng, p, z) for z in (11, 12, 13, 13, 13, 13)]

    while len(out) < n:
        kind = rng.choice(rare if len(out) % 40 == 0 else kinds)
        box = kind(rng.choice(rows))
        if box.text not in seen:
            seen.add(box.text)
            out.append(box)
    out[:1] = [Box("whole world", "-180", "-90", "180", "90")]
    return out


def pages(client, path, limit=None, most=400):
    """All features' ids of a paged answer, and its first page's document."""
    ids, first = [], None
    for _ in range(most):
        a = client.get(path)
        assert a.status == 200, (path, a)
        doc = a.json()
        got = [f["id"] for f in doc["features"]]
        assert doc["numberReturned"] == len(got), path
        if limit is not None:
            assert len(got) <= limit, path
        ids += got
        if first is None:
            first = doc
        elif "numberMatched" in doc:
            assert doc["numberMatched"] == first["numberMatched"], path
        path = a.next()
        if path is None:
            return ids, first
        assert got, "an empty page with a next one"
    raise AssertionError(f"more than {most} pages")


@pytest.fixture(scope="module")
def store(real_store):
    with Postgres(template=real_store) as server:
        yield server


@pytest.fixture(scope="module")
def oracle(store):
    return Oracle(store)


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(store, redis):
    with Nginx(store, redis, workers=1,
               location=f"scc_limit 100 {LIMIT_MAX};") as server:
        yield server


def test_import_kept_every_place(store, oracle):
    rows = store.query("SELECT id, name, lon_e7, lat_e7, cell FROM scc.place")
    have = {r[0]: tuple(r[1:]) for r in rows}
    want = {p.id: (p.name, p.lon, p.lat, p.cell) for p in oracle.rows}
    assert have == want


_totals = {}


@pytest.fixture(scope="module")
def boxes(oracle):
    rng = random.Random(SEED)
    made = make_boxes(rng, oracle.rows, sum(BOXES.values()))
    rng.shuffle(made)
    out, at = {}, 0
    for mode, n in BOXES.items():
        out[mode] = made[at:at + n]
        at += n
    return out


def ask(nginx, oracle, boxes, before=None):
    """Asks for every box; returns (ids seen, requests, counts by kind)."""
    want = oracle.answer(boxes)
    local = threading.local()
    stats = {"ids": 0, "requests": 0}
    kinds = {}
    lock = threading.Lock()
    wrong = []

    def one(i):
        if len(wrong) > 5:
            return
        if not hasattr(local, "client"):
            local.client = nginx.client()
        rng = random.Random(SEED + i)
        box, ranks = boxes[i], want[i]
        most = min(LIMIT_MAX, max(1, len(ranks)))
        limit = rng.choice((1000, LIMIT_MAX, rng.randint(1, most),
                            rng.randint(1, most)))
        limit = max(limit, len(ranks) // 12, 1)
        if before is not None:
            before()
        path = f"/v1/places?bbox={box.text}&limit={limit}"
        try:
            ids, first = pages(local.client, path, limit)
        except Exception as e:
            wrong.append(f"{box!r}: {e!r}")
            return
        expect = [oracle.rows[r].id for r in ranks]
        if ids != expect:
            a, b = set(ids), set(expect)
            wrong.append(
                f"{box!r} limit={limit}: {len(ids)} ids, {len(expect)} "
                f"expected; missing {sorted(b - a)[:5]}, too many "
                f"{sorted(a - b)[:5]}"
                + ("; order or repetition differs" if a == b else ""))
        if first.get("numberMatched", len(expect)) != len(expect):
            wrong.append(f"{box!r}: numberMatched {first['numberMatched']}, "
                         f"{len(expect)} expected")
        with lock:
            stats["ids"] += len(ids)
            stats["requests"] += 1 + (len(ids) - 1) // limit if ids else 1
            k = kinds.setdefault(box.kind, [0, 0])
            k[0] += 1
            k[1] += bool(ids)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(boxes))))
    assert not wrong, "\n".join(wrong)
    return stats, kinds


def report(figure, mode, boxes, stats, kinds, began):
    _totals[mode] = len(boxes)
    figure(f"oracle, {mode}",
           f"{len(boxes)} boxes equal to PostGIS ({stats['ids']} ids in "
           f"{stats['requests']} pages, {time.monotonic() - began:.0f} s)")
    print("\n" + "\n".join(f"  {k:26} {a:5}, {b} with places"
                           for k, (a, b) in sorted(kinds.items())))


def test_boxes_cold(nginx, redis, oracle, boxes, figure):
    began = time.monotonic()
    client = redis.client()
    turn = itertools.count()

    def chill():
        if next(turn) % 300:
            redis.forget(client)
        else:
            client.flushall()           # and the feed must vouch again

    stats, kinds = ask(nginx, oracle, boxes["cold"], before=chill)
    report(figure, "cold", boxes["cold"], stats, kinds, began)
    filled = sum(x.endswith(" MISS") for x in nginx.access())
    assert filled > len(boxes["cold"]) / 4, f"only {filled} fills"


def test_boxes_warm(nginx, redis, oracle, boxes, figure):
    began = time.monotonic()
    redis.forget()
    sample = boxes["warm"]
    ask(nginx, oracle, sample[:500])
    stats, kinds = ask(nginx, oracle, sample)
    report(figure, "warm", sample, stats, kinds, began)
    assert redis.r.dbsize() > 100
    hits = sum(line.endswith(" HIT") for line in nginx.access())
    assert hits > len(sample) / 4, f"only {hits} answers came from Redis"


def test_boxes_from_memory(store, redis, oracle, boxes, figure):
    """From the zone, which has room for some of the cells only."""
    began = time.monotonic()
    sample = boxes["warm"][:1000]
    with Nginx(store, redis, workers=2, scc={"scc_zone": "cells:8m"},
               location=f"scc_limit 100 {LIMIT_MAX};") as n:
        ask(n, oracle, sample)
        stats, kinds = ask(n, oracle, sample)
        with n.client() as c:
            path = f"/v1/places?bbox={sample[0].text}"
            c.get(path)
            assert "hit" in c.get(path).headers["cache-status"]
    figure("oracle, from memory", f"{len(sample)} boxes, twice, "
           f"{time.monotonic() - began:.0f} s")
    assert stats["ids"] and kinds


def test_boxes_without_cache(nginx, redis, oracle, boxes, figure):
    began = time.monotonic()
    redis.stop()
    try:
        stats, kinds = ask(nginx, oracle, boxes["off"])
    finally:
        redis.start()
    report(figure, "Redis off", boxes["off"], stats, kinds, began)


def test_enough_boxes(figure):
    if len(_totals) < 3:
        pytest.skip("not all three modes ran")
    total = sum(_totals.values())
    figure("oracle, all", f"{total} different boxes")
    assert total >= 10000


def test_nginx_without_redis_directive(store, oracle, boxes):
    with Nginx(store, None, location=f"scc_limit 100 {LIMIT_MAX};") as n:
        ask(n, oracle, boxes["warm"][1:200])


# below the precision of a double only decimals tell inside from outside

def test_edges_finer_than_a_double(nginx, oracle):
    p = oracle.rows[len(oracle.rows) // 2]
    here = [r.id for r in oracle.rows if (r.lon, r.lat) == (p.lon, p.lat)]
    lon, lat = decimal(p.lon), decimal(p.lat)
    eps = Decimal("0.00000000000000000001")
    with nginx.client() as c:
        for box, want in (
                (Box("on", lon, lat, lon, lat), here),
                (Box("w", lon + eps, lat, lon + eps, lat), []),
                (Box("e", lon - eps, lat, lon - eps, lat), []),
                (Box("around", lon - eps, lat - eps, lon + eps, lat + eps),
                 here)):
            ids, _ = pages(c, f"/v1/places?bbox={box.text}&limit=1000")
            assert ids == want, box


@pytest.mark.parametrize("text", [
    "-541,0,0,1", "0,0,541,1", "0,0,1001,1", "0,-1001,1,1", "0,2,1,1",
    "200,0,190,1", "-170,0,-181,1", "181,0,-179,1", "1,2,3", "1,2,3,4,5",
    "1,2,3,4,5,6,7", "", "a,b,c,d", "1,2,3,nan", "1,2,3,inf", "0x1,2,3,4",
    "1,,3,4", "1;2;3;4", "1 ,2,3,4", "--1,2,3,4", "1,2,3,4,", "1e9,2,3,4",
    "1,2,3," + "4" * 200,
])
def test_boxes_that_are_none(nginx, text):
    a = nginx.get("/v1/places?bbox=" + quote(text, safe=","))
    assert a.status == 400, a
    assert a.json()["parameter"] == "bbox", a


def test_six_numbers(nginx, oracle):
    p = oracle.rows[0]
    lon, lat = decimal(p.lon), decimal(p.lat)
    four = nginx.get(f"/v1/places?bbox={lon},{lat},{lon},{lat}").ids()
    six = nginx.get(f"/v1/places?bbox={lon},{lat},-9,{lon},{lat},9").ids()
    assert four == six and p.id in six


# -- cells and tiles ---------------------------------------------------------


def by_cell(oracle, x0, x1, y0, y1):
    return [p.id for p in oracle.rows
            if x0 <= p.cell >> 16 <= x1 and y0 <= (p.cell & 65535) <= y1]


def test_cells(nginx, redis, oracle):
    rng = random.Random(SEED)
    with nginx.client() as c:
        for i in range(150):
            if i % 10 == 0:
                redis.forget()
            p = rng.choice(oracle.rows)
            x0, y0 = p.cell >> 16, p.cell & 65535
            x0 -= rng.randint(0, 2)
            y0 -= rng.randint(0, 2)
            x1, y1 = x0 + rng.randint(0, 6), y0 + rng.randint(0, 6)
            a = c.get(f"/v1/cells/16/{x0}-{x1}/{y0}-{y1}.json")
            assert a.status == 200, a
            doc = a.json()
            want = by_cell(oracle, x0, x1, y0, y1)
            assert a.ids() == want
            assert doc["numberReturned"] == len(want)
            assert doc["numberMatched"] == len(want)


def test_tiles(nginx, oracle):
    rng = random.Random(SEED)
    with nginx.client() as c:
        for z in (13, 14, 15, 16):
            for p in rng.sample(oracle.rows, 12):
                x, y = cell_x(p.lon, z), cell_y(p.lat, z)
                a = c.get(f"/v1/tiles/{z}/{x}/{y}.json")
                assert a.status == 200, a
                k = 16 - z
                assert a.ids() == by_cell(
                    oracle, x << k, (x + 1 << k) - 1, y << k,
                    (y + 1 << k) - 1)


# -- filters -----------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    """A store with accessibility records: the generator's places."""
    with Postgres() as server:
        sccctl("init", pg=server)
        load_sample(server, 8000, 7)
        yield server


def sample_places(pg):
    """All that filters look at, joined by Python from the tables."""
    pa = {r[0]: dict(zip(("stair", "first", "slope"), r[1:]))
          for r in pg.query(
              "SELECT place_id, stair_info, is_first_floor, has_slope "
              "FROM scc.place_accessibility")}
    ba = {r[0]: dict(zip(("entrance", "slope", "elevator",
                          "elevator_stair"), r[1:]))
          for r in pg.query(
              "SELECT building_id, entrance_stair_info, has_slope, "
              "has_elevator, elevator_stair_info "
              "FROM scc.building_accessibility")}
    out = []
    for ident, lon, lat, cell, category, building in pg.query(
            "SELECT id, lon_e7, lat_e7, cell, category, building_id "
            "FROM scc.place WHERE NOT is_closed"):
        a = pa.get(ident)
        out.append({
            "id": ident, "lon": lon, "lat": lat, "cell": cell,
            "category": category, "registered": a is not None,
            "slope": a["slope"] if a else None,
            "level": places.level(a, ba.get(building)),
        })
    out.sort(key=lambda p: (p["cell"], p["id"].encode()))
    return out


def test_filters(sample, figure):
    rows = sample_places(sample)
    levels = {p["level"] for p in rows}
    assert None in levels and {0, 1, 2, 3, 5} <= levels, levels
    assert {True, False, None} <= {p["slope"] for p in rows}
    categories = sorted({p["category"] for p in rows if p["category"]})
    rng = random.Random(SEED)
    asked = found = 0
    # the other tests' Redis knows another store, which the guard minds
    with Redis() as redis, Nginx(
            sample, redis, location="scc_limit 100 5000;") as n, \
            n.client() as c:
        for i in range(250):
            p = rng.choice(rows)
            d = rng.choice((20000, 60000, 200000, 900000))
            w, s, e, t = (p["lon"] - d, p["lat"] - d, p["lon"] + d,
                          p["lat"] + d)
            args, tests = [], []
            if rng.random() < .5:
                k = rng.randint(0, 5)
                args.append(f"level_max={k}")
                tests.append(lambda q, k=k: q["level"] is not None
                             and q["level"] <= k)
            if rng.random() < .4:
                k = rng.choice((True, False))
                args.append(f"registered={str(k).lower()}")
                tests.append(lambda q, k=k: q["registered"] == k)
            if rng.random() < .4:
                k = rng.choice((True, False))
                args.append(f"has_slope={str(k).lower()}")
                tests.append(lambda q, k=k: q["slope"] is k)
            if rng.random() < .3:
                k = rng.choice(categories + ["no such category"])
                args.append("category=" + quote(k, safe=""))
                tests.append(lambda q, k=k: q["category"] == k)
            want = [q for q in rows if w <= q["lon"] <= e
                    and s <= q["lat"] <= t and all(f(q) for f in tests)]
            limit = rng.choice((7, 100, 5000))
            limit = max(limit, len(want) // 20)
            box = ",".join(str(decimal(v)) for v in (w, s, e, t))
            path = "/v1/places?" + "&".join(
                [f"bbox={box}", f"limit={limit}", *args])
            ids, first = pages(c, path, limit)
            assert ids == [q["id"] for q in want], path
            if "numberMatched" in first:
                assert first["numberMatched"] == len(want), path
            by_id = {q["id"]: q for q in want}
            for f in first["features"]:
                q = by_id[f["id"]]
                assert f["properties"]["level"] == q["level"], f
                assert f["properties"]["hasSlope"] is q["slope"], f
                assert f["properties"]["registered"] is q["registered"], f
            asked += 1
            found += len(want)
    figure("filters", f"{asked} filtered boxes equal to SQL ({found} ids)")
