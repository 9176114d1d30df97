"""Tiles of low zooms: exact numbers per square, rolled up from the cells.

The truth is counted by Python from scc.place, for every tile that holds a
place and those around it.
"""

import math
import os
import random
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

import mvt
from places import cell_x, cell_y
from servers import Nginx, Postgres, Redis, freeze, sccctl, wait_until

SEED = 20230501
ZOOMS = range(5, 13)
EMPTY = (b"\x1a\x11\x0a\x0aaggregates" + bytes.fromhex("7802288020"))
KEYS = ["n"] + [f"level{i}" for i in range(6)] + ["unknown", "unregistered"]
EDGES = [(lon, lat) for lon in (-1800000000, -1, 0, 3515625, 1800000000)
         for lat in (-900000000, -850511288, -1, 0, 1, 850511288, 900000000)]


def quad(x, y):
    return sum((x >> b & 1) << 2 * b | (y >> b & 1) << 2 * b + 1
               for b in range(16))


def average(total, n):
    """Rounded half away from zero."""
    return int(math.copysign((abs(total) + n // 2) // n, total))


class Truth:
    """What scc.place says, square by square."""

    def __init__(self, pg):
        rows = pg.query("SELECT lon_e7, lat_e7, registered, level "
                        "FROM scc.place WHERE NOT is_closed")
        self.squares = {}
        for lon, lat, registered, level in rows:
            x, y = cell_x(lon), cell_y(lat)
            for z in range(9, 17):
                k = 16 - z
                s = self.squares.setdefault((z, x >> k, y >> k), Counter())
                s["n"] += 1
                s["lon"] += lon
                s["lat"] += lat
                s["unregistered"] += not registered
                s["unknown" if level is None else f"level{level}"] += 1
        self.by_tile = {}
        for (z, x, y), s in self.squares.items():
            self.by_tile.setdefault((z - 4, x >> 4, y >> 4), []).append(
                (quad(x, y), x, y, s))
        for tile in self.by_tile.values():
            tile.sort(key=lambda t: t[0])

    def tile(self, z, x, y):
        """(id, lon, lat, numbers) of each square, in order."""
        return [(sx << 16 | sy, average(s["lon"], s["n"]),
                 average(s["lat"], s["n"]), {k: s[k] for k in KEYS})
                for _, sx, sy, s in self.by_tile.get((z, x, y), [])]

    def around(self, z):
        """Tiles that hold a place, and their neighbours."""
        return {(z, x + dx, y + dy) for t, x, y in self.by_tile if t == z
                for dx in (-1, 0, 1) for dy in (-1, 0, 1)
                if 0 <= x + dx < 1 << z and 0 <= y + dy < 1 << z}


def unit(n, z, t):
    """Where a coordinate lies on a tile, and its fraction's distance from
    where rounding turns."""
    return max(0, min(4095, math.floor(n * 4096 + 0.5) - t * 4096))


def check(server, truth, tile):
    z, x, y = tile
    want = truth.tile(*tile)
    a = server.get(f"/v1/tiles/{z}/{x}/{y}.json")
    b = server.get(f"/v1/tiles/{z}/{x}/{y}.mvt")
    assert a.status == b.status == 200, (a, b)
    doc = a.json()
    assert doc["type"] == "FeatureCollection"
    assert doc["numberMatched"] == doc["numberReturned"] == len(want)
    got = [(f["id"], round(f["geometry"]["coordinates"][0] * 1e7),
            round(f["geometry"]["coordinates"][1] * 1e7), f["properties"])
           for f in doc["features"]]
    assert got == want, tile
    features = mvt.points(b.body, "aggregates")
    assert [(f.id, {k: v[1] for k, v in f.tags.items()})
            for f in features] == [(w[0], w[3]) for w in want], tile
    assert all(v[0] == "uint" for f in features for v in f.tags.values())
    for f, (_, lon, lat, _) in zip(features, want):
        (px, py), = f.geometry[0]
        rad = math.radians(max(-85.06, min(85.06, lat / 1e7)))
        fy = (1 - math.asinh(math.tan(rad)) / math.pi) / 2
        assert px == unit((lon / 1e7 + 180) / 360 * 2 ** z, z, x)
        assert py == unit(fy * 2 ** z, z, y)
    if not want:
        assert b.body == EMPTY
    return len(want)


def edges(pg):
    with pg.connect() as c, c.cursor() as cur:
        for i, (lon, lat) in enumerate(EDGES):
            cur.execute("INSERT INTO scc.place (id, name, lon_e7, lat_e7, "
                        "is_closed) VALUES (%s, '', %s, %s, %s)",
                        (f"edge {i}", lon, lat, i % 9 == 8))
    c.close()


def roll_up(pg):
    return pg.query("SELECT scc.roll_up()", user="scc_app")[0][0]


def drift(pg):
    return pg.query("SELECT * FROM scc.aggregate_drift")


@pytest.fixture(scope="module")
def store(sample_store):
    with Postgres(template=sample_store) as pg:
        edges(pg)
        yield pg


# -- the store ---------------------------------------------------------------


def test_quad(store):
    rng = random.Random(SEED)
    for _ in range(200):
        x, y = rng.randrange(65536), rng.randrange(65536)
        assert store.query("SELECT scc.quad(%s, %s)", (x, y)) == [
            (quad(x, y),)]


def test_roll_up(store):
    """Once is enough. A second time finds nothing; what is wrong is seen,
    and made right when its cells change or all is made anew."""
    assert roll_up(store) > 500
    assert drift(store) == []
    assert roll_up(store) == 0
    truth = Truth(store)
    for z in range(9, 16):
        rows = store.query(
            "SELECT quad, n, n_unknown, n - n_registered, sum_lon, sum_lat "
            "FROM scc.aggregate WHERE z = %s AND n > 0 ORDER BY quad", (z,))
        assert rows == sorted(
            (quad(x, y), s["n"], s["unknown"], s["unregistered"], s["lon"],
             s["lat"]) for (t, x, y), s in truth.squares.items() if t == z)
    store.query("UPDATE scc.aggregate SET n = n + 1 "
                "WHERE z = 12 AND quad = (SELECT min(quad) "
                "FROM scc.aggregate WHERE z = 12)")
    (z, _, n, n_true), = drift(store)
    assert (z, n) == (12, n_true + 1)
    store.query("DELETE FROM scc.rollup")
    assert roll_up(store) == 1
    assert drift(store) == []


def test_slow_transaction(store):
    """A change that commits after younger ones were rolled up is found."""
    roll_up(store)
    slow, lock = store.connect(), store.connect()
    slow.cursor().execute("UPDATE scc.place SET is_closed = NOT is_closed "
                          "WHERE id = 'edge 7'")
    for _ in range(3):
        store.query("SELECT pg_current_xact_id()")
        assert roll_up(store) == 0
    slow.commit()
    assert roll_up(store) > 0
    assert drift(store) == []
    # one at a time, and nobody waits
    lock.cursor().execute("SELECT pg_advisory_xact_lock(5456707, 2)")
    assert roll_up(store) is None
    lock.rollback()
    assert roll_up(store) == 0
    for c in slow, lock:
        c.close()


def test_never_in_the_writers_way(store):
    """Neither waits for the other."""
    writer, roller = store.connect(), store.connect()
    writer.cursor().execute("UPDATE scc.place SET name = name || '.' "
                            "WHERE id = 'edge 3'")
    cur = roller.cursor()
    cur.execute("SET statement_timeout = '5s'")
    cur.execute("SELECT scc.roll_up()")
    with store.connect() as other:
        other.cursor().execute("SELECT 1")
    writer.commit()
    with store.connect() as c:
        c.cursor().execute("SET statement_timeout = '5s'; UPDATE scc.place "
                           "SET name = name || '.' WHERE id = 'edge 4'")
    roller.commit()
    for c in writer, roller, other, c:
        c.close()


def test_other_cluster(store):
    """Transaction ids of another cluster, or of the future, mean nothing."""
    for change in ("system_identifier = 1", "horizon = '99999999999'"):
        roll_up(store)
        store.query("UPDATE scc.place SET is_closed = NOT is_closed "
                    "WHERE id = 'edge 11'")
        store.query(f"UPDATE scc.rollup SET {change}")
        assert roll_up(store) > 0
        assert drift(store) == []


def test_rights(store):
    for sql in ("DELETE FROM scc.aggregate", "TRUNCATE scc.aggregate",
                "UPDATE scc.rollup SET horizon = '0'",
                "INSERT INTO scc.aggregate (z, quad) VALUES (9, 1)"):
        with pytest.raises(psycopg2.Error):
            store.query(sql, user="scc_app")
    for sql in "DELETE FROM scc.aggregate", "TRUNCATE scc.aggregate":
        with pytest.raises(psycopg2.Error, match="scc.rollup"):
            store.query(sql)
    c = store.connect()
    c.set_session(isolation_level="REPEATABLE READ")
    with pytest.raises(psycopg2.Error, match="READ COMMITTED"):
        c.cursor().execute("SELECT scc.roll_up()")
    c.close()


# -- tiles -------------------------------------------------------------------

QUICK = {"scc_rollup_interval": "50ms", "scc_feed_interval": "50ms",
         "scc_aggregates_valid": "1s"}


def test_tiles(store, figure):
    with Redis() as redis, Nginx(store, redis, scc=QUICK) as server:
        wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status == 200)
        assert drift(store) == []
        truth = Truth(store)
        rng = random.Random(SEED)
        seen = squares = 0
        for z in ZOOMS:
            tiles = sorted(truth.around(z))
            held = [t for t in tiles if t in truth.by_tile]
            for tile in rng.sample(held, min(len(held), 25)) + rng.sample(
                    tiles, min(len(tiles), 15)):
                squares += check(server, truth, tile)
                seen += 1
        assert seen > 200 and squares > 1000
        # all of a zoom's tiles hold all places, once
        for z in (5, 8):
            total = sum(f["properties"]["n"]
                        for t in truth.by_tile if t[0] == z
                        for f in server.get(
                            f"/v1/tiles/{z}/{t[1]}/{t[2]}.json"
                        ).json()["features"])
            assert total == store.query("SELECT count(*) FROM scc.place "
                                        "WHERE NOT is_closed")[0][0]
        figure("aggregates", f"{seen} tiles, {squares} squares equal a "
                             "count of the places")


def change(pg, rng, i):
    ids = [r[0] for r in pg.query("SELECT id FROM scc.place")]
    with pg.connect() as c, c.cursor() as cur:
        for _ in range(12):
            p = rng.choice(ids)
            kind = rng.randrange(6)
            if kind == 0:
                cur.execute("UPDATE scc.place SET lon_e7 = lon_e7 + %s, "
                            "lat_e7 = lat_e7 - %s WHERE id = %s AND "
                            "abs(lon_e7) < 1700000000 AND lat_e7 BETWEEN "
                            "-800000000 AND 800000000",
                            (rng.randrange(10 ** 7), rng.randrange(10 ** 7),
                             p))
            elif kind == 1:
                cur.execute("UPDATE scc.place SET is_closed = NOT is_closed "
                            "WHERE id = %s", (p,))
            elif kind == 2:
                cur.execute("DELETE FROM scc.place WHERE id = %s", (p,))
            elif kind == 3:
                cur.execute("DELETE FROM scc.place_accessibility "
                            "WHERE place_id = %s", (p,))
            elif kind == 4:
                cur.execute(
                    "INSERT INTO scc.place_accessibility (place_id, "
                    "stair_info, has_slope, is_first_floor) VALUES "
                    "(%s, %s, false, true) ON CONFLICT (place_id) DO UPDATE "
                    "SET stair_info = excluded.stair_info",
                    (p, rng.choice(["NONE", "ONE", "TWO_TO_FIVE",
                                    "OVER_SIX", "UNDEFINED"])))
            else:
                cur.execute("INSERT INTO scc.place (id, name, lon_e7, "
                            "lat_e7) VALUES (%s, 'n', %s, %s) "
                            "ON CONFLICT DO NOTHING",
                            (f"new {i} {rng.random()}",
                             1270000000 + rng.randrange(10 ** 7),
                             370000000 + rng.randrange(10 ** 7)))
    c.close()


def test_while_rows_change(sample_store):
    rng = random.Random(SEED)
    with Postgres(template=sample_store) as pg, Redis() as redis, \
            Nginx(pg, redis, scc=QUICK) as server:
        edges(pg)
        for i in range(8):
            change(pg, rng, i)
            truth = Truth(pg)
            tiles = [rng.choice(sorted(t for t in truth.by_tile
                                       if t[0] == z)) for z in ZOOMS]
            for tile in tiles:
                def right():
                    try:
                        check(server, truth, tile)
                    except AssertionError:
                        return False
                    return True
                wait_until(right, 30, f"{tile} to follow")
        wait_until(lambda: drift(pg) == [], 30, "no drift")
        truth = Truth(pg)
        time_left = time.monotonic() + 1.1          # copies are old by now
        wait_until(lambda: time.monotonic() > time_left)
        for tile in sorted(truth.by_tile)[::23]:
            check(server, truth, tile)


# -- cache, outages ----------------------------------------------------------


def busy(truth, z):
    """The tile of the zoom with most places."""
    return max((t for t in truth.by_tile if t[0] == z),
               key=lambda t: sum(w[3]["n"] for w in truth.tile(*t)))


def path(tile, ext="mvt"):
    return "/v1/tiles/{}/{}/{}.{}".format(*tile, ext)


def as_of(a):
    text = a.headers["scc-as-of"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return text


def test_cache(store):
    truth = Truth(store)
    low, high = busy(truth, 9), busy(truth, 12)
    with Redis() as redis, Nginx(store, redis, scc=dict(
            QUICK, scc_aggregates_valid="1h")) as server:
        for tile in low, high:
            # kept once somebody vouches, by either form, for both
            wait_until(lambda: server.get(path(tile)).headers.get(
                "cache-status") == "scc; hit; detail=redis")
            a = server.get(path(tile, "json"))
            assert a.headers["cache-status"] == "scc; hit; detail=redis"
            assert "SCC-As-Of" in a.headers["access-control-expose-headers"]
            as_of(a)
            check(server, truth, tile)
        key = "scc:t:1:{}:{}:{}".format(*low)
        assert redis.r.pttl(key) > 3600 * 1000
        # damaged: read anew
        redis.r.setrange(key, 45, b"\xff")
        assert "miss" in server.get(path(low)).headers["cache-status"]
        assert "hit" in server.get(path(low)).headers["cache-status"]
        # nobody vouches: the store is asked, nothing is kept
        pid, = server.helpers()
        freeze(pid)
        try:
            wait_until(lambda: not redis.r.exists("scc:v:1"), 30)
            redis.r.delete(key)
            a = server.get(path(low))
            assert a.headers["cache-status"] == "scc; fwd=bypass; detail=pg"
            assert not redis.r.exists(key)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_store_gone(sample_store):
    """Old copies, said to be old; what has no copy is a 503."""
    with Postgres(template=sample_store) as pg, Redis() as redis, \
            Nginx(pg, redis, scc=QUICK, allow_log=["."]) as server:
        truth = None
        wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status == 200)
        truth = Truth(pg)
        low, high = busy(truth, 10), busy(truth, 12)
        wait_until(lambda: all("hit" in server.get(path(t)).headers[
            "cache-status"] for t in (low, high)))
        pg.kill()
        redis.r.delete("scc:t:1:5:0:0")
        for tile in low, high:
            a = wait_until(lambda: (lambda a: a if "max-age=2," in
                                    a.headers.get("cache-control", "")
                                    else None)(server.get(path(tile))), 30)
            assert a.status == 200
            assert a.headers["cache-status"].startswith(
                "scc; hit; ttl=-")
            assert len(mvt.points(a.body, "aggregates")) == len(
                truth.tile(*tile))
            as_of(a)
        a = server.get("/v1/tiles/5/0/0.mvt")
        assert a.status == 503 and "retry-after" in a.headers
        assert a.headers["cache-control"] == "no-store"
        pg.start()
        wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status == 200,
                   30)
        wait_until(lambda: "again" in server.log(), 30)


def said(server):
    return server.log().count("does not roll up its aggregates")


def test_not_rolled_up():
    """Nothing rolled up is not "nothing there"."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        pg.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                 "VALUES ('a', '', 1269780000, 375665000)")
        pg.query("REVOKE EXECUTE ON FUNCTION scc.roll_up() FROM scc_app")
        with Redis() as redis, Nginx(
                pg, redis, scc=QUICK, allow_log=["."]) as server:
            for z in ZOOMS:
                p = path((z, cell_x(1269780000, z), cell_y(375665000, z)))
                a = server.get(p)
                assert a.status == (503 if z < 12 else 200), a
                if z < 12:
                    assert "rolled up" in a.json()["detail"]
                    assert "retry-after" in a.headers
            wait_until(lambda: said(server) == 1, 30)
            assert "42501" in server.log()
            pg.query("GRANT EXECUTE ON FUNCTION scc.roll_up() TO scc_app")
            truth = Truth(pg)
            wait_until(lambda: server.get(path(
                (5, cell_x(1269780000, 5), cell_y(375665000, 5)))).status
                == 200, 30)
            for tile in truth.by_tile:
                check(server, truth, tile)
            # a helper that stopped long ago: said
            pg.query("REVOKE EXECUTE ON FUNCTION scc.roll_up() "
                     "FROM scc_app")
            wait_until(lambda: said(server) == 2, 30)
            redis.r.delete(*redis.r.keys("scc:t:*"))
            pg.query("UPDATE scc.rollup SET at = at - interval '1 hour'")
            a = server.get(path((5, cell_x(1269780000, 5),
                                 cell_y(375665000, 5))))
            assert a.status == 200 and "max-age=2," in \
                a.headers["cache-control"], a
            assert "ttl=-" in a.headers["cache-status"]


def test_herd(store):
    """However many ask for one cold tile, the store is asked once."""
    truth = Truth(store)
    tile = busy(truth, 8)
    with Redis() as redis, Nginx(store, redis, scc=dict(
            QUICK, scc_rollup_interval="1h",
            scc_postgres_timeout="20s", scc_lease_time="30s")) as server:
        wait_until(lambda: redis.r.exists("scc:v:1"))
        wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status == 200)
        lock = store.connect()
        lock.cursor().execute("LOCK TABLE scc.aggregate")
        with ThreadPoolExecutor(30) as pool:
            jobs = [pool.submit(server.get, path(tile, ext))
                    for ext in ("mvt", "json") * 15]

            def waiting():
                return store.query(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                    "'%%scc.aggregate s%%' AND wait_event_type = 'Lock'"
                )[0][0]

            wait_until(waiting, 30, "a statement to wait")
            until = time.monotonic() + 0.5
            wait_until(lambda: time.monotonic() > until)
            assert waiting() == 1
            lock.rollback()
            assert all(j.result().status == 200 for j in jobs)
        lock.close()
        check(server, truth, tile)


def test_without_redis(store):
    truth = Truth(store)
    with Nginx(store, None, scc=QUICK) as server:
        for z in ZOOMS:
            wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status
                       == 200)
            tile = busy(truth, z)
            check(server, truth, tile)
            assert server.get(path(tile)).headers["cache-status"] == \
                "scc; fwd=bypass; detail=pg"
