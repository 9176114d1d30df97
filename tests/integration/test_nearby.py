"""The nearest places, against PostGIS.

For thousands of positions, in the middle of Seoul and where hardly a place
is, PostGIS's geography says which places are the k nearest within a radius
and how far they are: the map must answer the same ids in the same order,
from a cold cache, a warm one and without, also while rows change.
"""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import psycopg2.extras
import pytest

from servers import Nginx, Postgres, Redis, wait_until

SEED = 20191
POINTS = {"cold": 500, "warm": 1100, "off": 700}
THREADS = 4
TIE = 2e-6                  # metres: PostGIS and the module differ by less
FAR = [                     # and places where no map of Korea goes
    ("east/{}", 1799998000, 378000000), ("west/{}", -1799999000, 378000000),
    ("line/{}", 1800000000, 378001000), ("pole/{}", 400000000, 899950000),
    ("edge/{}", -1700000000, 850510000), ("down/{}", 10, -899999000),
]


class Query:
    """A request, and what it means to PostGIS."""

    __slots__ = ("lon", "lat", "k", "radius", "filter")

    def __init__(self, lon, lat, k, radius, **filter):
        self.lon, self.lat, self.k, self.radius = lon, lat, k, radius
        self.filter = filter

    def path(self):
        more = "".join(f"&{n}={quote(str(v).lower())}"
                       for n, v in self.filter.items())
        return (f"/v1/nearby?lng={self.lon / 1e7:.7f}"
                f"&lat={self.lat / 1e7:.7f}&k={self.k}"
                f"&radius={self.radius}{more}")

    def __repr__(self):
        return f"<{self.path()}>"


@pytest.fixture(scope="module")
def store(real_store):
    with Postgres(template=real_store) as pg:
        rng = random.Random(SEED)
        rows = []
        for name, lon, lat in FAR:
            for i in range(40):
                x = lon + rng.randint(-900, 900) * rng.choice((1, 100, 9000))
                if not -1800000000 <= x <= 1800000000:
                    x -= 3600000000 if x > 0 else -3600000000
                y = lat + rng.randint(-900, 900) * rng.choice((1, 30, 400))
                rows.append((name.format(i), "멀리", x,
                             max(-900000000, min(900000000, y))))
        with pg.connect() as c, c.cursor() as cur:
            psycopg2.extras.execute_values(
                cur, "INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                "VALUES %s", rows)
            cur.execute(
                "INSERT INTO scc.place_accessibility (place_id, stair_info, "
                "is_first_floor, has_slope) SELECT id, (ARRAY['NONE', 'ONE',"
                " 'TWO_TO_FIVE', 'UNDEFINED'])[1 + abs(hashtext(id)) % 4], "
                "true, (ARRAY[true, false, NULL])[1 + abs(hashtext(name)) "
                "% 3] FROM scc.place WHERE abs(hashtext(id)) % 11 = 0 "
                "ON CONFLICT DO NOTHING")
        c.close()
        yield pg


@pytest.fixture(scope="module")
def oracle(store):
    copy(store)
    return store


def copy(store):
    """What PostGIS is asked: the places as geography."""
    store.psql("""
        DROP TABLE IF EXISTS public.near;
        CREATE TABLE public.near AS
            SELECT p.id, p.geom::geography AS g, a.place_id IS NOT NULL AS r,
                   p.level, a.has_slope AS s, p.category AS c
              FROM scc.place p
              LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
             WHERE NOT p.is_closed;
        CREATE INDEX ON public.near USING gist (g);
        ANALYZE public.near""")


def ask_postgis(store, queries):
    """[(id, metres)] of each query, nearest first."""
    out = [[] for _ in queries]
    with store.connect() as c, c.cursor() as cur:
        cur.execute("""
            CREATE TEMP TABLE q (i int, g geography, k int, radius float8,
                level_max int, registered bool, has_slope bool,
                category text) ON COMMIT DROP""")
        psycopg2.extras.execute_values(
            cur, "INSERT INTO q VALUES %s",
            [(i, f"SRID=4326;POINT({q.lon / 1e7:.7f} {q.lat / 1e7:.7f})",
              q.k, q.radius, q.filter.get("level_max"),
              q.filter.get("registered"), q.filter.get("has_slope"),
              q.filter.get("category")) for i, q in enumerate(queries)])
        # the k nearest on a sphere are somewhere within the answer's radius
        passes = """(q.registered IS NULL OR n.r = q.registered)
            AND (q.level_max IS NULL OR n.level <= q.level_max)
            AND (q.has_slope IS NULL OR n.s = q.has_slope)
            AND (q.category IS NULL OR n.c = q.category)"""
        cur.execute(f"""
            SELECT q.i, a.id, a.d
              FROM q
             CROSS JOIN LATERAL (
                SELECT CASE WHEN count(*) = q.k THEN least(max(d), q.radius)
                            ELSE q.radius END AS d
                  FROM (SELECT ST_Distance(n.g, q.g) AS d
                          FROM public.near n
                         WHERE ST_DWithin(n.g, q.g, q.radius) AND {passes}
                         ORDER BY n.g <-> q.g LIMIT q.k) s) u
             CROSS JOIN LATERAL (
                SELECT n.id, ST_Distance(n.g, q.g) AS d
                  FROM public.near n
                 WHERE ST_DWithin(n.g, q.g, u.d + 0.001) AND {passes}
                   AND ST_Distance(n.g, q.g) <= q.radius
                 ORDER BY round(ST_Distance(n.g, q.g)::numeric, 6),
                       n.id COLLATE "C"
                 LIMIT q.k) a
             ORDER BY q.i, round(a.d::numeric, 6), a.id COLLATE "C" """)
        for i, ident, d in cur.fetchall():
            out[i].append((ident, d))
    c.close()
    return out


def make_queries(store, n, rng):
    rows = store.query("SELECT lon_e7, lat_e7, category FROM scc.place "
                       "WHERE id !~ '^(east|west|line|pole|edge|down)/' "
                       "ORDER BY cell, id")
    names = sorted({r[2] for r in rows if r[2]})
    out = []
    while len(out) < n:
        lon, lat, _ = rng.choice(rows)
        kind = rng.random()
        if kind < .15:
            pass                                    # on a place, or a stack
        elif kind < .6:
            lon += rng.randint(-30000, 30000)       # in a street
            lat += rng.randint(-30000, 30000)
        elif kind < .75:
            lon += rng.randint(-900000, 900000)     # out of town
            lat += rng.randint(-700000, 700000)
        elif kind < .85:                            # where cells meet
            lon = (lon + 1800000000) * 65536 // 3600000000 \
                * 3600000000 // 65536 - 1800000000 + rng.randint(-1, 1)
        elif kind < .95:
            _, lon, lat = rng.choice(FAR)
            lon += rng.randint(-2000, 2000)
            lat += rng.randint(-2000, 2000)
        else:                                       # the sea
            lon, lat = rng.randint(1240000000, 1250000000), 365000000
        lon = min(1800000000, max(-1800000000, lon))
        lat = min(900000000, max(-900000000, lat))
        filters = rng.choice((
            {}, {}, {}, {}, {"registered": False}, {"registered": True},
            {"level_max": rng.randint(0, 5)}, {"has_slope": True},
            {"has_slope": False, "registered": True},
            {"category": rng.choice(names)}, {"category": "없다"}))
        out.append(Query(lon, lat, rng.choice((1, 5, 20, 20, 50)),
                         rng.choice((30, 300, 1000, 1000, 2000, 5000)),
                         **filters))
    return out


def compare(query, answer, want):
    """None, or what is wrong."""
    if answer.status != 200:
        return f"{query!r}: {answer!r}"
    doc = answer.json()
    got = [f["id"] for f in doc["features"]]
    if doc["numberReturned"] != len(got) or len(got) != len(want):
        return f"{query!r}: {len(got)} places, {len(want)} expected"
    metres = dict(want)
    for i, f in enumerate(doc["features"]):
        ident, d = want[i]
        if ident != f["id"] and abs(metres.get(f["id"], d) - d) > TIE:
            return f"{query!r}: {f['id']} at {i}, {ident} expected"
        if abs(f["properties"]["distance"] - d) > 0.0501:
            return f"{query!r}: {f['id']} is {d} m away: {f}"
    return None


def check(nginx, queries, want, before=None):
    local = threading.local()
    wrong = []

    def one(i):
        if len(wrong) > 5:
            return
        if not hasattr(local, "client"):
            local.client = nginx.client()
        if before is not None:
            before(i)
        bad = compare(queries[i], local.client.get(queries[i].path()),
                      want[i])
        if bad:
            wrong.append(bad)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(queries))))
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(store, redis):
    with Nginx(store, redis, workers=1) as server:
        yield server


@pytest.fixture(scope="module")
def questions(oracle):
    rng = random.Random(SEED)
    queries = make_queries(oracle, sum(POINTS.values()), rng)
    want = ask_postgis(oracle, queries)
    assert sum(map(len, want)) > 5 * len(queries)
    assert sum(not w for w in want) > 50
    out, at = {}, 0
    for mode, n in POINTS.items():
        out[mode] = queries[at:at + n], want[at:at + n]
        at += n
    return out


def test_cold(nginx, redis, questions, figure):
    began = time.monotonic()
    client = redis.client()

    def chill(i):
        if i % 3 == 0:
            redis.forget(client)

    check(nginx, *questions["cold"], before=chill)
    figure("nearby, cold", f"{POINTS['cold']} answers equal to PostGIS "
           f"({time.monotonic() - began:.1f} s)")
    said = [x.rsplit(" ", 1)[1] for x in nginx.access()]
    assert said.count("MISS") > 50 and said.count("WIDE") > 20, said


def test_warm(nginx, questions, figure):
    began = time.monotonic()
    queries, want = questions["warm"]
    check(nginx, queries[:300], want[:300])
    check(nginx, queries, want)
    figure("nearby, warm", f"{POINTS['warm']} answers equal to PostGIS "
           f"({time.monotonic() - began:.1f} s)")
    said = [x.rsplit(" ", 1)[1] for x in nginx.access()]
    assert said.count("HIT") > POINTS["warm"] / 4


def test_without_cache(nginx, redis, questions):
    redis.stop()
    try:
        check(nginx, *questions["off"])
    finally:
        redis.start()


def test_few_cells(store, redis, questions):
    """Nearly every answer is the store's: one statement, the same."""
    with Nginx(store, redis, location="scc_cells_max 1;") as n:
        queries, want = questions["warm"]
        check(n, queries[:300], want[:300])
        said = [x.rsplit(" ", 1)[1] for x in n.access()]
        assert said.count("WIDE") > 250


def test_default_and_head(nginx, oracle):
    q = Query(1269780000, 375665000, 20, 1000)
    path = "/v1/nearby?lng=126.978&lat=37.5665"
    a = nginx.get(path)
    assert compare(q, a, ask_postgis(oracle, [q])[0]) is None
    assert len(a.ids()) == 20
    assert a.headers["content-type"] == "application/geo+json"
    head = nginx.get(path, method="HEAD")
    assert head.status == 200 and head.body == b""
    assert head.headers["content-length"] == str(len(a.body))


@pytest.mark.parametrize("args, field", [
    ("", "lng"), ("lng=127", "lat"), ("lng=181&lat=1", "lng"),
    ("lng=127&lat=91", "lat"), ("lng=127&lat=1&k=51", "k"),
    ("lng=127&lat=1&k=0", "k"), ("lng=127&lat=1&radius=5001", "radius"),
    ("lng=127&lat=1&lat=1", "lat"), ("lng=127&lat=1&x=1", "x"),
    ("lng=127&lat=1&level_max=9", "level_max"),
])
def test_faults(nginx, args, field):
    a = nginx.get("/v1/nearby?" + args)
    assert a.status == 400 and a.json()["parameter"] == field, a
    assert a.headers["cache-control"] == "public, max-age=60"
    assert a.headers["content-type"] == "application/problem+json"


def test_rows_change(store, nginx, oracle):
    """Places that stay are never missed, whatever moves around them."""
    rng = random.Random(SEED)
    lon, lat = 1269900000, 375600000
    ids = [r[0] for r in store.query(
        "SELECT id FROM scc.place WHERE lon_e7 BETWEEN %s AND %s AND lat_e7 "
        "BETWEEN %s AND %s ORDER BY id COLLATE \"C\"",
        (lon - 300000, lon + 300000, lat - 250000, lat + 250000))]
    movers = rng.sample(ids, len(ids) // 3)
    queries = [Query(lon + rng.randint(-200000, 200000),
                     lat + rng.randint(-200000, 200000),
                     rng.choice((5, 20, 50)), rng.choice((300, 1000)))
               for _ in range(60)]
    store.psql("UPDATE public.near SET r = false")
    with store.connect() as c, c.cursor() as cur:
        cur.execute("CREATE TABLE public.kept AS SELECT * FROM public.near; "
                    "DELETE FROM public.near WHERE id = ANY(%s)", (movers,))
    c.close()
    wide = [Query(q.lon, q.lat, 5000, q.radius) for q in queries]
    stay = ask_postgis(store, wide)
    halt = threading.Event()
    moved = set(movers)

    def move():
        mine = random.Random(1)
        c = store.connect()
        c.autocommit = True
        with c.cursor() as cur:
            while not halt.is_set():
                some = mine.sample(movers, 20)
                cur.execute(
                    "UPDATE scc.place SET lon_e7 = lon_e7 + %s, lat_e7 = "
                    "lat_e7 + %s, is_closed = random() < .2 "
                    "WHERE id = ANY(%s)",
                    (mine.randint(-50000, 50000),
                     mine.randint(-50000, 50000), some))
        c.close()

    thread = threading.Thread(target=move)
    thread.start()
    try:
        end = time.monotonic() + 2
        with nginx.client() as client:
            while time.monotonic() < end:
                i = rng.randrange(len(queries))
                got = client.get(queries[i].path()).ids()
                assert len(set(got)) == len(got), queries[i]
                still = [x for x in got if x not in moved]
                want = [x for x, _ in stay[i]]
                if len(got) < queries[i].k:
                    assert still == want, queries[i]
                else:
                    assert still == want[:len(still)], queries[i]
    finally:
        halt.set()
        thread.join()
    # and when it is quiet again, everything is as PostGIS says
    copy(store)
    want = ask_postgis(store, queries)
    with nginx.client() as client:
        wait_until(lambda: all(
            compare(q, client.get(q.path()), w) is None
            for q, w in zip(queries, want)), 30, "the feed")


def test_store_silent(store, redis, questions):
    """Copies answer, also where the store would have been asked."""
    queries, _ = questions["warm"]
    near = [q for q in queries if q.radius == 5000 and q.lat < 8 * 10 ** 8
            and not q.filter][:12]
    with Nginx(store, redis, location="scc_cells_max 4096;") as warm, \
            Nginx(store, redis) as n:
        with warm.client() as w, n.client() as c:
            want = [w.get(q.path()).body for q in near]
            assert all(w.get(q.path()).body == x
                       for q, x in zip(near, want))
            store.stop()
            try:
                for q, x in zip(near, want):
                    a = c.get(q.path())
                    assert a.status == 200 and a.body == x, a
                a = c.get("/v1/nearby?lng=20&lat=10")
                assert a.status == 503 and "retry-after" in a.headers, a
            finally:
                store.start()


def test_position_is_nobodys(store, redis):
    """Neither keys nor our own messages hold where somebody was."""
    where = "lng=126.9712345&lat=37.5512345"
    with Nginx(store, redis) as n:
        with n.client() as c:
            assert c.get(f"/v1/nearby?{where}").status == 200
            keys = [k for k in redis.r.scan_iter("*")]
            assert keys and not any(b"71234" in k or b"51234" in k
                                    for k in keys)
            # a damaged copy is something to say
            for key in redis.r.scan_iter("scc:c:*"):
                redis.r.set(key, "damaged")
            assert c.get(f"/v1/nearby?{where}").status == 200
        assert "is damaged" in n.log()
        assert "71234" not in n.log(), n.log()
