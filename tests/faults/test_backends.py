"""Redis, PostgreSQL and the ways to them fail; deliveries are repeated,
reordered and poisoned.

F19-F21, F23-F25, F28, F33, F34 of the list in README.md.
"""

import hashlib
import random
import signal
import statistics
import threading
import time

import psycopg2
import pytest
import redis

import check
import journal
import rig
from rig import GROUP, QUEUE, Load, Stack
from servers import wait_until
from shim import AFTER_SEND, BEFORE_SEND, ON_ANSWER, Shim


# -- deliveries --------------------------------------------------------------


def test_f19_repeated_and_reordered(seed):
    """Every record three times, in any order, pending entries stolen."""
    rng = random.Random(seed)
    with Stack(seed) as stack:
        r = stack.queue.client()
        seen = {}
        end = threading.Event()

        def watch():
            c = stack.queue.client()
            last = "-"
            while not end.is_set():
                for ident, fields in c.xrange(QUEUE, min=last, count=500):
                    seen[ident] = fields
                    last = ident.decode()
                time.sleep(0.002)

        watcher = threading.Thread(target=watch)
        with Load(stack) as load:
            watcher.start()
            try:
                stop = time.monotonic() + 6
                while time.monotonic() < stop:
                    load.more(20)
                    some = rng.sample(list(seen.values()),
                                      min(len(seen), 60))
                    for fields in some * 2:
                        r.xadd(QUEUE, fields)
                    try:
                        pending = r.xpending_range(QUEUE, GROUP, "-", "+",
                                                   50)
                    except redis.ResponseError:
                        pending = []        # no group yet
                    if pending:
                        r.xclaim(QUEUE, GROUP, "thief", 0,
                                 [p["message_id"] for p in pending])
            finally:
                end.set()
                watcher.join()
        assert len(seen) > 50, "nothing was seen in the queue"
        again = rng.sample(list(seen.values()), min(len(seen), 1500)) * 2
        rng.shuffle(again)
        pipe = r.pipeline(transaction=False)
        for fields in again:
            pipe.xadd(QUEUE, fields)
        pipe.execute()
        # (what the thief has is taken over after a minute only)
        stack.drain()
        stack.verify(load.history)


MOMENTS = {
    "before the statement": (BEFORE_SEND, "scc_contribute_1"),
    "after the statement": (AFTER_SEND, "scc_contribute_1"),
    "after the commit": (ON_ANSWER, "scc_contribute_1"),
    "before XACK": (BEFORE_SEND, "XACK"),
    "after XACK": (AFTER_SEND, "XACK"),
    "before XREADGROUP": (BEFORE_SEND, "XREADGROUP"),
    "after XREADGROUP": (ON_ANSWER, "XREADGROUP"),
}


@pytest.mark.parametrize("moment", MOMENTS,
                         ids=lambda x: x.replace(" ", "-"))
def test_f20_the_applier_dies(seed, moment):
    """In the middle of what it says to the store and to the queue."""
    rng = random.Random(seed)
    shim = Shim()
    when, pattern = MOMENTS[moment]
    with Stack(seed, shim=shim) as stack:
        with Load(stack, clients=8) as load:
            for n in range(1, 4):
                load.more(30)
                # a statement's name is first sent when it is prepared
                shim.kill_at(when, pattern, "cache manager",
                             rng.randrange(1, 4))
                wait_until(lambda: shim.killed() >= n, 10,
                           f"the helper's death {moment}")
                wait_until(stack.nginx.helpers, 10, "another helper")
            load.more(30)
        stack.drain()
        stack.verify(load.history)


@pytest.mark.quick
def test_f21_poison(seed):
    """What no store can take becomes a dead letter, by itself, once; what
    comes with it is applied."""
    rng = random.Random(seed)
    with Stack(seed) as stack:
        r = stack.queue.client()
        with Load(stack, clients=8) as load:
            load.more(50)
            poison = [inject(r, rng, load, n, kind, body, schema)
                      for n, (kind, body, schema) in enumerate(POISON)]
            load.more(50)
            # and what never was a record
            for fields in ({"r": bytes(88), "s": b"x" * 16},
                           {"r": rng.randbytes(500), "s": rng.randbytes(16)},
                           {"x": b"1"}, {"r": b"", "s": b""}):
                r.xadd(QUEUE, fields)
            load.more(50)
        stack.drain()
        wait_until(lambda: r.xlen(QUEUE) == 0, 20,
                   "the queue to be empty of poison", 0.1)
        dead = dict(stack.pg.query(
            "SELECT event_id::text, count(*) FROM scc.dead_letter "
            "WHERE event_id IS NOT NULL GROUP BY 1"))
        # of another version's record only the bytes can be kept
        known = [(i, POISON[n]) for n, i in enumerate(poison)
                 if POISON[n][0] < 11 and POISON[n][2] == 1]
        missed = [x for x in known if dead.get(x[0]) != 1]
        assert not missed, f"not dead, or more than once: {missed}"
        # of what is no record, the bytes are kept
        unread = stack.pg.query("SELECT count(*) FROM scc.dead_letter "
                                "WHERE reason LIKE 'bad-record%'")[0][0]
        assert unread >= len(POISON) - len(known) + 2, unread
        assert "dead letter" in stack.nginx.log(), "nobody was told"
        stack.verify(load.history)


PLACE = 1
POISON = [                              # kind, body, schema version
    (PLACE, b"no JSON at all", 1),
    (PLACE, b"[1, 2]", 1),
    (PLACE, b"", 1),
    (PLACE, b'{"placeId":"p","name":"n"}', 1),
    (PLACE, b'{"placeId":"p","name":"\\u0000","location":'
            b'{"lng":127,"lat":37}}', 1),
    (PLACE, b'{"placeId":"p","name":"n","location":{"lng":1e999,"lat":1}}',
     1),
    (PLACE, b'{"placeId":"p","name":"n","location":{"lng":127,"lat":"x"}}',
     1),
    (PLACE, b'{"placeId":"' + b"p" * 200 + b'","name":"n","location":'
            b'{"lng":127,"lat":37}}', 1),
    (PLACE, b'{"placeId":"p","name":"\xff\xfe","location":'
            b'{"lng":127,"lat":37}}', 1),
    (2, b'{"placeId":"p","stairInfo":"A_FEW","hasSlope":false}', 1),
    (2, b'{"placeId":"p","stairInfo":"NONE","floors":"one"}', 1),
    (77, b'{"placeId":"p"}', 1),
    (PLACE, b'{"placeId":"p","name":"n","location":{"lng":127,"lat":37}}',
     9),
]


def inject(r, rng, load, n, kind, body, schema):
    """A record straight into the queue, as a host of another version, or
    one gone mad, would; its event id."""
    ident = rig.uuid7(rng)
    who = f"poisoner-{load.seed}"
    hlc = int(time.time() * 1000) << 16
    r.xadd(QUEUE, {"r": journal.write_record(
        ident, kind, hlc, "p", who, "", body, schema),
        "s": rng.randbytes(16)})
    now = time.monotonic()
    load.history.add({
        "client": 900, "n": n, "try": 0, "kind": "?", "target": "p",
        "contributor": who, "key": None, "own": None, "event_id": None,
        "hlc": None, "durability": None, "status": None, "t0": now,
        "t1": now, "sha256": hashlib.sha256(body).hexdigest(),
        "outcome": "unknown"})
    return ident


# -- the queue is lost -------------------------------------------------------


LOSSES = {
    "FLUSHALL": lambda r: r.flushall(),
    "DEL": lambda r: r.delete(QUEUE),
    "XTRIM": lambda r: r.xtrim(QUEUE, maxlen=0, approximate=False),
    "DESTROY": lambda r: r.xgroup_destroy(QUEUE, GROUP)
    if r.exists(QUEUE) else None,
    "STRING": lambda r: (r.delete(QUEUE), r.set(QUEUE, "x")),
}


@pytest.mark.parametrize("how", [
    pytest.param("FLUSHALL", marks=pytest.mark.quick),
    "DEL", "XTRIM", "DESTROY", "STRING"])
def test_f23_the_queue_is_lost(seed, how):
    rng = random.Random(seed)
    with Stack(seed) as stack:
        r = stack.queue.client()
        with Load(stack) as load:
            for _ in range(12):
                load.more(25)
                # while the applier cannot keep up
                if rng.random() < 0.5:
                    stack.pg.sigstop()
                    time.sleep(0.2)
                LOSSES[how](r)
                stack.pg.sigcont()
                time.sleep(rng.uniform(0, 0.2))
            if how == "STRING":
                time.sleep(0.3)
                r.delete(QUEUE)
            load.more(50)
        faults = check.check_reads(load.history)
        stack.drain()
        stack.verify(load.history, faults)


def test_f23_the_cache_is_lost(seed):
    rng = random.Random(seed)
    with Stack(seed) as stack:
        r = stack.cache.client()
        with Load(stack, readers=4) as load:
            for _ in range(15):
                load.more(20)
                r.flushall()
                time.sleep(rng.uniform(0, 0.3))
            load.more(50)
        faults = check.check_reads(load.history)
        stack.drain()
        stack.verify(load.history, faults)


def test_f24_the_queue_comes_back_empty(seed):
    """Snapshots only; then somebody edits "appendonly yes" into the file
    and restarts: Redis starts with nothing."""
    queue = rig.queue_redis(appendonly="no", save="3600 1")
    with Stack(seed, queue=queue) as stack:
        with Load(stack) as load:
            load.more(50)
            stack.pg.sigstop()
            load.more(100)
            restarted = time.monotonic()
            stack.queue.stop()
            stack.queue.settings["appendonly"] = "yes"
            stack.queue.start()
            stack.pg.sigcont()
            load.more(100)
        stack.drain()
        # such a queue is never said to be durable
        stack.verify(load.history, durability=lambda x: {
            "queue": 1 if x["t1"] > restarted else 0})


@pytest.mark.parametrize("policy", ["allkeys-lru", "noeviction"])
def test_f25_the_queue_is_full(seed, policy):
    queue = rig.queue_redis(maxmemory_policy=policy, maxmemory="12mb")
    with Stack(seed, queue=queue) as stack:
        r = stack.queue.client()
        with Load(stack) as load:
            load.more(50)
            stack.pg.sigstop()
            load.more(50)
            full_at = fill(r)
            load.more(100)
            oom = [x for x in load.since(full_at + 0.5)
                   if x["outcome"] == "ok"]
            for i in range(0, 20000, 500):
                r.delete(*[f"ballast:{k}" for k in range(i, i + 500)])
            stack.pg.sigcont()
            load.more(100)
        if policy == "noeviction":
            claimed = [x for x in oom if check.parse_durability(
                x["durability"]).get("queue")]
            assert not claimed, f"queue claimed while it was full: {claimed}"
        stack.drain()
        stack.verify(load.history, durability=lambda x: {
            "queue": 0 if policy != "noeviction" else 1})


def fill(r):
    """Until Redis says OOM, or evicts."""
    pipe = r.pipeline(transaction=False)
    for i in range(12):
        for k in range(100):
            pipe.set(f"ballast:{i * 100 + k}", bytes(16384))
        try:
            pipe.execute()
        except Exception:               # noqa: BLE001
            break
    for k in range(19000, 20000):
        try:
            r.set(f"ballast:{k}", bytes(2000))
        except Exception:               # noqa: BLE001
            break
    return time.monotonic()


# -- what is claimed ---------------------------------------------------------


ACK = "scc_ack {}; scc_ack_timeout 1s; scc_ack_fallback on;\n"


def claims(x, what):
    return check.parse_durability(x["durability"]).get(what, 0)


def test_i8_applied_means_in_the_store(seed):
    """Asked at that very moment, while PostgreSQL dies now and then."""
    lies, claimed = [], []

    def look(x):
        if not claims(x, "applied"):
            return
        claimed.append(x)
        try:
            if not stack.pg.query("SELECT 1 FROM scc.contribution WHERE "
                                  "event_id = %s", (x["event_id"],)):
                lies.append(x)
        except psycopg2.Error:
            pass                            # it is down now

    with Stack(seed, location=ACK.format("applied")) as stack:
        with Load(stack, clients=8, readers=0, on_ok=look) as load:
            for _ in range(3):
                load.more(60)
                stack.pg.kill()
                time.sleep(0.5)
                stack.pg.start()
            load.more(60)
        assert not lies, lies[:3]
        assert len(claimed) > 50, "applied was hardly ever waited for"
        stack.drain()
        stack.verify(load.history)


def test_i8_queued_means_in_the_queue(seed):
    """Redis is killed and comes back with all that was said to be there."""
    with Stack(seed, location=ACK.format("queue")) as stack:
        with Load(stack, clients=8, readers=0) as load:
            load.more(50)
            stack.pg.sigstop()              # nothing leaves the queue
            time.sleep(0.3)
            at = time.monotonic()
            load.more(200)
            stack.queue.kill()
            until = time.monotonic()
            load.more(50)                   # with queue=0
            stack.queue.start()
            kept = {str(r.event_id) for r in stack.queued()}
            stack.pg.sigcont()
            load.more(50)
        said = [x for x in load.history.acked()
                if x["t0"] > at and x["t1"] < until and claims(x, "queue")]
        assert len(said) > 100, "nothing was said to be queued"
        lost = [x for x in said if x["event_id"] not in kept]
        assert not lost, f"{len(lost)} of {len(said)}: {lost[:2]}"
        stack.drain()
        stack.verify(load.history)


# -- PostgreSQL --------------------------------------------------------------


@pytest.mark.parametrize("how", [
    "kill", "immediate", "freeze", "connections", "lock"])
def test_f28_postgres(seed, how):
    with Stack(seed, pg={"max_connections": 40}) as stack:
        pg = stack.pg
        with Load(stack, readers=4) as load:
            load.more(80)
            if how in ("kill", "immediate"):
                for _ in range(3):
                    if how == "kill":
                        pg.kill()
                    else:
                        pg.end(signal.SIGQUIT)
                    load.more(60)           # POSTs go on
                    pg.start()
                    load.more(60)
            elif how == "freeze":
                pg.sigstop()
                end = time.monotonic() + 6
                while time.monotonic() < end:
                    load.more(20)
                pg.sigcont()
            elif how == "connections":
                held = []
                try:
                    while len(held) < 60:
                        held.append(pg.connect())
                except Exception:           # noqa: BLE001
                    pass
                # now those of nginx go too
                kill_backends(held)
                load.more(100)
                for c in held:
                    c.close()
            else:
                c = pg.connect()
                c.cursor().execute("LOCK TABLE scc.place, scc.contribution "
                                   "IN ACCESS EXCLUSIVE MODE")
                end = time.monotonic() + 4
                while time.monotonic() < end:
                    load.more(20)
                c.rollback()
                c.close()
            load.more(80)
        # no read was told that a place is not there; what was not in the
        # cache may have been refused
        faults = check.check_reads(load.history,
                                   allow=lambda r: r.status == 503)
        stack.drain()
        stack.verify(load.history, faults)


def kill_backends(held):
    if held:
        cur = held[0].cursor()
        cur.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'scc_app'")
        held[0].commit()


# -- the ways between --------------------------------------------------------


@pytest.mark.parametrize("part,mode", [
    (p, m) if (p, m) != ("queue", "cut")
    else pytest.param(p, m, marks=pytest.mark.quick)
    for p in ("queue", "pg")
    for m in ("drop", "refuse", "up", "down", "cut")])
def test_f33_partitions(seed, part, mode):
    """Packets vanish, are refused, pass one way only; or the connection
    breaks between a request and its answer."""
    rng = random.Random(seed)
    with Stack(seed, proxied=[part]) as stack:
        proxy = stack.proxies[part]
        with Load(stack) as load:
            load.more(50)
            for _ in range(3):
                proxy.set(mode)
                load.more(60)
                time.sleep(rng.uniform(0.2, 1.0))
                proxy.set("pass")
                load.more(40)
        faults = check.check_reads(
            load.history, allow=lambda r: part == "pg" and r.status == 503)
        stack.drain()
        stack.verify(load.history, faults)


@pytest.mark.alone
@pytest.mark.parametrize("part", ["queue", "pg", "journal"])
def test_f34_slow_backends(seed, part, figure):
    """A slow part slows what waits for it, nothing else; nothing piles up."""
    shim = Shim()
    with Stack(seed, shim=shim,
               proxied=[part] if part != "journal" else []) as stack, \
            Stack(seed) as other:
        with Load(stack, clients=16, readers=4) as load, \
                Load(other, clients=0, readers=4) as beside:
            load.more(100)
            time.sleep(1.5)
            at = time.monotonic()
            if part == "journal":
                shim.delay(0.05)
                time.sleep(3)
                shim.delay(0.5)
            else:
                stack.proxies[part].set("pass", 3.0)
            time.sleep(5)
            until = time.monotonic()
            shim.delay(0)
            if part != "journal":
                stack.proxies[part].set("pass")
            load.more(100)
        slow = [x for x in load.history.lines
                if x["t0"] > at + 0.2 and x["t1"] < until]
        took = [x["t1"] - x["t0"] for x in slow]
        assert slow
        assert max(took) < 3.0, f"a contribution waited {max(took)} s"
        if part != "journal":
            assert statistics.median(took) < 0.1, (
                "contributions wait for the slow " + part)
        else:
            # group commit: all clients together in a sync or two
            assert statistics.median(took) < 1.6, statistics.median(took)

        def p99(load, a, b):
            xs = sorted(r.t1 - r.t0 for r in load.history.reads
                        if a <= r.t0 < b)
            return xs[int(len(xs) * 0.99)] if xs else None
        quiet, storm = p99(load, 0, at), p99(load, at + 0.3, until)
        same = p99(beside, at + 0.3, until)
        figure(f"reads' p99, quiet, slow {part}, and elsewhere meanwhile",
               f"{quiet * 1000:.1f} ms, {storm * 1000:.1f} ms, "
               f"{same * 1000:.1f} ms")
        if part != "pg":
            # 2 processors, and clients in the same ones; what else there is
            # to do may come after the quiet, and slows the others too
            assert storm < max(3 * quiet, 3 * same, 0.1), (quiet, storm, same)
        faults = check.check_reads(
            load.history, allow=lambda r: part == "pg" and r.status == 503)
        stack.drain()
        stack.verify(load.history, faults)
