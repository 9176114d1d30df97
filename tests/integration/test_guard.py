"""The guard: a store that is empty, foreign, partial or older than it was is
never believed, by any route, and the right one is recognised by itself.

Each way of losing a store is tried with the guard off too, where it must
show at least one false answer: else the test would prove nothing.
"""

import json
import os
import re
import shutil
import time
import uuid
from glob import glob

import pytest

import sccj
from contribute import PATH, Writer, body, store_uuid
from servers import Postgres, Redis, run, sccctl, wait_until

NEAR = "/v1/places?bbox=126.99,37.49,127.01,37.51"      # in the cache
FAR = "/v1/places?bbox=127.49,37.49,127.51,37.51"       # not
WIDE = "/v1/places?bbox=126,37,128,38"
N = 30                                  # places here, and as many there
CELLS = 30                              # of NEAR
VAL = 1                                 # a copy's state
VOUCHER = "scc:v:1"

# in the template's location: one more beside it
GUARD = """}
        location = /guard {
            return 200 '{%s}';
        }
        location = /l1 {
            return 404;
""" % ",".join(f'"{x}":"$scc_guard_{x}"' for x in
               ("state", "reason", "replayed", "since"))

# the writers' own guards are in the way of an accident too
UNLOCK = ("DO $$ DECLARE t text; BEGIN FOR t IN SELECT tgrelid::regclass::text"
          " FROM pg_trigger WHERE tgname = 'refuse' LOOP EXECUTE 'ALTER TABLE '"
          " || t || ' DISABLE TRIGGER refuse'; END LOOP; END $$;")
TABLES = ("scc.contribution, scc.place, scc.place_accessibility,"
          " scc.contributor, scc.cell, scc.number, scc.counter")


def place(i, lng):
    return json.dumps({"kind": "place", "placeId": f"p{i}",
                       "name": f"이름 {i}", "location":
                       {"lng": lng + i % 500 * 1e-5, "lat": 37.5}}).encode()


def anchor(folder):
    with open(os.path.join(folder, "anchor")) as f:
        return json.loads(f.read())


class Guarded(Writer):
    def __init__(self, pg, redis, dirs=None, on=True, **more):
        scc = {"scc_audit_interval": "300ms", "scc_feed_interval": "100ms",
               "scc_zone": "cells:4m", **more}
        if not on:
            scc["scc_store_guard"] = "off"
        super().__init__(pg, redis, dirs=dirs, scc=scc, helper=True,
                         location=GUARD, allow_log=())

    def guard(self):
        return self.get("/guard").json()

    def is_in(self, state, reason=None, limit=10):
        def there():
            g = self.guard()
            return g if g["state"] == state and reason in (None, g["reason"]) \
                else None
        return wait_until(there, limit, f"state {state} ({reason}), "
                          f"it is {self.guard()}")


@pytest.fixture(scope="module")
def filled():
    """A store with 2 N places, and the journal that they came by."""
    with Postgres(fsync=False) as pg, Redis() as redis:
        sccctl("init", pg=pg)
        with Guarded(pg, redis) as nginx:
            for i in range(2 * N):
                a = nginx.post(place(i, 127.0 if i < N else 127.5))
                assert a.status == 202, a
            assert nginx.post(body("p1")).status == 202
            wait_until(lambda: pg.query("SELECT count(*) FROM scc.contribution"
                                        ) == [(2 * N + 1,)], 20, "the ledger")
            nginx.is_in("healthy")
            wait_until(lambda: os.path.exists(nginx.dirs[0] + "/anchor"), 5,
                       "an anchor")
        yield pg, nginx.dirs[0]


class Scene:
    """A copy of all that: store, cache, nginx, and a warm view."""

    def __init__(self, filled, on=True):
        template, journal = filled
        template.stop() if template.running() else None
        self.pg = Postgres(template=template.data, fsync=False)
        self.redis = Redis()
        self.dir = os.path.join(self.pg.dir, "journal")
        run(["cp", "-a", journal, self.dir])
        self.on = on

    def __enter__(self):
        self.pg.start()
        self.redis.start()
        self.nginx = Guarded(self.pg, self.redis, [self.dir], self.on).start()
        if self.on:
            self.nginx.is_in("healthy")
        # what is read before that is written to no copy
        wait_until(lambda: self.redis.client().exists(VOUCHER), 10,
                   "the feed to vouch for copies")
        wait_until(lambda: self.nginx.get(NEAR).headers["cache-status"]
                   == "scc; hit; detail=l1", 10, "a view in the zone")
        assert len(self.names(self.nginx.get(NEAR))) == N
        wait_until(lambda: self.states() == [VAL] * CELLS, 10,
                   "the view's copies")
        self.before = self.copies()
        return self

    def __exit__(self, kind, value, trace):
        self.nginx.__exit__(kind, value, trace)
        self.redis.__exit__(kind, value, trace)
        if self.pg.process is not None:
            self.pg.kill()

    @staticmethod
    def names(a):
        return [f["id"] for f in a.json()["features"]]

    def copies(self):
        r = self.redis.client()
        return {k: r.get(k)[64:] for k in r.keys("scc:c:*")}

    def states(self):
        r = self.redis.client()
        return [r.get(k)[5] for k in r.keys("scc:c:*")]

    def false_answers(self, rounds=15):
        """What is read meanwhile and is not so: empty, partial, 404."""
        bad = []
        for i in range(rounds):
            for path, n in ((NEAR, N), (FAR, N), (WIDE, 2 * N)):
                a = self.nginx.get(path)
                if a.status not in (200, 503) or (
                        a.status == 200 and len(self.names(a)) < n):
                    bad.append((path, a.status))
            for path in ("/v1/places/p1", f"/v1/places/p{N + i}",
                         "/ogc", f"{PATH}/{uuid.uuid4()}", "/v1/export.json",
                         "/v1/nearby?lng=127.5&lat=37.5&k=5"):
                a = self.nginx.get(path)
                if path.endswith("export.json") and a.status == 200 \
                        and a.json()["places"] < 2 * N:
                    bad.append((path, a.status))
                if path.startswith("/v1/nearby") and a.status == 200 \
                        and len(a.json()["features"]) < 5:
                    bad.append((path, a.status))
                if a.status == 404 and path != "/ogc":
                    bad.append((path, a.status))
        return bad

    def swap(self, data):
        """The server goes, and comes back with another data directory."""
        self.pg.stop()
        shutil.move(self.pg.data, self.pg.data + ".old")
        run(["cp", "-a", data, self.pg.data])
        self.pg.start()

    def old_store(self, template):
        self.pg.stop()
        shutil.rmtree(self.pg.data)
        run(["cp", "-a", template, self.pg.data])
        self.pg.start()


def truncate(scene):
    scene.pg.query(UNLOCK + f"TRUNCATE {TABLES}")


def truncate_places(scene):
    scene.pg.query(UNLOCK + "TRUNCATE scc.place")


def drop_schema(scene):
    scene.pg.query("DROP SCHEMA scc CASCADE")


def drop_database(scene):
    c = scene.pg.connect(dbname="postgres")
    c.autocommit = True
    c.cursor().execute("DROP DATABASE scc WITH (FORCE)")
    c.close()


def another(scene):
    """A fresh cluster on the same port, and somebody ran sccctl init."""
    with Postgres(fsync=False) as other:
        sccctl("init", pg=other)
    scene.swap(other.data)


def lose_some(scene):
    scene.pg.query("SET session_replication_role = replica; "
                   "DELETE FROM scc.place WHERE id LIKE 'p_5' OR id > 'p3'")


WAYS = [(truncate, "empty"), (truncate_places, "partial"),
        (drop_schema, "empty"), (drop_database, "empty"),
        (another, "foreign"),
        (lose_some, "partial")]


@pytest.mark.parametrize("way, reason", WAYS,
                         ids=[w.__name__ for w, _ in WAYS])
def test_lost(filled, way, reason):
    """Nobody sees it, writes go on; and the old store is known again."""
    with Scene(filled) as scene:
        nginx = scene.nginx
        way(scene)

        bad = scene.false_answers(3)
        nginx.is_in("quarantine", reason)
        bad += scene.false_answers(3)
        assert bad == []

        a = nginx.get(NEAR)
        assert a.status == 200 and len(scene.names(a)) == N
        assert a.headers["scc-data-state"] == "quarantine"
        assert a.headers["cache-control"].startswith("public, max-age=2,")
        assert "SCC-Data-State" in a.headers["access-control-expose-headers"]

        a = nginx.get(FAR)
        assert a.status == 503 and "retry-after" in a.headers
        assert a.headers["scc-data-state"] == "quarantine"
        assert nginx.get("/v1/places/none").status == 503

        a = nginx.post(place(1000, 127.0))
        assert a.status == 202, a
        assert scene.copies() == scene.before
        wait_until(lambda: "sccctl adopt" in nginx.log(), 5, "advice")

        if way not in (drop_schema, drop_database):
            scene.old_store(filled[0].data)
            nginx.is_in("healthy", limit=20)
            wait_until(lambda: len(scene.names(nginx.get(NEAR))) == N + 1,
                       20, "what was written meanwhile")
            assert "scc-data-state" not in nginx.get(NEAR).headers
            assert len(scene.names(nginx.get(FAR))) == N


@pytest.mark.parametrize("way", [truncate_places, another],
                         ids=["truncate_places", "another"])
def test_lost_without_the_guard(filled, way):
    """With it off the same shows: so it is the guard that hides it."""
    with Scene(filled, on=False) as scene:
        way(scene)
        wait_until(scene.false_answers, 20, "a false answer")


def test_rewound(filled):
    """An older copy of the store gets back what it lacks, by itself."""
    with Scene(filled) as scene:
        nginx = scene.nginx
        for i in range(7):
            assert nginx.post(place(2000 + i, 127.0)).status == 202
        wait_until(lambda: len(scene.names(nginx.get(NEAR))) == N + 7, 20,
                   "them on the map")
        wait_until(lambda: anchor(scene.dir)["events"] == 2 * N + 8, 15,
                   "an anchor that knows of them")
        nginx.quit()
        run(["sh", "-c", f"cd {scene.dir} && for f in *.seg; do "
             "touch ${f%.seg}.applied; done"])

        scene.old_store(filled[0].data)
        scene.nginx = nginx = nginx.start()

        # in no moment fewer places than there were
        def whole():
            a = nginx.get(NEAR)
            assert a.status in (200, 503), a
            if a.status == 200:
                assert len(scene.names(a)) == N + 7
                # at first it is healthy, too: nobody has looked
                return nginx.guard()["state"] == "healthy" \
                    and "were re-applied" in nginx.log()
        wait_until(whole, 30, "the store to be whole")
        assert int(nginx.guard()["replayed"]) == 7
        assert "7 contributions were re-applied" in nginx.log()

        # what the cache had of the other life is gone, and does not linger
        assert nginx.post(place(3000, 127.0)).status == 202
        wait_until(lambda: len(scene.names(nginx.get(NEAR))) == N + 8, 20,
                   "a later one")
        wait_until(lambda: nginx.get(NEAR).headers["cache-status"]
                   .startswith("scc; hit"), 10, "a copy that is believed")


def numbers(pg):
    return pg.query("SELECT kind, number, id FROM scc.number ORDER BY 1, 2")


def in_files(folder):
    """{(kind, number, id)} of a journal's directory."""
    found = set()
    for name in os.listdir(folder):
        if name.endswith(".numbers"):
            with open(os.path.join(folder, name)) as f:
                for line in f.read().split("\n")[1:-1]:
                    kind, n, who, _ = line.split(" ")
                    found.add((kind, int(n), who))
    return found


def test_numbers_of_two_hosts(filled):
    """Each keeps what the other's contributions were given; of a store that
    went back nobody gets another's number, whichever host is the first."""
    with Scene(filled) as scene, \
            Guarded(scene.pg, scene.redis) as other:
        hosts = [scene.nginx, other]
        other.is_in("healthy")
        for i in range(12):
            a = hosts[i % 2].post(body(f"p{10 + i}"), user=f"n{i}")
            assert a.status == 202, a
        wait_until(lambda: len(numbers(scene.pg)) == 26, 30, "all numbers")
        given = numbers(scene.pg)
        for nginx in hosts:
            wait_until(lambda: in_files(nginx.dirs[0]) == set(given), 30,
                       "all numbers in every host's journal")

        scene.old_store(filled[0].data)
        # those are on both hosts before they know
        for i, nginx in enumerate(hosts):
            a = nginx.post(body(f"p{30 + i}"), user=f"new{i}")
            assert a.status == 202, a
        wait_until(lambda: len(numbers(scene.pg)) == len(given) + 4, 60,
                   "all numbers")
        for nginx in hosts:
            wait_until(lambda: "order numbers that the store lacked"
                       in nginx.log(), 30, "a word of it")
            nginx.is_in("healthy", limit=30)
        assert 1 == sum("scc: 24 order numbers that the store lacked"
                        in nginx.log() for nginx in hosts)
        now = numbers(scene.pg)
        assert set(given) <= set(now)
        assert {n[1] for n in now if n[0] == "place"} == set(range(1, 16))
        assert scene.pg.query("SELECT * FROM scc.number_doubt") == []
        for nginx in hosts:
            wait_until(lambda: in_files(nginx.dirs[0]) == set(now), 30,
                       "all numbers in every host's journal")


def test_restarted_while_rewound(filled):
    """Where the missing ones are in another host's journal the store is not
    whole before that one is up, whatever comes in meanwhile."""
    with Scene(filled) as scene, Guarded(scene.pg, scene.redis) as other:
        nginx = scene.nginx
        other.is_in("healthy")
        for i in range(6):
            assert other.post(place(2000 + i, 127.0)).status == 202
        wait_until(lambda: anchor(scene.dir)["events"] == 2 * N + 7, 30,
                   "an anchor that knows of them")
        other.quit()
        scene.old_store(filled[0].data)
        nginx.is_in("rewound", limit=30)
        wait_until(lambda: anchor(scene.dir)["state"] == "rewound", 30,
                   "an anchor that says so")
        nginx.quit()
        nginx.start()
        for i in range(9):
            assert nginx.post(place(3000 + i, 127.0)).status == 202
        wait_until(lambda: scene.pg.query(
            "SELECT count(*) FROM scc.contribution") == [(2 * N + 10,)], 30,
            "the new ones in the ledger")
        wait_until(lambda: "has been replayed, but the store has"
                   in nginx.log(), 30, "word of what is missing")
        nginx.is_in("rewound")
        assert nginx.get(FAR).status == 503

        other.start()
        nginx.is_in("healthy", limit=30)
        wait_until(lambda: len(scene.names(nginx.get(NEAR))) == N + 15, 30,
                   "all of them on the map")


def test_no_numbers_no_replay(filled):
    """What its numbers are is not known: nothing is applied until it is."""
    with Scene(filled) as scene:
        nginx, folder = scene.nginx, scene.dir
        old = numbers(scene.pg)
        for i in range(5):
            a = nginx.post(body(f"p{10 + i}"), user=f"n{i}")
            assert a.status == 202, a
        wait_until(lambda: len(in_files(folder)) == 12, 30, "the numbers")
        given = numbers(scene.pg)
        path = next(path for path in glob(folder + "/*.numbers")
                    if "contributor 6 n" in open(path).read())
        os.rename(path, path + ".away")
        os.symlink("/nowhere", path)
        with open(os.path.join(folder, "0.numbers"), "w") as f:
            f.write("numbers of nobody\nplace 1 p4 00000000\nplace 1")

        scene.old_store(filled[0].data)
        nginx.is_in("rewound", limit=20)
        wait_until(lambda: "cannot be read; they are tried again"
                   in nginx.log(), 20, "word of it")
        assert nginx.post(body("p9"), user="n9").status == 202
        time.sleep(3)                   # time enough to be wrong
        assert nginx.is_in("rewound") and numbers(scene.pg) == old
        os.rename(path + ".away", path)
        nginx.is_in("healthy", limit=30)
        wait_until(lambda: len(numbers(scene.pg)) == 14, 20, "all numbers")
        assert numbers(scene.pg) == sorted(given + [
            ("contributor", 7, "n9"), ("place", 7, "p9")])
        assert "2 lines of the journal's order numbers could not be read" \
            in nginx.log()


def test_unadopted_and_adopted(filled):
    """A later epoch is believed when its anchor is there, not before."""
    with Scene(filled) as scene:
        nginx, pg = scene.nginx, scene.pg
        pg.query("UPDATE scc.identity SET epoch = 2")
        nginx.is_in("quarantine", "unadopted")
        assert nginx.get(FAR).status == 503
        assert scene.copies() == scene.before

        # as "sccctl adopt" does
        line = open(os.path.join(scene.dir, "anchor")).read()
        line = line[:line.index(',"crc"')].replace('"epoch":1', '"epoch":2')
        line += ',"crc":"%08x"}' % sccj.crc32c(line.encode())
        pg.query("INSERT INTO scc.anchor (host, body) VALUES ('adopt', %s)",
                 (line,))
        nginx.is_in("healthy")
        wait_until(lambda: nginx.get(FAR).status == 200, 10, "answers")
        wait_until(lambda: nginx.get(FAR).headers["cache-status"]
                   .startswith("scc; hit"), 10, "a cache of the new epoch")
        wait_until(lambda: anchor(scene.dir)["epoch"] == 2, 5, "its anchor")


def test_down_and_restart(filled):
    """A store that is away is stale, and no more; a restart forgets nothing.
    """
    with Scene(filled) as scene:
        nginx = scene.nginx
        scene.pg.stop()
        nginx.is_in("stale")
        a = wait_until(lambda: (lambda a: a if "scc-data-state" in a.headers
                                else None)(nginx.get(NEAR)), 10, "stale")
        assert a.headers["scc-data-state"] == "stale"
        assert len(scene.names(a)) == N
        scene.pg.start()
        nginx.is_in("healthy")

        drop_schema(scene)
        nginx.is_in("quarantine", "empty")
        wait_until(lambda: anchor(scene.dir)["state"] == "quarantine", 5,
                   "an anchor that says so")
        nginx.stop()
        scene.redis.r.delete("scc:anchor")
        nginx.start()
        a = nginx.get(NEAR)
        assert a.headers["scc-data-state"] == "quarantine"
        assert scene.false_answers(2) == []


def test_anchors(filled):
    """The same in three places; each alone is enough to know a stranger."""
    with Scene(filled) as scene:
        nginx = scene.nginx
        uid = store_uuid(scene.pg)
        r = scene.redis.client()
        wait_until(lambda: r.get("scc:anchor"), 5, "Redis's")
        wait_until(lambda: scene.pg.query("SELECT body FROM scc.anchor"), 5,
                   "the store's")
        state = os.path.join(nginx.dir, "state")
        wait_until(lambda: json.loads(scene.pg.query(
            "SELECT body FROM scc.anchor")[0][0])["events"] == 2 * N + 1, 5,
            "the store's to be new")
        for text in (r.get("scc:anchor").decode(),
                     scene.pg.query("SELECT body FROM scc.anchor")[0][0],
                     open(os.path.join(state, "anchor")).read(),
                     open(os.path.join(scene.dir, "anchor")).read()):
            assert json.loads(text)["store"] == str(uid)
            assert json.loads(text)["events"] == 2 * N + 1
            assert re.search(r',"crc":"[0-9a-f]{8}"}\n?$', text)

        # damaged here, lost there: Redis's is left
        nginx.quit()
        with open(os.path.join(scene.dir, "anchor"), "r+") as f:
            f.write("x")
        os.unlink(os.path.join(state, "anchor"))
        scene.pg.query("UPDATE scc.tally SET events = events - 1; "
                       "DELETE FROM scc.anchor")
        nginx.start()
        nginx.is_in("rewound", "behind")
        assert "is damaged and left out of account" in nginx.log()


def test_slow_look(filled):
    """The helper's look says how the store was when it was asked; what others
    have heard meanwhile is no reason to call it rewound."""
    with Scene(filled) as scene:
        nginx = scene.nginx
        (text,), = scene.pg.query("SELECT pg_get_functiondef("
                                  "'scc.cells_sample'::regproc)")
        assert text.count("FROM (") == 1
        scene.pg.query(text.replace("FROM (",
                                    "FROM pg_catalog.pg_sleep(.5), ("))
        seen = set()                        # the ledger grows, meanwhile
        for i in range(600):
            a = nginx.post(place(1000 + i, 127.0))
            assert a.status == 202, a
            a = nginx.get(WIDE)             # from the store, always
            assert a.status == 200 and "scc-data-state" not in a.headers, a
            seen.add(scene.pg.query("SELECT events FROM scc.tally")[0])
            if len(seen) > 6:
                break
            time.sleep(.03)
        assert len(seen) > 6 and "rewound" not in nginx.log()


def test_directives(filled):
    with Scene(filled, on=False) as scene:
        g = scene.nginx.guard()
        assert g["state"] == "" and not os.path.exists(
            os.path.join(scene.nginx.dir, "state", "anchor"))
        a = scene.nginx.get("/v1/places")
        assert a.status == 400
