"""sccctl against a real PostgreSQL: init, migrate, import, sample."""

import base64
import csv
import decimal
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from servers import (REPO, SCCCTL, Postgres, need_data, new_dir,
                     open_data, run, sccctl, wait_until)

SAMPLES = os.path.join(REPO, "docker", "sample")

# "sccctl sample --places 20000 --seed 7"; changes only with the generator
SAMPLE_SHA256 = ("0b073e2bfba350071e9a48d968d39ae0"
                 "98ada8b5c558d9d3e60fc5fcb13db3dd")

COUNTS = re.compile(r"^(\d+) new, (\d+) unchanged", re.M)


def counts(p):
    """(new, unchanged) of an import's totals."""
    found = COUNTS.search(p.stdout)
    assert found, p.stdout + p.stderr
    return int(found[1]), int(found[2])


def write(name, data):
    path = os.path.join(new_dir("in"), name)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


def rejects(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def load(pg, *args, code=0, **kw):
    p = sccctl("import", *args, pg=pg, check=False, **kw)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def popen(pg, *args, **kw):
    env = dict(os.environ, SCC_PG=pg.conninfo())
    if args[0] == "import" and "--journal" not in args:
        args = ("import", "--no-journal", *args[1:])
    return subprocess.Popen([SCCCTL, *args], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **kw)


@pytest.fixture
def fresh():
    with Postgres() as pg:
        yield pg


@pytest.fixture(scope="module")
def sample20k():
    path = os.path.join(new_dir("in"), "sample.csv")
    sccctl("sample", "--places", 20000, "--seed", 7, "--out", path)
    return path


@pytest.fixture(scope="module")
def sample8k(sample20k):
    """The first 8,000 places of it, 22,000 events."""
    with open(sample20k, encoding="utf-8") as f:
        return write("s8.csv", "".join(f.readline() for _ in range(8001)))


# -- the command line --------------------------------------------------------


@pytest.mark.parametrize("args, code, said", [
    ((), 2, "usage: sccctl COMMAND"),
    (("imprt",), 2, 'unknown command "imprt"; did you mean "import"?'),
    (("zzzzzz",), 2, 'unknown command "zzzzzz"\n'),
    (("import", "--bonds", "1,2,3,4", "x.csv"), 2,
     'unknown option "--bonds"; did you mean "--bounds"?'),
    (("import", "-q", "x.csv"), 2, 'unknown option "-q"'),
    (("import",), 2, "no file named"),
    (("import", "--bounds", "1,2,3", "x.csv"), 2, "bounds"),
    (("import", "--map", "nonsense=a", "x.csv"), 2, "nonsense"),
    (("import", "--batch", "0", "x.csv"), 2, '--batch: "0"'),
    (("import", "--batch", "5"), 2, "no file named"),
    (("import", "--batch"), 2, "--batch needs a value"),
    (("import", "--quiet=1", "x.csv"), 2, "--quiet takes no value"),
    (("import", "--format", "xml", "x.csv"), 2, '"xml"'),
    (("import", "--contributor", "x" * 65, "x.csv"), 2, "--contributor"),
    (("import", "--batch=1", "--batch=2", "x.csv"), 2, "given twice"),
    (("import", "--dry-run", "/nowhere/x.csv"), 1,
     "/nowhere/x.csv: cannot open: No such file"),
    (("import", "--dry-run", "/"), 1, "is a directory"),
    (("init", "now"), 2, 'takes no argument, but "now"'),
    (("init",), 2, "set SCC_PG"),
    (("init", "--pg", "secret"), 2, "not a PostgreSQL connection string"),
    (("sample", "--places", "5"), 2, "--seed S are both required"),
    (("sample", "--places", "-1", "--seed", "1"), 2, '"-1"'),
    (("help", "import"), 0, "--bounds W,S,E,N"),
    (("import", "--help"), 0, "3 finished with rejects"),
    (("--help",), 0, "exit codes:"),
    (("version",), 0, "schema "),
])
def test_command_line(args, code, said):
    p = sccctl(*args, check=False, env={"SCC_PG": ""})
    assert p.returncode == code, p.stderr
    assert said in (p.stderr if code else p.stdout)
    assert not (code and p.stdout), "a failure writes to stderr alone"
    assert "secret" not in p.stderr


# -- init and migrate --------------------------------------------------------


def test_init_twice(fresh):
    p = sccctl("init", pg=fresh)
    assert "new store" in p.stdout
    identity = fresh.query("SELECT store_uuid, epoch FROM scc.identity")
    assert len(identity) == 1 and identity[0][1] == 1
    applied = fresh.query("SELECT * FROM scc.migration ORDER BY 1")

    p = sccctl("init", pg=fresh)
    assert "already initialised" in p.stdout
    assert fresh.query("SELECT store_uuid, epoch FROM scc.identity") \
        == identity
    assert fresh.query("SELECT * FROM scc.migration ORDER BY 1") == applied

    for version, name, digest, _ in applied:
        path = os.path.join(REPO, "ngx_scc_module", "store", "sql",
                            name + ".sql")
        with open(path, "rb") as f:
            assert digest == hashlib.sha256(f.read()).hexdigest(), name
        assert name.startswith(f"{version:03d}_")


def test_two_inits_at_once(fresh):
    both = [popen(fresh, "init") for _ in range(2)]
    out = [p.communicate(timeout=60) for p in both]
    assert [p.returncode for p in both] == [0, 0], out
    assert fresh.query("SELECT count(*) FROM scc.identity") == [(1,)]


def test_migrate(fresh):
    p = sccctl("migrate", pg=fresh, check=False)
    assert p.returncode == 1 and "sccctl init" in p.stderr
    assert fresh.query("SELECT to_regnamespace('scc')") == [(None,)]

    sccctl("init", pg=fresh)
    assert "nothing to apply" in sccctl("migrate", pg=fresh).stdout
    p = sccctl("migrate", "--dry-run", pg=fresh)
    assert "nothing to apply" in p.stdout

    # as if the newest were not there yet: the dry run only lists it
    (last, name), = fresh.query("DELETE FROM scc.migration WHERE version = "
                                "(SELECT max(version) FROM scc.migration) "
                                "RETURNING version, name")
    p = sccctl("migrate", "--dry-run", pg=fresh)
    assert p.stdout == f"would apply {name}\n"
    assert fresh.query("SELECT max(version) FROM scc.migration") \
        == [(last - 1,)]
    p = load(fresh, write("x.csv", "id,name,lng,lat\na,b,127,37\n"), code=1)
    assert "sccctl migrate" in p.stderr

    # it fails, for its objects exist: undone, and said so
    p = sccctl("migrate", pg=fresh, check=False)
    assert p.returncode == 1
    assert "already exists" in p.stderr and f"{name} was undone" in p.stderr
    assert fresh.query("SELECT max(version) FROM scc.migration") \
        == [(last - 1,)]


def test_migration_was_changed(fresh):
    sccctl("init", pg=fresh)
    fresh.query("UPDATE scc.migration SET sha256 = repeat('0', 64) "
                "WHERE version = 1 RETURNING 1")
    for command in ("init", "migrate"):
        p = sccctl(command, pg=fresh, check=False)
        assert p.returncode == 1
        assert "001_schema" in p.stderr and "other contents" in p.stderr


def test_store_is_newer(fresh):
    sccctl("init", pg=fresh)
    fresh.query("INSERT INTO scc.migration (version, name, sha256) SELECT "
                "max(version) + 1, 'future', repeat('0', 64) "
                "FROM scc.migration RETURNING 1")
    p = sccctl("migrate", pg=fresh, check=False)
    assert p.returncode == 1 and "newer sccctl" in p.stderr


def test_not_ours(fresh):
    fresh.query("CREATE SCHEMA scc CREATE TABLE thing (id int)")
    for command in (("init",), ("migrate",), ("import", "-")):
        p = sccctl(*command, pg=fresh, check=False)
        assert p.returncode == 1, p.stdout
        assert "not ours" in p.stderr or "no store" in p.stderr
    assert fresh.query("SELECT relname FROM pg_class WHERE relnamespace = "
                       "'scc'::regnamespace AND relkind = 'r'") \
        == [("thing",)]


def test_lost_identity(fresh):
    sccctl("init", pg=fresh)
    load(fresh, write("x.csv", "id,name,lng,lat\na,b,127,37\n"))
    fresh.query("ALTER TABLE scc.identity DISABLE TRIGGER refuse")
    fresh.query("DELETE FROM scc.identity")
    p = sccctl("init", pg=fresh, check=False)
    assert p.returncode == 1 and "from a backup" in p.stderr
    p = load(fresh, write("x.csv", "id,name,lng,lat\na,b,127,37\n"), code=1)
    assert "no identity" in p.stderr


def test_init_without_rights(fresh):
    fresh.query("CREATE ROLE plain LOGIN")
    p = sccctl("init", pg=fresh, user="plain", check=False)
    assert p.returncode == 1 and "superuser" in p.stderr
    assert fresh.query("SELECT to_regnamespace('scc')") == [(None,)]


def test_wrong_encoding(fresh):
    c = fresh.connect(dbname="postgres")
    c.autocommit = True
    c.cursor().execute("CREATE DATABASE old ENCODING 'LATIN1' LC_COLLATE "
                       "'C' LC_CTYPE 'C' TEMPLATE template0")
    c.close()
    p = sccctl("init", "--pg", fresh.conninfo(dbname="old"), check=False)
    assert p.returncode == 1
    assert "LATIN1" in p.stderr and "UTF8" in p.stderr


def test_embedded_sql_is_the_files():
    sql = os.path.join(REPO, "ngx_scc_module", "store", "sql")
    files = sorted(os.path.join(sql, f) for f in os.listdir(sql)
                   if f.endswith(".sql"))
    script = os.path.join(REPO, "ngx_scc_module", "ctl", "embed_sql.sh")
    there = run([script, *files]).stdout
    assert run([script, *reversed(files)]).stdout == there
    for path in files:
        name = re.escape(os.path.basename(path)[:3])
        body = re.search(r"scc_ctl_sql_" + name + r"\[\] = \{([^}]*)\}",
                         there)[1]
        with open(path, "rb") as f:
            assert bytes(int(x) & 255 for x in body.split(",")) \
                == f.read() + b"\0"
    assert run([script, files[1]], check=False).returncode == 1


# -- import: what arrives ----------------------------------------------------


def test_shipped_samples(pg):
    files = [os.path.join(SAMPLES, f) for f in ("osm_accessibility_A.geojson",
                                                "osm_pois_A.csv")]
    new, old = counts(load(pg, *files))
    assert new > 7000
    first = pg.query("SELECT count(*), sum(rev), max(hlc) FROM scc.place")
    cells = pg.query("SELECT cell, ver FROM scc.cell ORDER BY 1")

    assert counts(load(pg, *files)) == (0, new + old)
    assert pg.query("SELECT count(*), sum(rev), max(hlc) FROM scc.place") \
        == first
    assert pg.query("SELECT cell, ver FROM scc.cell ORDER BY 1") == cells

    with open(files[0], encoding="utf-8") as f:
        points = {x["id"]: x["geometry"]["coordinates"]
                  for x in json.load(f)["features"]
                  if x["geometry"]["type"] == "Point"}
    there = dict((i, (x, y)) for i, x, y in pg.query(
        "SELECT id, lon_e7, lat_e7 FROM scc.place"))
    for i, (lng, lat) in points.items():
        assert abs(there[i][0] - lng * 1e7) < 1 > abs(there[i][1] - lat * 1e7)


def e7(text):
    return int((decimal.Decimal(text) * 10 ** 7).to_integral_value(
        decimal.ROUND_HALF_UP))


def test_real_names_are_exact(fresh, figure):
    path = need_data("kr_places_A.csv.gz")
    with open_data("kr_places_A.csv.gz") as f:
        want = {r["id"]: (r["name"], r["category"] or None,
                          r["address"] or None, e7(r["lng"]), e7(r["lat"]),
                          json.loads(r["extra"] or "{}"))
                for r in csv.DictReader(f)}

    sccctl("init", pg=fresh)
    start = time.monotonic()
    p = load(fresh, path)
    rate = len(want) / (time.monotonic() - start)
    figure("kr_places_A into a fresh store", f"{rate:.0f} places/s")

    assert counts(p) == (len(want), 0)
    have = {r[0]: r[1:] for r in fresh.query(
        "SELECT id, name, category, address, lon_e7, lat_e7, "
        "coalesce(extra, '{}') FROM scc.place")}
    assert have.keys() == want.keys()
    for i, row in want.items():
        assert have[i] == row


def test_odd_text(pg):
    names = ['<b>&amp;"x"</b>', "a,b\nc\r\nd", "=1+1", "{}", "NULL", "\\N",
             "'; DROP SCHEMA scc; --", '{"a",NULL}', "\\", "\t", "가각 漢字",
             "e\u0301 \ufffd ｆｕｌｌ", "\U0001f9fd", "x" * 512, " 사이 "]
    out = io.StringIO()
    w = csv.writer(out)
    w.writerow(["id", "name", "lng", "lat", "address"])
    for i, name in enumerate(names):
        w.writerow([f"odd/{i}:가+", name, 127, 37.5, name])
    load(pg, write("odd.csv", out.getvalue()))
    have = dict(pg.query("SELECT id, name FROM scc.place "
                         "WHERE id LIKE 'odd/%'"))
    assert have == {f"odd/{i}:가+": n for i, n in enumerate(names)}


ROWS = "".join(f"r{i},이름 {i},{126 + i / 1000},{37 + i / 1000}\n"
               for i in range(500))
TABLE = "id,name,lng,lat\n" + ROWS


def features(prefix):
    return {"type": "FeatureCollection", "features": [
        {"type": "Feature", "id": f"{prefix}{i}",
         "geometry": {"type": "Point",
                      "coordinates": [126 + i / 1000, 37 + i / 1000]},
         "properties": {"name": f"이름 {i}"}} for i in range(500)]}


@pytest.mark.parametrize("name, pack", [
    ("plain.csv", lambda b: b),
    ("wrong-name.csv", gzip.compress),          # known by its first bytes
    ("members.csv.gz", lambda b: gzip.compress(b[:777])
     + gzip.compress(b"") + gzip.compress(b[777:])),
    ("bom.csv", lambda b: b"\xef\xbb\xbf" + b),
])
def test_packing(pg, name, pack):
    data = TABLE.replace("\nr", "\n" + name + "-r")
    p = load(pg, write(name, pack(data.encode())))
    assert counts(p) == (500, 0)
    assert pg.query("SELECT count(*) FROM scc.place WHERE id LIKE %s",
                    (name + "-r%",)) == [(500,)]


@pytest.mark.parametrize("args", [(), ("--format", "geojson")])
def test_stdin_geojson(pg, args):
    tag = "std" + "".join(args)
    p = popen(pg, "import", *args, "-", stdin=subprocess.PIPE)
    out, err = p.communicate(gzip.compress(
        json.dumps(features(tag)).encode()), timeout=60)
    assert p.returncode == 0, err
    assert b"500 new" in out
    assert pg.query("SELECT name, lon_e7 FROM scc.place WHERE id = %s",
                    (tag + "7",)) == [("이름 7", 1260070000)]


def test_geojson_and_csv_make_the_same_events(pg):
    """One point, two formats: the second import changes nothing."""
    load(pg, write("same.csv", TABLE.replace("\nr", "\nsame")))
    assert counts(load(pg, write("same.csv.gz", gzip.compress(
        TABLE.replace("\nr", "\nsame").encode())))) == (0, 500)


def test_event_identity(pg):
    """Ids follow the rule that every importer of this store shares."""
    load(pg, "--contributor", "who", "--name", "누구",
         write("id.csv", "id,name,lng,lat,has_slope,contributor_id,"
               "contributor_name\nev1,x,127,37,true,c-9,씩씩한 수달\n"))
    store, = pg.query("SELECT store_uuid FROM scc.identity")[0]
    rows = pg.query("SELECT event_id, kind, contributor_id, "
                    "contributor_name, body, hlc FROM scc.contribution "
                    "WHERE target = 'ev1' ORDER BY hlc")
    assert [r[1:4] for r in rows] == [
        ("place", "who", "누구"),
        ("place_accessibility", "c-9", "씩씩한 수달")]
    assert rows[0][5] < rows[1][5]
    for event, kind, contributor, _, body, hlc in rows:
        digest = bytearray(hashlib.sha256(b"\0".join([
            bytes.fromhex(store.replace("-", "")) + contributor.encode(),
            kind.encode(), b"ev1", body.encode()])).digest()[:16])
        digest[6] = digest[6] & 0x0f | 0x80
        digest[8] = digest[8] & 0x3f | 0x80
        assert bytes(digest).hex() == event.replace("-", "")
        assert abs((hlc >> 16) / 1000 - time.time()) < 60
    assert pg.query("SELECT display_name FROM scc.contributor "
                    "WHERE id = 'c-9'") == [("씩씩한 수달",)]


def test_least_privilege(pg):
    """scc_app can import, and nobody's import runs as the superuser."""
    p = load(pg, write("app.csv", "id,name,lng,lat\napp1,x,127,37\n"),
             user="scc_app")
    assert counts(p) == (1, 0)


def test_dry_run(pg):
    before = pg.query("SELECT count(*) FROM scc.contribution")
    p = sccctl("import", "--dry-run", write("dry.csv", TABLE.replace(
        "\nr", "\ndry")), env={"SCC_PG": ""})
    assert "rows 500, places 500" in p.stdout
    assert "nothing was written" in p.stdout
    assert pg.query("SELECT count(*) FROM scc.contribution") == before


def test_quiet_and_no_progress(pg):
    path = write("q.csv", TABLE.replace("\nr", "\nq"))
    p = load(pg, "--quiet", path)
    assert p.stdout == "" and p.stderr == ""
    p = load(pg, path)
    assert p.stderr == ""


def test_progress_on_a_terminal(sample20k):
    here, there = os.openpty()
    p = subprocess.Popen([SCCCTL, "import", "--dry-run", "-"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=there)
    os.close(there)
    with open(sample20k, "rb") as f:
        data = f.read()
    seen = b""
    try:
        # feed until the line is drawn: it is, ten times a second
        end = time.monotonic() + 20
        p.stdin.write(data)
        while b"rows" not in seen and time.monotonic() < end:
            p.stdin.write(data[data.index(b"\n") + 1:])
            p.stdin.flush()
            os.set_blocking(here, False)
            try:
                seen += os.read(here, 65536)
            except BlockingIOError:
                pass
    finally:
        p.stdin.close()
        p.stdout.read()
        p.wait(20)
        os.close(here)
    assert re.search(rb"\r\x1b\[K[\d,]+ MB  [\d,]+ rows  [\d,]+/s", seen)


# -- import: what does not ---------------------------------------------------


def test_dirty_rows(pg):
    path = need_data("kr_dirty_rows_A.csv")
    out = os.path.join(new_dir("out"), "r.csv")
    before = pg.query("SELECT count(*) FROM scc.contribution")
    p = load(pg, "--map", "lng=lng_raw,lat=lat_raw", "--bounds",
             "124,33,132,39", "--rejects", out, path, code=3)
    assert "places 0" in p.stdout
    assert pg.query("SELECT count(*) FROM scc.contribution") == before
    with open_data("kr_dirty_rows_A.csv") as f:
        want = [(r["id"], r["reason"]) for r in csv.DictReader(f)]
    have = rejects(out)
    assert [(r["id"].lstrip("'"), r["reason"]) for r in have] == want
    assert {r["field"] for r in have} <= {"lng", "lat"}
    assert all(r["text"] for r in have)


def test_rejects_file(pg):
    path = write("places.csv",
                 "id,name,lng,lat\n"
                 "rf1,good,127,37\n"
                 '=cmd(),bad,x,37\n'
                 '"+a,""b""",bad,127,\n'
                 "rf2,good,127,37\n")
    cwd = new_dir("cwd")
    env = dict(os.environ, SCC_PG=pg.conninfo())
    p = run([SCCCTL, "import", "--no-journal", path], env=env, cwd=cwd,
            check=False)
    assert p.returncode == 3
    assert "see rejects-places.csv" in p.stdout
    have = rejects(os.path.join(cwd, "rejects-places.csv"))
    assert [(r["line"], r["id"], r["field"], r["reason"]) for r in have] == [
        ("3", "'=cmd()", "lng", "not_a_number"),
        ("4", "'+a,\"b\"", "lat", "missing")]
    assert have[0]["file"] == path
    assert pg.query("SELECT count(*) FROM scc.place WHERE id LIKE 'rf%%'") \
        == [(2,)]

    # none without a reject; and never the input itself
    ok = write("fine.csv", "id,name,lng,lat\nrf3,x,127,37\n")
    run([SCCCTL, "import", "--no-journal", ok], env=env, cwd=cwd)
    assert os.listdir(cwd) == ["rejects-places.csv"]
    p = load(pg, "--rejects", ok, ok, code=1)
    assert "the input itself" in p.stderr
    with open(ok) as f:
        assert "rf3" in f.read()


@pytest.mark.parametrize("data, said", [
    ("name,lng,lat\nx,1,2\n", "id"),
    ("id,name,long,lat\na,b,1,2\n", "lng"),
    ("", ""),
    ('id,name,lng,lat\n"a,b,1,2\n', "line 2"),
    (b"\x1f\x8b\x08\x00garbage-that-is-no-deflate", "gzip data"),
    (gzip.compress(TABLE.encode())[:-9], "cut off"),
    ('{"type":"FeatureCollection","features":[{', "line"),
], ids=["no-id", "no-lng", "empty", "quote", "deflate", "cut", "json"])
def test_bad_files(pg, data, said):
    p = load(pg, write("bad", data), code=1)
    assert said in p.stderr and "bad: " in p.stderr
    assert len(p.stderr.strip().splitlines()) <= 2


def test_rows_before_a_fault_are_kept(pg):
    path = write("half.csv", TABLE.replace("\nr", "\nhalf") + '"broken\n')
    p = load(pg, path, code=1)
    assert "half.csv: " in p.stderr
    assert pg.query("SELECT count(*) FROM scc.place "
                    "WHERE id LIKE 'half%%'") == [(500,)]


def test_columns_not_imported_are_named(pg):
    p = load(pg, write("c.csv", "id,name,lng,lat,extra,colour\n"
                                "col1,x,127,37,{},red\n"))
    assert "colour" in p.stderr


@pytest.mark.parametrize("bad", [{150}, {0}, {299}, {0, 1, 150, 298, 299},
                                 set(range(0, 300, 7)), set(range(300))])
def test_rows_the_store_refuses(fresh, bad):
    """What only the store can judge costs the one row, whatever the batch."""
    sccctl("init", pg=fresh)
    fresh.query("ALTER TABLE scc.place ADD CONSTRAINT taste "
                "CHECK (name NOT LIKE 'evil%')")
    rows = "".join(f"s{i},{'evil' if i in bad else 'good'} {i},127,37\n"
                   for i in range(300))
    out = os.path.join(new_dir("out"), "r.csv")
    p = load(fresh, "--batch", "120", "--rejects", out,
             write("s.csv", "id,name,lng,lat\n" + rows), code=3)
    assert counts(p) == (300 - len(bad), 0)
    have = rejects(out)
    assert sorted((int(r["line"]), r["id"]) for r in have) \
        == [(i + 2, f"s{i}") for i in sorted(bad)]
    assert {r["reason"] for r in have} == {"refused_by_store"}
    assert all("taste" in r["text"] for r in have)
    assert fresh.query("SELECT count(*) FROM scc.place") \
        == [(300 - len(bad),)]


# -- import: whatever happens ------------------------------------------------


def test_kill_in_the_middle(fresh, sample8k):
    sccctl("init", pg=fresh)
    p = popen(fresh, "import", "--batch", "200", sample8k)
    wait_until(lambda: fresh.query("SELECT count(*) FROM scc.place")[0][0]
               > 1000, 60, "the first places", 0.02)
    p.send_signal(signal.SIGKILL)
    p.communicate(timeout=20)
    assert p.returncode == -signal.SIGKILL, "it was done before the kill"

    new, old = counts(load(fresh, sample8k))
    assert old > 1000 and new > 0

    with Postgres() as other:
        sccctl("init", pg=other)
        load(other, sample8k)
        for table in ("place", "building", "place_accessibility",
                      "building_accessibility"):
            key = ("place_id" if table == "place_accessibility" else
                   "building_id" if table == "building_accessibility"
                   else "id")
            sql = (f"SELECT to_jsonb(t) - '{{hlc,as_of,event_id,created_at,"
                   f"updated_at,rev}}'::text[] FROM scc.{table} t "
                   f"ORDER BY {key}")
            assert fresh.query(sql) == other.query(sql), table


def test_lost_connections(fresh, sample8k):
    """Backends are terminated under it: it goes on, and nothing is lost."""
    sccctl("init", pg=fresh)
    done = threading.Event()
    killed = []

    def hunt():
        c = fresh.connect()
        c.autocommit = True
        while not done.is_set() and len(killed) < 5:
            with c.cursor() as cur:
                cur.execute("SELECT pg_terminate_backend(pid) FROM "
                            "pg_stat_activity WHERE application_name = "
                            "'sccctl' AND query LIKE '%contribute%' "
                            "AND state = 'active'")
                killed.extend(cur.fetchall())
            done.wait(0.15)
        c.close()

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        p = load(fresh, "--batch", "200", sample8k)
    finally:
        done.set()
        hunter.join()
    assert killed, "no backend was caught at work"
    assert "trying again" in p.stderr
    new, _ = counts(p)
    assert fresh.query("SELECT count(*) FROM scc.contribution") == [(new,)]
    assert fresh.query("SELECT count(*) FROM scc.place") == [(8000,)]


def test_server_restarts(fresh, sample8k):
    sccctl("init", pg=fresh)
    p = popen(fresh, "import", "--batch", "200", sample8k)
    wait_until(lambda: fresh.query("SELECT count(*) FROM scc.place")[0][0]
               > 500, 60, "the first places", 0.02)
    fresh.kill()
    assert p.poll() is None, "it was done before the server died"
    fresh.start()
    out, err = p.communicate(timeout=120)
    assert p.returncode == 0, err
    assert fresh.query("SELECT count(*) FROM scc.place") == [(8000,)]


def test_readers_go_on(fresh, sample20k):
    sccctl("init", pg=fresh)
    c = fresh.connect()
    c.autocommit = True
    p = popen(fresh, "import", sample20k)
    slow, reads = 0.0, 0
    with c.cursor() as cur:
        cur.execute("SET lock_timeout = '50ms'")
        while p.poll() is None:
            start = time.monotonic()
            cur.execute("SELECT count(*) FROM scc.cell")
            cur.execute("SELECT id FROM scc.place WHERE cell = 1")
            slow = max(slow, time.monotonic() - start)
            reads += 1
    p.communicate(timeout=20)
    assert p.returncode == 0 and reads > 10, (p.returncode, reads)
    assert slow < 2
    c.close()


# -- sizes -------------------------------------------------------------------


def test_memory_is_constant(figure):
    """100 MB through standard input; the peak is that of the first 10."""
    head = b"id,name,lng,lat,address\n"
    piece = b"".join(b"m%06d,%s,127.%06d,37.5,%s\n"
                     % (i, "이름".encode() * 8, i, b"x" * 120)
                     for i in range(40000))

    def peak(megabytes):
        p = subprocess.Popen([SCCCTL, "import", "--dry-run", "--quiet", "-"],
                             stdin=subprocess.PIPE)
        p.stdin.write(head)
        sent = 0
        while sent < megabytes * 1000000:
            p.stdin.write(piece)
            sent += len(piece)
        p.stdin.flush()
        with open(f"/proc/{p.pid}/status") as f:
            kb = int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])
        p.stdin.close()
        assert p.wait(60) == 0
        return kb

    small, large = peak(10), peak(100)
    figure("peak memory, 100 MB of CSV", f"{large} kB")
    assert large < small + 1024 and large < 64 * 1024


def test_memory_is_constant_into_the_store(fresh, figure):
    sccctl("init", pg=fresh)

    def peak(places):
        p = popen(fresh, "import", "--quiet", "-", stdin=subprocess.PIPE)
        text = subprocess.run([SCCCTL, "sample", "--places", str(places),
                               "--seed", "11"], stdout=subprocess.PIPE,
                              check=True).stdout
        p.stdin.write(text[:-1])                # one byte held back
        p.stdin.flush()
        with open(f"/proc/{p.pid}/status") as f:
            kb = int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])
        out, err = p.communicate(text[-1:], timeout=120)
        assert p.returncode == 0, err
        return kb

    small, large = peak(5000), peak(40000)
    figure("peak memory, 40,000 places into the store", f"{large} kB")
    assert large < small + 4096


@pytest.mark.alone
def test_throughput(figure):
    """Into a fresh store, durable: the design asks for 20,000 places/s."""
    path = need_data("seoul_places_A.csv.gz")
    best = 0.0
    for _ in range(2):
        with Postgres() as pg:
            sccctl("init", pg=pg)
            start = time.monotonic()
            p = load(pg, path)
            rate = 35363 / (time.monotonic() - start)
            best = max(best, rate)
            assert counts(p) == (35363, 0)
            start = time.monotonic()
            assert counts(load(pg, path)) == (0, 35363)
            again = 35363 / (time.monotonic() - start)
    figure("seoul_places_A into a fresh store", f"{best:.0f} places/s")
    figure("the same file again", f"{again:.0f} places/s")
    # a quarter of the aim: other tests may share the machine
    assert best > 5000


# -- the synthetic sample ----------------------------------------------------


def test_sample_is_deterministic(sample20k):
    with open(sample20k, "rb") as f:
        data = f.read()
    assert hashlib.sha256(data).hexdigest() == SAMPLE_SHA256
    short = sccctl("sample", "--places", 500, "--seed", 7).stdout
    assert data.startswith(short.encode())
    other = sccctl("sample", "--places", 500, "--seed", 8).stdout
    assert other.splitlines()[0] == short.splitlines()[0]
    assert other.splitlines()[1] != short.splitlines()[1]


def yes(text):
    return {"": None, "true": True, "false": False}[text]


def test_sample_follows_the_rules(sample20k):
    with open(sample20k, encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 20000 == len({r["id"] for r in rows})
    buildings = {}
    stairs = {"NONE", "ONE", "TWO_TO_FIVE", "OVER_SIX", "UNDEFINED"}
    heights = {"HALF_THUMB", "THUMB", "OVER_THUMB"}

    for n, r in enumerate(rows, 1):
        assert r["id"] == f"synthetic:7:{n}"
        assert r["synthetic"] == "true" and r["source"] == "synthetic"
        assert 126.76 < float(r["lng"]) < 127.18
        assert 37.42 < float(r["lat"]) < 37.70
        assert 1 <= len(r["name"].encode()) <= 512
        digest = hashlib.sha256(r["address"].encode()).digest()
        assert r["building_id"] == base64.b64encode(digest)[:36].decode()

        if r["stair_info"]:
            assert r["stair_info"] in stairs and r["floors"]
            floors = [int(x) for x in r["floors"].split(";")]
            assert yes(r["is_first_floor"]) == (1 in floors)
            assert (len(floors) > 1) == (r["is_stair_only_option"] != "")
            assert (r["stair_info"] == "ONE") \
                == (r["stair_height_level"] in heights)
            doors = r["entrance_door_types"].split(";")
            assert "None" not in doors or doors == ["None"]
        else:
            assert not r["floors"] and not r["has_slope"]

        if r["building_entrance_stair_info"]:
            assert r["building_id"] not in buildings, "one record each"
            buildings[r["building_id"]] = r
            assert yes(r["building_has_elevator"]) \
                == (r["building_elevator_stair_info"] != "UNDEFINED")
            for at in ("entrance", "elevator"):
                assert (r[f"building_{at}_stair_info"] == "ONE") == \
                    (r[f"building_{at}_stair_height_level"] in heights)

        if r["stair_info"] or r["building_entrance_stair_info"]:
            assert re.fullmatch(r"synthetic-\d+", r["contributor_id"])
        else:
            assert not r["contributor_id"]

    share = sum(1 for r in rows if r["stair_info"]) / len(rows)
    assert 0.43 < share < 0.47
    share = len(buildings) / len({r["building_id"] for r in rows})
    assert 0.33 < share < 0.37
    points = [(r["lng"], r["lat"]) for r in rows]
    assert len(points) - len(set(points)) > 500, "stacked points"
    people = {r["contributor_id"]: r["contributor_name"] for r in rows}
    people.pop("", None)
    assert len(people) == 200 == len(set(people.values()))
    assert any("/" in r["building_id"] for r in rows)
    assert any("+" in r["building_id"] for r in rows)


def test_sample_is_quick_and_imports(fresh, sample20k, figure):
    start = time.monotonic()
    run([SCCCTL, "sample", "--places", "50000", "--seed", "1", "--out",
         os.path.join(new_dir("out"), "s.csv")])
    took = time.monotonic() - start
    figure("sample of 50,000 places", f"{took:.2f} s")
    assert took < 5
    sccctl("init", pg=fresh)
    p = load(fresh, sample20k)
    assert "rows 20000, places 20000, rejected 0" in p.stdout
    n, known = fresh.query("SELECT count(*), count(level) FROM scc.place "
                           "WHERE synthetic AND source = 'synthetic'")[0]
    assert n == 20000 and known > 5000
    assert fresh.query("SELECT count(*) FROM scc.contributor "
                       "WHERE id LIKE 'synthetic-%'") == [(200,)]


def test_sample_to_a_full_disk():
    p = run([SCCCTL, "sample", "--places", "5000", "--seed", "1", "--out",
             "/dev/full"], check=False)
    assert p.returncode == 1 and "No space left" in p.stdout
