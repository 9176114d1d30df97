"""The applier: from the queue and the journal into the store, once, whatever
happens to each of them meanwhile."""

import collections
import json
import os
import random
import re
import signal
import struct
import time
import uuid

import pytest

import sccj
import sccj_write
from contribute import (Load, Writer, accepted, body, durability, problem,
                        queue_redis, store_uuid)
from servers import Postgres, Redis, freeze, sccctl, wait_until

KILLED = [r"exited on signal 9"]
LOCKED = r"shared memory zone \"scc_pending\" was locked by %d$"
SEED = int(os.environ.get("SCC_SEED", "0")) or random.randrange(1 << 30)


@pytest.fixture
def rnd(request):
    print(f"SCC_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture(scope="module")
def template():
    with Postgres() as server:
        sccctl("init", pg=server)
    return server.data


@pytest.fixture
def pg(template):
    """A store of the test's own, so that it knows all that is in it."""
    with Postgres(template=template) as server:
        yield server


@pytest.fixture
def queue():
    with queue_redis() as server:
        yield server


def ledger(pg):
    return {uuid.UUID(i): b for i, b in pg.query(
        "SELECT event_id::text, body FROM scc.contribution")}


def dead(pg):
    return [(uuid.UUID(i), r, s, bytes(raw)) for i, r, s, raw in pg.query(
        "SELECT event_id::text, reason, sqlstate, raw FROM scc.dead_letter"
        " ORDER BY id")]


def count(pg):
    return pg.query("SELECT count(*) FROM scc.contribution")[0][0]


def drained(nginx, pg, queue=None, dirs=None, limit=60):
    """Waits until the store has all that is in the journal."""
    want = {r.event_id for d in dirs or nginx.dirs for r in sccj.records(d)}

    def there():
        have = set(ledger(pg)) | {d[0] for d in dead(pg)}
        return want <= have
    wait_until(there, limit, "the store to have what is in the journal", 0.1)
    if queue is not None:
        wait_until(lambda: queue.r.xlen("scc:queue") == 0, limit,
                   "the queue to be empty", 0.1)
    return want


def exactly(nginx, pg, load=None, queue=None, dirs=None, limit=60):
    """The ledger is what the journal holds: no more, no less, byte for
    byte; and all of what was acknowledged is in it."""
    drained(nginx, pg, queue, dirs, limit)
    want = {r.event_id: r.body.decode()
            for d in dirs or nginx.dirs for r in sccj.records(d)}
    assert ledger(pg) == want
    assert dead(pg) == []
    if load is not None:
        assert load.acked
        assert {i: d.decode() for i, (d, _) in load.acked.items()}.items() \
            <= want.items()


def kill_helper(nginx):
    """Whoever dies while it holds the zone's lock: nginx's master lets go of
    it, and says so as an alert.  Of those killed here that is no fault."""
    for pid in wait_until(nginx.helpers, 30, "the helper"):
        nginx.allow_log.append(re.compile(LOCKED % pid))
        os.kill(pid, signal.SIGKILL)


def xadd(queue, raw, segment=None, **fields):
    f = {"r": raw} if raw is not None else {}
    if segment is not None:
        f["s"] = segment.bytes
    f.update(fields)
    return queue.r.xadd("scc:queue", f)


def place_body(ident, **more):
    return json.dumps(dict({
        "kind": "place", "placeId": ident, "name": "이름 " + ident,
        "location": {"lng": 127.0, "lat": 37.5}}, **more),
        ensure_ascii=False).encode()


# -- as it should go ---------------------------------------------------------


def test_applied_at_once(pg, queue, figure):
    """Journal, queue, ledger; and the queue is empty again."""
    with Writer(pg, queue=queue, helper=True) as nginx:
        accepted(nginx.post())
        wait_until(lambda: count(pg) == 1, 30, "the first to be applied")
        times = []
        for i in range(20):
            doc = accepted(nginx.post(body(f"길 {i}", comment="\"\\{},'"),
                                      user="사용자", key=f'"k{i} \\"\\\\"'))
            start = time.monotonic()
            wait_until(lambda: nginx.state(doc["id"]) == "applied", 30,
                       "it to be applied", 0.002)
            times.append(time.monotonic() - start)
        figure("applied after", f"{sorted(times)[10] * 1e3:.0f} ms, at most "
                                f"{max(times) * 1e3:.0f} ms")
        exactly(nginx, pg, queue=queue)
        row = pg.query("SELECT contributor_id, contributor_name, idem_key,"
                       " segment_id::text, received_at, target"
                       " FROM scc.contribution WHERE target = '길 3'")[0]
        r = [r for r in nginx.records() if r.target == "길 3"][0]
        assert row[0] == r.contributor == "사용자"
        assert row[2] == r.key == "k3 \"\\"
        assert row[1] is None and r.name == ""
        assert row[3] == str(sccj.Segment(sccj.segments(nginx.dirs[0])[0]).id)
        assert abs(row[4].timestamp() * 10**9 - r.received) < 2000
        groups = queue.r.xinfo_groups("scc:queue")
        assert [(g["name"], g["pending"]) for g in groups] == [(b"apply", 0)]


def test_acknowledged_when_applied(pg, queue):
    with Writer(pg, queue=queue, helper=True,
                location="scc_ack applied; scc_ack_timeout 5s;") as nginx:
        for i in range(3):
            a = nginx.post()
            assert a.status == 201, a
            assert durability(a)["applied"] == 1
        assert count(pg) == 3


def test_without_a_queue(pg):
    """The journal alone is enough; it only takes a little longer."""
    with Writer(pg, helper=True) as nginx:
        with Load(nginx, 2) as load:
            load.wait(50)
        exactly(nginx, pg, load)


def test_load_of_every_kind(pg, queue):
    """Places, doors, comments, corrections: what the map shows follows."""
    with Redis() as cache, Writer(pg, cache, queue, helper=True) as nginx:
        def post(**doc):
            return accepted(nginx.post(json.dumps(doc).encode()))["id"]

        def page(test, limit=5):
            def seen():
                a = nginx.place("p")
                return (a.json() if a.status == 200 else {}) \
                    if test(a.json() if a.status == 200 else {}) else None
            return wait_until(seen, limit, "the page to show it", 0.05)

        accepted(nginx.post(place_body("p")))
        page(lambda d: d)
        access = post(kind="place_accessibility", placeId="p",
                      stairInfo="NONE", hasSlope=False, floors=[1],
                      entranceDoorTypes=["None"])
        doc = page(lambda d: d.get("accessibility"))
        assert doc["accessibility"]["registeredUserOrder"] == 1
        assert [c["order"] for c in doc["contributors"]] == [1]
        post(kind="comment", placeId="p", comment="문이 무겁다")
        post(kind="retract", eventId=access)
        page(lambda d: d and not d["accessibility"])
        post(kind="restore", eventId=access)
        page(lambda d: d.get("accessibility"))
        closed = post(kind="report", placeId="p", reason="CLOSED")
        page(lambda d: d.get("isClosed"))
        post(kind="retract", eventId=closed)
        page(lambda d: d and not d["isClosed"])
        post(kind="contributor", displayName="홍길동")
        page(lambda d: d and d["contributors"][0]["name"] == "홍길동")
        post(kind="erase")
        page(lambda d: d and d["contributors"][0]["name"] is None)
        assert "홍길동" not in str(pg.query(
            "SELECT c::text, d::text FROM scc.contribution c,"
            " scc.contributor d"))
        drained(nginx, pg, queue)
        assert dead(pg) == []


def test_who_may_take_back(pg, queue):
    """One's own; moderators anybody's.  Known from the zone, and to another
    host, which has only the ledger, too."""
    location = "scc_moderator $http_x_mod;\n"
    with Writer(pg, queue=queue, helper=True, location=location) as one, \
            Writer(pg, queue=queue, helper=True, location=location) as two:
        def say(nginx, kind, ident, user, status, mod=None):
            a = nginx.post(json.dumps({"kind": kind, "eventId": ident}
                                      ).encode(), user,
                           headers={"Prefer": "wait=5", "X-Mod": mod})
            assert a.status == status, (kind, user, a.body)
            if status == 403:
                return problem(a, 403)["detail"]
            return a.json()["id"]

        a = one.post(place_body("p"), "u1", headers={"Prefer": "wait=5"})
        assert a.status == 201
        ident = a.json()["id"]
        there = lambda: one.get("/v1/places/p?rev=99").status
        for nginx in (one, two):
            assert "somebody else's" in say(nginx, "retract", ident, "u2",
                                            403)
            say(nginx, "restore", ident, "u2", 403, mod="1")
            for mod in (None, "", "0"):
                assert "moderators" in say(nginx, "remove", ident, "u1", 403,
                                           mod)
            say(nginx, "reinstate", ident, "u1", 403)
        assert there() == 200
        say(two, "retract", ident, "u1", 201)
        assert there() == 404
        say(one, "restore", ident, "u1", 201)
        assert there() == 200
        say(two, "remove", ident, "m", 201, mod="yes")
        say(one, "restore", ident, "u1", 201)
        assert there() == 404
        say(one, "reinstate", ident, "m2", 201, mod="1")
        assert there() == 200

        # the store is away: taken, and without effect in the end
        pg.stop()
        a = two.post(json.dumps({"kind": "retract", "eventId": ident}
                                ).encode(), "u3")
        late = accepted(a)["id"]
        pg.start()
        wait_until(lambda: uuid.UUID(late) in ledger(pg), 30, "the ledger")
        assert there() == 200 and dead(pg) == []


def test_a_revision_that_was_asked_for(pg, queue):
    """Through any cache: an older page is not the answer, unless the store
    has nothing newer after a while; then nobody keeps it."""
    with Redis() as cache, Writer(pg, cache, queue, helper=True) as nginx:
        get = lambda rev: nginx.get(f"/v1/places/p?rev={rev}")
        accepted(nginx.post(place_body("p")))
        a = get(1)                              # not there yet: waited for
        assert a.status == 200 and a.headers["scc-rev"] == "1", a
        assert a.json()["rev"] == 1
        for rev in range(2, 8):
            # the feed's interval is far longer than this takes
            accepted(nginx.post(place_body("p", name=f"name {rev}")))
            a = get(rev)
            assert a.headers["scc-rev"] == str(rev), a
            assert a.json()["name"] == f"name {rev}"
            assert a.headers.get("cache-control") != "no-store"
        start = time.monotonic()
        a = get(99)
        assert 0.9 < time.monotonic() - start < 3
        assert a.status == 200 and a.headers["scc-rev"] == "7"
        assert a.headers["cache-control"] == "no-store"
        start = time.monotonic()
        assert nginx.get("/v1/places/none?rev=1").status == 404
        assert time.monotonic() - start > 0.9
        a = get(7)
        assert a.headers["scc-rev"] == "7"
        assert nginx.get("/v1/places/p").headers["scc-rev"] == "7"
        assert get(0).status == 400
        with nginx.client() as c:               # a client that leaves
            c.connect()
            c.sock.sendall(b"GET /v1/places/p?rev=99 HTTP/1.1\r\n"
                           b"Host: h\r\n\r\n")
            time.sleep(0.1)
        assert get(7).status == 200


# -- processes that come and go ----------------------------------------------


def test_helper_is_killed(pg, queue, rnd):
    with Writer(pg, queue=queue, helper=True, workers=2,
                allow_log=KILLED) as nginx:
        with Load(nginx, 4) as load:
            for _ in range(20):
                kill_helper(nginx)
                time.sleep(rnd.uniform(0.05, 0.6))
        exactly(nginx, pg, load)


def test_reloads(pg, queue, rnd):
    """Old and new helper overlap; segments are sealed and marked."""
    with Writer(pg, queue=queue, helper=True, workers=2) as nginx:
        with Load(nginx, 4) as load:
            for _ in range(8):
                load.wait(30)
                nginx.signal(signal.SIGHUP)
                time.sleep(rnd.uniform(0, 0.5))
        # not after the minute after which others would claim it
        exactly(nginx, pg, load, queue, limit=20)
        nginx.reload()

        def marked():
            names = os.listdir(nginx.dirs[0])
            return all(x[:-3] + "applied" in names
                       for x in names if x.endswith(".seg"))
        wait_until(marked, 30, "every sealed segment to be marked", 0.1)


def test_single_process(pg, queue):
    with Writer(pg, queue=queue, main="master_process off;", workers=0,
                helper=True) as nginx:
        with Load(nginx, 4) as load:
            load.wait(100)
        exactly(nginx, pg, load, queue)


def test_two_hosts(pg, queue, rnd):
    """One queue, one store; each host's own journal.  What one host dies
    over, the other finds in the queue."""
    with Writer(pg, queue=queue, helper=True, allow_log=KILLED) as one, \
            Writer(pg, queue=queue, helper=True, allow_log=KILLED) as two:
        with Load(one, 3, "a") as a, Load(two, 3, "b") as b:
            for _ in range(8):
                kill_helper(rnd.choice([one, two]))
                time.sleep(rnd.uniform(0.05, 0.5))
        dirs = one.dirs + two.dirs
        exactly(one, pg, dirs=dirs)
        for load in (a, b):
            assert set(load.acked) <= set(ledger(pg))


# -- the queue ---------------------------------------------------------------


def disturb(queue, rnd):
    what = rnd.choice(["flushall", "del", "destroy", "trim", "setid"])
    r = queue.r
    if what == "flushall":
        r.flushall()
    elif what == "del":
        r.delete("scc:queue")
    elif what == "destroy":
        if r.exists("scc:queue"):
            r.xgroup_destroy("scc:queue", "apply")
    elif what == "trim":
        r.xtrim("scc:queue", maxlen=0, approximate=False)
    else:                       # "$" instead of 0: what waits is passed over
        if r.exists("scc:queue") and r.xinfo_groups("scc:queue"):
            r.xgroup_setid("scc:queue", "apply", "$")
    return what


def test_a_backlog_is_applied_once(pg, queue):
    """The passes over the journal leave the queue's entries to the queue."""
    with Writer(pg, queue=queue, helper=True, workers=2) as nginx:
        with Load(nginx, 8) as load:
            load.wait(100)
            helper, = nginx.kids("cache manager")
            freeze(helper)
            stopped = time.monotonic()
            load.wait(6000, 60)
        # the next pass is due by then, and may read segments that are open
        time.sleep(max(2.5, stopped + 10.5 - time.monotonic()))
        os.kill(helper, signal.SIGCONT)
        exactly(nginx, pg, load, queue)
        given = sum(map(int, re.findall(
            r"(\d+) contributions of the journal were not", nginx.log())))
        assert given <= 1000, f"{given} were taken from the journal too"


def test_the_queue_loses_everything(pg, queue, rnd):
    with Writer(pg, queue=queue, helper=True, workers=2) as nginx:
        with Load(nginx, 4) as load:
            done = set()
            for _ in range(15):
                load.wait(20)
                done.add(disturb(queue, rnd))
                time.sleep(rnd.uniform(0, 0.3))
        assert len(done) >= 3
        exactly(nginx, pg, load)


def test_the_queue_restarts_empty(pg, queue):
    with Writer(pg, queue=queue, helper=True) as nginx:
        nginx.stop_helper()
        with Load(nginx, 2) as load:
            load.wait(50)
            queue.kill()
            for name in os.listdir(queue.dir):
                if name.startswith("appendonly"):
                    os.rename(f"{queue.dir}/{name}", f"{queue.dir}/x{name}")
            load.wait(20)
            queue.start()
            load.wait(20)
            for pid in nginx.kids("cache manager"):
                os.kill(pid, signal.SIGCONT)
        exactly(nginx, pg, load, queue)


def test_the_queue_is_something_else(pg, queue):
    queue.r.set("scc:queue", "a string")
    with Writer(pg, queue=queue, helper=True) as nginx:
        with Load(nginx, 2) as load:
            load.wait(30)
        exactly(nginx, pg, load)
        assert nginx.log().count("the queue cannot be read") == 1
        queue.r.delete("scc:queue")
        accepted(nginx.post())
        exactly(nginx, pg, queue=queue)


# -- the store ---------------------------------------------------------------


def test_the_store_goes_and_comes(pg, queue, rnd):
    with Writer(pg, queue=queue, helper=True, workers=2) as nginx:
        with Load(nginx, 4) as load:
            for stop in (pg.stop, pg.kill, pg.stop):
                load.wait(50)
                stop()
                load.wait(50)
                time.sleep(rnd.uniform(0, 1))
                pg.start()
                load.wait(50)
        exactly(nginx, pg, load, queue)


def test_the_store_is_frozen(pg, queue):
    with Writer(pg, queue=queue, helper=True) as nginx:
        with Load(nginx, 4) as load:
            load.wait(50)
            pg.sigstop()
            load.wait(50)
            time.sleep(1)
            pg.sigcont()
        exactly(nginx, pg, load, queue)


def test_the_store_is_not_as_it_should_be(pg, queue, figure):
    """A renamed column, as an emptied or changed store looks: applying
    stops, nothing becomes a dead letter, and it goes on afterwards."""
    with Writer(pg, queue=queue, helper=True) as nginx:
        accepted(nginx.post())
        exactly(nginx, pg, queue=queue)
        pg.query("ALTER TABLE scc.contribution RENAME COLUMN target TO t")
        with Load(nginx, 2) as load:
            load.wait(30)
            wait_until(lambda: "applying has stopped" in nginx.log(), 30,
                       "the log to say so")
            load.wait(30)
        time.sleep(2)
        assert count(pg) == 1 and dead(pg) == []
        assert nginx.log().count("applying has stopped") == 1
        pg.query("ALTER TABLE scc.contribution RENAME COLUMN t TO target")
        start = time.monotonic()
        exactly(nginx, pg, load, queue)
        took = time.monotonic() - start
        figure("goes on after", f"{took:.0f} s")
        assert took < 15
        assert "takes contributions again" in nginx.log()


@pytest.mark.parametrize("guard", ["off", "on"])
def test_another_store_gets_nothing(template, queue, guard):
    """The statements know their store, whether or not the guard does."""
    with Postgres(template=template) as pg:
        with Writer(pg, queue=queue, helper=True,
                    scc={"scc_store_guard": guard}) as nginx:
            for d in nginx.dirs:
                sccj.init(d, uuid.uuid4())
                for f in (d, os.path.join(nginx.dir, "state")):
                    if os.path.exists(os.path.join(f, "anchor")):
                        os.unlink(os.path.join(f, "anchor"))
            nginx.restart()
            accepted(nginx.post())
            said = "is not the one that the journal belongs to" \
                if guard == "off" else "in state quarantine (foreign)"
            wait_until(lambda: said in nginx.log(), 30, "the log to say so")
            time.sleep(1)
            assert count(pg) == 0 and dead(pg) == []


# -- what is bad -------------------------------------------------------------


def test_poison(pg, queue, rnd):
    """In the queue and in the journal: each bad one is a dead letter, once,
    and none of its neighbours is."""
    store = store_uuid(pg)
    bad = {
        "stair": sccj_write.record(
            "place_accessibility",
            '{"placeId":"a","stairInfo":"MANY"}', age=9),
        "nul": sccj_write.record("place", b'{"placeId":"a\\u0000"}', age=9),
        "bytes": sccj_write.record("comment", b'{"placeId":"a","comment":'
                                   b'"\xff\xfe"}', age=9),
        "zero": sccj_write.record("comment", b'{"placeId":"a"}\0', age=9),
        "nobody": sccj_write.record("place", place_body("x"), by="", age=9),
        "json": sccj_write.record("place", b"not json", age=9),
        "deep": sccj_write.record("place", place_body(
            "deep", extra={"x": 0}).replace(
                b'"x": 0', b'"x":' + b"[" * 20000 + b"]" * 20000), age=9),
    }
    good = [sccj_write.record("place", place_body(f"g{i}"), age=9)
            for i in range(60)]
    both = good + list(bad.values())
    rnd.shuffle(both)
    # beyond bigint; no journal has it, lest the clock is asked about it
    bad["hlc"] = sccj_write.record("place", place_body("h"), hlc=1 << 63)
    rubbish = [b"", b"x" * 200, good[0][:-8],
               good[0][:60] + b"!" + good[0][61:]]

    with Writer(pg, queue=queue, helper=False) as nginx:
        w = sccj_write.Writer(nginx.dirs[0], store, base="poison")
        for i in range(0, len(both), 9):
            w.batch(*both[i:i + 9])
        w.seal()
        for raw in [*both[::2], bad["hlc"], *rubbish]:
            xadd(queue, raw, w.id)
        xadd(queue, None, foo="bar")
        nginx.helper = True
        nginx.reload()
        wait_until(lambda: queue.r.xlen("scc:queue") == 0, 30,
                   "the queue to be empty")
        wait_until(lambda: os.path.exists(w.applied), 30, "the mark")
        ids = {uuid.UUID(bytes=r[40:56]) for r in good}
        assert set(ledger(pg)) == ids
        letters = dead(pg)
        refused = [(i, raw) for i, reason, _, raw in letters
                   if reason.startswith("refused: ")]
        assert sorted(refused) == sorted(
            (uuid.UUID(bytes=r[40:56]), r) for r in bad.values())
        assert all(s[:2] in ("22", "23") for _, r, s, _ in letters
                   if r.startswith("refused"))
        others = [(r, s, raw) for _, r, s, raw in letters
                  if not r.startswith("refused")]
        assert {r[:2] for r in others} == {("bad-record", None)}
        assert sorted(raw for _, _, raw in others) \
            == sorted(rubbish + [b"foo\nbar\n"])
        for ident in bad.values():
            assert nginx.state(uuid.UUID(bytes=ident[40:56])) \
                == "dead-letter"

        # told again, they are not buried again
        for raw in both + rubbish:
            xadd(queue, raw, w.id)
        wait_until(lambda: queue.r.xlen("scc:queue") == 0, 30,
                   "the queue to be empty")
        assert dead(pg) == letters and set(ledger(pg)) == ids


def test_entries_of_many(pg, queue):
    """An entry of many records: all are applied, but for the one that no
    store takes, and for what no record is with all behind it."""
    good = [sccj_write.record("place", place_body(f"g{i}"), age=9)
            for i in range(9007)]
    bad = sccj_write.record("place", b"not json", age=9)
    rubbish = b"x" * 200 + good[6]
    with Writer(pg, queue=queue, helper=True) as nginx:
        xadd(queue, b"".join([*good[:3], bad, *good[3:5]]))
        xadd(queue, good[5] + rubbish)
        for i in range(7, len(good), 100):
            xadd(queue, b"".join(good[i:i + 100]))
        wait_until(lambda: queue.r.xlen("scc:queue") == 0, 60,
                   "the queue to be empty")
        ids = [uuid.UUID(bytes=r[40:56]) for r in good]
        assert set(ledger(pg)) == set(ids[:6] + ids[7:])
        assert sorted((r[:7], raw) for _, r, _, raw in dead(pg)) == [
            ("bad-rec", rubbish), ("refused", bad)]
        assert nginx.state(uuid.UUID(bytes=bad[40:56])) == "dead-letter"


def test_same_id_another_body(pg, queue):
    one = sccj_write.record("place", place_body("a"), key="k")
    ident = uuid.UUID(bytes=one[40:56])
    other = sccj_write.record("place", place_body("b"), event_id=ident)
    key = sccj_write.record("place", place_body("c"), key="k")
    with Writer(pg, queue=queue, helper=True) as nginx:
        xadd(queue, one)
        wait_until(lambda: count(pg) == 1, 30, "the first")
        for raw in (one, other, key, other):
            xadd(queue, raw)
        wait_until(lambda: queue.r.xlen("scc:queue") == 0, 30,
                   "the queue to be empty")
        assert list(ledger(pg)) == [ident]
        assert sorted(dead(pg)) == sorted(
            [(ident, "idem-mismatch", None, other),
             (uuid.UUID(bytes=key[40:56]), "idem-mismatch", None, key)])
        assert nginx.state(ident) == "applied"


# -- who wants to be forgotten -----------------------------------------------


def test_erased_name_is_in_no_copy(pg):
    """Not while the store is silent either, and not when a slow worker
    writes an old page after the erasure."""
    name = "홍길동-7"
    with Redis() as cache, Writer(pg, redis=cache, helper=True) as nginx:
        ask = {"Prefer": "wait=5"}
        for data, user in ((place_body("p1", buildingId="b1"), "u0"),
                           (place_body("p2", buildingId="b1"), "u0"),
                           (place_body("p3"), "u0"),
                           (body("p1"), "u1"), (body("p3"), "u0"),
                           (json.dumps({"kind": "building_accessibility",
                                        "buildingId": "b1",
                                        "entranceStairInfo": "NONE",
                                        "hasElevator": False,
                                        "hasSlope": False,
                                        "elevatorStairInfo": "UNDEFINED",
                                        "entranceDoorTypes": ["None"]}
                                       ).encode(), "u1")):
            a = nginx.post(data, user, headers={
                **ask, "X-Name": name if user == "u1" else "남은 이름"})
            assert a.status == 201, a.body
        paths = [f"/v1/places/p{i}" for i in (1, 2, 3)]
        keys = [f"scc:p:1:p{i}" for i in (1, 2, 3)]

        def kept():
            pages = [nginx.get(p) for p in paths]
            return all("hit" in p.headers["cache-status"] for p in pages) \
                and [name.encode() in p.body for p in pages] \
                == [True, True, False]
        wait_until(kept, 30, "the pages to be kept", 0.05)
        old = {k: cache.r.get(k) for k in keys}
        assert [name.encode() in v for v in old.values()] \
            == [True, True, False]

        a = nginx.post(b'{"kind":"erase"}', "u1", headers=ask)
        assert a.status == 201, a.body
        gone = lambda: not cache.r.exists(*keys[:2])
        wait_until(gone, 30, "the pages to be removed", 0.02)
        assert cache.r.get(keys[2]) == old[keys[2]]
        for _ in range(3):
            cache.r.set(keys[0], old[keys[0]])
            wait_until(gone, 30, "the slow worker's page to be removed", 0.02)

        pg.stop()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            pages = [nginx.get(p) for p in paths]
            assert not any(name.encode() in p.body for p in pages)
        assert [p.status for p in pages] == [503, 503, 200]
        assert not any(name.encode() in (cache.r.get(k) or b"")
                       for k in cache.r.keys("scc:p:*"))


# -- segments ----------------------------------------------------------------


def records(n, age=9.0, prefix="r"):
    return [sccj_write.record("place", place_body(f"{prefix}{i}"), age=age)
            for i in range(n)]


def ids(raws):
    return {uuid.UUID(bytes=r[40:56]) for r in raws}


def age(path, seconds=60):
    """Adoption looks at the time of the last change, which cannot be set:
    waits until it is long enough ago."""
    wait_until(lambda: time.time() - os.stat(path).st_ctime > 5.2, 8,
               "the file to be old enough", 0.1)


def test_segments_of_the_dead(pg):
    """Clean, torn, sealed, empty, damaged: each as its kind demands."""
    store = store_uuid(pg)
    with Writer(pg, helper=False) as nginx:
        d = nginx.dirs[0]
        new = lambda name: sccj_write.Writer(d, store, base=name)
        clean, torn, sealed = new("a-clean"), new("b-torn"), new("c-sealed")
        zero, half, mid = new("d-zero"), new("e-half"), new("f-mid")
        block = new("g-block")
        kept = {}
        for i, w in enumerate((clean, torn, sealed, mid, block)):
            kept[w] = records(12, prefix=f"{w.base}-")
            for k in range(0, 12, 3):
                w.batch(*kept[w][k:k + 3])
        at, size = torn.batch(*records(3, prefix="never"))
        os.pwrite(torn.fd, bytes(size - 512), at + 512)
        sealed.batch(kind=2, payload=sccj_write.pad(sccj_write.struct.pack(
            "<QQQ16sQ", sealed.n, sealed.first, sealed.last,
            sealed.xor.to_bytes(16, "big"), sealed.batches), 64))
        os.pwrite(zero.fd, bytes(4096), 0)
        os.pwrite(half.fd, bytes(64), 64)
        mid.damage(4096 + 64 + 8)               # in the first batch
        block.damage(20)
        before = open(torn.path, "rb").read()
        for w in (clean, torn, sealed, zero, half, mid, block):
            w.die()
        age(block.path)
        nginx.helper = True
        nginx.allow_log = []
        nginx.reload()

        lost = {uuid.UUID(bytes=kept[mid][0][40:56])}
        want = set().union(*map(ids, kept.values())) - lost
        wait_until(lambda: set(ledger(pg)) == want, 30,
                   "what can be read to be applied", 0.1)
        for w in (clean, torn, sealed):
            wait_until(lambda: os.path.exists(w.applied), 30, "the mark")
            s = sccj.Segment(w.sealed)
            assert s.end == "sealed" and not os.path.exists(w.path)
            assert {r.raw for r in s.records} == set(kept[w])
        assert open(torn.broken, "rb").read() == before
        assert not os.path.exists(clean.broken)
        assert not os.path.exists(zero.path)
        assert not os.path.exists(half.path) and os.path.exists(half.broken)
        for w in (mid, block):                  # never cut, never marked
            assert os.path.exists(w.path) and not os.path.exists(w.applied)
            assert os.path.getsize(w.path) == 1 << 20

        def said():                     # by each helper
            return collections.Counter(re.findall(
                r" (\d+)#\d+: scc: journal segment \S+ is damaged at byte",
                nginx.log())).values()
        wait_until(lambda: max(said()) == 2, 30, "both to be named")
        assert dead(pg) == []
        time.sleep(11)                          # another pass
        assert max(said()) == 2
        assert set(ledger(pg)) == want


def test_segment_of_a_living_writer(pg):
    """Read while it grows; left alone, never marked."""
    with Writer(pg, helper=True) as nginx:
        w = sccj_write.Writer(nginx.dirs[0], store_uuid(pg))
        first, young = records(3), records(3, age=0, prefix="y")
        w.batch(*first)
        w.batch(*young)
        begun = time.monotonic()
        wait_until(lambda: ids(first) <= set(ledger(pg)), 30, "the old ones")
        wait_until(lambda: ids(young) <= set(ledger(pg)), 30, "the rest")
        assert time.monotonic() - begun > 1
        third = records(40, prefix="z")
        for r in third:
            w.batch(r)
        # half of a batch is on its way
        os.pwrite(w.fd, b"SCCB" + b"\1" * 60, w.at)
        wait_until(lambda: ids(third) <= set(ledger(pg)), 30, "the last")
        time.sleep(6)
        assert os.path.exists(w.path) and not os.path.exists(w.applied)
        os.pwrite(w.fd, bytes(64), w.at)
        w.seal()
        wait_until(lambda: os.path.exists(w.applied), 30, "the mark")
        assert set(ledger(pg)) == ids(first + young + third)


def test_large_segments(pg):
    """Batches beyond what is read at once, and many of them."""
    store = store_uuid(pg)
    with Writer(pg, helper=False) as nginx:
        w = sccj_write.Writer(nginx.dirs[0], store, size=24 << 20)
        blank = b" " * 200000
        big = [sccj_write.record("place", place_body(f"b{i}") + blank, age=9)
               for i in range(28)]
        small = records(1500)
        for i in range(0, 1500, 500):
            w.batch(*small[i:i + 500])
        w.batch(*big)                           # 5.6 MB
        w.seal()
        nginx.helper = True
        nginx.reload()
        wait_until(lambda: os.path.exists(w.applied), 60, "the mark")
        assert set(ledger(pg)) == ids(small + big)


def test_two_directories(pg):
    """What one copy has lost the other has."""
    store = store_uuid(pg)
    with Writer(pg, n_dirs=2, helper=False) as nginx:
        a = sccj_write.Writer(nginx.dirs[0], store, base="s")
        b = sccj_write.Writer(nginx.dirs[1], store, base="s")
        raws = records(9)
        for w in (a, b):
            places = [w.batch(*raws[i:i + 3]) for i in (0, 3, 6)]
        a.damage(places[0][0] + 70)
        b.damage(places[2][0] + 70)
        a.seal()
        b.seal()
        nginx.helper = True
        nginx.reload()
        wait_until(lambda: set(ledger(pg)) == ids(raws), 30, "all of them",
                   0.1)
        with Load(nginx, 2) as load:
            load.wait(30)
        wait_until(lambda: set(load.acked) <= set(ledger(pg)), 30,
                   "the load", 0.1)
        assert dead(pg) == []


def test_a_segment_of_another_store_is_left_alone(pg):
    with Writer(pg, helper=False) as nginx:
        w = sccj_write.Writer(nginx.dirs[0], uuid.uuid4(), base="other")
        w.batch(*records(3))
        w.seal()
        nginx.helper = True
        nginx.reload()
        accepted(nginx.post())
        wait_until(lambda: count(pg) == 1, 30, "ours")
        wait_until(lambda: "belongs to another store" in nginx.log(), 30,
                   "the log to say so")
        assert count(pg) == 1 and not os.path.exists(w.applied)
