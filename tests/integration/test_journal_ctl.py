"""sccctl journal: ls, cat, verify, stat, init."""

import base64
import fcntl
import hashlib
import json
import os
import re
import stat
import uuid

import pytest

from journals import BLOCK, Record, Segment
from servers import Postgres, new_dir, sccctl

STORE = uuid.UUID("0190b3c4-0000-4000-8000-000000000001")
DAY = 24 * 3600 * 1000


def journal(*args, code=0, **kw):
    p = sccctl("journal", *args, check=False, **kw)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def cat(*args, code=0):
    return [json.loads(line)
            for line in journal("cat", *args, code=code).stdout.splitlines()]


def events(rows):
    return [row["eventId"] for row in rows]


def ids(*segments):
    return [str(r.event) for s in segments for r in s.records]


def place(n, **kw):
    kw.setdefault("counter", n)
    return Record("place", {"placeId": f"p{n}", "name": f"곳 {n}",
                            "location": {"lng": 127, "lat": 37}},
                  target=f"p{n}", **kw)


@pytest.fixture
def folder():
    path = os.path.join(new_dir("journal"), "j")
    journal("init", path, "--store", STORE)
    return path


def flip(path, at, bit=1):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ bit]))


def digest(path):
    out = {}
    for name in sorted(os.listdir(path)):
        with open(os.path.join(path, name), "rb") as f:
            out[name] = hashlib.sha256(f.read()).hexdigest()
    return out


# -- init --------------------------------------------------------------------


def test_init():
    path = os.path.join(new_dir("journal"), "new")
    assert str(STORE) in journal("init", path, "--store", STORE).stdout

    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert os.listdir(path) == ["store"]
    with open(os.path.join(path, "store")) as f:
        assert f.read() == f"{STORE}\n"

    before = digest(path)
    assert "already" in journal("init", path + "/", "--store",
                                str(STORE).upper()).stdout
    other = journal("init", path, "--store", uuid.uuid4(), code=1)
    assert str(STORE) in other.stderr
    assert digest(path) == before


def test_init_two(folder):
    """The directory and its synced copy at once; the first is there."""
    second = os.path.join(new_dir("journal"), "b")
    journal("init", folder, second, "--store", STORE)
    assert digest(folder) == digest(second)


def test_init_asks_the_store(pg):
    path = os.path.join(new_dir("journal"), "j")
    journal("init", path, pg=pg)
    c = pg.connect()
    with c, c.cursor() as cur:
        cur.execute("SELECT store_uuid FROM scc.identity")
        (store,) = cur.fetchone()
    c.close()
    with open(os.path.join(path, "store")) as f:
        assert f.read() == f"{store}\n"

    with Postgres() as empty:
        p = journal("init", path + "2", pg=empty, code=1)
        assert "sccctl init" in p.stderr
        assert not os.path.exists(path + "2")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_init_not_for_others(mode):
    path = new_dir("journal")
    os.chmod(path, mode)
    p = journal("init", path, "--store", STORE, code=1)
    assert "chmod 700" in p.stderr
    assert os.listdir(path) == []
    os.chmod(path, 0o700)
    journal("init", path, "--store", STORE)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_init_by_root():
    """What root makes is the directory's owner's, who runs the workers."""
    def owner(path):
        st = os.lstat(path)
        return st.st_uid, st.st_gid

    path = new_dir("journal")
    os.chmod(path, 0o700)
    os.chown(path, 65534, 65533)
    store = os.path.join(path, "store")
    for _ in range(2):
        journal("init", path, "--store", STORE)
        assert owner(store) == (65534, 65533)
        assert stat.S_IMODE(os.lstat(store).st_mode) == 0o600
        os.chown(store, 0, 0)           # as an earlier version left it

    # a directory that it makes, in another's and in everybody's
    journal("init", path + "/made", "--store", STORE)
    assert owner(path + "/made") == owner(path + "/made/store") \
        == (65534, 65533)
    os.chmod(path, 0o1777)
    journal("init", path + "/too", "--store", STORE)
    assert owner(path + "/too") == owner(path + "/too/store") == (0, 0)

    # no other file is given away
    os.chmod(path, 0o700)
    other = os.path.join(new_dir("other"), "store")
    os.rename(store, other)
    os.symlink(other, store)
    os.chown(other, 0, 0)
    journal("init", path, "--store", STORE, code=1)
    os.unlink(store)
    os.link(other, store)
    journal("init", path, "--store", STORE)
    assert owner(other) == (0, 0)


def test_init_refuses(folder):
    base = new_dir("journal")
    assert "cannot create" in journal("init", base + "/no/such", "--store",
                                      STORE, code=1).stderr
    name = os.path.join(base, "file")
    with open(name, "w"):
        pass
    assert "no directory" in journal("init", name, "--store", STORE,
                                     code=1).stderr

    # its mark is lost, but its segments know whose they are
    os.unlink(os.path.join(folder, "store"))
    Segment(uuid.uuid4()).batch(place(1)).seal().write(folder)
    assert "segment of store" in journal("init", folder, "--store", STORE,
                                         code=1).stderr
    assert not os.path.exists(os.path.join(folder, "store"))

    with open(os.path.join(folder, "store"), "w") as f:
        f.write("something else")
    assert "no UUID" in journal("init", folder, "--store", STORE,
                                code=1).stderr


@pytest.mark.parametrize("args,said", [
    ([], "say what to do"),
    (["ls"], "name the journal's directory"),
    (["rm", "x"], "there is no \"rm\""),
    (["init", "x", "--store", "1234"], "is not a UUID"),
    (["init", "x", "--store", str(STORE), "--pg", "dbname=x"], "not both"),
    (["init", "x"], "no PostgreSQL server named"),
    (["ls", "x", "--store", str(STORE)], "options of init, and --pg of erase"),
])
def test_command_line(args, said):
    p = journal(*args, code=2, env={"SCC_PG": ""})
    assert said in p.stderr


@pytest.mark.parametrize("what", ["ls", "cat", "verify", "stat"])
def test_nothing_there(what, folder):
    journal(what, folder)
    p = journal(what, folder + "/none", code=1)
    assert "No such file" in p.stderr


# -- ls ----------------------------------------------------------------------


def states(*args):
    lines = journal("ls", *args).stdout.splitlines()
    return [tuple(line.split()[:2]) for line in lines
            if not line.startswith("STATE") and not line.endswith(":")]


def test_ls(folder):
    made = 1764000000000
    segments = [Segment(STORE, created=made + n) for n in range(7)]
    segments[0].batch(place(1), place(2)).batch(place(3)).seal()
    segments[1].batch(place(4)).zeros(2)
    segments[2].batch(place(5)).batch(place(6)).zeros(1)
    segments[3].data[:] = bytes(BLOCK)
    segments[4].batch(place(7)).batch(place(8)).batch(place(9)).seal()
    segments[5].batch(place(10)).zeros(1)
    segments[6].batch(place(11))

    paths = [s.write(folder) for s in segments[:6]]
    paths.append(segments[6].write(folder, ".seg"))

    with open(paths[2], "r+b") as f:                    # torn
        f.seek(2 * BLOCK)
        f.write(bytes(64))
    flip(paths[4], 2 * BLOCK + 100)                     # damaged

    # no segments
    for name in "note.txt", "x.open", segments[0].name + ".broken":
        with open(os.path.join(folder, name), "wb") as f:
            f.write(b"x" * 5000)

    before = digest(folder)
    with open(paths[5], "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert states(folder) == [
            ("sealed", "3"), ("open", "1"), ("torn", "1"), ("unused", "0"),
            ("damaged", "1"), ("live", "1"), ("damaged", "1")]
        # looking took no lock away
        with open(paths[5], "rb") as g:
            with pytest.raises(BlockingIOError):
                fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)

    out = journal("ls", folder).stdout.splitlines()
    assert out[0].split()[0] == "STATE"
    first = out[1].split()
    assert first[2] == first[3] == "2025-11-24T16:00:00.000Z"
    assert first[4] == str(len(segments[0].data))
    assert first[5:] == [segments[0].name + ".seg", str(segments[0].id)]
    assert states(paths[0]) == [("sealed", "3")]
    assert digest(folder) == before


def test_live_is_no_damage(folder):
    """Of a segment that is written, the end says nothing."""
    s = Segment(STORE).batch(place(1)).batch(place(2)).zeros(1)
    path = s.write(folder)
    with open(path, "r+b") as f:
        f.seek(2 * BLOCK + 64)
        f.write(bytes(200))
        f.flush()
        with open(path, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert states(folder) == [("live", "1")]
            assert events(cat(folder)) == ids(s)[:1]
            assert "no damage" in journal("verify", folder).stdout


# -- cat ---------------------------------------------------------------------


def test_cat_fields(folder):
    rows = [
        Record("place_accessibility", {"placeId": "p9", "stairInfo": "ONE"},
               msec=1764000000123, counter=65535, target="p9",
               key="k-\"1\"", contributor="u\\1", name="줄\n바꿈"),
        Record("comment", b'{\n "placeId": "p1",\n "comment": "\\u00e9"\n}'),
        Record("erase", {}, target="", name=""),
    ]
    s = Segment(STORE).batch(*rows[:2]).batch(rows[2]).seal()
    s.write(folder)

    got = cat(folder)
    assert len(got) == 3
    for n, (row, r) in enumerate(zip(got, rows)):
        assert row == {
            "eventId": str(r.event), "kind": r.kind, "hlc": str(r.hlc),
            "time": row["time"], "received": row["received"],
            "target": r.target, "contributorId": r.contributor,
            "contributorName": r.name, "key": r.key,
            "sha256": r.sha256.hex(), "segment": str(s.id),
            "batch": n // 2, "body": r.body.decode()}
    assert got[0]["time"] == "2025-11-24T16:00:00.123Z"
    assert got[0]["received"] == "2025-11-24T16:00:00.123123456Z"


def test_cat_every_segment(folder):
    a = Segment(STORE, created=1764000000000)
    b = Segment(STORE, created=1764000000001)
    c = Segment(STORE, created=1764000000002)
    for n in range(50):
        a.batch(place(n))
        b.batch(place(100 + n), place(200 + n))
    c.batch(place(900), place(901)).batch(place(902))
    c.write(folder)
    b.write(folder)
    a.seal().write(folder)
    del c.data[-BLOCK + 64:]                            # torn
    c.write(folder)
    assert events(cat(folder)) == ids(a, b) + ids(c)[:2]


def test_cat_salvages(folder):
    s = Segment(STORE)
    for n in range(20):
        s.batch(*[place(10 * n + k) for k in range(10)])
    path = s.seal().write(folder)

    flip(path, s.batches[5] + 64 + 100)                 # a record's own bytes
    flip(path, s.batches[9] + 9)                        # a header
    got = cat(folder, code=1)
    assert events(got) == ids(s)[:50] + ids(s)[51:]
    assert [r.get("salvaged", False) for r in got] \
        == [False] * 50 + [True] * 149
    assert got[50]["batch"] == 5

    flip(path, 20)                                      # and block 0
    assert events(cat(folder, code=1)) == ids(s)[:50] + ids(s)[51:]


def test_cat_copies(folder):
    """Two directories have a segment: it is read once, from the better."""
    second = os.path.join(new_dir("journal"), "b")
    journal("init", second, "--store", STORE)

    whole = Segment(STORE, created=1764000000000)
    for n in range(10):
        whole.batch(place(n))
    tail = Segment(STORE, created=1764000000001).batch(place(50)) \
        .batch(place(51))
    alone = Segment(STORE, created=1764000000002).batch(place(60)).seal()

    for path in folder, second:
        tail.write(path)
    whole.seal().write(second)
    flip(whole.write(folder), 3 * BLOCK + 99)
    with open(tail.write(second), "r+b") as f:
        f.truncate(2 * BLOCK)
    alone.write(second)

    for order in (folder, second), (second, folder):
        assert sorted(events(cat(*order))) == sorted(ids(whole, tail, alone))
    assert "13 records" in journal("stat", folder, second).stdout
    assert len(states(folder, second)) == 5

    p = journal("verify", folder, second, code=1)
    assert "all of it is in " + second in p.stdout


def test_cat_newer_records(folder):
    strange = place(2, schema=7)
    s = Segment(STORE).batch(place(1), strange, place(3)).seal()
    s.write(folder)
    got = cat(folder)
    assert [r.get("eventId") for r in got] \
        == [ids(s)[0], None, ids(s)[2]]
    assert base64.b64decode(got[1]["raw"]) == strange.encode()
    assert "use a newer sccctl" in journal("verify", folder, code=1).stdout
    assert re.search(r"^- +unreadable +1$", journal("stat", folder).stdout,
                     re.M)


# -- verify ------------------------------------------------------------------


def chained(folder, n=3):
    """A writer's segments, one after the other."""
    out, last, writer = [], None, uuid.uuid4()
    for number in range(n):
        s = Segment(STORE, previous=last, created=1764000000000 + number,
                    number=number, writer=writer)
        for k in range(4):
            s.batch(place(100 * number + k), place(100 * number + 50 + k))
        out.append(s)
        last = s
    for s in out:
        # nginx notes the chain as it is before the seal
        s.seal()
        s.path = s.write(folder)
    return out


def test_verify_clean(folder):
    chained(folder)
    Segment(STORE, created=1764000000900).batch(place(7)).zeros(3) \
        .write(folder)
    before = digest(folder)
    p = journal("verify", folder)
    assert "4 segments, 25 records: no damage" in p.stdout
    assert "nginx will seal it" in p.stdout
    assert "FAULT" not in p.stdout
    assert digest(folder) == before


@pytest.mark.parametrize("at", [0, 12, 300, BLOCK + 1, BLOCK + 60,
                                BLOCK + 70, BLOCK + 2000, 2 * BLOCK - 1,
                                4 * BLOCK + 5, 5 * BLOCK + 5, 6 * BLOCK - 1])
def test_verify_finds_a_bit(folder, at):
    path = chained(folder)[1].path
    flip(path, at)
    p = journal("verify", folder, code=1)
    assert len(re.findall("^FAULT", p.stdout, re.M)) == 1
    assert f"FAULT {path}: " in p.stdout
    assert "keep the file" in p.stdout
    if at >= BLOCK:
        assert f"damaged at byte {at // BLOCK * BLOCK}, batch " in p.stdout
    else:
        assert "its first block is damaged" in p.stdout


def test_verify_torn_is_fine(folder):
    s = Segment(STORE).batch(place(1)).batch(*map(place, range(2, 60)))
    path = s.zeros(1).write(folder)
    with open(path, "r+b") as f:
        f.seek(3 * BLOCK)
        f.write(bytes(BLOCK))
    p = journal("verify", folder)
    assert f"note  {path}: its last write, at byte {2 * BLOCK}" in p.stdout
    assert "1 segments, 1 records: no damage" in p.stdout


def test_verify_lost_end(folder):
    """Nothing in the segment shows that its end is gone; the next does."""
    segments = chained(folder)
    os.unlink(segments[1].path)
    del segments[1].data[-2 * BLOCK:]
    path = segments[1].write(folder, ".open")
    p = journal("verify", folder, code=1)
    assert f"FAULT {path}: its end is missing from byte {4 * BLOCK}" \
        in p.stdout
    assert segments[2].name in p.stdout

    os.rename(path, segments[1].path)
    p = journal("verify", folder, code=1)
    assert "named as sealed, but has no seal" in p.stdout


def test_verify_store(folder):
    stranger = Segment(uuid.uuid4()).batch(place(1)).seal().write(folder)
    p = journal("verify", folder, code=1)
    assert f"FAULT {stranger}: it is of another store" in p.stdout

    os.unlink(stranger)
    os.unlink(os.path.join(folder, "store"))
    assert "journal init" in journal("verify", folder).stdout


def test_verify_digest(folder):
    Segment(STORE).batch(place(1), place(2, sha256=bytes(31) + b"x")) \
        .seal().write(folder)
    p = journal("verify", folder, code=1)
    assert "digest that is not its body's" in p.stdout


# -- stat --------------------------------------------------------------------


def test_stat(folder):
    msec = 1764000000000
    s = Segment(STORE).batch(
        *[place(n) for n in range(7)],
        *[Record("comment", {}, msec=msec + DAY, counter=n)
          for n in range(3)]).seal()
    s.write(folder)
    t = Segment(STORE, created=msec + 5)
    t.batch(Record("erase", {}, msec=msec + DAY, counter=9)).write(folder)

    assert journal("stat", folder).stdout.splitlines() == [
        "2025-11-24  place                           7",
        "2025-11-25  comment                         3",
        "2025-11-25  erase                           1",
        "11 records from 2025-11-24T16:00:00.000Z to "
        "2025-11-25T16:00:00.000Z, 1 of them not yet sealed",
        f"{len(s.data) + len(t.data)} bytes; segments: 1 sealed, 0 live, "
        "1 open, 0 torn, 0 unused, 0 damaged"]
