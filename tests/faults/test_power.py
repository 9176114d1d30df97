"""F06, F07: the power is cut under the journal, at any moment, and at that
when a segment has just begun; F09: under PostgreSQL.

The negative controls are as much part of it: without fdatasync, without the
fsync of a directory, without synchronous_commit the same rig has to report
losses, or it could not see them.
"""

import os
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


def cut_once(stack, rng, seed, shim=None, segment="256k", moment=None):
    """One life of a disk: (acknowledged, kept, faults).

    moment(disk, rng): returns when the power is to be cut."""
    with PowerDisk() as disk:
        with Stack(seed, stack=stack, dirs=[disk.path], shim=shim,
                   scc={"scc_journal_segment": segment},
                   allow_log=[r"."]) as part:
            with Load(part, clients=12, readers=0, tries=1,
                      timeout=2.0) as load:
                load.more(30, 30)
                if moment:
                    moment(disk, rng)
                else:
                    time.sleep(rng.uniform(0, 0.8))
                disk.cut(part.nginx.family())
                # nobody is told anything any more
                load.end.set()
            part.nginx.kill()
        disk.again()
        if shim is not None and shim.keeps_names():
            shim.undo_names((".open", ".seg"))
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


# -- F07 ---------------------------------------------------------------------


def begun(disk, rng):
    """A segment has begun, or is about to be acknowledged from."""
    had = set(os.listdir(disk.path))
    wait_until(lambda: [x for x in os.listdir(disk.path)
                        if x.endswith(".open") and x not in had], 30,
               "a new segment", 0.0005)
    time.sleep(rng.choice((0, rng.uniform(0, 0.02))))


def rotated(shared, rng, seed, synced):
    """ext4's fsync of a new file makes its name durable, too.  POSIX does not
    promise that: so names are kept only as far as their directory was
    synced."""
    shim = Shim()
    shim.names(synced)
    return cut_once(shared, rng, seed, shim, "1m", begun)


def test_f07_cuts_when_segments_begin(shared, seed, figure):
    rng = random.Random(seed)
    acked = 0
    for i in range(CUTS):
        n, kept, faults = rotated(shared, rng, seed, True)
        assert not faults, f"seed {seed}, cut {i}: {n} acked\n{faults}"
        assert kept == n
        acked += n
    figure("acknowledged, all kept", f"{acked} over {CUTS} cuts")


def test_f07_the_rig_sees_a_missing_sync(shared, seed, figure):
    """The negative control: no directory is synced."""
    n, kept, faults = rotated(shared, random.Random(seed), seed, False)
    assert "I1" in faults.found, (
        f"without the directory's fsync {n} were acknowledged and {kept} "
        "kept: the rig or the checker is blind")
    figure("acknowledged, directory not synced, lost", f"{n - kept} of {n}")


# -- F09 ---------------------------------------------------------------------


# in the statement that applies; so that the length stays
COMMIT, LAZY = b"'synchronous_commit', 'on', true", \
    b"'synchronous_commit', 'off',true"


def cut_under_store(seed, role=None, lazy=False):
    """The store's power is cut: (said to be applied, of those found when it
    is back).  role: a setting of the role's; lazy: what the applier asks of
    the store is falsified on its way."""
    need()
    with PowerDisk(1 << 30) as disk:
        with Stack(seed, location="scc_ack applied; scc_ack_timeout 2s;\n",
                   proxied=["pg"], allow_log=[r"."],
                   # what nobody waits for is not written for 10 s
                   pg={"place": os.path.join(disk.path, "data"),
                       "wal_writer_delay": "10s"}) as stack:
            proxy = stack.proxies["pg"]
            if lazy:
                proxy.replace = COMMIT, LAZY
            if role:
                stack.pg.query(f"ALTER ROLE scc_app SET {role}")
            stack.nginx.restart()       # sessions that know all this
            disk.sync()                 # the store began on it
            with Load(stack, clients=8, readers=0, tries=1,
                      timeout=4.0) as load:
                load.more(200, 60)
                disk.cut(stack.pg.family())
                proxy.set("refuse")     # nobody mends it behind our back
                load.more(20, 60)       # the journal goes on
            stack.pg.kill()
            said = {x["event_id"] for x in load.history.acked()
                    if check.parse_durability(x["durability"]).get("applied")}
            disk.again()
            stack.pg.start()
            kept = stack.known()
            if lazy:
                assert proxy.replaced, "the statement has another form"
                return len(said), len(said & kept)
            proxy.set("pass")
            stack.drain(60)
            stack.verify(load.history)
            return len(said), len(said & kept)


@pytest.mark.parametrize("role", [None, "synchronous_commit = off"],
                         ids=["on", "role-off"])
def test_f09_the_stores_power_is_cut(seed, role, figure):
    """Also where the role's setting says not to wait for the disk: each
    transaction of the applier says that it waits."""
    said, kept = cut_under_store(seed, role)
    assert 100 < said == kept, (seed, said, kept)
    figure("said to be applied, all there", str(said))


def test_f09_the_rig_sees_a_missing_sync(seed, figure):
    """The negative control: the applier does not wait."""
    for _ in range(3):          # somebody else's commit may have come last
        said, kept = cut_under_store(seed, lazy=True)
        if said > kept:
            break
    assert said > kept, (
        f"seed {seed}: {said} said to be applied without a sync, {kept} "
        "kept: the rig is blind")
    figure("said to be applied without a sync, lost",
           f"{said - kept} of {said}")
