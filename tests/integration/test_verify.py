"""sccctl verify: what differs between journals, queue, ledger, map and
cache is found, and nothing else."""

import os
import re
import signal

import pytest

import sccj
from contribute import Writer, body, queue_redis
from servers import Postgres, Redis, freeze, sccctl, wait_until

class Set:
    """All parts, with contributions in each."""

    def __init__(self):
        self.pg = Postgres(fsync=False)
        self.cache, self.queue = Redis(), queue_redis()

    def __enter__(self):
        for s in (self.pg, self.cache, self.queue):
            s.start()
        sccctl("init", pg=self.pg)
        self.nginx = Writer(self.pg, self.cache, queue=self.queue,
                            helper=True).start()
        for i in range(40):
            a = self.nginx.post(body(f"p{i % 30}"), f"u{i % 7}")
            assert a.status == 202, a
        for i in range(30):
            a = self.nginx.post(
                b'{"kind":"place","placeId":"p%d","name":"n%d","location":'
                b'{"lng":127.0%02d,"lat":37.5}}' % (i, i, i), "u1")
            assert a.status == 202, a
        wait_until(lambda: self.pg.query(
            "SELECT count(*) FROM scc.contribution") == [(70,)], 20,
            "all to be applied", 0.05)
        self.fill()
        return self

    def __exit__(self, *exc):
        self.nginx.stop()
        for s in (self.queue, self.cache, self.pg):
            s.stop()

    def fill(self):
        """Cells in the cache that say VAL."""
        path = "/v1/places?bbox=127.0,37.495,127.03,37.505&limit=100"

        def current():
            self.nginx.get(path)
            return not re.search("^cache .*current 0,", self.verify()[1],
                                 re.M)
        wait_until(current, 10, "current cells in the cache", 0.1)

    def verify(self, *more):
        p = sccctl("verify", "--journal", *self.nginx.dirs, "--queue",
                   self.queue.address, "--redis", self.cache.address, *more,
                   pg=self.pg, check=False)
        return p.returncode, p.stdout + p.stderr


@pytest.fixture(scope="module")
def parts():
    with Set() as s:
        yield s


def copy(pg):
    """Database "copy" is what "scc" is now."""
    c = pg.connect(dbname="postgres")
    c.autocommit = True
    with c.cursor() as cur:
        cur.execute("DROP DATABASE IF EXISTS copy")
        cur.execute("ALTER DATABASE scc ALLOW_CONNECTIONS false")
        cur.execute("SELECT pg_terminate_backend(pid, 5000) FROM "
                    "pg_stat_activity WHERE datname = 'scc'")
        cur.execute("CREATE DATABASE copy TEMPLATE scc")
        cur.execute("ALTER DATABASE scc ALLOW_CONNECTIONS true")
    c.close()


def lines(text):
    """{"map": 0, ...}: how many rows of each kind differ."""
    return {k: int(n) for k, n in
            re.findall(r"^(\w+) +[a-z][^:\n]*: (\d+)$", text, re.M)}


def test_nothing_differs(parts):
    code, text = parts.verify()
    assert code == 0, text
    assert text.endswith("no difference\n")
    digests = re.findall(r"digest ([0-9a-f]{64})", text)
    assert len(digests) == 2 and len(set(digests)) == 1, text
    assert lines(text) == {"ledger": 0, "map": 0, "tally": 0, "numbers": 0,
                           "cells": 0, "squares": 0, "cache": 0,
                           "pages": 0}


# What somebody with all rights may do by hand: the statement, and the lines
# that must tell of it.

DAMAGE = {
    "a body": (
        "UPDATE scc.contribution SET body = body || ' ' WHERE event_id = "
        "(SELECT min(event_id::text)::uuid FROM scc.contribution)",
        {"ledger": 1}),
    "an event": (
        "DELETE FROM scc.contribution WHERE event_id = (SELECT event_id "
        "FROM scc.contribution WHERE kind = 'comment' OR kind = 'place' "
        "ORDER BY hlc LIMIT 1)", {"map": 1, "tally": 1}),
    "a place": ("DELETE FROM scc.place WHERE id = 'p3'",
                {"map": 1, "tally": 1, "cells": 1}),
    "a name": ("UPDATE scc.place SET name = 'nothing' WHERE id = 'p4'",
               {"map": 1}),
    "an accessibility": (
        "UPDATE scc.place_accessibility SET has_slope = NOT has_slope "
        "WHERE place_id = 'p5'", {"map": 1}),
    "a level": ("UPDATE scc.place SET level = 5 WHERE id = 'p6'",
                {"map": 1, "cells": 1}),
    "a contributor": (
        "UPDATE scc.contributor SET display_name = 'somebody' "
        "WHERE id = 'u2'", {"map": 1}),
    "a number": ("DELETE FROM scc.number WHERE kind = 'place' AND id = 'p7'",
                 {"map": 1}),
    "a cell": ("UPDATE scc.cell SET n = n + 1 WHERE cell = "
               "(SELECT cell FROM scc.place WHERE id = 'p8')", {"cells": 1}),
}


@pytest.mark.parametrize("what", DAMAGE, ids=lambda x: x.replace(" ", "-"))
def test_each_damage_is_found(parts, what):
    """In a copy of the store, with the triggers off."""
    sql, want = DAMAGE[what]
    copy(parts.pg)
    db = parts.pg.connect(dbname="copy")
    with db, db.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute(sql)
        assert cur.rowcount == 1
    db.close()
    p = sccctl("verify", "--pg", parts.pg.conninfo(dbname="copy"),
               check=False)
    assert p.returncode == 3, p.stdout + p.stderr
    got = lines(p.stdout)
    for name, n in want.items():
        assert got[name] >= n, p.stdout
    assert got["cells"] == want.get("cells", 0), p.stdout


def test_journal_and_ledger(parts):
    """What the ledger lost is named; with another body too."""
    ids = [str(r.event_id) for r in sccj.records(parts.nginx.dirs[0])]
    copy(parts.pg)
    c = parts.pg.connect(dbname="copy")
    with c, c.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute("DELETE FROM scc.contribution WHERE event_id = ANY"
                    "(%s::uuid[])", (ids[:3],))
        cur.execute("UPDATE scc.contribution SET body_sha256 = "
                    "sha256('x') WHERE event_id = %s", (ids[5],))
    c.close()

    def verify():
        return sccctl("verify", "--journal", *parts.nginx.dirs, "--pg",
                      parts.pg.conninfo(dbname="copy"), check=False)

    # what is ten seconds old is not on its way any more
    p = wait_until(lambda: (lambda p: "on their way 0" in p.stdout and p)(
        verify()), 20, "the records to be old", 0.5)
    assert p.returncode == 3
    assert "missing 3, with another body 1, unreadable 0" in p.stdout
    for i in ids[:3]:
        assert re.search(rf"^MISSING {i} .* in {parts.nginx.dirs[0]}",
                         p.stdout, re.M), p.stdout
    assert f"DIFFERS {ids[5]}" in p.stdout


def test_cache(parts):
    """A cell that says it is current, and is not; one that is no cell; and
    copies of another store."""
    parts.fill()
    r = parts.cache.r
    key = next(k for k in r.keys("scc:c:1:*") if r.get(k)[5] == 1)
    good, who = r.get(key), r.get("scc:i:1")
    for pid in parts.nginx.helpers():
        freeze(pid)
    try:
        for bad, said in ((good[:8] + b"\x7f" + good[9:], "version"),
                          (good[:-1] + b"\0", "damaged")):
            r.set(key, bad)
            code, text = parts.verify()
            assert code == 3 and said in text, text
        r.set(key, good)
        r.set("scc:i:1", b"0/1/2")
        code, text = parts.verify()
        assert code == 3 and "copies are of store 0/1/2" in text, text
        # a store that was replayed into is the same, in another life
        r.set("scc:i:1", who + b"/1")
        code, text = parts.verify()
        assert "copies are of store" not in text, text
        r.set("scc:i:1", who + b"1")
        code, text = parts.verify()
        assert "copies are of store" in text, text
        r.set("scc:i:1", who)
        code, text = parts.verify("--generation", 7)
        assert code == 0 and "cells 0," in text, text
    finally:
        for pid in parts.nginx.kids("cache manager"):
            os.kill(pid, signal.SIGCONT)


def test_pages(parts):
    """A page that says it is current, and is another place's; one that is no
    page; one of an older version, which nobody is shown."""
    parts.fill()
    r = parts.cache.r

    def pages(what):
        code, text = parts.verify()
        return code, int(re.search(rf"^pages .*{what} (\d+)", text, re.M)[1]), \
            text
    for i in (3, 4):
        parts.nginx.get(f"/v1/places/p{i}")
    wait_until(lambda: r.exists("scc:p:1:p3", "scc:p:1:p4") == 2, 10, "pages")
    wait_until(lambda: pages("current")[1] >= 2, 10, "current pages", 0.1)
    good = r.get("scc:p:1:p3")
    keep = r.get("scc:p:1:p4")
    try:
        r.set("scc:p:1:p4", good)
        code, n, text = pages("damaged")
        assert code == 3 and n == 0, text
        assert 'DIFFERS the page of "p4"' in text, text
        assert lines(text)["pages"] == 1 and lines(text)["cache"] == 0
        r.set("scc:p:1:p4", good[:-1] + b"x")
        code, n, text = pages("damaged")
        assert code == 3 and n == 1, text
        r.set("scc:p:1:p4", keep)
        # not a place's, though it is named like one
        r.set(b"scc:p:1:\xff", good)
        r.set("scc:p:2:p4", good)
        assert parts.nginx.post(body("p4"), "u1").status == 202

        def old():
            code, n, text = pages("old")
            assert code == 0, text
            return n >= 1
        wait_until(old, 30, "the page to be old", 0.1)
        assert pages("copies")[1] == len(r.keys("scc:p:1:p*"))
    finally:
        r.delete(b"scc:p:1:\xff", "scc:p:2:p4", "scc:p:1:p4")
        parts.nginx.get("/v1/places/p4")


def test_queue(parts):
    r = parts.queue.r
    r.xadd("scc:queue", {"r": b"nonsense", "s": b"x" * 16})
    for pid in parts.nginx.helpers():
        freeze(pid)
    try:
        r.xadd("scc:queue", {"r": b"nonsense", "s": b"x" * 16})
        code, text = parts.verify()
        assert code == 3 and re.search(r"unreadable [12],", text), text
        # of one entry: two that the ledger has, and what is no record
        had, = map(int, re.findall(r"queue +records (\d+)", text))
        two = [x.raw for x in parts.nginx.records()[:2]]
        r.xadd("scc:queue", {"r": b"".join(two) + b"nonsense",
                             "s": b"x" * 16})
        code, text = parts.verify()
        assert re.search(rf"queue +records {had + 3}, waiting 0 .*"
                         r"unreadable [23],", text), text
    finally:
        for pid in parts.nginx.kids("cache manager"):
            os.kill(pid, signal.SIGCONT)


def test_usage(parts):
    for args, said in ((["dir"], "--journal DIR"),
                       (["--generation", "2"], "goes with --redis"),
                       (["--redis", "nowhere:0"], "no address"),
                       (["--queue", "unix:/nowhere/s"], "cannot connect")):
        p = sccctl("verify", *args, pg=parts.pg, check=False)
        assert p.returncode in (1, 2) and said in p.stderr, (args, p.stderr)
