"""Vector tiles of places: the format, the content, the face.

The reader (mvt.py) is tried on the fixtures of the format's authors, then
reads what the map sends; PostGIS's ST_AsMVT and GDAL say the same again.
"""

import gzip
import json
import random
import shutil
import subprocess
import tarfile

import pytest

import mvt
import places
from client import Http
from places import cell_x, cell_y
from servers import (Nginx, Postgres, Redis, need_data, sccctl,
                     wait_until)

SEED = 20230501
ZOOMS = (13, 14, 15, 16)
EMPTY = bytes.fromhex("1a0d0a06") + b"places" + bytes.fromhex("7802288020")
TYPE = "application/vnd.mapbox-vector-tile"

# the authors call these valid, and add that one may refuse them: a type
# that says nothing, a command of two billion points that are not there
REFUSED = {"016", "057"}


# -- the reader --------------------------------------------------------------


def fixtures():
    with tarfile.open(need_data("mvt-fixtures.tar.gz")) as tar:
        return {m.name: tar.extractfile(m).read()
                for m in tar.getmembers() if m.isfile()}


def test_reader():
    files = fixtures()
    seen = 0
    for name, data in sorted(files.items()):
        if not name.endswith("/info.json"):
            continue
        info = json.loads(data)
        tile = files[name.replace("info.json", "tile.mvt")]
        valid = info["validity"]["v2"]
        if name.split("/")[-2] in REFUSED:
            assert valid
            valid = False
        try:
            mvt.read(tile)
            found = True
        except mvt.Invalid:
            found = False
        assert found == valid, (name, info)
        seen += 1
    assert seen > 70
    real = [f for f in files if f.split("/")[-1].endswith((".mvt", ".gz"))
            and "real-world" in f]
    assert len(real) > 40
    for f in real:
        data = files[f]
        assert mvt.read(gzip.decompress(data) if f.endswith(".gz") else data)


# -- content -----------------------------------------------------------------

# a corner of four tiles at every zoom, the world's edges, and their
# neighbours: 3515625 e7 units are 64 cells, exactly

EDGES = [(x * 3515625 + dx, dy) for x in (0, 1, 361) for dx in (-1, 0, 1)
         for dy in (-1, 0, 1)] + [
    (lon, lat) for lon in (-1800000000, 1799999999, 1800000000)
    for lat in (-900000000, -850511288, 850511287, 850511288, 900000000)]

NAMES = ["", '"', "\\", 'a "b" \\c/ d', "줄\n바꿈\t", "\x01\x1f\x7f", "1",
         "CAFE", "\\u0041", "😀", "x" * 512]


class Data:
    """A store with places at edges beside what its template has, and what
    Python finds in its tables."""

    def __init__(self, template):
        self.pg = Postgres(template=template)

    def __enter__(self):
        self.pg.__enter__()
        with self.pg.connect() as c, c.cursor() as cur:
            for i, (lon, lat) in enumerate(EDGES):
                cur.execute(
                    "INSERT INTO scc.place (id, name, category, lon_e7, "
                    "lat_e7, is_closed) VALUES (%s, %s, %s, %s, %s, %s)",
                    (f"edge \"{i}\"", NAMES[i % len(NAMES)],
                     [None, "CAFE", '카페 "1"'][i % 3], lon, lat,
                     i % 11 == 10))
        c.close()
        self.read()
        return self

    def __exit__(self, *a):
        self.pg.__exit__(*a)

    def read(self):
        self.rows = sorted(self.pg.query(
            "SELECT id, lon_e7, lat_e7, cell FROM scc.feature"),
            key=lambda r: (r[3], r[0].encode()))
        self.held = {}
        for z in ZOOMS:
            for r in self.rows:
                self.held.setdefault((z, *self.tile_of(r, z)),
                                     []).append(r[0])

    def tile_of(self, row, z):
        return cell_x(row[1], z), cell_y(row[2], z)

    def ids(self, z, x, y):
        """In the map's order; by Python's own arithmetic."""
        return self.held.get((z, x, y), [])

    def as_mvt(self, z, x, y, ids):
        """The same places by ST_AsMVT.  One unit of buffer, since PostGIS
        rounds a point in the last half unit out of its tile."""
        data, = self.pg.query("""
            SELECT ST_AsMVT(t, 'places', 4096, 'geom')
            FROM (SELECT f.id, f.name, f.category, f.level, f.registered,
                      f.has_slope AS "hasSlope",
                      ST_AsMVTGeom(ST_Transform(ST_SetSRID(ST_MakePoint(
                          f.lon_e7 / 1e7, greatest(least(f.lat_e7 / 1e7,
                          85.06), -85.06)), 4326), 3857),
                          ST_TileEnvelope(%s, %s, %s), 4096, 4096, false)
                          AS geom
                  FROM scc.feature f WHERE f.id = ANY(%s)
                  ORDER BY f.cell, f.id) t""", (z, x, y, ids))[0]
        return mvt.read(bytes(data))[0].features


def number(text):
    """scc_tile_id(): FNV-1a, folded."""
    h = 14695981039346656037
    for b in text.encode():
        h = (h ^ b) * 1099511628211 % (1 << 64)
    return h >> 53 ^ h & (1 << 53) - 1


def plain(tags):
    """Without how a number is encoded, which is the writer's choice."""
    return {k: v[1] for k, v in tags.items()}


def clamp(n):
    return max(0, min(4095, n))


def check_tile(data, body, z, x, y):
    features = mvt.points(body, "places")
    want = data.ids(z, x, y)
    assert [f.tags["id"][1] for f in features] == want, (z, x, y)
    assert [f.id for f in features] == [number(i) for i in want]
    if not want:
        assert body == EMPTY
        return 0
    oracle = data.as_mvt(z, x, y, want)
    assert len(oracle) == len(features)
    for f, o in zip(features, oracle):
        assert plain(f.tags) == plain(o.tags)
        (px, py), = f.geometry[0]
        (ox, oy), = o.geometry[0]
        assert (px, py) == (clamp(ox), clamp(oy)), (z, x, y, f, o)
        assert abs(ox - px) <= 1 and (abs(oy - py) <= 1 or y in (0, 2**z - 1))
    return len(features)


def tiles(data, rng, n):
    """Tiles of n places per zoom, and of all places at edges."""
    edges = [r for r in data.rows if r[0].startswith("edge")]
    assert len(edges) > 30
    for z in ZOOMS:
        out = {data.tile_of(r, z) for r in edges + rng.sample(data.rows, n)}
        for x, y in sorted(out):
            yield z, x, y


@pytest.mark.parametrize("store,n", [("real_store", 30),
                                     ("sample_store", 15)])
def test_content(request, store, n, figure):
    rng = random.Random(SEED)
    with Data(request.getfixturevalue(store)) as data, Redis() as redis, \
            Nginx(data.pg, redis) as server, server.client() as c:
        seen = features = 0
        for z, x, y in tiles(data, rng, n):
            a = c.get(f"/v1/tiles/{z}/{x}/{y}.mvt")
            assert a.status == 200, a
            assert a.headers["content-type"] == TYPE
            features += check_tile(data, a.body, z, x, y)
            assert c.get(a.path).body == a.body         # warm now
            seen += 1
        assert seen > 3 * n + 40 and features > 500
        figure(store, f"{seen} tiles, {features} features equal ST_AsMVT's")


def test_changed_rows(sample_store):
    """A tile follows its rows: moved over its edge, closed, registered."""
    with Data(sample_store) as data, Redis() as redis, \
            Nginx(data.pg, redis, scc={"scc_feed_interval": "20ms"}) as server:
        row = data.rows[len(data.rows) // 2]
        z = 15
        x, y = data.tile_of(row, z)

        def follows():
            for tx in (x - 1, x, x + 1):
                body = server.get(f"/v1/tiles/{z}/{tx}/{y}.mvt").body
                check_tile(data, body, z, tx, y)

        follows()
        edge = int(places.tile_lon(x + 1, z) * 10 ** 7)
        for change in (f"lon_e7 = {edge + 1}", f"lon_e7 = {edge - 1}",
                       "name = 'other'", "is_closed = true",
                       "is_closed = false"):
            with data.pg.connect() as c:
                c.cursor().execute(f"UPDATE scc.place SET {change} "
                                   "WHERE id = %s", (row[0],))
            c.close()
            data.read()

            def seen():
                try:
                    follows()
                except AssertionError:
                    return False
                return True

            wait_until(seen, 5, change)


# -- GDAL --------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("ogr2ogr") is None,
                    reason="no ogr2ogr: install gdal-bin")
def test_gdal(sample_store, tmp_path):
    with Data(sample_store) as data, \
            Nginx(data.pg, None) as server, server.client() as c:
        rng = random.Random(SEED)
        rows = dict((r[0], r) for r in data.rows)
        for z in ZOOMS:
            row = rng.choice([r for r in data.rows
                              if not r[0].startswith("edge")])
            x, y = data.tile_of(row, z)
            a = c.get(f"/v1/tiles/{z}/{x}/{y}.mvt")
            d = tmp_path / str(z) / str(x)
            d.mkdir(parents=True, exist_ok=True)
            (d / f"{y}.mvt").write_bytes(a.body)
            out = subprocess.run(
                ["ogr2ogr", "-f", "GeoJSON", "-t_srs", "EPSG:4326",
                 "-lco", "COORDINATE_PRECISION=7", "/vsistdout/",
                 f"MVT:{d / f'{y}.mvt'}", "places"],
                check=True, capture_output=True, text=True)
            assert not out.stderr, out.stderr
            found = json.loads(out.stdout)["features"]
            want = c.get(f"/v1/tiles/{z}/{x}/{y}.json").json()["features"]
            assert len(found) == len(want) > 0
            unit = 360 / (1 << z) / 4096
            for f, w in zip(found, want):
                p, q = f["properties"], w["properties"]
                assert p["id"] == w["id"] in rows
                assert p["mvt_id"] == number(p["id"])
                for k in ("name", "category", "level", "registered",
                          "hasSlope"):
                    assert p.get(k) == q[k], (k, p, q)
                for i in (0, 1):
                    assert abs(f["geometry"]["coordinates"][i]
                               - w["geometry"]["coordinates"][i]) < unit

        # an empty tile opens, and is empty
        d = tmp_path / "16" / "0"
        d.mkdir(parents=True)
        (d / "0.mvt").write_bytes(EMPTY)
        out = subprocess.run(["ogrinfo", "-al", f"MVT:{d / '0.mvt'}"],
                             check=True, capture_output=True, text=True)
        assert "Feature Count: 0" in out.stdout, out.stdout


# -- HTTP --------------------------------------------------------------------


@pytest.fixture(scope="module")
def nginx(pg, redis):
    with Nginx(pg, redis, server="""
        location /none/ { scc_api; scc_empty_tile 204; }
        """) as server:
        with pg.connect() as c:
            c.cursor().execute("INSERT INTO scc.place (id, name, lon_e7, "
                               "lat_e7) VALUES ('a', 'A', 1269780000, "
                               "375665000)")
        c.close()
        yield server


def path(z, ext="mvt", prefix="/v1/"):
    return (f"{prefix}tiles/{z}/{cell_x(1269780000, z)}/"
            f"{cell_y(375665000, z)}.{ext}")


def test_headers(nginx):
    for z in ZOOMS:
        for p, size in (path(z), None), (f"/v1/tiles/{z}/1/1.mvt", 15):
            get, head = nginx.get(p), nginx.get(p, method="HEAD")
            for a in get, head:
                assert a.status == 200, a
                assert a.headers["content-type"] == TYPE
                assert a.headers["access-control-allow-origin"] == "*"
                assert a.headers["x-content-type-options"] == "nosniff"
                assert "accept-ranges" not in a.headers
                assert a.headers["content-length"] == str(len(get.body))
            assert head.body == b""
            assert size is None or get.body == EMPTY


def test_empty_tile(nginx):
    full, empty = path(14, prefix="/none/"), "/none/tiles/14/1/1.mvt"
    assert len(mvt.points(nginx.get(full).body, "places")) == 1
    for method in "GET", "HEAD":
        a = nginx.get(empty, method=method)
        assert a.status == 204 and a.body == b"", a
        assert "content-type" not in a.headers
        assert "content-length" not in a.headers
        assert a.headers["access-control-allow-origin"] == "*"
        assert "cache-status" in a.headers
    # the connection goes on after it
    with Http(("127.0.0.1", nginx.port)) as c:
        for _ in range(3):
            assert c.get(empty).status == 204
            assert c.get(full).status == 200
    # JSON says "none" by itself
    a = nginx.get("/none/tiles/14/1/1.json")
    assert a.status == 200 and a.json()["features"] == []


@pytest.mark.parametrize("p,status,parameter", [
    ("tiles/14/16384/1.mvt", 400, "x"), ("tiles/14/1/16384.mvt", 400, "y"),
    ("tiles/17/1/1.mvt", 400, "z"), ("tiles/14/01/1.mvt", 400, "x"),
    ("tiles/14/1/1.mvt?v=1", 400, "v"), ("tiles/14/1/1.pbf", 404, None),
    ("tiles/14/1/1.mvtx", 404, None), ("tiles/14/1/1.mvt/", 404, None),
    ("tiles/14/1/1", 404, None), ("tiles/14/1/.mvt", 404, None),
    ("tiles/14/-1/1.mvt", 404, None)])
def test_refused(nginx, p, status, parameter):
    a = nginx.get("/v1/" + p)
    assert a.status == status, a
    assert a.headers["cache-control"] == "public, max-age=60"
    assert a.json().get("parameter") == parameter


def test_not_readable(redis):
    """Features of another version: said, not half shown."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        with pg.connect() as c:
            c.cursor().execute("INSERT INTO scc.place (id, name, lon_e7, "
                               "lat_e7) VALUES ('b', 'B', 1, 1)")
        c.close()
        redis.forget()
        with Nginx(pg, redis, scc={"scc_cache_generation": "9"},
                   allow_log=["features of another version"]) as server:
            p = f"/v1/tiles/16/{cell_x(1)}/{cell_y(1)}.mvt"
            r = redis.r

            def kept():
                assert len(mvt.points(server.get(p).body, "places")) == 1
                return r.keys("scc:c:9:*")

            key, = wait_until(kept, 10, "the cell to be kept")
            blob = r.get(key).replace(b'"name"', b'"eman"')
            tail = blob[40:60] + b"\0\0\0\0" + blob[64:]
            blob = blob[:60] + places.crc32c(tail).to_bytes(4, "little") \
                + blob[64:]
            r.set(key, blob)
            a = server.get(p)
            assert a.status == 503 and "retry-after" in a.headers, a
            assert "scc_cache_generation" in server.log()
            # and its JSON is what it is
            assert b'"eman"' in server.get(p.replace("mvt", "json")).body
