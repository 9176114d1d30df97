"""sccctl rebuild: the store again, from journals alone."""

import hashlib
import json
import os
import re
import signal
import threading
import time
import uuid

import pytest

import journals
import sccj
from contribute import (PATH, Writer, body, head, journal_dir, queue_redis,
                        store_uuid)
from servers import Postgres, new_dir, sccctl, wait_until

# Left out: applied_at, created_at, updated_at (when a row was written) and
# rev (how many writes it took, which batches decide).

LEDGER = ["SELECT event_id, hlc, received_at, segment_id, schema_ver, kind, "
          "target, contributor_id, contributor_name, idem_key, body_sha256, "
          "body FROM scc.contribution ORDER BY hlc, event_id"]
PLACES = [
    "SELECT id, name, category, address, source, extra, building_id, "
    "synthetic, is_closed, registered, level, lon_e7, lat_e7, hlc, event_id "
    "FROM scc.place ORDER BY id",
    "SELECT place_id, floors, is_first_floor, is_stair_only_option, "
    "stair_info, stair_height_level, has_slope, entrance_door_types, "
    "image_urls, recovered_from, confidence, recoverer, original_time, "
    "contributor_id, as_of, hlc, event_id "
    "FROM scc.place_accessibility ORDER BY place_id",
    "SELECT id, name, address, lon_e7, lat_e7, contributor_id, hlc, event_id "
    "FROM scc.building ORDER BY id",
    "SELECT building_id, entrance_stair_info, entrance_stair_height_level, "
    "entrance_door_types, has_slope, has_elevator, elevator_stair_info, "
    "elevator_stair_height_level, image_urls, recovered_from, confidence, "
    "recoverer, original_time, contributor_id, as_of, hlc, event_id "
    "FROM scc.building_accessibility ORDER BY building_id",
    "SELECT event_id, place_id, building_id, comment, contributor_id, hlc "
    "FROM scc.comment ORDER BY event_id",
    "SELECT event_id, place_id, reason, detail, contributor_id, hlc "
    "FROM scc.report ORDER BY event_id",
    "SELECT id, object_key, size, sha256, taken_at, lon_e7, lat_e7, "
    "place_id, building_id, image_type, uploader, contributor_id, hlc, "
    "event_id FROM scc.photo ORDER BY id",
    "SELECT number, id FROM scc.number WHERE kind = 'place' "
    "ORDER BY number"]
ROSTER = ["SELECT c.id, c.display_name, c.hlc, n.number, c.erased_hlc "
          "FROM scc.contributor c LEFT JOIN scc.number n "
          "ON n.kind = 'contributor' AND n.id = c.id ORDER BY c.id"]


def export(pg, queries):
    """The bytes of COPY, one query after the other."""
    out = []
    c = pg.connect()

    class Sink:
        def write(self, data):
            out.append(data if isinstance(data, bytes) else data.encode())

    with c, c.cursor() as cur:
        cur.execute("SET timezone = 'UTC'")
        for q in queries:
            cur.copy_expert(f"COPY ({q}) TO STDOUT", Sink())
    c.close()
    return b"".join(out)


def exports(pg):
    return {"ledger": export(pg, LEDGER), "places": export(pg, PLACES),
            "roster": export(pg, ROSTER)}


def digests(out):
    return dict(re.findall(r"^(\w+) sha256 ([0-9a-f]{64})$", out, re.M))


def rebuild(pg, *dirs, code=0):
    p = sccctl("rebuild", "--journal", *dirs, pg=pg, check=False)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def fresh_like(pg, store, epoch=2):
    sccctl("init", "--store", store, "--epoch", epoch, pg=pg)


def contribute(nginx, n, progress=None):
    """n contributions of every kind, on four connections."""
    lock, last, faults = threading.Lock(), {}, []

    def send(c, data, user, key=None):
        a = c.get(PATH, head(user, key, {"X-Name": f"name of {user}"}),
                  "POST", data)
        if a.status not in (201, 202):
            faults.append(a)
            return None
        return a.json()["id"]

    def run(k):
        with nginx.client() as c:
            for i in range(k, n - 4, 4):
                user, place = f"u{i * 7 % 211}", f"p{i * 31 % 997}"
                data = body(place, stairInfo=["NONE", "ONE"][i % 2],
                            **({"stairHeightLevel": "THUMB"} if i % 2
                               else {}))
                kind = i % 10
                if kind == 3:
                    data = (b'{"kind":"comment","placeId":"%s","comment":'
                            b'"n%d"}' % (place.encode(), i))
                elif kind == 5:
                    data = (b'{"kind":"report","placeId":"%s","reason":'
                            b'"CLOSED"}' % place.encode())
                elif kind == 7 and user in last:
                    data = (b'{"kind":"%s","eventId":"%s"}' %
                            (b"retract" if i % 20 == 7 else b"remove",
                             last[user].encode()))
                got = send(c, data, user, f"k{i}" if kind == 1 else None)
                with lock:
                    last[user] = got
                if progress and k == 0:
                    progress(i)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    with nginx.client() as c:
        for i in range(3):
            send(c, b'{"kind":"erase"}', f"u{i}")
        send(c, body("after"), "u3")
    assert not faults, faults[:3]
    return n


def whole(pg, events):
    """The store has them all."""
    wait_until(lambda: pg.query("SELECT count(*) FROM scc.contribution")
               == [(events,)], 60 + events // 500, "all to be applied", 0.1)


def kept(pg):
    """The journal has all numbers."""
    wait_until(lambda: pg.query("SELECT count(*) FROM scc.counter WHERE kept"
                                " = value AND value > 0") == [(2,)], 60,
               "the numbers to be kept")


def by_time(pg):
    """The numbers as they would be by the events' clocks."""
    return export(pg, [
        "SELECT row_number() OVER (ORDER BY f.hlc, f.event_id), f.target "
        "FROM (SELECT DISTINCT ON (target) target, hlc, event_id "
        "FROM scc.contribution WHERE kind = 'place_accessibility' "
        "ORDER BY target, hlc, event_id) f ORDER BY 1"])


@pytest.fixture
def fresh():
    with Postgres() as pg:
        yield pg


def test_store_from_journals(figure):
    """By HTTP, the queue and nginx's helper, and by an import meanwhile;
    then the cluster is lost, and made anew."""
    n = int(os.environ.get("SCC_REBUILD", "2000"))
    files = [os.path.join(new_dir("in"), f"{i}.csv") for i in range(2)]
    for i, path in enumerate(files):
        sccctl("sample", "--places", n // 6, "--seed", i, "--out", path)

    with Postgres() as pg, queue_redis() as queue:
        sccctl("init", pg=pg)
        store = store_uuid(pg)
        folder, other = journal_dir(store), journal_dir(store, "import")

        def load(path):
            p = sccctl("import", "--journal", other, path, pg=pg)
            imported.append(int(re.search(r"(\d+) new", p.stdout)[1]))

        def lose(i):                # the queue, with what is in it
            if i == n // 8 * 4:
                queue.r.flushall()

        imported = []
        with Writer(pg, queue=queue, dirs=[folder], workers=2, helper=True,
                    location="scc_moderator 1;\n") as nginx:
            # what comes first is applied last
            nginx.stop_helper()
            with nginx.client() as c:
                for i in range(5):
                    a = c.get(PATH, head(f"early-{i}"), "POST",
                              body(f"early-{i}"))
                    assert a.status == 202
            load(files[0])
            began = time.time()
            for pid in nginx.kids("cache manager"):
                os.kill(pid, signal.SIGCONT)
            other_load = threading.Thread(target=load, args=files[1:])
            other_load.start()
            contribute(nginx, n - 5, lose)
            other_load.join()
            whole(pg, n + sum(imported))
            seconds = time.time() - began
            kept(pg)
        before = exports(pg)
        numbers = export(pg, PLACES[-1:])
        assert numbers != by_time(pg)
    assert len(imported) == 2 and min(imported) > n // 6
    assert len(before["ledger"]) > 100 * n

    with Postgres() as pg:
        fresh_like(pg, store)
        p = rebuild(pg, folder, other)
        after = exports(pg)
        rate = re.search(r"(\d+) records/s", p.stdout)[1]
        figure(f"{n} by HTTP, {sum(imported)} by import",
               f"applied {n / seconds:.0f}/s, rebuilt {rate} records/s")
        assert "dead letters 0" in p.stdout
        assert "doubtful 0, unreadable 0" in p.stdout
        for name in before:
            assert before[name] == after[name], name
            assert digests(p.stdout)[name] \
                == hashlib.sha256(before[name]).hexdigest()
        # folded again by other means, it is the same
        p = sccctl("verify", "--journal", folder, other, pg=pg)
        assert p.stdout.endswith("no difference\n"), p.stdout
        # once only
        p = rebuild(pg, folder, code=1)
        assert "not empty: it has" in p.stderr
        assert exports(pg) == after


def test_names_leave_the_journal():
    """Of who was erased, in both directories; what is rebuilt from them is
    what was there, and nothing of it is new to the store."""
    def files(suffix):
        return [os.path.join(d, f) for d in nginx.dirs
                for f in sorted(os.listdir(d)) if f.endswith(suffix)]

    def marked():
        return {f[:-4] for f in files(".seg")} \
            == {f[:-8] for f in files(".applied")} != set()

    def holds(*words):
        text = b"".join(open(f, "rb").read() for f in files(".seg"))
        return [w.encode() in text for w in words]

    words = ("홍길동-1", "홍길동-2", "key-of-u1", "남은 이름", "새 이름")
    with Postgres() as pg:
        sccctl("init", pg=pg)
        store = store_uuid(pg)
        with Writer(pg, n_dirs=2, workers=1, helper=True) as nginx:
            say = lambda data, user, name, key=None: nginx.post(
                data, user, key, {"X-Name": name, "Prefer": "wait=5"})
            rename = b'{"kind":"contributor","displayName":"%s"}'
            for a in (say(body("p1"), "u1", words[0], words[2]),
                      say(rename % words[1].encode(), "u1", words[0]),
                      say(body("p1"), "u2", words[3]),
                      say(b'{"kind":"erase"}', "u1", words[0]),
                      say(body("p2"), "u1", words[4])):
                assert a.status == 201, a.body
            erase = lambda: sccctl("journal", "erase", *nginx.dirs, pg=pg,
                                   check=False)
            p = erase()
            assert p.returncode == 0 and "2 segments with names have to " \
                "wait" in p.stdout, p.stdout + p.stderr
            nginx.reload()
            wait_until(marked, 30, "the segments to be applied", 0.1)
            assert all(holds(*words))
            p = erase()
            assert "1 erased contributors; 6 records of 2 segments" \
                in p.stdout, p.stdout + p.stderr
            assert holds(*words) == [False] * 3 + [True] * 2
            p = erase()
            assert " 0 records of 0 segments" in p.stdout
            say(body("p3"), "u2", words[3])
            nginx.reload()
            wait_until(marked, 30, "the segments to be applied", 0.1)
            sccctl("journal", "verify", *nginx.dirs)

            # read once more by the helper
            for f in files(".applied"):
                os.unlink(f)
            nginx.reload()
            wait_until(marked, 30, "the segments to be applied", 0.1)
            dirs = nginx.dirs
        assert pg.query("SELECT count(*) FROM scc.dead_letter") == [(0,)]
        before = exports(pg)
    with Postgres() as pg:
        fresh_like(pg, store)
        rebuild(pg, *dirs)
        assert exports(pg) == before


def test_numbers_of_the_journal(fresh, folder):
    """Two copies, an unfinished line, a damaged one, another store's."""
    folder, store = folder
    segment(store, folder, *[access(i) for i in (3, 4, 5)])
    other = journal_dir(str(store), "other")

    def line(text):
        return f"{text} {sccj.crc32c(text.encode()):08x}\n".encode()

    lines = [line(f"numbers {store}"), line("place 1 p5"),
             line("place 2 p4"), b"place 3 p3 00000000\n",
             line("contributor 1 %75%31"), b"contributor 2 u"]
    for where, part in ((folder, lines), (other, lines[:2])):
        with open(os.path.join(where, "00ab.numbers"), "wb") as f:
            f.write(b"".join(part))
    with open(os.path.join(other, "01.numbers"), "wb") as f:
        f.write(line(f"numbers {uuid.uuid4()}") + line("place 1 p3"))
    with open(os.path.join(other, "02.numbers"), "wb") as f:
        f.write(lines[0] + line("place 2 p99"))
    p = rebuild(fresh, folder, other)
    assert ("numbers of contributors 1, of places 2, doubtful 1, "
            "unreadable 1\n") in p.stdout
    assert "01.numbers: of another store" in p.stderr
    assert fresh.query("SELECT number, id FROM scc.number WHERE kind = "
                       "'place' ORDER BY 1") == [(1, "p5"), (2, "p4"),
                                                 (3, "p3")]
    # nginx keeps what no journal has
    assert fresh.query("SELECT * FROM scc.numbers_due(9)") \
        == [("contributor", 2, "c-1"), ("place", 3, "p3")]


def test_import_again_does_not_grow_the_journal(fresh):
    sccctl("init", pg=fresh)
    folder = journal_dir(store_uuid(fresh))
    path = os.path.join(new_dir("in"), "s.csv")
    sccctl("sample", "--places", 500, "--seed", 2, "--out", path)
    p = sccctl("import", "--journal", folder, path, pg=fresh)
    new = int(re.search(r"(\d+) new", p.stdout)[1])
    assert f"{new} journaled" in p.stdout
    files = sorted(os.listdir(folder))
    ledger = {x for x, in fresh.query(
        "SELECT event_id || ' ' || segment_id FROM scc.contribution")}
    kept = [(r.event_id, s.id) for s in map(
        sccj.Segment, sccj.segments(folder)) for r in s.records]
    assert len(kept) == new == len(ledger)
    assert {str(e) for e, _ in kept} == {x.split()[0] for x in ledger}
    p = sccctl("import", path, pg=fresh, env={"SCC_JOURNAL": folder})
    assert " 0 journaled" in p.stdout
    assert sorted(os.listdir(folder)) == files


def test_import_without_a_journal(fresh):
    p = sccctl("import", "--journal", "", "x.csv", pg=fresh, check=False)
    assert p.returncode == 2 and "no journal named" in p.stderr
    assert "--no-journal" in p.stderr


def segment(store, folder, *records, seal=True):
    s = journals.Segment(store).batch(*records)
    if seal:
        s.seal()
    return s.write(folder)


def place(i, **kw):
    return journals.Record("place", {"placeId": f"p{i}", "name": f"n{i}",
                                     "location": {"lng": 127, "lat": 37}},
                           counter=i, target=f"p{i}", **kw)


def access(i, **kw):
    doc = json.loads(body(f"p{i}"))
    kind = doc.pop("kind")
    return journals.Record(kind, doc, counter=i, target=f"p{i}", **kw)


@pytest.fixture
def folder(fresh):
    store = uuid.uuid4()
    fresh_like(fresh, str(store), 7)
    assert fresh.query("SELECT epoch FROM scc.identity") == [(7,)]
    path = journal_dir(str(store))
    path_store = store
    return path, path_store


def test_damage(fresh, folder):
    folder, store = folder
    s = segment(store, folder, *[place(i) for i in range(50)])
    with open(s, "r+b") as f:
        f.seek(4096 + 64 + 300)
        f.write(b"\xff\xff\xff")
    p = rebuild(fresh, folder, code=1)
    assert "FAULT" in p.stdout and "--salvage" in p.stderr
    assert fresh.query("SELECT count(*) FROM scc.contribution") == [(0,)]
    p = rebuild(fresh, folder, "--salvage")
    assert fresh.query("SELECT count(*) FROM scc.contribution") == [(49,)]


def test_copies_count_once(fresh, folder):
    folder, store = folder
    other = new_dir("copy")
    path = segment(store, folder, *[place(i) for i in range(9)], seal=False)
    with open(path, "rb") as f, open(
            os.path.join(other, os.path.basename(path)), "wb") as g:
        g.write(f.read())
    p = rebuild(fresh, folder, other)
    assert "records 9, copies left out 9" in p.stdout
    assert "events 9, duplicates 0, dead letters 0" in p.stdout


def test_dry_run_and_another_store(fresh, folder):
    folder, store = folder
    segment(uuid.uuid4(), folder, place(1))
    p = sccctl("rebuild", "--dry-run", "--salvage", "--journal", folder)
    assert "dry run" in p.stdout and "records 1," in p.stdout
    p = rebuild(fresh, folder, code=1)
    assert "sccctl init --store" in p.stderr


def test_init_keeps_a_used_identity(pg):
    sccctl("import", "-", pg=pg, check=False)
    pg.query("INSERT INTO scc.dead_letter (reason, raw) VALUES ('x', 'y')")
    p = sccctl("init", "--store", uuid.uuid4(), pg=pg, check=False)
    assert p.returncode == 1 and "keeps" in p.stderr
    assert sccctl("init", "--epoch", 2, pg=pg, check=False).returncode == 2
