"""The journal's disk fails, fills up, and is taken away; its files are cut
and damaged.

F10, F13-F18 of the list in README.md.
"""

import contextlib
import errno
import glob
import os
import random
import shutil
import subprocess
import tempfile
import time

import pytest

import check
import journal
import shim as shims
from rig import Load, Stack, need_root
from servers import (SCCCTL, SERVER_USER, base_dir, run, sccctl,
                     wait_until)
from shim import Shim


@pytest.mark.quick
def test_f10_a_sync_fails_once(seed):
    """k from 1 to 50: the k-th fdatasync answers EIO, what it should have
    written is gone, and the next one of that file would say it is not."""
    shim = Shim()
    # a slow disk is another fault's matter: only refusals count here
    with Stack(seed, shim=shim, location="scc_ack_timeout 15s;\n") as stack:
        with Load(stack, clients=16) as load:
            for k in range(1, 51):
                shim.fault("fdatasync", errno.EIO, after=k - 1,
                           mode=shims.LOSE)
                wait_until(lambda: shim.hits("fdatasync"), 10,
                           f"failure {k}")
                # the next one is not to meet the second try of this batch
                load.round()
            load.more(100)
        assert shim.resynced() == 0, "a descriptor was synced again"
        refused = [x for x in load.history.lines if x["status"] == 503]
        assert not refused, "there was room for a new segment: " + str(
            refused[:3])
        stack.drain()
        lost = [s.path for s in journal.segments(*stack.dirs)
                if s.end in ("torn", "corrupt")]
        stack.verify(load.history, damaged=lost)


@pytest.mark.parametrize("op,err,mode,count", [
    ("pwrite", errno.EINTR, shims.PLAIN, 30),
    ("pwrite", errno.EIO, shims.SHORT, 30),         # half, without an error
    ("pwrite", errno.EIO, shims.PLAIN, 30),
    ("pwrite", errno.ENOSPC, shims.SHORT_ERROR, 30),
    ("pwrite", errno.EDQUOT, shims.SHORT_ERROR, 30),
    ("fsync", errno.EIO, shims.PLAIN, 10),
    ("fallocate", errno.ENOSPC, shims.PLAIN, 10),
    ("rename", errno.EIO, shims.PLAIN, 10),
    ("ftruncate", errno.EIO, shims.PLAIN, 10),
    ("open", errno.EMFILE, shims.PLAIN, 10)],
    ids=lambda x: errno.errorcode.get(x) if isinstance(x, int) and x > 3
    else str(x))
def test_f13_calls_fail(seed, op, err, mode, count):
    shim = Shim()
    rng = random.Random(seed)
    # small segments: all that happens between two of them happens often
    with Stack(seed, shim=shim, scc={"scc_journal_segment": "96k"}) as stack:
        with Load(stack, clients=8) as load:
            load.more(50)
            for i in range(8):
                shim.fault(op, err, after=rng.randrange(8),
                           count=1 if i < 5 else count, mode=mode)
                wait_until(lambda: shim.hits(op) >= 1, 10,
                           f"{op} to fail")
                time.sleep(0.1)
            shim.clear()
            load.more(100)
        assert shim.resynced() == 0
        stack.drain()
        torn = [s.path for s in journal.segments(*stack.dirs)
                if s.end == "torn"]
        stack.verify(load.history, damaged=torn)


# -- real small disks --------------------------------------------------------


@contextlib.contextmanager
def small_disk(size, *mkfs):
    """An ext4 of its own, mounted; the path of a journal directory."""
    need_root("a file system of its own")
    image = tempfile.mktemp(prefix="disk-", dir=base_dir())
    with open(image, "wb") as f:
        f.truncate(size)
    at = image + ".d"
    os.mkdir(at)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", *mkfs, image])
    p = run(["mount", "-o", "loop,errors=remount-ro", image, at],
            check=False)
    if p.returncode:
        pytest.skip(f"no loop device: {p.stdout}")
    try:
        path = os.path.join(at, "journal")
        os.mkdir(path, 0o700)
        if SERVER_USER:
            shutil.chown(path, SERVER_USER)
        yield path
    finally:
        subprocess.run(["chattr", "-i", os.path.join(at, "journal")],
                       stderr=subprocess.DEVNULL)
        run(["umount", at], check=False)
        run(["umount", "-l", at], check=False)
        os.unlink(image)


def refused(load, n=30, limit=15):
    """Waits until contributions are refused; all with Retry-After."""
    def count():
        xs = [x for x in load.history.lines if x["status"] == 503]
        return xs if len(xs) >= n else None
    xs = wait_until(count, limit, f"{n} answers 503")
    assert all(x["retry_after"] for x in xs), "503 without Retry-After"
    return xs


def filled(path):
    with open(path, "wb") as f:
        try:
            while True:
                f.write(bytes(1 << 16))
                f.flush()
        except OSError:
            pass


def stop_writes(at):
    """The file system finds an error in itself, and is read-only then."""
    name = os.path.basename(run(["findmnt", "-no", "SOURCE",
                                 at]).stdout.strip())
    with open(f"/sys/fs/ext4/{name}/trigger_fs_error", "w") as f:
        f.write("by a test")


def test_f14_the_disk_fills_up(seed):
    with small_disk(40 << 20) as path:
        with Stack(seed, dirs=[path]) as stack:
            with Load(stack, clients=12) as load:
                load.more(100)
                ballast = os.path.join(os.path.dirname(path), "ballast")
                had = set(glob.glob(path + "/*"))
                filled(ballast)
                refused(load)
                gone = [x for x in had - set(glob.glob(path + "/*"))
                        if not os.path.exists(x[:-5] + ".seg")
                        and os.path.basename(x) != "reserve"]
                assert not gone, f"deleted: {gone}"
                os.unlink(ballast)
                load.more(100)              # by itself, without a restart
            faults = check.check_reads(load.history)
            stack.drain()
            stack.verify(load.history, faults)


@pytest.mark.parametrize("how", ["inodes", "immutable", "readonly"])
def test_f15_no_new_files(seed, how):
    mkfs = ("-N", "64") if how == "inodes" else ()
    with small_disk(48 << 20, *mkfs) as path:
        with Stack(seed, dirs=[path],
                   scc={"scc_journal_segment": "128k"}) as stack:
            at = os.path.dirname(path)
            with Load(stack, clients=12) as load:
                load.more(100)
                if how == "inodes":
                    for i in range(200):
                        try:
                            open(os.path.join(at, f"i{i}"), "w").close()
                        except OSError:
                            break
                elif how == "immutable":
                    run(["chattr", "+i", path])
                else:
                    stop_writes(at)
                refused(load)
                if how == "inodes":
                    for p in glob.glob(at + "/i*"):
                        os.unlink(p)
                    load.more(100)
                elif how == "immutable":
                    run(["chattr", "-i", path])
                    load.more(100)
            if how == "readonly":
                # such a disk needs a person: the journal is read from it
                known = stack.known()
                kept, _ = check.check_journal(load.history, [path],
                                              faults := check.Faults())
                assert not faults, faults
                assert kept and known
                return
            stack.drain()
            stack.verify(load.history)


# -- torn and damaged segments -----------------------------------------------


def sizes(path):
    """(start, end) of the last batch of a segment."""
    s = journal.Segment(path)
    at, count = s.batches[-1]
    with open(path, "rb") as f:
        data = f.read()
    end = at + journal.BLOCK
    pos = journal.BLOCK
    while pos < end:
        _, _, n, size, *_ = journal.batch_header(data, pos, s.head)
        start, pos = pos, pos + -(-(64 + size) // 4096) * 4096
    return start, start + 64 + size, pos, count


def test_f16_torn_tails(seed):
    """Each process' last batch cut, or a sector of it lost, as a power cut
    in the middle of its write leaves it; what came before is all kept, the
    torn one, never acknowledged, is told of and copied aside."""
    rng = random.Random(seed)
    with Stack(seed, pg={"fsync": False}) as stack:
        lost = set()
        for turn in range(4):
            with Load(stack, clients=8, readers=0, turn=turn) as load:
                load.more(60)
                stack.nginx.kill()
            history = load.history if turn == 0 else merged(
                history, load.history)
            for path in glob.glob(stack.dirs[0] + "/*.open"):
                if not journal.Segment(path).batches:
                    continue
                start, end, block, _ = sizes(path)
                s = journal.Segment(path)
                at, n = s.batches[-1]
                with open(path, "r+b") as f:
                    if rng.random() < 0.5:
                        # a prefix was written, zeros follow
                        f.seek(rng.randrange(start + 64, end, 64))
                        f.write(bytes(block - f.tell()))
                    else:
                        f.seek(rng.randrange(start, end, 512))
                        f.write(bytes(min(512, end - f.tell())))
                for r in s.records[-n:]:
                    lost.add(str(r.event_id))
            stack.nginx.start()
            wait_until(lambda: not stack.orphans(), 15, "adoption", 0.1)
        stack.drain()
        # the queue may have had it already: then it is applied
        broken = glob.glob(stack.dirs[0] + "/*.broken")
        assert broken, "no torn tail was copied aside"
        forget(history, lost)
        stack.verify(history)


def merged(a, b):
    """Two loads' histories in one: their numbers must not meet."""
    for x in b.lines:
        x["n"] += 1000000 * (1 + max(y["n"] // 1000000 for y in a.lines))
    a.lines += b.lines
    return a


def forget(history, ids):
    """The test destroyed these itself: whatever became of them is fine."""
    for x in history.lines:
        if x["event_id"] in ids:
            x["outcome"] = "unknown"


def verify_tool(path):
    return sccctl("journal", "verify", path, check=False)


@pytest.mark.quick
def test_f17_flipped_bits(seed):
    """A bit in the middle of a segment, sealed or open: always found, never
    truncated, all other records are applied all the same."""
    rng = random.Random(seed)
    with Stack(seed, pg={"fsync": False}) as stack:
        stack.queue.sigstop()           # nothing gets away by the queue
        stack.pg.sigstop()
        with Load(stack, clients=8, readers=0) as load:
            load.more(80, 30)
            stack.nginx.kill()
        stack.pg.sigcont()
        stack.queue.sigcont()
        stack.queue.r.flushall()
        paths = [s.path for s in journal.segments(*stack.dirs)
                 if len(s.batches) > 3]
        assert paths
        damaged, lost = [], set()
        for path in paths:
            s = journal.Segment(path)
            i = rng.randrange(len(s.batches) - 2)
            start = sum(n for _, n in s.batches[:i])
            n = s.batches[i][1]
            victim = s.records[start + rng.randrange(n)]
            at = s.bytes.index(victim.event_id.bytes)
            with open(path, "r+b") as f:
                f.seek(at + rng.randrange(16))
                byte = f.read(1)
                f.seek(-1, os.SEEK_CUR)
                f.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))
            lost.add(str(victim.event_id))
            damaged.append(path)
            assert journal.Segment(path).end == "corrupt"
            p = verify_tool(path)
            assert p.returncode != 0, f"verify found nothing: {p.stdout}"
        before = {p: os.path.getsize(p) for p in damaged}
        stack.nginx.start()
        ids = {x["event_id"] for x in load.history.acked()} - lost
        wait_until(lambda: not ids - stack.known(), 20,
                   "all other records to be applied", 0.1)
        for path in damaged:
            names = [p for p in glob.glob(os.path.splitext(path)[0] + "*")
                     if os.path.getsize(p) >= before[path]]
            assert names, f"{path} was truncated"
        assert "damage" in stack.nginx.log() \
            or "corrupt" in stack.nginx.log(), "nobody was told"
        forget(load.history, lost)
        stack.verify(load.history, damaged=damaged + [
            os.path.splitext(p)[0] + ".seg" for p in damaged])


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_f17_every_byte(seed, sealed):
    """sccctl and the independent reader agree on a flip of any byte."""
    if not os.path.exists(SCCCTL):
        pytest.skip("sccctl is not built")
    rng = random.Random(seed)
    with Stack(seed, workers=1, pg={"fsync": False},
               scc={"scc_journal_segment": "96k"}) as stack:
        with Load(stack, clients=4, readers=0) as load:
            load.more(10)
            if not sealed:
                stack.nginx.kill()
        if sealed:
            stack.nginx.quit()
        path = journal.segments(*stack.dirs)[0].path
        whole = open(path, "rb").read()
    s = journal.Segment(path)
    end = s.batches[-1][0] + journal.BLOCK
    last = end - journal.BLOCK
    wrong = []
    copy = os.path.join(tempfile.mkdtemp(dir=base_dir()),
                        os.path.basename(path))
    for _ in range(100):
        at = rng.randrange(end)
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        with open(copy, "wb") as f:
            f.write(data)
        mine = journal.Segment(copy)
        p = verify_tool(copy)
        if mine.end in ("clean", "sealed") and mine.sealed == s.sealed \
                and len(mine.records) == len(s.records):
            wrong.append(f"{at}: the independent reader saw nothing")
        if p.returncode == 0:
            wrong.append(f"{at}: sccctl journal verify saw nothing")
        if sealed and at < last and mine.end == "torn":
            wrong.append(f"{at}: taken for a torn tail")
    assert not wrong, wrong[:10]


# -- files taken away --------------------------------------------------------


@pytest.mark.parametrize("what", ["segment", "directory"])
def test_f18_the_journal_is_removed(seed, what):
    with Stack(seed, dirs=None) as stack:
        path = stack.dirs[0]
        with Load(stack, clients=12) as load:
            load.more(100)
            # what is removed must not count: take it all into the store
            time.sleep(0.5)
            if what == "segment":
                for p in glob.glob(path + "/*.open"):
                    os.unlink(p)
                at = time.monotonic()
                load.more(100)
            else:
                shutil.move(path, path + ".gone")
                at = time.monotonic()
                xs = [x for x in refused(load) if x["t0"] > at]
                assert xs
                shutil.move(path + ".gone", path)
                load.more(100)
        # whatever was acknowledged after that is in a file with a name
        stack_ids = stack.journaled()
        gone = [x for x in load.history.acked() if x["t0"] > at
                and x["event_id"] not in stack_ids]
        assert not gone, f"acknowledged from a removed file: {gone[:3]}"
        wait_until(lambda: not {x["event_id"] for x in load.history.acked()}
                   - stack.known(), 30, "the applier", 0.1)
        # and what nobody was told of
        stack.drain(orphans=False)
        assert "removed" in stack.nginx.log() or "No such file" \
            in stack.nginx.log(), "nobody was told"
        stack.verify(load.history, damaged=["removed by the test"])


# -- all the same without faults ---------------------------------------------


@pytest.mark.quick
def test_no_fault_at_all(seed):
    """The checker's other side: a quiet run violates nothing, two
    directories hold the same, and sealing leaves nothing open."""
    with Stack(seed, n_dirs=2) as stack:
        with Load(stack, clients=8) as load:
            load.more(300)
        stack.drain()
        faults = check.check_reads(load.history)
        a, b = [{str(r.event_id): r.sha256
                 for s in journal.segments(d) for r in s.records}
                for d in stack.dirs]
        assert a == b, "the directories differ"
        stack.nginx.quit()
        ends = [s.end for s in journal.segments(*stack.dirs)]
        assert set(ends) == {"sealed"}, ends
        stack.verify(load.history, faults,
                     durability=lambda x: {"journal": 2, "queue": 1})
        assert not load.history.outcomes()["unknown"]


def test_the_checker_can_fail(seed):
    """A history that lies, a store that lost: each is seen."""
    with Stack(seed, pg={"fsync": False}) as stack:
        with Load(stack, clients=8, readers=0) as load:
            load.more(100)
        stack.drain()
        store = stack.store()
        gone = [e for e in store.events if e[0] not in stack.before][0]
        store.events.remove(gone)
        found = check.check(load.history, stack.dirs, store,
                            stack.before).found
        assert "I1" in found and "I7" in found, dict(found)

        store = stack.store()
        lines = load.history.lines
        load.history.lines = lines[1:]
        found = check.check(load.history, stack.dirs, store,
                            stack.before).found
        assert "I2" in found, dict(found)
        load.history.lines = lines

        x = dict(load.history.acked()[0], sha256="0" * 64)
        load.history.lines = [x] + lines
        found = check.check(load.history, stack.dirs, store,
                            stack.before).found
        assert "I1" in found, dict(found)
        load.history.lines = lines

        k = next(iter(store.place_accessibility))
        store.place_accessibility[k] = (1, gone[0], "NONE", "x")
        found = check.check(load.history, stack.dirs, store,
                            stack.before).found
        assert "I3" in found, dict(found)
        assert not check.check(load.history, stack.dirs, stack.store(),
                               stack.before)
