"""The open data: GET export.geojsonl, export.json and sccctl export."""

import csv
import gzip
import io
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from servers import (SCCCTL, Nginx, Postgres, new_dir, sccctl,
                     wait_until)
from store import COLUMNS, feature

PATH = "/v1/export.geojsonl"
# in the template's location: one more beside it
GUARD = """}
        location = /guard {
            return 200 "$scc_guard_state";
"""
LICENSE = "https://example.org/license"

# what nobody may read in open data: of contributors, images, the rest
SECRETS = ["정복자-김비밀", "secret-contributor", "secret-photo.jpg",
           "secret-extra", "secret@example.org"]

MANY = 16000

MORE = """
    SELECT p.id, p.building_id, a.floors, a.is_stair_only_option,
           a.entrance_door_types, b.entrance_stair_height_level,
           b.entrance_door_types, b.elevator_stair_height_level, p.source,
           p.synthetic
      FROM scc.place p
      LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
      LEFT JOIN scc.building_accessibility b ON b.building_id = p.building_id
     WHERE NOT p.is_closed
"""

NAMES = ["buildingId", "floors", "isStairOnlyOption", "entranceDoorTypes",
         "buildingEntranceStairHeightLevel", "buildingEntranceDoorTypes",
         "buildingElevatorStairHeightLevel", "source", "synthetic"]


def truth(pg):
    """What an export must hold, from the tables, by id; no updatedAt."""
    out = {}
    for row in pg.query(COLUMNS):
        out[row[1]] = feature(row)
    for row in pg.query(MORE):
        out[row[0]]["properties"].update(zip(NAMES, row[1:]))
    return [out[k] for k in sorted(out, key=str.encode)]


def lines(data):
    """The Features of an export; updatedAt is a time, and is dropped."""
    assert data == b"" or data.endswith(b"\n")
    out = [json.loads(x) for x in data.splitlines()]
    for f in out:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
                            f["properties"].pop("updatedAt"))
    return out


@pytest.fixture(scope="module")
def pg(sample_store):
    """4,000 places and some that are odd, with names that must not leak."""
    with Postgres(template=sample_store) as server:
        with server.connect() as c, c.cursor() as cur:
            cur.execute(
                "INSERT INTO scc.contributor (id, display_name, hlc) "
                "VALUES ('secret-contributor', '정복자-김비밀', 1)")
            cur.execute(
                "INSERT INTO scc.building (id, name, contributor_id) "
                "VALUES ('b/1', 'B', 'secret-contributor')")
            for ident, name, extra, closed in [
                    ("한글/아이디", "한글, \"이름\"\nzwei", None, False),
                    ("=1+1", "\u2028\u0001\\", '{"k": "secret-extra", '
                     '"mail": "secret@example.org"}', False),
                    ("🦽", "", None, False), ("!", "first", None, False),
                    ("closed", "gone", None, True)]:
                cur.execute(
                    "INSERT INTO scc.place (id, name, lon_e7, lat_e7, "
                    "building_id, extra, is_closed, source) VALUES "
                    "(%s, %s, -1, 900000000, 'b/1', %s, %s, 'field, 2026')",
                    (ident, name, extra, closed))
            cur.execute(
                "INSERT INTO scc.place_accessibility (place_id, floors, "
                "stair_info, entrance_door_types, image_urls, "
                "contributor_id) VALUES ('=1+1', '{-1,2}', 'UNDEFINED', "
                "'{Hinged,ETC}', '{secret-photo.jpg}', "
                "'secret-contributor')")
            cur.execute(
                "INSERT INTO scc.building_accessibility (building_id, "
                "entrance_stair_info, entrance_stair_height_level, "
                "elevator_stair_info, elevator_stair_height_level, "
                "entrance_door_types, contributor_id, image_urls) VALUES "
                "('b/1', 'ONE', 'THUMB', 'ONE', 'HALF_THUMB', "
                "'{None}', 'secret-contributor', '{secret-photo.jpg}')")
        yield server


@pytest.fixture(scope="module")
def nginx(pg):
    with Nginx(pg, scc={"scc_export_limit": 3},
               http="gzip on; gzip_types application/x-ndjson; "
                    "gzip_min_length 1;",
               location=f'scc_license {LICENSE}; scc_attribution "© a, b";'
               ) as server:
        yield server


@pytest.fixture(scope="module")
def many(pg):
    """A store too large for the buffers between it and a client."""
    with Postgres(fsync=False) as server:
        sccctl("init", pg=server)
        server.query(
            "INSERT INTO scc.place (id, name, address, lon_e7, lat_e7) "
            "SELECT 'p' || i, 'name of ' || i, repeat('가', 60), "
            "1269000000 + i * 37 %% 2000000, 375000000 + i * 91 %% 2000000 "
            "FROM generate_series(1, %s) i", (MANY,))
        yield server


class Slow:
    """A client who asks, and reads when told to."""

    def __init__(self, nginx, version="1.1", window=16384):
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.s.settimeout(20)
        self.s.connect(("127.0.0.1", nginx.port))
        self.s.sendall((f"GET {PATH} HTTP/{version}\r\nHost: l\r\n"
                        "Connection: close\r\n\r\n").encode())
        self.data = b""

    def read(self, n):
        """At least n bytes more, unless the end comes first."""
        want = len(self.data) + n
        while len(self.data) < want:
            d = self.s.recv(65536)
            if not d:
                return False
            self.data += d
        return True

    def rest(self):
        while self.read(1 << 20):
            pass
        return self.data

    def body(self):
        """The chunks' content, and whether the last one was there."""
        assert b" 200 " in self.data.split(b"\r\n", 1)[0], self.data[:300]
        rest, out = self.data.split(b"\r\n\r\n", 1)[1], []
        while True:
            size, _, rest = rest.partition(b"\r\n")
            if not re.fullmatch(rb"[0-9a-f]+", size):
                return b"".join(out), False
            n = int(size, 16)
            out.append(rest[:n])
            if n == 0:
                return b"".join(out), rest == b"\r\n"
            if len(rest) < n + 2:
                return b"".join(out), False
            rest = rest[n + 2:]

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) / 1024


# -- GET ---------------------------------------------------------------------


def test_equals_the_store(nginx, pg):
    a = nginx.get(PATH)
    assert a.status == 200
    got = lines(a.body)
    assert len(got) > 4000
    assert got == truth(pg)
    assert "closed" not in {f["id"] for f in got}
    assert [f["properties"]["registered"] for f in got
            if f["id"] == "=1+1"] == [True]


def test_headers(nginx):
    a = nginx.get(PATH)
    h = a.headers
    assert h["content-type"] == "application/x-ndjson"
    assert h["link"] == f'<{LICENSE}>; rel="license"'
    assert re.fullmatch(
        r'attachment; filename="places-\d{8}\.geojsonl"',
        h["content-disposition"])
    assert h["cache-control"] == "no-store"
    assert h["access-control-allow-origin"] == "*"
    assert h["cache-status"] == "scc; fwd=bypass; detail=pg"
    assert h["transfer-encoding"] == "chunked" and "date" in h
    assert "accept-ranges" not in h and "content-length" not in h

    head = nginx.get(PATH, method="HEAD")
    assert head.status == 200 and head.body == b""
    for k in ("content-type", "link", "content-disposition",
              "cache-control"):
        assert head.headers[k] == h[k]


def test_about(nginx, pg):
    a = nginx.get("/v1/export.json")
    doc = a.json()
    n = pg.query("SELECT count(*) FROM scc.place WHERE NOT is_closed")[0][0]
    assert doc["places"] == n
    assert doc["license"] == LICENSE and doc["attribution"] == "© a, b"
    assert doc["href"] == "export.geojsonl"
    assert doc["changedAt"].endswith("Z")
    assert a.headers["content-type"] == "application/json"


def test_gzip(nginx, pg):
    a = nginx.get(PATH, {"Accept-Encoding": "gzip"})
    assert a.headers["content-encoding"] == "gzip"
    assert lines(gzip.decompress(a.body)) == truth(pg)


def test_refused(nginx):
    for path in (PATH, "/v1/export.json"):
        a = nginx.get(path + "?limit=3")
        assert a.status == 400 and a.json()["parameter"] == "limit"
        assert nginx.get(path, method="POST", body=b"x").status == 405
    assert nginx.get("/v1/export").status == 404
    assert nginx.get("/v1/export.geojsonl/").status == 404


def test_no_personal_data(nginx, pg):
    out = [nginx.get(PATH).body, nginx.get("/v1/export.json").body]
    for kind in ("geojson", "csv"):
        out.append(sccctl("export", "--format", kind,
                          pg=pg).stdout.encode())
    for data in out:
        for secret in SECRETS:
            assert secret.encode() not in data
        assert b"contributor" not in data


def test_empty_store():
    with Postgres() as empty:
        sccctl("init", pg=empty)
        with Nginx(empty) as server:
            # a new one is believed to be empty when anchors were looked for
            a = wait_until(lambda: (lambda a: a if a.status == 200 else None)(
                server.get(PATH)), 30, "an answer")
            assert a.body == b""
            assert server.get("/v1/export.json").json()["places"] == 0
            empty.stop()
            a = server.get(PATH)
            assert a.status == 503 and "retry-after" in a.headers


def test_slow_clients(many):
    """They hold a page each, not the file; and get all of it."""
    with Nginx(many, scc={"scc_export_limit": 10}) as server:
        pid = server.workers()[0]
        with Slow(server, window=1 << 20) as one:
            size = len(one.rest())
        assert size > 8e6
        before = rss(pid)

        clients = [Slow(server) for _ in range(8)]
        for c in clients:
            c.read(100000)
        # eight files would be 70 MB and more
        grown = rss(pid) - before
        assert grown < 24, f"{grown:.0f} MB for eight slow clients"

        # and nothing of the store, once the kernel's buffers are full
        wait_until(lambda: many.query(
            "SELECT count(*) FROM pg_stat_activity WHERE "
            "usename = 'scc_app' AND state <> 'idle'") == [(0,)], 30,
            "the store to be left alone")

        ids = sorted((f"p{i}" for i in range(1, MANY + 1)))
        clients[0].rest()
        data, whole = clients[0].body()
        assert whole and [f["id"] for f in lines(data)] == ids
        for c in clients:
            c.close()
        assert server.get("/v1/export.json").status == 200


def test_limit_and_leaving(many):
    with Nginx(many, scc={"scc_export_limit": 1}) as server:
        with Slow(server) as c:
            c.read(1000)
            a = server.get(PATH)
            assert a.status == 503 and "retry-after" in a.headers
            assert "scc_export_limit" in a.json()["detail"]
            assert server.get(PATH, method="HEAD").status == 200
            c.close()
        wait_until(lambda: server.get(PATH).status == 200, 30,
                   "room for another export")
        # also who leaves before the first page
        many.sigstop()
        with Slow(server):
            time.sleep(0.05)
        many.sigcont()
        wait_until(lambda: server.get(PATH).status == 200, 30,
                   "room for another export")


def test_store_dies(many):
    """Nobody takes the half for the whole, with HTTP/1.0 neither."""
    with Nginx(many) as server, Slow(server) as c, Slow(server, "1.0") as d:
        c.read(100000)
        d.read(100000)
        many.kill()
        try:
            with pytest.raises(ConnectionResetError):
                d.rest()
            c.rest()
        finally:
            many.start()
        data, whole = c.body()
        assert not whole and len(data.splitlines()) >= 1000
        assert server.log().count("an export was cut off after") == 2


def test_store_restarts(many):
    """A store that is away for a moment costs nobody anything."""
    with Nginx(many) as server, Slow(server) as c:
        c.read(100000)
        many.restart()
        c.rest()
        data, whole = c.body()
        assert whole and len(lines(data)) == MANY


def test_other_store(many):
    """Its pages are never glued to those of the first one."""
    with Nginx(many, location=GUARD) as server:
        # it answers reads before its first look, and says something else
        wait_until(lambda: server.get("/guard").body == b"healthy", 30,
                   "the guard's first look")
        with Slow(server) as c:
            c.read(100000)
            many.query("UPDATE scc.identity SET epoch = epoch + 1")
            c.rest()
            many.query("UPDATE scc.identity SET epoch = epoch - 1")
            assert not c.body()[1]
            assert "not to be believed (unadopted)" in server.log()
    with Nginx(many, scc={"scc_store_guard": "off"}) as server, \
            Slow(server) as c:
        c.read(100000)
        many.query("UPDATE scc.identity SET epoch = epoch + 1")
        c.rest()
        many.query("UPDATE scc.identity SET epoch = epoch - 1")
        assert not c.body()[1]
        assert "another store is there now" in server.log()


def test_places_that_move(many):
    """An id is in the export once, wherever the place goes meanwhile."""
    with Nginx(many) as server, Slow(server) as c:
        c.read(100000)
        many.query("UPDATE scc.place SET lon_e7 = lon_e7 - 400000000 "
                   "WHERE id >= 'p5' AND id < 'p6'")
        many.query("UPDATE scc.place SET lon_e7 = lon_e7 + 100000000 "
                   "WHERE id < 'p11'")
        c.rest()
        data, whole = c.body()
        ids = [f["id"] for f in lines(data)]
        assert whole and len(ids) == MANY == len(set(ids))


# -- sccctl export -----------------------------------------------------------


def export(pg, *args, code=0, **kw):
    p = sccctl("export", *args, pg=pg, check=False, **kw)
    assert p.returncode == code, (p.returncode, p.stdout[-500:], p.stderr)
    return p


def test_ctl_geojson(nginx, pg):
    path = os.path.join(new_dir("out"), "places.geojson")
    p = export(pg, "--format", "geojson", "--output", path, "--license",
               LICENSE, "--attribution", "© \"a\"")
    with open(path, encoding="utf-8") as f:
        doc = json.load(f)
    assert doc["type"] == "FeatureCollection"
    assert doc["license"] == LICENSE and doc["attribution"] == '© "a"'
    assert doc["timeStamp"].endswith("Z")
    uuid, epoch = pg.query("SELECT store_uuid, epoch FROM scc.identity")[0]
    assert doc["store"] == f"{uuid}/{epoch}"
    assert doc["numberReturned"] == len(doc["features"])
    assert f"{len(doc['features'])} places as of" in p.stdout
    assert oct(os.stat(path).st_mode & 0o777) == oct(0o666 & ~umask())
    assert os.listdir(os.path.dirname(path)) == ["places.geojson"]

    # nginx sends the same bytes
    flat = export(pg, "--format", "geojsonl").stdout.encode()
    assert flat == nginx.get(PATH).body
    assert [json.loads(x) for x in flat.splitlines()] == doc["features"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_ctl_csv(pg):
    path = os.path.join(new_dir("out"), "places.csv")
    export(pg, "--format", "csv", "--output", path, "--license", LICENSE,
           "--quiet")
    with open(path, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    want = truth(pg)
    assert len(rows) == len(want)

    def text(v):
        return "" if v is None else str(v).lower() if v in (True, False) \
            and isinstance(v, bool) else ";".join(map(str, v)) \
            if isinstance(v, list) else str(v)

    for row, f in zip(rows, want):
        p = f["properties"]
        assert row["id"] == f["id"] and row["name"] == p["name"]
        assert [float(row["lng"]), float(row["lat"])] \
            == f["geometry"]["coordinates"]
        for column, name in [
                ("category", "category"), ("address", "address"),
                ("level", "level"), ("registered", "registered"),
                ("stair_height_level", "stairHeightLevel"),
                ("has_slope", "hasSlope"), ("floors", "floors"),
                ("entrance_door_types", "entranceDoorTypes"),
                ("is_stair_only_option", "isStairOnlyOption"),
                ("building_id", "buildingId"), ("source", "source"),
                ("building_registered", "buildingRegistered"),
                ("building_entrance_door_types",
                 "buildingEntranceDoorTypes"),
                ("building_elevator_stair_height_level",
                 "buildingElevatorStairHeightLevel"),
                ("synthetic", "synthetic")]:
            assert row[column] == text(p[name]), (f["id"], column)
        assert row["stair_info"] == (
            (p["stairInfo"] or "UNDEFINED") if p["registered"] else "")

    with open(path + "-metadata.json", encoding="utf-8") as f:
        about = json.load(f)
    assert about["url"] == "places.csv"
    assert about["dc:license"] == LICENSE
    assert about["dc:modified"].endswith("Z")
    assert [c["name"] for c in about["tableSchema"]["columns"]] \
        == list(rows[0])
    assert about["dc:extent"] == f"{len(rows)} places"


def test_ctl_csv_comes_back(pg):
    """The import reads the export: another store, the same places."""
    text = export(pg, "--format", "csv").stdout
    path = os.path.join(new_dir("out"), "places.csv")
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)
    with Postgres(fsync=False) as other:
        sccctl("init", pg=other)
        sccctl("import", path, pg=other)
        back = export(other, "--format", "csv").stdout

    def rows(t):
        out = list(csv.DictReader(io.StringIO(t, newline="")))
        for row in out:
            del row["updated_at"]
            # the one thing that an import has no column for
            del row["building_entrance_door_types"]
        return out

    assert rows(back) == rows(text)


def test_ctl_one_moment(many):
    """Whatever happens meanwhile is not in it."""
    before = export(many, "--format", "geojsonl").stdout
    p = start(many, "--format", "geojsonl")
    out = p.stdout.read(50000)
    many.query("UPDATE scc.place SET name = 'changed'")
    many.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
               "VALUES ('zz', 'new', 1, 1)")
    out += p.stdout.read()
    assert p.wait(20) == 0
    assert out.decode() == before
    many.query("DELETE FROM scc.place WHERE id = 'zz'")


def start(pg, *args, **kw):
    return subprocess.Popen(
        [SCCCTL, "export", *args], env=dict(os.environ, SCC_PG=pg.conninfo()),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def test_ctl_store_dies(many):
    p = start(many, "--format", "geojson")
    out = p.stdout.read(50000)
    many.kill()
    try:
        out += p.stdout.read()
        assert p.wait(20) == 1
        assert b"sccctl: reading places: " in p.stderr.read()
        with pytest.raises(ValueError):
            json.loads(out)
    finally:
        many.start()


def test_ctl_file_is_whole_or_old(many):
    folder = new_dir("out")
    path = os.path.join(folder, "p.csv")
    with open(path, "w") as f:
        f.write("old")

    # killed while it waits for a lock, with a half written file beside
    lock = many.connect()
    with lock.cursor() as cur:
        cur.execute("LOCK TABLE scc.place IN ACCESS EXCLUSIVE MODE")
        for sig in (signal.SIGTERM, signal.SIGINT):
            # what is ignored here, as in a shell's background, stays so
            before = signal.signal(sig, signal.SIG_DFL)
            try:
                p = start(many, "--format", "csv", "--output", path)
            finally:
                signal.signal(sig, before)
            wait_until(lambda: len(os.listdir(folder)) == 2, 30,
                       "the half of a file")
            p.send_signal(sig)
            assert p.wait(10) == -sig
            assert os.listdir(folder) == ["p.csv"]
    lock.rollback()
    lock.close()
    with open(path) as f:
        assert f.read() == "old"

    p = export(many, "--format", "csv", "--output",
               os.path.join(folder, "none", "p.csv"), code=1)
    assert "cannot create a file beside" in p.stderr

    with open("/dev/full", "wb") as full:
        p = subprocess.run(
            [SCCCTL, "export", "--format", "geojson"], stdout=full,
            stderr=subprocess.PIPE,
            env=dict(os.environ, SCC_PG=many.conninfo()))
    assert p.returncode == 1 and b"cannot write to standard output" \
        in p.stderr


def test_ctl_usage(pg):
    for args in ([], ["--format", "xml"], ["--format", "csv", "x"],
                 ["--format", "csv", "--license", LICENSE],
                 ["--format", "geojsonl", "--attribution", "x"]):
        export(pg, *args, code=2)
    assert export(pg, "--format", "csv", "--pg", "host=/nonexistent",
                  code=1).stderr
