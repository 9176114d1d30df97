"""The counters of the write path, as the variables $scc_write_... show
them."""

import os
import signal
import time

import pytest

from contribute import (Writer, accepted, large_body, new_body, problem,
                        queue_redis)
from servers import Nginx, Postgres, sccctl, wait_until


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        yield server


NUMBERS = ["accepted", "repeated", "waited", "rejected_contributor",
           "rejected_type", "rejected_size", "rejected_key", "rejected_body",
           "rejected_conflict", "rejected_right", "refused", "unknown",
           "fallback", "left", "journaled", "journal_batches", "journal_bytes",
           "journal_failed", "journal_errors", "journal_segments",
           "journal_reserves", "sync_usec", "queued", "unqueued", "applied",
           "known", "dead", "retries", "future", "forgotten", "pending",
           "oldest", "sync_times"]
NUMBERS_AT = "location = /numbers { return 200 '%s'; }\n" % "\\n".join(
    f"{x} $scc_write_{x}" for x in NUMBERS)


def numbers(nginx):
    out = {}
    for line in nginx.get("/numbers").body.decode().splitlines():
        name, _, value = line.partition(" ")
        out[name] = [int(x) for x in value.split(",")]
        if name != "sync_times":
            (out[name],) = out[name]
    return out


def test_numbers(pg):
    """Every contribution is counted on its way, and every refusal by what
    was wrong."""
    with queue_redis() as queue, Writer(pg, queue=queue, workers=2,
                                        server=NUMBERS_AT) as nginx:
        first = numbers(nginx)
        assert first["sync_times"] == [0] * 12
        assert set(first.pop("sync_times") + list(first.values())) == {0}

        data = new_body()
        for _ in range(3):
            accepted(nginx.post(data, key="k"))
        for _ in range(4):
            accepted(nginx.post())
        problem(nginx.post(key="k"), 422)
        problem(nginx.post(user=""), 401)
        problem(nginx.post(headers={"Content-Type": "text/plain"}), 415)
        problem(nginx.post(b"{}"), 400)
        problem(nginx.post(key="x" * 256), 400)
        problem(nginx.post(large_body(300 * 1024)), 413)

        wait_until(lambda: numbers(nginx)["queued"] == 5, 5, "the queue")
        n = numbers(nginx)
        assert (n["accepted"], n["repeated"], n["journaled"]) == (7, 2, 5)
        assert [n["rejected_" + x] for x in (
            "contributor", "type", "size", "key", "body", "conflict")] \
            == [1] * 6
        assert 0 < n["journal_batches"] <= 5 == sum(n["sync_times"]) \
            or sum(n["sync_times"]) == n["journal_batches"]
        assert n["journal_bytes"] >= 4096 * n["journal_batches"]
        assert n["journal_segments"] in (1, 2) and n["sync_usec"] > 0
        assert n["applied"] == n["dead"] == n["refused"] == 0

        time.sleep(1.1)                 # the oldest is a second old, then
        for pid in nginx.helpers():
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: numbers(nginx)["applied"] == 5, 10, "the applier")
        wait_until(lambda: numbers(nginx)["pending"] == 0, 5, "the count")
        n = numbers(nginx)
        # the journal's first pass may bring what the queue brings, too
        assert n["known"] <= 5
        assert (n["dead"], n["oldest"]) == (0, 0)


def test_numbers_of_what_waits(pg):
    """The store is away: how many wait, and how long the oldest has."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        with Writer(pg, helper=True, server=NUMBERS_AT) as nginx:
            pg.sigstop()
            for _ in range(3):
                accepted(nginx.post())
            wait_until(lambda: numbers(nginx)["pending"] == 3, 5, "three")
            wait_until(lambda: numbers(nginx)["oldest"] >= 2, 5, "an age")
            assert numbers(nginx)["oldest"] < 60
            pg.sigcont()
            wait_until(lambda: numbers(nginx)["pending"] == 0, 40, "none")
            n = numbers(nginx)
            assert (n["applied"], n["oldest"]) == (3, 0)


def test_numbers_without_a_journal(pg):
    with Nginx(pg, server=NUMBERS_AT) as nginx:
        assert nginx.get("/numbers").body.startswith(b"accepted \n")
