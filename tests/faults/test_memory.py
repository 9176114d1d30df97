"""Memory runs out: the kernel kills a worker, the helper, Redis, PostgreSQL.

F35 of the list in README.md.  Each in a cgroup of its own with little
memory, in turn, under load; where there is no memory controller that this
user may use, SIGKILL stands in for it and the test says so.
"""

import os
import random
import signal
import time

import psycopg2
import pytest

import check
from rig import Load, Stack
from servers import Closed, alive, wait_until

pytestmark = pytest.mark.lost

V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"


class Cgroup:
    """Little memory for some processes; only what is new counts."""

    count = 0

    def __init__(self, limit):
        Cgroup.count += 1
        name = f"scc-test-{os.getpid()}-{Cgroup.count}"
        self.v1 = os.path.exists(os.path.join(V1, "memory.limit_in_bytes"))
        self.path = os.path.join(V1 if self.v1 else V2, name)
        os.mkdir(self.path)
        try:
            self.write("memory.limit_in_bytes" if self.v1 else "memory.max",
                       limit)
        except OSError:
            os.rmdir(self.path)
            raise

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w") as f:
            f.write(str(text))

    def add(self, *pids):
        for pid in pids:
            try:
                self.write("cgroup.procs", pid)
            except ProcessLookupError:
                pass

    def kills(self):
        name = "memory.oom_control" if self.v1 else "memory.events"
        with open(os.path.join(self.path, name)) as f:
            return int(dict(x.split() for x in f).get("oom_kill", 0))

    def remove(self):
        def gone():
            try:
                os.rmdir(self.path)
                return True
            except OSError:
                return False
        wait_until(gone, 10, "the end of " + self.path, 0.05)


def starve(pids, push):
    """The kernel kills one of these for memory, or we do; says which.

    push(): makes them need some, again and again.
    """
    try:
        group = Cgroup(256 << 10)
    except OSError as e:
        print(f"no memory cgroup here ({e}): SIGKILL instead")
        os.kill(pids[0], signal.SIGKILL)
        return "killed"
    try:
        group.add(*pids)
        end = time.monotonic() + 10
        while group.kills() == 0:
            if time.monotonic() > end or not all(map(alive, pids)):
                break
            push()
            time.sleep(0.05)
        if group.kills():
            return "out of memory"
        print("it needed no memory: SIGKILL instead")
        os.kill(pids[0], signal.SIGKILL)
        return "killed"
    finally:
        # those that are left may live on
        with open(os.path.join(group.path, "cgroup.procs")) as f:
            left = f.read().split()
        for pid in left:
            try:
                with open(os.path.join(os.path.dirname(group.path),
                                       "cgroup.procs"), "w") as f:
                    f.write(pid)
            except ProcessLookupError:
                pass
        group.remove()


def push_reads(stack):
    """Views of many places, in connections of their own."""
    for _ in range(20):
        try:
            stack.nginx.get("/v1/places?bbox=126.8,37.4,127.2,37.7"
                            "&limit=1000", timeout=5)
        except (Closed, OSError):
            pass


def victims(stack, part):
    """Processes to starve, and what makes them want memory."""
    if part == "worker":
        return [random.choice(stack.nginx.workers())], \
            lambda: push_reads(stack)
    if part == "helper":
        return stack.nginx.helpers()[:1], lambda: None
    if part == "postgres":
        def push():
            try:
                stack.pg.query("SELECT length(string_agg(repeat('x', 1000),"
                               " '')) FROM generate_series(1, 20000)")
            except psycopg2.Error:
                pass
        # a backend of nginx's: with it PostgreSQL starts all anew
        pid = stack.pg.query("SELECT pid FROM pg_stat_activity WHERE "
                             "usename = 'scc_app' LIMIT 1")
        return [pid[0][0]] if pid else [], push
    server = getattr(stack, part)

    def grow():
        try:
            server.client().set("ballast", os.urandom(4 << 20))
        except Exception:               # noqa: BLE001 it is being killed
            pass
    return [server.pid], grow


def revive(stack, part):
    if part in ("cache", "queue"):
        server = getattr(stack, part)
        wait_until(lambda: not server.running(), 10, f"the end of {part}")
        server.gone()
        server.start()
    if part == "postgres":
        def answers():
            try:
                return stack.pg.query("SELECT 1")
            except psycopg2.Error:
                return None
        wait_until(answers, 30, "PostgreSQL", 0.1)


@pytest.mark.parametrize("part", [
    "worker", "helper", "queue", "cache", "postgres"])
def test_f35_out_of_memory(seed, part, figure):
    """Twice, under load: nothing that was acknowledged is lost."""
    random.seed(seed)
    with Stack(seed, allow_log=[r"closed the connection|terminating"]) \
            as stack:
        how = []
        with Load(stack, clients=8) as load:
            for _ in range(2):
                load.more(40)
                pids, push = wait_until(
                    lambda: (lambda v: v if v[0] else None)(
                        victims(stack, part)), 10, f"a {part}")
                how.append(starve(pids, push))
                revive(stack, part)
                wait_until(lambda: len(stack.nginx.workers()) == 2
                           and stack.nginx.helpers(), 10,
                           "nginx's processes")
            load.more(40, 30)
        figure(part, ", ".join(how))
        # reads may find nobody for a moment, but never nothing
        faults = check.check_reads(load.history,
                                   allow=lambda r: r.status == 503)
        stack.drain(60)
        stack.verify(load.history, faults)
