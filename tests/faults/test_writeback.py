"""The journal's disk takes what is written, and then cannot keep it.

F11  its writes fail for a while, and do not any more
F12  it has less room than it says: the error comes with the sync, once, and
     another sync says that all is well ("fsyncgate")

Both look at what is on the disk itself, not at what the kernel remembers.
"""

import random
import shutil
import time

import check
import journal
from power import BrokenDisk, ThinDisk, own_dir
from rig import Load, Stack
from servers import new_dir, wait_until
from shim import Shim


def second():
    path = new_dir("second") + "/journal"
    own_dir(path)
    return path


def torn(dirs):
    """Segments given up in the middle of a batch that nobody was told of."""
    return [s.path for s in journal.segments(*dirs)
            if s.end in ("torn", "corrupt")]


def on_the_disk(stack, disk, history):
    """nginx ends, and what it was told is read from the disk: how much was
    acknowledged, and the faults."""
    stack.nginx.kill()
    disk.forget()
    faults = check.Faults()
    n = len(history.acked())
    kept, _ = check.check_journal(history, [disk.path], faults)
    return n, kept, faults


def all_kept(stack, disk, load):
    """How many were acknowledged; they are on the disk, and then applied."""
    n, kept, faults = on_the_disk(stack, disk, load.history)
    assert not faults, (f"seed {stack.seed}: {n} acknowledged, {kept} kept\n"
                        f"{faults}")
    stack.nginx.start()
    stack.drain(60)
    stack.verify(load.history, damaged=torn(stack.dirs))
    return str(n)


def test_f11_the_disk_is_broken_for_a_while(seed, figure):
    """What is acknowledged is in both directories: nothing is, while one of
    them cannot be written."""
    rng = random.Random(seed)
    spans = []
    with BrokenDisk() as disk, \
            Stack(seed, dirs=[disk.path, second()], allow_log=[r"."],
                  scc={"scc_journal_segment": "256k"}) as stack:
        with Load(stack, clients=12) as load:
            load.more(60, 30)
            for _ in range(5):
                disk.broken()
                since = time.monotonic()
                time.sleep(rng.uniform(0.5, 2))
                wait_until(lambda: any(x["status"] == 503 for x
                                       in load.since(since)), 30, "a 503")
                spans.append((since, time.monotonic()))
                disk.broken(False)
                load.more(60, 30)
        lies = [x for x in load.history.acked()
                for since, until in spans
                if x["t0"] > since and x["t1"] < until]
        assert not lies, f"seed {seed}: acknowledged meanwhile: {lies[:3]}"
        figure("acknowledged, all on the disk", all_kept(stack, disk, load))


def thin(seed, shim=None):
    """(stack, disk, load) after the disk was full three times."""
    with ThinDisk() as disk, \
            Stack(seed, dirs=[disk.path], shim=shim, allow_log=[r"."],
                  pg={"fsync": False},
                  scc={"scc_journal_segment": "1m"}) as stack:
        with Load(stack, clients=12, readers=0) as load:
            load.more(60, 30)
            for _ in range(3):
                disk.full()
                since = time.monotonic()
                if shim is None:
                    wait_until(lambda: any(x["status"] == 503 for x
                                           in load.since(since)), 60,
                               "a 503")
                else:
                    wait_until(lambda: shim.resynced() > 3, 60,
                               "syncs that fail")
                disk.more()
                if shim is None:
                    load.more(60, 30)
        yield stack, disk, load


def test_f12_written_back_in_vain(seed, figure):
    for stack, disk, load in thin(seed):
        figure("acknowledged, all on the disk", all_kept(stack, disk, load))


def test_f12_the_rig_sees_a_sync_that_is_repeated(seed, figure):
    """The negative control: the second sync's answer is believed."""
    shim = Shim()
    shim.again()
    for stack, disk, load in thin(seed, shim):
        n, kept, faults = on_the_disk(stack, disk, load.history)
        assert "I1" in faults.found, (
            f"seed {seed}: a failed sync was repeated and believed, {n} "
            f"were acknowledged, {kept} kept: the rig is blind")
        figure("acknowledged by a repeated sync, lost", f"{n - kept} of {n}")
