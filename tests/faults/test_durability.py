"""The queue's disk fails: what "queue=1" said is kept, and it is not said of
a queue that cannot keep it.

F08, F27 of the list in README.md; not part of "make test".
"""

import contextlib
import os
import re
import shutil
import subprocess

import pytest
import redis

import check
import rig
from power import PowerDisk, need
from rig import Load, Stack
from servers import SERVER_USER, new_dir, run, wait_until


def claims(lines):
    return [x for x in lines if x["outcome"] == "ok"
            and check.parse_durability(x["durability"]).get("queue")]


@pytest.mark.parametrize("sync", ["always", "everysec"])
def test_f08_the_queues_power_is_cut(seed, sync, figure):
    need()
    with PowerDisk() as disk:
        queue = rig.queue_redis(dir=disk.path, appendfsync=sync)
        with Stack(seed, queue=queue, allow_log=[r"."],
                   location="scc_ack queue;") as stack:
            with Load(stack, tries=1) as load:
                load.more(50)
                # entries stay in the queue
                stack.pg.sigstop()
                before = len(stack.queued())
                since = max(x["t1"] for x in load.history.lines)
                load.more(300)
                disk.cut(stack.queue.family())
                stack.queue.kill()
                load.more(50)               # the journal goes on
                disk.again()
                stack.queue.start()
                kept = len(stack.queued())
                said = len(claims(load.since(since)))
                stack.pg.sigcont()
                load.more(50)
            if sync == "always":
                assert 0 < said <= kept, (seed, said, before, kept)
            else:
                assert claims(load.history.lines) == []
                assert "scc: audit R2: " in stack.nginx.log()
            figure(f"{sync}: said to be queued, found after the cut",
                   f"{said}, {kept}")
            stack.drain()
            stack.verify(load.history)


@contextlib.contextmanager
def small_disk(size):
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk that is soon full")
    path = new_dir("full")
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                        "none", path], capture_output=True, text=True)
    if p.returncode:
        pytest.skip(f"cannot mount: {p.stderr}")
    shutil.chown(path, SERVER_USER)
    try:
        yield path
    finally:
        run(["umount", "-l", path])


@pytest.mark.parametrize("sync", ["always", "everysec"])
def test_f27_the_queues_disk_is_full(seed, sync):
    """Redis ends itself (always), or takes nothing more (everysec)."""
    with small_disk("6m") as path:
        queue = rig.queue_redis(dir=path, appendfsync=sync)
        with Stack(seed, queue=queue, allow_log=[r"."],
                   location="scc_ack queue;",
                   scc={"scc_audit_interval": "500ms"}) as stack:
            with Load(stack) as load:
                load.more(50)
                r = stack.queue.client()
                with contextlib.suppress(redis.RedisError):
                    for i in range(2000):
                        r.set(f"ballast:{i}", os.urandom(8192))
                bad = r"scc: audit R1{}: .*(failed to write|does not say)"
                wait_until(lambda: re.search(bad.format(""),
                                             stack.nginx.log()), 30, "R1",
                           0.1)
                since = max(x["t1"] for x in load.history.lines)
                load.more(20, 30)       # each waits for the queue in vain
                assert claims(load.since(since)) == []

                run(["mount", "-o", "remount,size=200m", path])
                if not stack.queue.running():
                    stack.queue.gone()
                    stack.queue.start()
                wait_until(lambda: re.search(bad.format(" is over"),
                                             stack.nginx.log()), 30,
                           "the end of R1", 0.1)
                load.more(50)
            stack.drain(60)
            stack.verify(load.history)
