"""What was acknowledged is in the journal, whatever happens to workers,
disks and directories meanwhile.  The rest is told that it is not."""

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import sccj
from contribute import (PATH, POOL, Load, Writer, accepted, durability, head,
                        journal_dir, large_body, new_body,
                        post_together, problem, queue_redis, request,
                        store_uuid)
from servers import (SERVER_USER, Postgres, base_dir, freeze, new_dir,
                     sccctl, wait_until)

HERE = os.path.dirname(os.path.abspath(__file__))
# nginx frees what a killed worker had locked
KILLED = ["exited on signal 9", "was locked by"]


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        yield server


@pytest.fixture(scope="module")
def store(pg):
    return store_uuid(pg)


@pytest.fixture(scope="module")
def queue():
    with queue_redis() as server:
        yield server


@pytest.fixture(scope="session")
def shim():
    """The path of the library that spoils syncs."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the fault injection")
    path = os.path.join(base_dir(), "sync_shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path,
                    os.path.join(HERE, "sync_shim.c"), "-ldl"], check=True)
    os.chmod(path, 0o755)
    return path


class Faults:
    """The knobs of the shim, and its log."""

    def __init__(self, shim):
        self.dir = new_dir("shim")
        self.env = {"LD_PRELOAD": shim, "SCC_SHIM": self.dir}

    def on(self, name):
        with open(os.path.join(self.dir, name), "w"):
            pass

    def off(self, name):
        os.unlink(os.path.join(self.dir, name))

    def waiting(self, name):
        return os.path.exists(os.path.join(self.dir, name))

    def log(self):
        path = os.path.join(self.dir, "log")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [(int(a), b, c, int(d)) for a, b, c, d in
                    (x.split() for x in f.read().splitlines())]

    def check(self):
        """What failed to sync once was never synced again."""
        failed = set()
        for _, call, path, rc in self.log():
            assert path not in failed, f"{call} after a failed one: {path}"
            if rc != 0:
                failed.add(path)
        return failed


@pytest.fixture
def faults(shim):
    f = Faults(shim)
    yield f
    f.check()


# -- workers -----------------------------------------------------------------


def test_workers_killed(pg, queue, figure):
    """F01: what a killed worker had acknowledged is in its segment."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    with Writer(pg, queue=queue, workers=2, allow_log=KILLED,
                scc={"scc_journal_segment": "1m",
                     "scc_journal_pending": "512k"}) as nginx:
        with Load(nginx, 12) as load:
            for _ in range(12):
                load.wait(rng.randrange(1, 60))
                os.kill(rng.choice(wait_until(nginx.workers, 30, "a worker")),
                        signal.SIGKILL)
        load.verify(*nginx.dirs)
        assert load.lost and not load.other, load.other
        figure("acknowledged, kills", f"{load.count()}, 12 (seed {seed})")
        assert len(sccj.segments(nginx.dirs[0])) > 2


def test_reloads(pg, queue, figure):
    """F03: no acknowledged contribution is lost, and no request is."""
    with Writer(pg, queue=queue, workers=2) as nginx:
        with Load(nginx, 12) as load:
            for _ in range(5):
                load.wait(40)
                nginx.reload()
            load.wait(40)
        load.verify(*nginx.dirs)
        assert not load.other, load.other
        figure("acknowledged, reloads", f"{load.count()}, 5")
        nginx.quit()
        ends = {sccj.Segment(p).end for p in sccj.segments(nginx.dirs[0])}
        assert ends == {"sealed"}
        assert not [x for x in os.listdir(nginx.dirs[0])
                    if x.endswith(".open")]


def test_unreadable_directory(pg, faults):
    """What is not seen is not taken for what is not there."""
    with Writer(pg, scc={"scc_journal_segment": "1m",
                         "scc_journal_pending": "512k"}) as nginx:
        for _ in range(3):
            for _ in range(3):
                accepted(nginx.post())
            nginx.restart()
        where = nginx.dirs[0]
        whole = sccctl("journal", "ls", where).stdout
        assert whole.count(".seg") > 2
        faults.on("list")
        for what in ("ls", "verify", "stat"):
            r = sccctl("journal", what, where, env=faults.env, check=False)
            assert r.returncode == 1 and "Input/output error" in r.stderr, r
        nginx.quit()
        nginx.env = faults.env
        nginx.start()
        wait_until(lambda: "cannot be read to its end" in nginx.log(), 30)
        assert "variables_hash" not in nginx.errors()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
def test_stop_under_load(pg, sig):
    with Writer(pg, workers=2) as nginx:
        with Load(nginx, 8) as load:
            load.wait(100)
            nginx.end(sig)
        load.verify(*nginx.dirs)
        nginx.check_log()
        for p in sccj.segments(nginx.dirs[0]):
            assert p.endswith(".seg") and sccj.Segment(p).end == "sealed"


def test_single_process(pg, queue):
    with Writer(pg, queue=queue, main="master_process off;", workers=0,
                helper=True) as nginx:
        with Load(nginx, 4) as load:
            load.wait(50)
        load.verify(*nginx.dirs)


def test_client_leaves(pg, queue, faults):
    """The record goes its way, to the disk and to the queue."""
    with Writer(pg, queue=queue, env=faults.env) as nginx:
        accepted(nginx.post())
        faults.on("stop")
        data = new_body()
        with nginx.client() as c:
            c.connect()
            c.sock.sendall(request(data))
            time.sleep(0.1)
        wait_until(lambda: " 499 " in "".join(nginx.access()), 30,
                   "the log to say that the client left")
        faults.off("stop")
        wait_until(lambda: data in [r.body for r in nginx.records()], 30,
                   "the record in the journal")
        wait_until(lambda: [1 for _, f in queue.r.xrange("scc:queue")
                            if data in f[b"r"]] == [1], 30,
                   "the record in the queue, once")


# -- segments ----------------------------------------------------------------


def test_rotation(pg, store):
    """Segments follow each other, each sealed, each naming the last."""
    with Writer(pg, scc={"scc_journal_segment": "128k",
                         "scc_journal_pending": "64k",
                         "scc_contribution_max": "16k"}) as nginx:
        with nginx.client() as c:
            for i in range(60):
                accepted(c.get(PATH, head(), "POST",
                               large_body(9000 + i % 7)))
        paths = sccj.segments(nginx.dirs[0])
        assert len(nginx.records()) == 60
        segs = [sccj.Segment(p) for p in paths]
        assert len(segs) >= 5
        assert [s.end for s in segs[:-1]] == ["sealed"] * (len(segs) - 1)
        previous, chain = uuid.UUID(int=0), 0
        for i, (p, s) in enumerate(zip(paths, segs)):
            assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}"
                                r"\.(open|seg)", os.path.basename(p))
            assert s.store == uuid.UUID(str(store)) and s.number == i
            assert (s.previous, s.previous_chain) == (previous, chain)
            assert s.host == socket.gethostname()
            previous, chain = s.id, s.chain
            assert p.endswith(".seg" if s.end == "sealed" else ".open")
        hlcs = [r.hlc for s in segs for r in s.records]
        assert hlcs == sorted(hlcs)
        for s in segs[1:]:
            assert s.last_hlc < min(r.hlc for r in s.records)
        assert len({s.writer for s in segs}) == 1
        sccctl("journal", "verify", nginx.dirs[0])
        # an open one has its room already; a sealed one gives it back
        assert os.stat(paths[-1]).st_size == 128 * 1024
        assert os.stat(paths[-1]).st_blocks * 512 >= 128 * 1024
        assert all(os.stat(p).st_mode & 0o777 == 0o600 for p in paths)


def test_zeros_ahead(pg):
    """On ext4 the blocks behind the end have been written before they are
    needed, 256 KB at a time: a sync then writes a batch, not their state."""
    with Writer(pg, scc={"scc_journal_segment": "1m",
                         "scc_journal_pending": "256k",
                         "scc_contribution_max": "16k"}) as nginx:
        path, pos, ends = None, 4096, {}
        with nginx.client() as c:
            for i in range(150):
                accepted(c.get(PATH, head(), "POST", large_body(9000)))
                s = sccj.segments(nginx.dirs[0])[-1]
                if s != path:
                    path, pos = s, 4096
                    if filesystem(path) != "ext2/ext3":
                        pytest.skip("the journal is not on ext4")
                pos += 3 * 4096             # header, record, padding
                to = written(path)
                assert pos <= to <= min(pos + 256 * 1024, 1 << 20)
                ends.setdefault(path, set()).add(to)
        first = list(ends.values())[0]
        assert len(first) == 4 and max(first) == 1 << 20, first
        assert len(ends) == 2
        with open(path, "rb") as f:
            f.seek(pos)
            assert not any(f.read())
        assert len(nginx.records()) == 150
        sccctl("journal", "verify", nginx.dirs[0])


def filesystem(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], check=True,
                          capture_output=True, text=True).stdout.strip()


def written(path):
    """How far from its start a file's blocks are more than allocated:
    FS_IOC_FIEMAP."""
    n, end = 64, 0
    request = bytearray(struct.pack("QQIIII", 0, 1 << 40, 0, 0, n, 0)
                        + bytes(56 * n))
    with open(path, "rb") as f:
        fcntl.ioctl(f, 0xc020660b, request)
    for i in range(struct.unpack_from("I", request, 20)[0]):
        at, _, size = struct.unpack_from("QQQ", request, 32 + 56 * i)
        flags, = struct.unpack_from("I", request, 32 + 56 * i + 40)
        if at != end or flags & 0x800:      # FIEMAP_EXTENT_UNWRITTEN
            break
        end = at + size
    return end


def test_a_segment_for_each_worker(pg):
    with Writer(pg, workers=2) as nginx:
        def both():
            post_together(nginx, [new_body() for _ in range(64)])
            return len(sccj.segments(nginx.dirs[0])) == 2

        wait_until(both, 30, "both workers' segments")
        pids = {int(p.split("-")[-2], 16) for p in
                sccj.segments(nginx.dirs[0])}
        assert pids == set(nginx.workers())
        # held for life, so that nobody takes them for orphans
        for p in sccj.segments(nginx.dirs[0]):
            assert subprocess.run(["flock", "-n", p, "true"]).returncode == 1


def test_two_directories(pg):
    """Both have everything before anybody is told so."""
    with Writer(pg, n_dirs=2) as nginx:
        with Load(nginx, 8) as load:
            load.wait(100)
        load.verify(*nginx.dirs)
        assert {durability(a)["journal"] for _, a in load.acked.values()} \
            == {1}                      # both are on one disk
        assert nginx.records(0) == nginx.records(1)


def test_group_commit(pg, faults, figure):
    """Many records, few syncs: what came meanwhile goes together."""
    with Writer(pg, env=faults.env) as nginx:
        with Load(nginx, 32) as load:
            load.wait(600)
        load.verify(*nginx.dirs)
        syncs = sum(call == "fdatasync" for _, call, _, _ in faults.log())
        assert syncs < load.count()
        figure("records per sync", f"{load.count() / syncs:.1f}")


def connect(nginx):
    s = socket.create_connection(("127.0.0.1", nginx.port), 30)
    s.settimeout(30)
    return s


def answers(s, n=1):
    data = b""
    while data.count(b"HTTP/1.1 202") < n:
        piece = s.recv(65536)
        assert piece, data
        data += piece


def batches(nginx):
    return [sccj.Segment(p).batches for p in sccj.segments(nginx.dirs[0])]


def test_what_has_come_goes_together(pg):
    """One sync for what a worker finds when it looks, though none was under
    way before."""
    with Writer(pg) as nginx:
        clients = [connect(nginx) for _ in range(20)]
        for s in clients:
            s.sendall(request(new_body()))
            answers(s)
        before, = batches(nginx)
        worker, = nginx.kids("worker")
        freeze(worker)
        for s in clients:
            s.sendall(request(new_body()))
        os.kill(worker, signal.SIGCONT)
        for s in clients:
            answers(s)
            s.close()
        assert batches(nginx) == [before + 1]
        assert len(nginx.records()) == 40


def test_who_was_answered_comes_again(pg, faults):
    """The batch behind a sync takes along what comes when that is told."""
    key = str(uuid.uuid4())
    ident = sccj.event_id_of_key(store_uuid(pg), "u1", key)
    with Writer(pg, env=faults.env) as nginx:
        accepted(nginx.post())
        first, second = connect(nginx), connect(nginx)
        faults.on("stop")
        first.sendall(request(new_body()) + request(new_body()))
        wait_until(lambda: batches(nginx) == [2], 30, "a sync to wait")
        second.sendall(request(new_body(), key=key))
        wait_until(lambda: nginx.state(ident) != 404, 30, "the second")
        faults.off("stop")
        answers(first, 2)
        answers(second)
        first.close()
        second.close()
        assert batches(nginx) == [3]
        assert len(nginx.records()) == 4


def test_entries_of_many(pg, queue, faults):
    """What comes together is queued together, in the journal's order, up to
    32 KB; a record that is larger goes alone."""
    queue.r.delete("scc:queue")
    with Writer(pg, queue=queue, env=faults.env) as nginx:
        accepted(nginx.post())
        wait_until(lambda: queue.r.xlen("scc:queue") == 1, 30,
                   "the queue to take it")
        had = len(nginx.records())
        faults.on("stop")
        bodies = [new_body() for _ in range(40)]
        bodies[20:20] = [large_body(60000), large_body(20000)]
        with ThreadPoolExecutor() as pool:
            first = pool.submit(nginx.post)
            wait_until(lambda: len(nginx.records()) == had + 1, 30,
                       "the first to be written")
            many = pool.submit(post_together, nginx, bodies)
            for _ in range(5):
                assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200
                time.sleep(0.05)
            faults.off("stop")
            accepted(first.result())
            assert [a[0] for a in many.result()] == [202] * len(bodies)
        s, = map(sccj.Segment, sccj.segments(nginx.dirs[0]))
        want = b"".join(r.raw for r in s.records)

        def queued():
            return [f for _, f in queue.r.xrange("scc:queue")]
        wait_until(lambda: sum(len(f[b"r"]) for f in queued()) == len(want),
                   30, "all to be queued")
        raws = [f[b"r"] for f in queued()]
        assert b"".join(raws) == want
        assert {f[b"s"] for f in queued()} == {s.id.bytes}
        sizes = sorted(map(len, raws))
        assert sizes[-1] > 60000 and sizes[-2] <= 32768
        assert len(raws) < len(bodies) // 2, "one entry for each"


def test_entries_are_held_if_nobody_waits(pg, queue):
    """Of two within 5 ms the second is held, but not if its answer needs
    the queue."""
    queue.r.delete("scc:queue")
    with Writer(pg, queue=queue) as nginx:
        wait_until(lambda: accepted(nginx.post()) and queue.r.xlen(
            "scc:queue"), 30, "the queue to take it")
        with Load(nginx, 1) as load:
            load.wait(300)
        wait_until(lambda: sum(len(f[b"r"]) for _, f in queue.r.xrange(
            "scc:queue")) == sum(len(r.raw) for r in nginx.records()), 30,
            "all to be queued")
        assert queue.r.xlen("scc:queue") < len(nginx.records())

    with Writer(pg, queue=queue, location="scc_ack queue;") as nginx:
        wait_until(lambda: durability(nginx.post())["queue"] == 1, 30,
                   "the queue to be believed")
        times = []
        for _ in range(100):
            began = time.monotonic()
            assert durability(nginx.post())["queue"] == 1
            times.append(time.monotonic() - began)
        assert sorted(times)[10] < 0.005


DAYS = 3 * 86400 * 1000


def alone(pg, faults):
    """Its store is away, and tells it no time."""
    return Writer("host=/nonexistent dbname=scc", env=faults.env,
                  dirs=[journal_dir(store_uuid(pg))])


def test_clock_after_days_without_a_contribution(pg, faults):
    """Nobody contributed for three days: the clock is right all the same."""
    with alone(pg, faults) as nginx:
        first = int(accepted(nginx.post())["hlc"])
        for name in "boot", "wall":
            faults.on(name)
        nginx.reload()
        second = int(accepted(nginx.post())["hlc"])
        assert DAYS <= (second >> 16) - (first >> 16) < DAYS + 20000
        assert "clock" not in nginx.log()


def test_clock_jumps_ahead(pg, faults):
    """It is not followed, time goes on, and it is taken back."""
    with alone(pg, faults) as nginx:
        before = int(accepted(nginx.post())["hlc"])
        faults.on("wall")
        hlcs = [before]
        for _ in range(10):
            time.sleep(0.01)
            hlcs.append(int(accepted(nginx.post())["hlc"]))
        assert hlcs == sorted(set(hlcs))
        assert 50 < (hlcs[-1] >> 16) - (before >> 16) < 20000
        assert nginx.log().count("the clock has jumped ahead") == 1
        faults.off("wall")
        assert 0 < int(accepted(nginx.post())["hlc"]) - hlcs[-1] < 20000 << 16


def test_clock_goes_back(pg, faults):
    faults.on("wall")
    with alone(pg, faults) as nginx:
        first = int(accepted(nginx.post())["hlc"])
        faults.off("wall")
        hlcs = [int(accepted(nginx.post())["hlc"]) for _ in range(10)]
        assert [first, *hlcs] == sorted({first, *hlcs})
        assert hlcs[-1] - first < 1 << 16


@pytest.mark.parametrize("end", ["sealed", "killed"])
def test_clock_of_the_journal(pg, faults, end):
    """Started again with a clock that is late, nginx goes on from what its
    journal has, whatever has become of its segments."""
    faults.on("wall")
    with alone(pg, faults) as nginx:
        first = [int(accepted(nginx.post())["hlc"]) for _ in range(3)]
        if end == "killed":
            nginx.kill()
    faults.off("wall")
    with Writer("host=/nonexistent dbname=scc", env=faults.env,
                dirs=nginx.dirs) as nginx:
        again = [int(accepted(nginx.post())["hlc"]) for _ in range(3)]
        assert [*first, *again] == sorted({*first, *again})
        assert again[-1] - first[-1] < 1 << 16


# -- disks -------------------------------------------------------------------


def test_sync_fails_once(pg, faults):
    """F10: the batch is written again, elsewhere; nobody notices."""
    with Writer(pg, env=faults.env) as nginx:
        with Load(nginx, 8) as load:
            for _ in range(5):
                load.wait(30)
                faults.on("fail-once")
                wait_until(lambda: not faults.waiting("fail-once"), 30,
                           "a sync to fail")
            load.wait(30)
        load.verify(*nginx.dirs)
        assert not load.other and not load.lost
        assert len(faults.check()) == 5
        assert nginx.log().count("its batch was written to a new segment") \
            == 5


def test_sync_fails(pg, faults):
    """Not kept is not acknowledged; and it goes on when the disk does."""
    with Writer(pg, env=faults.env) as nginx:
        accepted(nginx.post())
        faults.on("fail")
        data, key = new_body(), '"again"'
        a = nginx.post(data, key=key)
        assert "Idempotency-Key" in problem(a, 503)["detail"]
        assert int(a.headers["retry-after"]) >= 1
        a = nginx.post()                # refused at once for a moment
        problem(a, 503)
        assert "cannot be written" in nginx.log()
        assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200
        faults.off("fail")
        wait_until(lambda: nginx.post(data, key=key).status == 202, 30,
                   "contributions to be taken again")
        assert data in [r.body for r in nginx.records()]


def test_sync_fails_under_load(pg, faults, figure):
    with Writer(pg, workers=2, env=faults.env) as nginx:
        with Load(nginx, 12) as load:
            for _ in range(3):
                load.wait(50)
                faults.on("fail")
                wait_until(lambda: load.other.get(503, 0), 30, "a 503")
                time.sleep(0.2)
                faults.off("fail")
        load.verify(*nginx.dirs)
        assert set(load.other) == {503}
        figure("acknowledged, refused", f"{load.count()}, {load.other[503]}")


def test_sync_fails_in_one_of_two(pg, faults):
    with Writer(pg, n_dirs=2, env=faults.env) as nginx:
        with Load(nginx, 8) as load:
            for _ in range(4):
                load.wait(30)
                faults.on("fail-once")
                wait_until(lambda: not faults.waiting("fail-once"), 30,
                           "a sync to fail")
        load.verify(*nginx.dirs)
        assert not load.other


@pytest.mark.alone
def test_disk_hangs(pg, faults):
    """Nobody waits for ever, reads go on, and memory is bounded."""
    with Writer(pg, env=faults.env, scc={
            "scc_contribution_max": "8k", "scc_journal_pending": "64k"},
            location="scc_ack_timeout 500ms;") as nginx:
        accepted(nginx.post())
        faults.on("stop")
        began = time.monotonic()
        a = nginx.post(key="k")
        assert 0.4 < time.monotonic() - began < 3
        doc = problem(a, 503)
        assert "outcome unknown" in doc["detail"]
        assert "Idempotency-Key" in doc["detail"]
        assert a.headers["retry-after"]
        assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200

        answers = []

        def post():
            began = time.monotonic()
            a = nginx.post(large_body(8000))
            answers.append((a, time.monotonic() - began))

        threads = [threading.Thread(target=post) for _ in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(10)
        assert len(answers) == 40
        assert all(a.status == 503 for a, _ in answers)
        quick = [t for a, t in answers if "too slow" in a.json()["detail"]]
        slow = [t for a, t in answers if "unknown" in a.json()["detail"]]
        assert len(quick) + len(slow) == 40 and 1 <= len(slow) <= 8
        assert max(quick) < 0.4
        faults.off("stop")
        wait_until(lambda: len(nginx.records()) == 2 + len(slow), 30,
                   "what was unknown to be there")
        accepted(nginx.post())


def test_disk_hangs_while_old_workers_end(pg, faults):
    with Writer(pg, env=faults.env,
                location="scc_ack_timeout 5s;") as nginx:
        accepted(nginx.post())
        faults.on("stop")
        got = []
        t = threading.Thread(target=lambda: got.append(nginx.post()))
        t.start()
        wait_until(lambda: len(nginx.records()) == 2, 30, "the record")
        nginx.reload(wait_old=False)
        faults.off("stop")
        t.join(10)
        accepted(got[0])
        assert uuid.UUID(got[0].json()["id"]) in nginx.ids()


@pytest.fixture
def small_disk():
    if os.getuid() != 0:
        pytest.skip("a file system of its own needs root")
    path = new_dir("disk")
    p = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs",
                        path], capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip("mount: " + p.stderr.strip())
    if SERVER_USER:
        shutil.chown(path, SERVER_USER)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_disk_full(pg, store, small_disk):
    """F14: met at a new segment, never inside one; first the reserve goes,
    then contributions are refused, and taken again when there is room."""
    d = os.path.join(small_disk, "journal")
    os.mkdir(d)
    if SERVER_USER:
        shutil.chown(d, SERVER_USER)
    sccj.init(d, store)
    with Writer(pg, dirs=[d], scc={
            "scc_journal_segment": "256k", "scc_journal_pending": "128k",
            "scc_contribution_max": "16k"}) as nginx:
        acked = {}

        def post():
            data = large_body(15000)
            a = nginx.post(data)
            if a.status == 202:
                acked[uuid.UUID(a.json()["id"])] = data
            else:
                problem(a, 503)
                assert a.headers["retry-after"]
            return a.status

        for _ in range(400):
            if post() == 503:
                break
        assert 60 < len(acked) < 400
        assert "reserve" in nginx.log()
        assert "cannot be written" in nginx.log()
        assert not os.path.exists(os.path.join(d, "reserve"))
        full = len(acked)
        for _ in range(3):
            assert post() == 503
        assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200

        # somebody makes room (here: moves the oldest away)
        away = new_dir("away")
        sealed = [p for p in sccj.segments(d) if p.endswith(".seg")]
        for p in sealed[:4]:
            shutil.move(p, away)
        wait_until(lambda: post() == 202, 30, "contributions to be taken")
        kept = {r.event_id: r.body for r in nginx.records()
                + sccj.records(away)}
        assert len(acked) > full
        assert all(kept.get(k) == v for k, v in acked.items())


# -- directories -------------------------------------------------------------


def test_directory_removed(pg, store):
    """What is nowhere any more is not acknowledged."""
    with Writer(pg) as nginx:
        accepted(nginx.post())
        shutil.rmtree(nginx.dirs[0])
        for _ in range(3):
            problem(nginx.post(), 503)
        assert "cannot be written" in nginx.log()
        os.mkdir(nginx.dirs[0])
        if SERVER_USER:
            shutil.chown(nginx.dirs[0], SERVER_USER)
        problem(nginx.post(), 503)
        sccj.init(nginx.dirs[0], store)
        wait_until(lambda: nginx.post().status == 202, 30,
                   "contributions to be taken")
        assert len(nginx.records()) == 1


def test_segment_removed(pg):
    """Somebody tidied up: the next goes to a new one."""
    with Writer(pg) as nginx:
        accepted(nginx.post())
        os.unlink(sccj.segments(nginx.dirs[0])[0])
        data = new_body()
        accepted(nginx.post(data))
        assert [r.body for r in nginx.records()] == [data]


def test_directory_becomes_another_stores(pg, store):
    """Its records would be taken for another store's."""
    other = uuid.uuid4()
    with Writer(pg) as nginx:
        accepted(nginx.post())
        shutil.rmtree(nginx.dirs[0])
        os.mkdir(nginx.dirs[0])
        if SERVER_USER:
            shutil.chown(nginx.dirs[0], SERVER_USER)
        sccj.init(nginx.dirs[0], other)
        problem(nginx.post(), 503)      # still the first store's, and gone
        wait_until(lambda: nginx.post().status == 202, 30, "a new journal")
        seg, = [sccj.Segment(p) for p in sccj.segments(nginx.dirs[0])
                if sccj.Segment(p).records]
        assert seg.store == other


@pytest.mark.parametrize("text", [None, "", "x\n", "0" * 36, "\n"])
def test_directory_of_no_store(pg, store, text):
    d = new_dir("journal")
    if text is not None:
        with open(os.path.join(d, "store"), "w") as f:
            f.write(text)
    with Writer(pg, dirs=[d]) as nginx:
        problem(nginx.post(), 503)
        problem(nginx.post(key="k"), 503)
        assert f'run "sccctl journal init {d}"' in nginx.log()
        assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200
        sccj.init(d, store)
        wait_until(lambda: nginx.post().status == 202, 30,
                   "contributions to be taken without a restart")


def test_directories_of_two_stores(pg, store):
    """Nothing is taken; nor does the anchor of the one store replace what
    is known of the other."""
    dirs = [journal_dir(store), journal_dir(uuid.uuid4())]
    with Writer(pg, dirs=dirs, helper=True) as nginx:
        problem(nginx.post(), 503)
        assert "another store" in nginx.log()
        wait_until(lambda: "anchor" in os.listdir(dirs[0]), 30, "the anchor")
    # but for what the audit tries, if it was at it at the end
    left = [{x for x in os.listdir(d) if not x.startswith(".probe-")}
            for d in dirs]
    assert left[0] == {"store", "anchor"} and left[1] == {"store"}, left


def test_directory_not_writable(pg, store):
    d = journal_dir(store)
    os.chmod(d, 0o555)
    if SERVER_USER:
        shutil.chown(d, "root")
    with Writer(pg, dirs=[d]) as nginx:
        problem(nginx.post(), 503)
        assert "Permission denied" in nginx.log()
        os.chmod(d, 0o777)
        wait_until(lambda: nginx.post().status == 202, 30,
                   "contributions to be taken")


def test_configuration_test_leaves_the_journal_alone(pg, store):
    d = journal_dir(store)
    n = Writer(pg, dirs=[d, "/nonexistent/dir"])
    before = os.stat(d)
    p = n.test()
    assert p.returncode == 0, p.stdout
    after = os.stat(d)
    assert os.listdir(d) == ["store"]
    assert (before.st_mtime_ns, before.st_atime_ns) == \
        (after.st_mtime_ns, after.st_atime_ns)


def test_no_thread_pool(pg, store):
    n = Writer(pg, dirs=[journal_dir(store)])
    n.write(MAIN=n.values["MAIN"].replace(POOL, ""))
    with open(n.conf) as f:
        lines = f.read().split("\n")
    at = 1 + min(i for i, x in enumerate(lines) if "scc_journal" in x)
    p = n.test()
    assert p.returncode != 0
    assert f'unknown thread pool "scc" in {n.conf}:{at}' in p.stdout


def test_zone_survives_reload(pg, queue):
    """What is known of recent contributions, and the host's clock."""
    with Writer(pg, queue=queue) as nginx:
        data, key = new_body(), "k"
        first = accepted(nginx.post(data, key=key))
        nginx.reload()
        again = accepted(nginx.post(data, key=key))
        assert again["hlc"] == first["hlc"]
        assert int(accepted(nginx.post())["hlc"]) > int(first["hlc"])
        problem(nginx.post(key=key), 422)
