"""F06: the power is cut under the journal, at any moment.

The negative control is as much part of it: with fdatasync doing nothing the
same rig has to report losses, or it could not see them.
"""

import random
import time

import pytest

import check
from power import PowerDisk, need
from rig import Load, Stack
from servers import wait_until
from shim import Shim

CUTS = 5                # of each test


@pytest.fixture(scope="module")
def shared():
    need()
    with Stack(0, pg={"fsync": False}) as stack:
        yield stack


def cut_once(stack, rng, seed, shim=None, n_dirs=1, segment="256k"):
    """One life of a disk: (acknowledged, kept, faults)."""
    with PowerDisk() as disk:
        with Stack(seed, stack=stack, dirs=[disk.path], shim=shim,
                   scc={"scc_journal_segment": segment},
                   allow_log=[r"."]) as part:
            with Load(part, clients=12, readers=0, tries=1,
                      timeout=2.0) as load:
                load.more(30, 15)
                time.sleep(rng.uniform(0, 0.8))
                disk.cut(part.nginx.family())
                # nobody is told anything any more
                load.end.set()
            part.nginx.kill()
        disk.again()
        faults = check.Faults()
        kept, _ = check.check_journal(load.history, [disk.path], faults)
        return len(load.history.acked()), kept, faults


@pytest.mark.parametrize("turn", range(4))
def test_f06_power_cuts(shared, seed, turn, figure):
    rng = random.Random(seed)
    acked = 0
    for i in range(CUTS):
        n, kept, faults = cut_once(shared, rng, seed)
        assert not faults, f"seed {seed}, cut {i}: {n} acked\n{faults}"
        assert kept == n
        acked += n
    figure("acknowledged, all kept", f"{acked} over {CUTS} cuts")


@pytest.mark.quick
def test_f06_one_power_cut(shared, seed, figure):
    n, kept, faults = cut_once(shared, random.Random(seed), seed)
    assert not faults, f"seed {seed}: {n} acked\n{faults}"
    assert kept == n > 0
    figure("acknowledged, all kept", str(n))


@pytest.mark.quick
def test_f06_the_rig_sees_a_missing_sync(shared, seed, figure):
    """The negative control."""
    shim = Shim()
    shim.nosync()
    n, kept, faults = cut_once(shared, random.Random(seed), seed, shim)
    assert "I1" in faults.found, (
        f"without fdatasync {n} were acknowledged and {kept} kept: the rig "
        "or the checker is blind")
    assert kept < n
    figure("acknowledged without fdatasync, lost", f"{n - kept} of {n}")


def test_f06_the_store_is_whole_after_a_cut(seed):
    """After the cut nginx starts on that disk and applies what it holds."""
    need()
    rng = random.Random(seed)
    with PowerDisk() as disk:
        # a store of its own: the shared one is still given other cuts' events
        with Stack(seed, dirs=[disk.path], pg={"fsync": False},
                   allow_log=[r"."]) as stack:
            with Load(stack, clients=12, readers=0, tries=1,
                      timeout=2.0) as load:
                load.more(100, 15)
                time.sleep(rng.uniform(0, 0.5))
                disk.cut(stack.nginx.family())
                load.end.set()
            stack.nginx.kill()
            stack.queue.r.delete("scc:queue")   # only the journal is left
            disk.again()
            stack.nginx.start()
            wait_until(lambda: not stack.orphans(), 15, "adoption", 0.1)
            stack.drain()
            stack.verify(load.history)
