"""Consumers of the queue: helpers that ended, those that live, and what they
have read."""

import struct
import time

import pytest

from contribute import Writer, accepted
from servers import alive, wait_until
from test_apply import (KILLED, count, dead, exactly, kill_helper, pg,
                        queue, records, template, xadd)  # noqa: F401
from test_apply_batches import give, pending


def crc64(data):
    """As at the end of what DUMP returns."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95ac9329ac4bc9b5 if crc & 1 else 0)
    return crc


def silence(queue, consumer, seconds):
    """Makes Redis believe that it heard nothing of it for so long."""
    dump = queue.r.dump("scc:queue")
    data, name = dump[:-8], consumer.encode()
    at = data.index(name) + len(name)
    seen, = struct.unpack_from("<q", data, at)
    assert abs(seen / 1000 - time.time()) < 1000
    data = (data[:at] + struct.pack("<q", seen - 1000 * seconds)
            + data[at + 8:])
    queue.r.restore("scc:queue", 0, data + struct.pack("<Q", crc64(data)),
                    replace=True)


@pytest.mark.parametrize("how", ["reload", "kill", "restart"])
def test_what_a_helper_leaves_behind(pg, queue, how, figure):
    """It has read entries and ends before they are applied: the next one of
    this host knows.  They are in no journal, so that no pass finds them."""
    raws = records(300)
    queue.r.xgroup_create("scc:queue", "apply", "0", mkstream=True)
    with Writer(pg, queue=queue, helper=True, allow_log=KILLED) as nginx:
        held = pg.connect()
        held.cursor().execute("SELECT scc.write_lock()")
        give(queue, raws)
        helper, = nginx.kids("cache manager")
        wait_until(lambda: pending(queue) == len(raws), 30,
                   "the helper to read all")
        if how == "reload":
            nginx.reload()
        elif how == "kill":
            kill_helper(nginx)
        else:
            nginx.quit()
            nginx.start()
        wait_until(lambda: nginx.helpers() and not alive(helper), 30,
                   "another helper")
        # nothing of it may be under way when the lock is given back
        pg.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE usename = 'scc_app' AND wait_event = 'advisory'")
        held.close()
        start = time.monotonic()
        wait_until(lambda: count(pg) == len(raws), 5,
                   "what the last helper had to be applied", 0.02)
        figure("applied after", f"{time.monotonic() - start:.1f} s")
        wait_until(lambda: pending(queue) == queue.r.xlen("scc:queue") == 0, 5,
                   "the queue to be empty")
        assert dead(pg) == []


def test_neighbours(pg, queue):
    """What another nginx of this host has read, and works at, is its own."""
    def delivered():
        return {p["times_delivered"] for p in queue.r.xpending_range(
            "scc:queue", "apply", "-", "+", 200)}

    def looks():
        return queue.r.info("commandstats").get(
            "cmdstat_xinfo|consumers", {"calls": 0})["calls"]

    raws = records(100)
    queue.r.xgroup_create("scc:queue", "apply", "0", mkstream=True)
    with Writer(pg, queue=queue, helper=True) as one:
        held = pg.connect()
        held.cursor().execute("SELECT scc.write_lock()")
        give(queue, raws)
        wait_until(lambda: pending(queue) == len(raws), 30, "it to read all")
        with Writer(pg, queue=queue, helper=True, dirs=one.dirs) as two:
            wait_until(two.helpers, 30, "the other helper")
            seen = looks()
            wait_until(lambda: looks() >= seen + 4 or delivered() != {1}, 30,
                       "it to look")
            assert delivered() == {1}
            held.close()
            wait_until(lambda: pending(queue) == queue.r.xlen("scc:queue") == 0,
                       30, "the queue to be empty")
    assert count(pg) == len(raws)


def test_entries_of_a_dead_consumer(pg, queue):
    """Taken over; those that are gone are looked for in the journal."""
    with Writer(pg, queue=queue, helper=False) as nginx:
        if not queue.r.exists("scc:queue"):     # the helper, in its time
            queue.r.xgroup_create("scc:queue", "apply", "0", mkstream=True)
        for i in range(6):
            accepted(nginx.post())
            # each in an entry of its own
            wait_until(lambda: queue.r.xlen("scc:queue") == i + 1, 30,
                       "the queue")
        got = queue.r.xreadgroup("apply", "gone:1:1", {"scc:queue": ">"}, 10)
        ids = [e[0] for e in got[0][1]]
        assert len(ids) == 6
        queue.r.xdel("scc:queue", *ids[:2])
        queue.r.xclaim("scc:queue", "apply", "gone:1:1", 0, ids[2:],
                       idle=61000)
        # XCLAIM drops what is gone from the pending list: put it back
        assert queue.r.xpending("scc:queue", "apply")["pending"] == 6
        nginx.helper = True
        nginx.reload()
        exactly(nginx, pg, queue=queue)
        # pending ones that are gone are claimed when they are idle enough
        owed = queue.r.xpending("scc:queue", "apply")["pending"]
        assert owed <= 2


def test_retired_consumers(pg, queue):
    """Names of helpers that ended go, but not with what they owe."""
    def consumers():
        return {c["name"].decode(): c for c in
                queue.r.xinfo_consumers("scc:queue", "apply")}

    queue.r.xgroup_create("scc:queue", "apply", "0", mkstream=True)
    xadd(queue, records(1)[0])
    queue.r.xreadgroup("apply", "owes", {"scc:queue": ">"})
    for name in ("retired", "young"):
        queue.r.xgroup_createconsumer("scc:queue", "apply", name)
    for name, seconds in (("retired", 330), ("owes", 330), ("young", 270)):
        silence(queue, name, seconds)
    assert consumers()["retired"]["idle"] > 300000
    with Writer(pg, queue=queue, helper=True):
        wait_until(lambda: "retired" not in consumers(), 30,
                   "the retired one's name to go")
        assert consumers()["young"]["pending"] == 0
        assert consumers()["owes"]["pending"] == 1
