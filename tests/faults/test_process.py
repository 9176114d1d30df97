"""Processes die, freeze, and are replaced; the clock jumps.

F01-F05, F32 of the list in README.md.
"""

import os
import random
import signal
import time

import pytest

import journal
from rig import Load, Stack
from servers import alive, children, fd_list, freeze, wait_until
from shim import Shim


def killed(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


@pytest.mark.quick
def test_f01_workers_are_killed(seed):
    rng = random.Random(seed)
    with Stack(seed, allow_log=[r"worker process \d+ exited"]) as stack:
        with Load(stack) as load:
            load.more(100)
            deaths = 0
            end = time.monotonic() + 5
            while time.monotonic() < end:
                time.sleep(rng.uniform(0.3, 0.9))
                workers = stack.nginx.workers()
                if workers:
                    killed(rng.choice(workers))
                    deaths += 1
            load.more(100)
        assert deaths >= 4
        stack.drain()
        stack.verify(load.history)


def test_f02_all_of_nginx_is_killed(seed):
    with Stack(seed) as stack:
        with Load(stack) as load:
            for _ in range(3):
                load.more(150)
                stack.nginx.kill()
                stack.nginx.start()
            load.more(100)
        # what the dead had open is adopted; not before it is 5 s old, as
        # until then its writer might be about to lock it
        wait_until(lambda: not stack.orphans(), 15,
                   "the adoption of orphaned segments", 0.1)
        stack.drain()
        stack.verify(load.history)


def test_f03_reloads_without_a_pause(seed):
    with Stack(seed, shutdown="1s") as stack:
        with Load(stack) as load:
            load.more(50)
            end = time.monotonic() + 8
            while time.monotonic() < end:
                stack.nginx.signal(signal.SIGHUP)
                time.sleep(0.3)
            load.more(100)
        stack.drain()
        # the old workers are gone, and left nothing open behind
        wait_until(lambda: not stack.nginx.kids("shutting down"), 5,
                   "the end of old workers")
        ends = {s.end for s in journal.segments(*stack.dirs)
                if s.path.endswith(".seg")}
        assert ends <= {"sealed", "clean"}, ends
        stack.verify(load.history)


def test_f04_binary_upgrade(seed):
    with Stack(seed, detached=True) as stack:
        nginx = stack.nginx
        try:
            with Load(stack) as load:
                for _ in range(2):
                    load.more(100)
                    old = nginx.masters()
                    assert len(old) == 1, old
                    killed(old[0], signal.SIGUSR2)
                    wait_until(lambda: len(nginx.masters()) == 2, 10,
                               "the new master")
                    new = [p for p in nginx.masters() if p not in old][0]
                    wait_until(lambda: len(children(new)) >= 3, 10,
                               "the new workers")
                    load.more(50)
                    for pid in [new, *children(new)]:
                        opened = [x for x in fd_list(pid)
                                  if x.endswith(".open")
                                  and f"{pid:08x}" not in x]
                        assert not opened, (
                            f"process {pid} has inherited {opened}")
                    killed(old[0], signal.SIGWINCH)
                    load.more(50)
                    killed(old[0], signal.SIGQUIT)
                    wait_until(lambda: not alive(old[0]), 15,
                               "the end of the old master")
                    load.more(100)
            stack.drain()
            stack.verify(load.history)
        finally:
            for pid in nginx.masters():
                for kid in children(pid):
                    killed(kid)
                killed(pid)


def test_f05_a_worker_freezes(seed):
    rng = random.Random(seed)
    with Stack(seed) as stack:
        with Load(stack, clients=16, timeout=3.0) as load:
            load.more(100)
            victim = rng.choice(stack.nginx.workers())
            freeze(victim)
            at = time.monotonic()
            time.sleep(5)
            during = [x for x in load.since(at + 1)
                      if x["outcome"] == "ok"]
            killed(victim, signal.SIGCONT)
            load.more(100)
        # the other one went on, and nobody was told "ok" by the frozen one
        assert during, "no worker answered while one was frozen"
        late = [x for x in load.history.lines if x["outcome"] == "ok"
                and x["t1"] - x["t0"] > 3.0]
        assert not late, late[:3]
        stack.drain()
        stack.verify(load.history)


# -- the clock ---------------------------------------------------------------


HOUR, YEAR = 3600, 365 * 86400


@pytest.mark.parametrize("steps", [
    [HOUR, 0, -HOUR, 0], [66 * YEAR, 0, -25 * YEAR, 0]],
    ids=["hours", "years"])
@pytest.mark.parametrize("start", ["go on", "reload", "restart"])
def test_f32_the_clock_jumps(seed, steps, start):
    with Stack(seed, shim=Shim()) as stack:
        with Load(stack) as load:
            for step in steps:
                load.more(60)
                stack.shim.clock(step)
                if start == "reload":
                    stack.nginx.signal(signal.SIGHUP)
                elif start == "restart":
                    stack.nginx.kill()
                    stack.nginx.start()
            load.more(60)
        stack.drain()
        stack.verify(load.history)
        # in each segment the clock goes on
        for s in journal.segments(*stack.dirs):
            hlcs = [r.hlc for r in s.records]
            assert hlcs == sorted(set(hlcs)), s.path
        top = max(r.hlc for s in journal.segments(*stack.dirs)
                  for r in s.records) >> 16
        assert top < (time.time() + 2 * 86400) * 1000, \
            "a clock that jumped by years was followed"
        if max(steps) > YEAR and start == "go on":
            assert "clock has jumped" in stack.nginx.log()


def newest(stack):
    """Seconds from now to the newest hlc of the journal."""
    top = max(r.hlc for s in journal.segments(*stack.dirs)
              for r in s.records) >> 16
    return top / 1000 - time.time()


def asked(stack):
    """The helper has asked the store for its clock."""
    return stack.pg.query(
        "SELECT 1 FROM pg_stat_activity WHERE state = 'idle' AND query LIKE "
        "'%pg_relation_size%' AND pid <> pg_backend_pid()")


def test_f32_started_with_a_wrong_clock(seed):
    """Its journal is empty: the store tells nginx that it is wrong."""
    with Stack(seed, shim=Shim()) as stack:
        stack.nginx.kill()
        stack.shim.clock(66 * YEAR)
        stack.nginx.start()
        wait_until(lambda: asked(stack), 10, "the helper")
        time.sleep(0.2)                 # for its answer to arrive
        with Load(stack) as load:
            load.more(60)
            assert newest(stack) < 60
            stack.shim.clock(0)
            load.more(60)
        assert -60 < newest(stack) < 60
        assert "clock has jumped" in stack.nginx.log()
        stack.drain()
        stack.verify(load.history)


def test_f32_the_store_is_away(seed):
    """Its own journal tells nginx that its clock is wrong."""
    with Stack(seed, shim=Shim()) as stack:
        with Load(stack, readers=0) as load:
            load.more(60)
            stack.pg.sigstop()
            stack.nginx.kill()
            stack.shim.clock(66 * YEAR)
            stack.nginx.start()
            load.more(60)
            assert newest(stack) < 60
            stack.pg.sigcont()
            stack.shim.clock(0)
            load.more(60)
        assert -60 < newest(stack) < 60
        assert "clock has jumped" in stack.nginx.log()
        stack.drain()
        stack.verify(load.history)


def test_f32_dated_after_the_store(seed):
    """Taken while nothing was known of the time: it is applied, reported,
    and followed by no other clock."""
    with Stack(seed, shim=Shim(), allow_log=["is dated"]) as stack:
        stack.pg.sigstop()
        stack.nginx.kill()
        stack.shim.clock(66 * YEAR)
        stack.nginx.start()
        with Load(stack, clients=1, readers=0) as load:
            load.more(1)
        assert newest(stack) > 65 * YEAR
        stack.nginx.kill()
        stack.shim.clock(0)
        stack.pg.sigcont()
        stack.nginx.start()
        stack.drain()
        wait_until(lambda: "is dated" in stack.nginx.log(), 10, "the log")
        with Stack(seed, stack=stack, allow_log=["is dated"]) as other:
            with Load(other, clients=2, readers=0) as more:
                more.more(20)
            assert newest(other) < 60
            other.drain()


def test_a_helper_that_hangs_proves_nothing(seed):
    """What it once proved is not said for ever; nor is it lost with it."""
    with Stack(seed, scc={"scc_audit_interval": "300ms"},
               allow_log=[r"cache manager process \d+ exited"]) as stack:
        def said():
            a = stack.nginx.get("/v1/contributions", {
                "Content-Type": "application/json", "X-Contributor": "u1"},
                "POST", b'{"kind":"comment","placeId":"p","comment":"c"}')
            assert a.status == 202, a.body
            return a.headers["scc-durability"]

        wait_until(lambda: said().startswith("journal=1"), 30, "the proof")
        helper, = stack.nginx.helpers()
        freeze(helper)
        try:
            wait_until(lambda: said().startswith("journal=0"), 60,
                       "the proof to be too old", 0.5)
        finally:
            os.kill(helper, signal.SIGCONT)
        wait_until(lambda: said().startswith("journal=1"), 30,
                   "another proof")
        killed(helper)
        wait_until(lambda: helper not in stack.nginx.helpers()
                   and stack.nginx.helpers(), 30, "another helper")
        assert said().startswith("journal=1")
