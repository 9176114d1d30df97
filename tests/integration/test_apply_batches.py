"""The applier's batches: what is done while the store works at one, and how
long it rests before the next."""

import json
import os
import random
import signal
import threading
import time
import uuid

import pytest

import sccj
import sccj_write
from contribute import Load, Writer, accepted
from servers import freeze, wait_until
from test_apply import (SEED, exactly, ledger, pg, queue,      # noqa: F401
                        template)

QUEUE = "scc:queue"
FIRST, SECOND = 200, 200        # entries of the batches after a start
STATEMENT = 8000                # events, at most
PIECE = 700                     # of the journal, with all of its last batch


class Turn:
    """The store's write lock: while it is held, nothing is applied.  Who
    asks for it meanwhile gets it in turn."""

    def __init__(self, pg):
        self.db = pg.connect()
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        self.db.cursor().execute("SELECT scc.write_lock()")

    def wait(self, limit=30):
        self.thread.join(limit)
        assert not self.thread.is_alive(), "it is never this one's turn"
        return self

    def end(self):
        """The store's time, just before."""
        with self.db, self.db.cursor() as cur:
            cur.execute("SELECT clock_timestamp()")
            return cur.fetchone()[0]

    def close(self):
        self.db.close()


@pytest.fixture
def turn(pg):
    """Turns that end with the test, whatever comes."""
    turns = []

    def make():
        turns.append(Turn(pg))
        return turns[-1]
    yield make
    for t in turns:
        t.close()


def waiting(pg, ms=0):
    """How many have waited so long for their turn."""
    return pg.query(
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.classid = 5456707"
        " AND l.objid = 1 AND NOT l.granted"
        " AND clock_timestamp() - a.query_start > %s * interval '1 ms'",
        (ms,))[0][0]


def record(ident, name="이름", **kw):
    return sccj_write.record("place", json.dumps({
        "kind": "place", "placeId": ident, "name": name,
        "location": {"lng": 127.0, "lat": 37.5}}), **kw)


def number(raw):
    return uuid.UUID(bytes=raw[40:56])


def events(raws):
    return {r.event_id: r.body.decode() for r, _ in map(sccj.record, raws)}


def give(queue, raws):
    """Into the queue, and into no journal: what the applier loses is lost."""
    with queue.r.pipeline() as pipe:            # a read finds all of them
        for raw in raws:
            pipe.xadd(QUEUE, {"r": raw})
        pipe.execute()


def pending(queue):
    return queue.r.xpending(QUEUE, "apply")["pending"] \
        if queue.r.exists(QUEUE) and queue.r.xinfo_groups(QUEUE) else 0


def emptied(queue, limit=90):
    wait_until(lambda: queue.r.xlen(QUEUE) == 0 and pending(queue) == 0,
               limit, "the queue to be empty", 0.05)


# -- while the store works ---------------------------------------------------


def test_the_next_batch_is_read_while_the_store_works(pg, queue, turn):
    """And the one before leaves the queue, when the next is with the store
    and not only when that is done."""
    raws = [record(f"p{i}") for i in range(1500)]
    give(queue, raws)
    first = turn().wait()
    with Writer(pg, queue=queue, helper=True):
        wait_until(lambda: pending(queue) == FIRST + SECOND, 30,
                   "the second batch to be read")
        second = turn()
        wait_until(lambda: waiting(pg) == 2, 30, "both to wait")
        assert queue.r.xlen(QUEUE) == len(raws)
        first.end()
        second.wait()
        wait_until(lambda: waiting(pg) == 1, 30, "the second batch to wait")
        assert ledger(pg) == events(raws[:FIRST])
        wait_until(lambda: queue.r.xlen(QUEUE) == len(raws) - FIRST, 30,
                   "the first batch to leave the queue")
        wait_until(lambda: pending(queue) > SECOND, 30,
                   "the third batch to be read")
        assert len(ledger(pg)) == FIRST
        second.end()
        emptied(queue)
        assert ledger(pg) == events(raws)


@pytest.mark.parametrize("trouble", ["refused", "idem-mismatch", "lost"])
def test_trouble_with_the_batch_before(pg, queue, turn, trouble):
    """What was made ready for the second batch is the second batch's, when
    the first is halved, has a burial or is sent again."""
    raws = [record(f"p{i}") for i in range(FIRST + SECOND)]
    if trouble == "refused":
        raws[FIRST // 3] = record("nul", "\0")
    if trouble == "idem-mismatch":
        raws[FIRST // 3] = record("other", event_id=number(raws[0]))
    give(queue, raws)
    first = turn().wait()
    with Writer(pg, queue=queue, helper=True) as nginx:
        wait_until(lambda: waiting(pg) and pending(queue) == len(raws), 30,
                   "the second batch to be read")
        if trouble == "lost":
            assert pg.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'scc_app' AND wait_event = 'advisory'")
        first.end()
        emptied(queue)
        bad = [raws.pop(FIRST // 3)] if trouble != "lost" else []
        assert ledger(pg) == events(raws)
        assert [(r[:len(trouble)], bytes(raw)) for r, raw in pg.query(
            "SELECT reason, raw FROM scc.dead_letter")] \
            == [(trouble, raw) for raw in bad]
        if trouble != "refused":
            assert "refused statement" not in nginx.log()


def test_poison_among_batches(pg, queue):
    """What was made ready for a batch goes with this batch: whatever becomes
    of the one before, each event is applied as it is, or a dead letter, and
    none is forgotten."""
    print(f"SCC_SEED={SEED}")
    rnd = random.Random(SEED)
    good = [record(f"g{i}", f"name {i}" * rnd.randrange(1, 9))
            for i in range(4000)]
    refused = [record(f"r{i}", "\0" if i % 2 else "x" * 100000)
               for i in range(8)]
    rubbish = [b"x" * 50 + bytes([i]) for i in range(8)]
    other = [record("other", event_id=number(r))
             for r in rnd.sample(good, 8)]
    raws = list(good)
    for raw in refused + rubbish:
        raws.insert(rnd.randrange(len(raws)), raw)
    for raw in rnd.sample(good, 50):            # twice, in any distance
        at = raws.index(raw)
        raws.insert(min(at + rnd.randrange(1, 900), len(raws)), raw)
    for raw in other:                           # behind what it is not
        at = max(i for i, r in enumerate(raws)
                 if r in good and number(r) == number(raw))
        raws.insert(rnd.randrange(at + 1, len(raws) + 1), raw)
    give(queue, raws)
    with Writer(pg, queue=queue, helper=True):
        emptied(queue)
    assert ledger(pg) == events(good)
    dead = pg.query("SELECT reason, raw FROM scc.dead_letter")
    for reason, want in (("refused", refused), ("bad-record", rubbish),
                         ("idem-mismatch", other)):
        assert sorted(bytes(raw) for r, raw in dead
                      if r.startswith(reason)) == sorted(want)
    assert len(dead) == 24


def test_more_than_a_statement(pg, queue, turn):
    """Few entries with many records each: as many statements as it takes,
    and the queue keeps all of them until the last one."""
    raws = [record(f"p{i}") for i in range(2 * STATEMENT + 1500)]
    bad = raws[STATEMENT + 700] = record("nul", "\0")
    other = raws[2 * STATEMENT + 9] = record("other", event_id=number(raws[5]))
    entries = [b"".join(raws[i:i + 500]) for i in range(0, len(raws), 500)]
    give(queue, entries)
    first = turn().wait()
    with Writer(pg, queue=queue, helper=True):
        wait_until(lambda: waiting(pg), 30, "the first statement to wait")
        second = turn()
        wait_until(lambda: waiting(pg) == 2, 30, "both to wait")
        first.end()
        second.wait()
        wait_until(lambda: waiting(pg) == 1, 30, "the second to wait")
        assert ledger(pg) == events(raws[:STATEMENT])
        assert queue.r.xlen(QUEUE) == pending(queue) == len(entries)
        second.end()
        emptied(queue)
        raws = [x for x in raws if x not in (bad, other)]
        assert ledger(pg) == events(raws)
        assert sorted((r[:7], bytes(raw)) for r, raw in pg.query(
            "SELECT reason, raw FROM scc.dead_letter")) \
            == [("idem-mi", other), ("refused", bad)]


@pytest.mark.parametrize("size", [7, 45, 300])
def test_batches_fill_a_statement(pg, queue, size):
    """However many records the entries have: once their number is known a
    batch is one statement, and that is nearly full."""
    raws = [record(f"p{i}") for i in range(9 * STATEMENT)]
    give(queue, [b"".join(raws[i:i + size])
                 for i in range(0, len(raws), size)])
    with Writer(pg, queue=queue, helper=True):
        emptied(queue)
    assert len(ledger(pg)) == len(raws)
    sizes = [n for n, in pg.query(
        "SELECT count(*) FROM scc.contribution GROUP BY xmin::text::bigint"
        " ORDER BY 1")]
    full = [n for n in sizes if n > STATEMENT * 3 // 4]
    assert max(sizes) <= STATEMENT and sum(full) > len(raws) // 2, sizes
    assert sum(n < STATEMENT // 5 for n in sizes) <= 3, sizes


def test_small_batches_say_nothing(pg, queue, turn):
    """More is asked for at once when there was more, not since what came
    alone was small: the next entries may be large."""
    with Writer(pg, queue=queue, helper=True):
        for i in range(12):
            give(queue, [record(f"alone{i}")])
            emptied(queue)
        first = turn().wait()
        give(queue, [record(f"p{i}") for i in range(2000)])
        wait_until(lambda: pending(queue) == FIRST + SECOND, 30,
                   "two batches to be read")
        first.end()
        emptied(queue)


def test_a_pass_waits_for_the_batch(pg, queue, turn):
    """What the queue's consumer has with the store is not taken from the
    journal, however long the store needs."""
    with Writer(pg, queue=queue, helper=True) as nginx:
        # then the next pass comes after 10 s
        wait_until(lambda: nginx.state(uuid.uuid4()) == 404, 30,
                   "passes to come seldom")
        helper, = nginx.kids("cache manager")
        freeze(helper)
        with Load(nginx, 8) as load:
            load.wait(300)
        first = turn().wait()
        os.kill(helper, signal.SIGCONT)
        wait_until(lambda: waiting(pg, 12000) or waiting(pg) > 1, 30,
                   "a pass to be due")
        assert waiting(pg) == 1
        first.end()
        exactly(nginx, pg, load, queue)
        assert "of the journal were not in the store" not in nginx.log()


def test_a_pass_waits_for_the_queue(pg, queue):
    """A helper that was stopped for a while is late with everything: the
    queue comes first, even if it is slow; a piece of a pass may not."""
    with Writer(pg, queue=queue, helper=True, workers=2) as nginx:
        with Load(nginx, 8) as load:
            load.wait(100)
            helper, = nginx.kids("cache manager")
            freeze(helper)
            late = time.monotonic() + 10.5
            load.wait(2000, 60)
        wait_until(lambda: time.monotonic() > late, 12, "a pass to be due")
        before = len(ledger(pg))
        queue.sigstop()
        os.kill(helper, signal.SIGCONT)
        late = time.monotonic() + 2
        wait_until(lambda: len(ledger(pg)) > before + PIECE
                   or time.monotonic() > late, 12, "the pass")
        assert len(ledger(pg)) <= before + PIECE
        queue.sigcont()
        exactly(nginx, pg, load, queue)


# -- between batches ---------------------------------------------------------


@pytest.mark.parametrize("prefer", [None, "wait=20"])
def test_rest(pg, queue, turn, figure, prefer):
    """Behind a batch that took the store long the applier rests, unless
    somebody waits."""
    n = iter(range(1000))

    def pause(nginx):
        """From the end of a batch to the next one's events, by the store's
        clock."""
        held = turn().wait()
        client = threading.Thread(target=nginx.post, daemon=True, kwargs={
            "headers": {"Prefer": prefer}})
        client.start()
        wait_until(lambda: waiting(pg, 50), 30, "a batch to take long")
        place = f"next-{next(n)}"
        give(queue, [record(place)])
        ended = held.end()
        held.close()
        at, = wait_until(lambda: pg.query(
            "SELECT applied_at FROM scc.contribution WHERE target = %s",
            (place,)), 30, "what came meanwhile")[0]
        client.join(30)
        return (at - ended).total_seconds()

    with Writer(pg, queue=queue, helper=True) as nginx:
        accepted(nginx.post())
        wait_until(lambda: len(ledger(pg)) == 1, 30, "the first")
        if prefer is None:
            pauses = [pause(nginx) for _ in range(3)]
            assert min(pauses) > 0.2
        else:
            # when the machine is busy, not at once
            pauses = []
            wait_until(lambda: pauses.append(pause(nginx))
                       or pauses[-1] < 0.1, 60, "a batch without a rest")
        figure("next batch after", f"{min(pauses) * 1e3:.0f} ms")
