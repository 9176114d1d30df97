"""F37 F38 F39: the copy that is somewhere else.

F37  an upload that fails or lies: nothing is believed, nothing deleted
F38  the host is lost, with journal, queue and store: what comes back from
     the copy alone, and the loss as a number
F39  somebody wants to be forgotten: no byte of it anywhere, and all others
     are intact
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import textwrap
import time
import uuid

import pytest

import check
from journals import write_anchor
from rig import Load, Stack
from servers import (REPO, SCCCTL, Postgres, new_dir, pg_bin, run, sccctl,
                     wait_until)
from shim import Shim

pytestmark = pytest.mark.offsite

HOST = "web-1"
INTERVAL = 1                            # s, of ship
SLACK = 2                               # s, for a round under load


class Ship:
    """sccctl ship at work, as a unit of systemd would have it."""

    def __init__(self, dirs, *args):
        self.argv = [SCCCTL, "ship", *dirs, "--host", HOST, "--interval",
                     f"{INTERVAL}s", *args]

    def __enter__(self):
        self.log = open(os.path.join(new_dir("ship"), "log"), "w+b")
        self.p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log)
        return self

    def said(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        return self.p.wait(60)

    def __exit__(self, *a):
        self.p.kill()
        self.p.wait(10)


def named(folder, suffix):
    return sorted(x for x in os.listdir(folder) if x.endswith(suffix))


def sealed(stack):
    """nginx begins new segments; those before are sealed and applied."""
    stack.nginx.reload()
    stack.drain()
    folder = stack.dirs[0]

    def done():
        return {x[:-4] for x in named(folder, ".seg")} \
            <= {x[:-8] for x in named(folder, ".applied")} \
            and named(folder, ".seg")
    wait_until(done, 30, "all segments to be marked as applied", 0.1)


def all_shipped(folder):
    def done():
        for name in named(folder, ".seg"):
            path = os.path.join(folder, name[:-4] + ".shipped")
            if not os.path.exists(path):
                return False
            with open(path, encoding="utf-8") as f:
                mark = json.load(f)
            st = os.stat(os.path.join(folder, name))
            if (mark["inode"], mark["mtime"]) != (st.st_ino, st.st_mtime_ns):
                return False
        return True
    wait_until(done, 30, "all segments to be shipped", 0.1)


def ready_to_prune(stack):
    """All but the copy: a backup, a guard that is content."""
    n = stack.pg.query("SELECT count(*) FROM scc.contribution")[0][0]
    write_anchor(stack.dirs[0], stack.pg.query(
        "SELECT store_uuid FROM scc.identity")[0][0], events=n)
    stack.pg.query("SELECT scc.stamp_add('backup', clock_timestamp(), true,"
                   " '')")


def prune(stack, *args, code=0, env=None):
    p = sccctl("prune", *stack.dirs, "--keep", "0s", *args, pg=stack.pg,
               check=False, env=env)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


# -- F37 ---------------------------------------------------------------------


def hook(far, fault):
    """A store of objects that goes wrong while the file "fault" is there."""
    put = (f'd="{far}/$(dirname $SCC_OBJECT)"; mkdir -p "$d"; '
           f'f="{far}/$SCC_OBJECT"; if test -e {far}/fault; then {fault}; '
           'fi; cat > "$f.tmp" && mv "$f.tmp" "$f"')
    return put, f'cat "{far}/$SCC_OBJECT"'


FAULTS = {
    "exits with 1": "exit 1",
    "truncated": 'head -c $((SCC_SIZE / 2)) > "$f"; exit 0',
    "wrong bytes": 'cat > /dev/null; head -c $SCC_SIZE /dev/urandom > "$f"; '
                   'exit 0',
    "said and not done": "cat > /dev/null; exit 0",
    "clock skewed": "echo RequestTimeTooSkewed >&2; exit 1",
}


def test_f37_uploads_that_fail_or_lie(seed, figure):
    far = new_dir("far")
    with Stack(seed, pg={"fsync": True}) as stack:
        folder = stack.dirs[0]
        with Load(stack, clients=6, readers=0) as load:
            load.more(60, 20)
        sealed(stack)
        segments = named(folder, ".seg")
        assert segments

        for name, fault in FAULTS.items():
            open(os.path.join(far, "fault"), "w").close()
            put, get = hook(far, fault)
            with Ship(stack.dirs, "--command", put, "--get", get) as ship:
                wait_until(lambda: ship.said().count(".seg\"") > 1, 20,
                           f"ship to notice: {name}", 0.1)
                assert ship.stop() == 3, ship.said()
            assert not named(folder, ".shipped"), name
            assert not os.path.exists(os.path.join(folder, "shipped")), \
                f"{name}: the age of DIR/shipped is the alarm"
            ready_to_prune(stack)
            p = prune(stack, "--get", get, code=4)
            assert p.stdout.count("never shipped") == len(segments)
            assert named(folder, ".seg") == segments, name

        # it heals by itself; then the copies are lost, and found to be
        put, get = hook(far, FAULTS["exits with 1"])
        with Ship(stack.dirs, "--command", put, "--get", get) as ship:
            wait_until(lambda: "ended with 1" in ship.said(), 20, "a fault",
                       0.1)
            os.unlink(os.path.join(far, "fault"))
            all_shipped(folder)
            wait_until(lambda: os.path.exists(os.path.join(
                folder, "shipped")), 20, "the alarm to end", 0.1)
        ready_to_prune(stack)
        for damage in (lambda f: os.truncate(f, 4096), os.unlink):
            for root, _, names in os.walk(far):
                for x in names:
                    if x.endswith(".seg"):
                        damage(os.path.join(root, x))
            prune(stack, "--get", get, code=4)
            assert named(folder, ".seg") == segments
        figure("F37", f"{len(FAULTS)} kinds of bad uploads, {len(segments)} "
               "segments, none marked, none deleted")


def test_f37_a_clock_that_is_wrong(seed):
    """Of the host: what is young is not old, what is old not shipped."""
    to, shim = new_dir("to"), Shim()
    with Stack(seed) as stack:
        folder = stack.dirs[0]
        with Load(stack, clients=4, readers=0) as load:
            load.more(30, 20)
        sealed(stack)
        segments = named(folder, ".seg")
        ready_to_prune(stack)

        for days in (100, -100):
            shim.clock(days * 86400)
            sccctl("ship", folder, "--to", to, "--host", HOST, "--once",
                   env=shim.env)
            p = sccctl("prune", folder, pg=stack.pg, check=False,
                       env=shim.env)
            assert p.returncode == 4 and "clock" in p.stderr, p.stderr
        assert named(folder, ".seg") == segments

        # the mark was made at a time that is yet to come: a drill before
        # that does not count
        shim.clock(100 * 86400)
        for name in named(folder, ".shipped"):
            os.unlink(os.path.join(folder, name))
        sccctl("ship", folder, "--to", to, "--host", HOST, "--once",
               env=shim.env)
        stack.pg.query("UPDATE scc.stamp SET kind = 'drill' RETURNING 1")
        p = prune(stack, code=4)
        assert p.stdout.count("backup=no") == len(segments)
        assert named(folder, ".seg") == segments


def test_pruned_as_in_life(seed, figure):
    """Nothing is written by the test: the anchor is the helper's, the copies
    and their marks are ship's.  What was pruned comes back from the copy."""
    to = new_dir("to")
    with Stack(seed, pg={"fsync": True},
               scc={"scc_audit_interval": "500ms"}) as stack, \
            Ship(stack.dirs, "--to", to) as ship:
        folder = stack.dirs[0]
        with Load(stack, clients=4, readers=0) as load:
            load.more(60, 30)
        sealed(stack)
        all_shipped(folder)
        gone = named(folder, ".seg")
        # before a backup covers them nothing goes
        p = prune(stack, "--to", to, code=4)
        assert p.stdout.count("backup=no") == len(gone), p.stdout
        assert named(folder, ".seg") == gone
        stack.pg.query("SELECT scc.stamp_add('backup', clock_timestamp(), "
                       "true, '')")

        # an anchor that knows of more than there is: the store's own loss
        n = stack.pg.query("SELECT count(*) FROM scc.contribution")[0][0]

        def anchored():
            with open(os.path.join(folder, "anchor"), encoding="utf-8") as f:
                a = json.load(f)
            return a["state"] == "healthy" and a["events"] == n
        wait_until(anchored, 30, "the helper's anchor", 0.1)
        victim = stack.pg.query("SELECT max(event_id::text) FROM "
                                "scc.contribution")[0][0]
        stack.nginx.end(signal.SIGTERM)
        c = stack.pg.connect()
        with c.cursor() as cur:         # undone below
            cur.execute("SET session_replication_role = replica")
            cur.execute("CREATE TABLE scc.aside AS SELECT * FROM "
                        "scc.contribution WHERE event_id = %s", (victim,))
            cur.execute("DELETE FROM scc.contribution WHERE event_id = %s",
                        (victim,))
            c.commit()
            p = prune(stack, "--to", to, code=4)
            assert named(folder, ".seg") == gone, p.stdout + p.stderr
            cur.execute("INSERT INTO scc.contribution SELECT * FROM "
                        "scc.aside")
            cur.execute("DROP TABLE scc.aside")
            c.commit()
        c.close()
        stack.nginx.start()

        wait_until(anchored, 30, "the helper's anchor", 0.1)
        prune(stack, "--to", to)
        assert named(folder, ".seg") == []
        assert len(named(folder, ".pruned")) == len(gone)
        with Load(stack, clients=4, readers=0, turn=1) as more:
            more.more(30, 30)
        stack.drain()
        sealed(stack)
        all_shipped(folder)
        assert ship.stop() == 0, ship.said()

        store = stack.pg.query("SELECT store_uuid::text FROM scc.identity")[
            0][0]
        known = stack.known() - set(stack.before)
    with Postgres() as pg:
        sccctl("init", "--store", store, "--epoch", "2", pg=pg)
        sccctl("rebuild", "--journal", folder, os.path.join(to, store, HOST),
               pg=pg)
        assert {x[0] for x in pg.query(
            "SELECT event_id::text FROM scc.contribution")} == known
    assert {x["event_id"] for h in (load.history, more.history)
            for x in h.acked()} <= known
    figure("pruned, then rebuilt from the copy",
           f"{len(gone)} segments, {len(known)} events")


# -- F38 ---------------------------------------------------------------------


def survivors(load, found):
    """The history without what did not come back; and that."""
    lost = [x for x in load.history.acked() if x["event_id"] not in found]
    gone = {(x["client"], x["n"]) for x in lost}
    kept = check.History(os.path.join(new_dir("h"), "kept.jsonl"))
    for x in load.history.lines:
        if (x["client"], x["n"]) not in gone:
            kept.add(x)
    return kept, lost


@pytest.mark.parametrize("segment", ["256k", "1m", "16m"])
def test_f38_the_host_is_lost(seed, segment, figure):
    """Of the largest none is sealed before the end: there are tails only."""
    rng = random.Random(seed)
    to = new_dir("to")
    with Stack(seed, scc={"scc_journal_segment": segment},
               allow_log=[r"."]) as stack:
        store = stack.pg.query("SELECT store_uuid::text FROM scc.identity")[
            0][0]
        with Ship(stack.dirs, "--to", to) as ship:
            with Load(stack, clients=8, readers=0, tries=1, timeout=2.0,
                      pause=0.01) as load:
                load.more(200, 30)
                time.sleep(INTERVAL + SLACK + rng.uniform(0, 1))
                died = time.monotonic()
                ship.stop(signal.SIGKILL)
                for pid in stack.nginx.family():
                    os.kill(pid, signal.SIGKILL)
                load.end.set()
            stack.nginx.kill()
        before = stack.before
        for server in (stack.pg, stack.queue, stack.cache):
            server.kill()
            shutil.rmtree(server.dir)
        for path in stack.dirs:
            shutil.rmtree(path)

    copy = os.path.join(to, store, HOST)
    with Postgres() as pg:
        sccctl("init", "--store", store, "--epoch", "2", pg=pg)
        sccctl("rebuild", "--journal", copy, pg=pg)
        found = {x[0] for x in pg.query(
            "SELECT event_id::text FROM scc.contribution")}
        kept, lost = survivors(load, found)
        faults = check.check(kept, [copy], check.Store(pg.query), before)
        kept.close()
        assert not faults, f"seed {seed}\n{faults}"

    age = max((died - x["t1"] for x in lost), default=0.0)
    assert age <= INTERVAL + SLACK, (
        f"seed {seed}: {len(lost)} of {len(load.history.acked())} lost, the "
        f"oldest {age:.2f} s before the end")
    assert len(kept.acked()) >= 200
    figure("F38", f"{len(load.history.acked())} acknowledged, {len(lost)} "
           f"lost with the host, the oldest {age:.2f} s old (every "
           f"{INTERVAL} s)")


# -- F39 ---------------------------------------------------------------------


def give(nginx, who, name, key, n):
    """As "who", with a name, keys and a display name of their own."""
    with nginx.client() as c:
        def post(body, i):
            a = c.get("/v1/contributions", {
                "X-Contributor": who, "X-Name": name, "Content-Type":
                "application/json", "Idempotency-Key": f'"{key}-{i}"'},
                "POST", json.dumps(body, ensure_ascii=False).encode())
            assert a.status in (201, 202), a
        post({"kind": "contributor", "displayName": f"별명 {name}"},
             "a")
        for i in range(n):
            post({"kind": "place_accessibility", "placeId": f"p-{who}-{i}",
                  "stairInfo": "NONE", "floors": [1], "hasSlope": False,
                  "isFirstFloor": True, "entranceDoorTypes": ["Hinged"],
                  "imageUrls": ["https://img.example.org/1.jpg"]}, i)


def erase(nginx, who):
    with nginx.client() as c:
        a = c.get("/v1/contributions", {
            "X-Contributor": who, "Content-Type": "application/json"},
            "POST", b'{"kind":"erase"}')
        assert a.status in (201, 202), a


def readable(needles, *folders):
    """Files, byte by byte, that have one of these."""
    found = []
    for folder in folders:
        for root, _, names in os.walk(folder):
            for path in (os.path.join(root, x) for x in names):
                if not os.path.isfile(path):
                    continue                    # a socket, or gone by now
                with open(path, "rb") as f:
                    data = f.read()
                found += [(path, x) for x in needles if x.encode() in data]
    return found


def dumped(pg):
    return run([pg_bin("pg_dump"), "-n", "scc", pg.conninfo()],
               stderr=subprocess.PIPE).stdout


def in_redis(server, needles):
    """In the bytes of its keys."""
    r = server.client(10)
    found = []
    for key in r.scan_iter(count=1000):
        raw = r.dump(key) or b""
        found += [(key, x) for x in needles if x.encode() in raw]
    return found


def write_anew(stack):
    """README.md's commands: "Forgetting somebody"."""
    with open(os.path.join(REPO, "README.md"), encoding="utf-8") as f:
        text = f.read().split("\n## Forgetting somebody\n")[1]
    block = next(x for x in re.findall(r"(?:^    .*\n)+", text, re.M)
                 if "VACUUM" in x)
    run(["sh", "-ec", textwrap.dedent(block)], env={
        **os.environ, "SCC_PG": stack.pg.conninfo(),
        "QUEUE": stack.queue.sock})
    wait_until(lambda: not stack.queue.r.info("persistence")[
        "aof_rewrite_in_progress"], 30, "the queue's file", 0.1)


def test_f39_to_be_forgotten(seed, figure):
    tag = uuid.UUID(int=random.Random(seed).getrandbits(128)).hex[:12]
    gone, stays = f"지울이름{tag}", f"남을이름{tag}"
    key = f"key-of-gone-{tag}"
    needles = [gone, key, json.dumps(gone)[1:-1]]
    to = new_dir("to")
    with Stack(seed, location="scc_moderator 1;\n") as stack, \
            Ship(stack.dirs, "--to", to) as ship:
        folder = stack.dirs[0]
        store = stack.pg.query("SELECT store_uuid::text FROM scc.identity")[
            0][0]
        copy = os.path.join(to, store, HOST)
        give(stack.nginx, "u-gone", gone, key, 20)
        give(stack.nginx, "u-stays", stays, "key-of-stays", 20)
        sealed(stack)
        all_shipped(folder)
        # it was there, or this test could not see it
        assert {x for _, x in readable(needles, copy)} >= {gone, key}
        assert readable([stays], copy) and gone in dumped(stack.pg)

        # PostgreSQL's statistics know names, too
        stack.pg.psql("ANALYZE")
        assert readable(needles, stack.pg.data)

        erase(stack.nginx, "u-gone")
        sealed(stack)
        all_shipped(folder)
        old = os.path.join(new_dir("old"), "to")
        shutil.copytree(to, old)        # names in it, and the erasure
        assert readable([gone], old)

        p = sccctl("journal", "erase", folder, pg=stack.pg)
        assert "0 segments with names have to wait" in p.stdout, p.stdout
        all_shipped(folder)
        wait_until(lambda: not readable(needles, copy), 20,
                   "the names to leave the copy", 0.2)
        assert ship.stop() == 0, ship.said()

        assert readable(needles, to, *stack.dirs) == []
        assert not any(x in dumped(stack.pg) for x in needles)
        # what a helper took that ended by the reload is taken over after a
        # minute
        wait_until(lambda: in_redis(stack.queue, needles) == [], 100,
                   "the names to leave the queue", 0.5)
        assert in_redis(stack.cache, needles) == []

        # rows' old versions, statistics, logs: until servers write anew
        assert {x for _, x in readable(needles, stack.pg.data,
                                       stack.queue.dir)} >= {gone, key}
        write_anew(stack)
        assert readable(needles, stack.pg.data, stack.queue.dir,
                        stack.cache.dir, stack.nginx.dir) == []
        with stack.nginx.client() as c:         # and it is believed still
            a = c.get("/v1/places/" + stack.sample[0])
            assert a.status == 200, a
            assert a.headers.get("scc-data-state") is None, a

        # and nothing brings them back
        report = os.path.join(new_dir("r"), "report.json")
        sccctl("drill", "--from", to, "--report", report, "--temp",
               new_dir("t"))
        with open(report, encoding="utf-8") as f:
            drill = json.load(f)
        assert drill["findings"] == drill["missing"] == 0
        known = {x[0] for x in stack.pg.query(
            "SELECT event_id::text FROM scc.contribution")}
        known -= set(stack.before)      # of the sample, never journaled
        assert drill["events"] == len(known) == 43
        for source in (to, old):
            with Postgres() as pg:
                sccctl("init", "--store", store, "--epoch", "2", pg=pg)
                sccctl("rebuild", "--journal",
                       os.path.join(source, store, HOST), pg=pg)
                text = dumped(pg)
                assert not any(x in text for x in needles), source
                assert text.count(stays) > 20
                assert {x[0] for x in pg.query(
                    "SELECT event_id::text FROM scc.contribution")} \
                    == known
                assert pg.query("SELECT display_name FROM scc.contributor "
                                "WHERE id = 'u-stays'") \
                    == [(f"별명 {stays}",)] or stays in text
        figure("F39", f"{len(known)} events, 21 of one contributor who was "
               "erased: no name, no key in copy, journal, dumps, Redis")
