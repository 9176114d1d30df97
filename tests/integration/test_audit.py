"""The durability audit: each lie about durability is found, by its id, by
nginx and by sccctl doctor; what is not proven is not claimed (F36).

What needs mounts is tried as root; elsewhere it is skipped.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest

import sccj
from contribute import LOCATION, POOL, Writer, queue_redis, store_uuid
from servers import (SCCCTL, SERVER_USER, Nginx, Postgres, Redis, new_dir, run,
                     sccctl, wait_until)

EATMYDATA = "libeatmydata.so"
SHOW = """
location = /audit { default_type application/json; return 200 $scc_audit; }
location = /caps  { return 200 '$scc_audit_journal $scc_audit_queue
                                $scc_audit_applied $scc_audit_delete
                                $scc_audit_findings $scc_audit_age'; }
"""


# -- machinery ---------------------------------------------------------------


@pytest.fixture(scope="module")
def place():
    """Directories that no audit objects to: on a disk, nobody cleans them,
    the workers' own."""
    if not SERVER_USER:
        pytest.skip("only root can make directories outside of /tmp")
    base = tempfile.mkdtemp(prefix="scc-test-audit-", dir="/var/lib")
    os.chmod(base, 0o755)
    names = iter(range(1000))

    def make(uid=None, mode=0o700):
        path = os.path.join(base, f"j{next(names)}")
        os.mkdir(path, mode)
        os.chmod(path, mode)
        shutil.chown(path, SERVER_USER if uid is None else uid)
        return path

    yield make
    shutil.rmtree(base)


def have_mount(*args):
    if os.getuid() != 0:
        pytest.skip("only root can mount")
    p = subprocess.run(["mount", *args], capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip(f"cannot mount {' '.join(args)}: {p.stderr.strip()}")


@contextlib.contextmanager
def mounted(*args):
    """args as of mount(8), the last one the point."""
    have_mount(*args)
    try:
        yield args[-1]
    finally:
        # the helper may have a file open there
        run(["umount", "-l", args[-1]])


def conf(*dirs, audit="strict", allow="", pg="host=/none dbname=x"):
    """nginx that was never started."""
    scc = {"scc_journal": " ".join(dirs), "scc_audit": audit,
           "scc_journal_allow_fs": allow or None}
    return Nginx(pg, scc=scc, main=POOL, location=LOCATION)


def tree(path):
    return sorted((e.name, e.stat().st_mtime_ns) for e in os.scandir(path))


def library():
    for base in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                 "/usr/lib"):
        path = os.path.join(base, EATMYDATA)
        if os.path.exists(path):
            return path
    pytest.skip("libeatmydata1 is not installed: run make deps-test")


# -- nginx -t ----------------------------------------------------------------


def tmp(place, stack):
    path = new_dir("j")
    os.chmod(path, 0o700)
    shutil.chown(path, SERVER_USER)
    return path


def shm(place, stack):
    path = tempfile.mkdtemp(prefix="scc-", dir="/dev/shm")
    stack.callback(shutil.rmtree, path)
    shutil.chown(path, SERVER_USER)
    return path


def tmpfs(place, stack):
    path = place()
    stack.enter_context(mounted("-t", "tmpfs", "-o", "mode=0700,size=1m",
                                "none", path))
    shutil.chown(path, SERVER_USER)
    return path


def overlay(place, stack):
    path, low, up, work = (place() for _ in range(4))
    stack.enter_context(mounted(
        "-t", "overlay", "-o",
        f"lowerdir={low},upperdir={up},workdir={work}", "none", path))
    return path


def read_only(place, stack):
    path = place()
    stack.enter_context(mounted("--bind", path, path))
    run(["mount", "-o", "remount,bind,ro", path])
    return path


def ext4(place, stack, *features, options="loop", size=8 << 20):
    path, image = place(), place() + "/image"
    with open(image, "wb") as f:
        f.truncate(size)
    run(["mkfs.ext4", "-q", *features, image])
    stack.enter_context(mounted("-o", options, image, path))
    os.chmod(path, 0o700)
    shutil.chown(path, SERVER_USER)
    return path


def barrier(place, stack):
    return ext4(place, stack, options="loop,nobarrier")


LIES = {
    "under /tmp": (tmp, "J3", "lies under /tmp"),
    "in /dev/shm": (shm, "J1", "on tmpfs"),
    "on tmpfs": (tmpfs, "J1", "on tmpfs"),
    "on an overlay": (overlay, "J1", "overlay file system"),
    "read-only": (read_only, "J2", 'mounted with "ro"'),
    "without barriers": (barrier, "J2", 'mounted with "nobarrier"'),
    "of another user": (lambda place, _: place(uid=0), "J3",
                        "belongs to user id 0"),
    "open to others": (lambda place, _: place(mode=0o755), "J3",
                       "has mode 0755"),
}


@pytest.mark.parametrize("lie", LIES)
def test_strict(place, lie):
    """A configuration error with file, line, reason and cure; nothing is
    written, and no backend asked."""
    make, ident, text = LIES[lie]
    with contextlib.ExitStack() as stack:
        path = make(place, stack)
        n = conf(path)
        before = tree(path)
        p = n.test()
        assert p.returncode != 0, p.stdout
        with open(n.conf) as f:
            line = 1 + next(i for i, x in enumerate(f)
                            if "scc_journal " in x)
        assert re.search(rf"\[emerg\].*scc: audit {ident}: .*{text}.*"
                         rf"to change: .* in {n.conf}:{line}", p.stdout)

        p = conf(path, audit="warn").test()
        assert p.returncode == 0, p.stdout
        assert re.search(rf"\[warn\].*scc: audit {ident}: .*{text}", p.stdout)
        assert tree(path) == before


def test_strict_is_the_default(place):
    path = place(mode=0o755)
    n = conf(path)
    with open(n.conf) as f:
        text = f.read()
    with open(n.conf, "w") as f:
        f.write(text.replace("scc_audit strict;", ""))
    assert n.test().returncode != 0


def test_strict_takes_a_good_one(place):
    p = conf(place(), place()).test()
    assert p.returncode == 0, p.stdout
    assert "audit J7" in p.stdout           # both on one disk: a warning


@pytest.mark.parametrize("feature", ["has_journal", "^has_journal"])
def test_ext4(place, feature):
    """J2: one without a journal of its own is warned of."""
    with contextlib.ExitStack() as stack:
        p = conf(ext4(place, stack, "-O", feature)).test()
        assert p.returncode == 0, p.stdout
        assert bool(re.search(r"\[warn\].*audit J2: .*has no journal of its "
                              r"own", p.stdout)) == (feature[0] == "^")


def test_strict_starts_without_a_journal(place):
    """A disk that is not mounted must not take the map down."""
    p = conf(os.path.join(place(), "none")).test()
    assert p.returncode == 0, p.stdout
    assert "[warn]" in p.stdout and "audit J6" in p.stdout


def test_overlay_that_is_allowed(place):
    with contextlib.ExitStack() as stack:
        path = overlay(place, stack)
        p = conf(path, allow="overlay").test()
        assert p.returncode == 0, p.stdout
        assert re.search(r"\[warn\].*audit J1: .*permits.*not durable",
                         p.stdout)


def test_strict_preloaded(place):
    n = conf(place())
    env = dict(os.environ, LD_PRELOAD=library())
    p = run(n.argv("-t"), check=False, env=env)
    assert p.returncode != 0
    assert "audit J5: libeatmydata is loaded" in p.stdout


# -- while it runs -----------------------------------------------------------


class Stack:
    """nginx, its queue and its store, as good as they can be here."""

    def __init__(self, dirs=None, queue=None, redis=None, env=None, **scc):
        self.archive = new_dir("wal")
        shutil.chown(self.archive, SERVER_USER or os.getuid())
        self.pg = Postgres(wal_level="replica", archive_mode="on")
        self.copy = f"cp %p {self.archive}/%f"
        for name in "fsync", "full_page_writes":
            del self.pg.settings[name]
        self.redis = redis
        self.queue = queue or queue_redis(aof_load_truncated="no")
        self.dirs, self.env, self.scc = dirs, env, scc

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        up = self.stack.enter_context
        up(self.pg)
        self.system("archive_command", self.copy)
        if not self.queue.running():
            up(self.queue)
        sccctl("init", pg=self.pg)
        if self.dirs:
            for path in self.dirs:
                sccj.init(path, store_uuid(self.pg))
        self.nginx = Writer(
            self.pg, self.redis, queue=self.queue, dirs=self.dirs,
            helper=True, server=SHOW, env=self.env,
            scc={"scc_audit_interval": "300ms", "scc_audit": "warn",
                 **self.scc})
        up(self.nginx)
        self.nginx.wait_audit()
        return self

    def __exit__(self, *args):
        return self.stack.__exit__(*args)

    def system(self, name, value):
        """ALTER SYSTEM; None takes it back."""
        c = self.pg.connect()
        c.autocommit = True
        with c.cursor() as cur:
            if value is None:
                cur.execute(f"ALTER SYSTEM RESET {name}")
            else:
                cur.execute(f"ALTER SYSTEM SET {name} = %s", (value,))
            cur.execute("SELECT pg_reload_conf()")
        c.close()

    def audit(self):
        return self.nginx.get("/audit").json()

    def caps(self):
        """journal, queue, applied, delete"""
        return tuple(map(int, self.nginx.get("/caps").body.split()[:4]))

    def find(self, ident, text=""):
        return [f for f in self.audit()
                if f["id"] == ident and text in f["finding"]]

    def durability(self, **headers):
        a = self.nginx.post(headers=headers)
        assert a.status in (201, 202), (a.status, a.body)
        return dict((k, int(v)) for k, v in re.findall(
            r"(\w+)=(\d)", a.headers["scc-durability"]))

    def doctor(self, *more, **kw):
        args = ["--pg", self.pg.nginx_conninfo, "--queue",
                self.queue.address, "--journal", *self.nginx.dirs, *more]
        if self.redis is not None:
            args += ["--redis", self.redis.address]
        return doctor(*args, **kw)

    def said(self, ident, text, doc):
        return [f for f in doc["findings"]
                if f["id"] == ident and text in f["finding"]]


def doctor(*args, status=3, env=None):
    p = run([SCCCTL, "doctor", "--json", *args], check=False,
            stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))
    assert status in (None, p.returncode), (p.returncode, p.stdout, p.stderr)
    return json.loads(p.stdout)


@pytest.fixture(scope="module")
def stack():
    with Stack() as s:
        yield s


def redis_set(name, bad, good):
    return (lambda s: s.queue.r.config_set(name, bad),
            lambda s: s.queue.r.config_set(name, good))


def system(name, bad):
    return lambda s: s.system(name, bad), lambda s: s.system(name, None)


def role(sql, back):
    return lambda s: s.pg.query(sql), lambda s: s.pg.query(back)


def chmod(mode):
    return lambda s: os.chmod(s.nginx.dirs[0], mode)


def evict(s):
    s.queue.r.config_set("maxmemory", "100mb")
    s.queue.r.config_set("maxmemory-policy", "allkeys-lru")


def keep(s):
    s.queue.r.config_set("maxmemory-policy", "noeviction")
    s.queue.r.config_set("maxmemory", "0")


def aof_gone(s):
    path = os.path.join(s.queue.dir, "appendonlydir")
    for name in os.listdir(path):
        if name.endswith(".incr.aof"):
            os.unlink(os.path.join(path, name))


def aof_new(s):
    s.queue.r.bgrewriteaof()


def failing(s):
    s.system("archive_command", "false")
    s.pg.query("SELECT scc.contribute('{}', '{}', '{}', '{}', '{}', '{}', "
               "'{}', '{}', '{}')")
    s.pg.query("SELECT pg_switch_wal()")


def archiving(s):
    s.system("archive_command", s.copy)
    s.pg.query("SELECT pg_switch_wal()")


# id, what is seen, how to lie, how to mend it, what may not be said
# meanwhile (or the deletion rule), whether the doctor can see it
RUNNING = {
    "mode": ("J3", "mode 0755", chmod(0o755), chmod(0o700), None),
    "everysec": ("R2", "appendfsync everysec",
                 *redis_set("appendfsync", "everysec", "always"), "queue"),
    "no sync on rewrite": ("R2", "no-appendfsync-on-rewrite yes",
                           *redis_set("no-appendfsync-on-rewrite", "yes",
                                      "no"), "queue"),
    "truncated": ("R2", "aof-load-truncated",
                  *redis_set("aof-load-truncated", "yes", "no"), None),
    "allkeys-lru": ("R2", "maxmemory-policy allkeys-lru", evict, keep,
                    "queue"),
    "no AOF": ("R2", "appendonly no", *redis_set("appendonly", "no", "yes"),
               "queue"),
    "AOF removed": ("R6", "not in", aof_gone, aof_new, "queue"),
    "fsync": ("P1", "fsync = off", *system("fsync", "off"), "applied"),
    "full pages": ("P1", "full_page_writes = off",
                   *system("full_page_writes", "off"), "applied"),
    "zero pages": ("P1", "zero_damaged_pages = on",
                   *system("zero_damaged_pages", "on"), "applied"),
    "role": ("P1", "synchronous_commit = off",
             *role("ALTER ROLE scc_app SET synchronous_commit = off",
                   "ALTER ROLE scc_app RESET synchronous_commit"), None),
    "archive": ("P2", "archive_command = '/bin/true'",
                lambda s: s.system("archive_command", "/bin/true"),
                lambda s: s.system("archive_command", s.copy), "delete"),
    "archive fails": ("P3", "fails to archive", failing, archiving,
                      "delete"),
    "standby": ("P7", "no standby",
                *system("synchronous_standby_names", "s1"), "applied"),
}


@pytest.mark.parametrize("lie", RUNNING)
def test_found_and_over(stack, lie):
    ident, text, wrong, right, cap = RUNNING[lie]
    caps = {"journal": 0, "queue": 1, "applied": 2, "delete": 3}
    assert not stack.find(ident, text)

    wrong(stack)
    try:
        found = wait_until(lambda: stack.find(ident, text), 10,
                           f"{ident}: {text}")
        assert len(found) == 1
        assert all(found[0][k] for k in ("finding", "consequence", "change"))
        if cap:
            assert stack.caps()[caps[cap]] == 0
        if cap == "queue":
            assert stack.durability()["queue"] == 0
        doc = stack.doctor()
        assert len(stack.said(ident, text, doc)) == 1
        if cap:
            assert doc[cap] == 0
    finally:
        right(stack)

    wait_until(lambda: not stack.find(ident, text), 10,
               f"the end of {ident}: {text}")
    if cap in ("queue", "applied"):
        wait_until(lambda: stack.caps()[caps[cap]] == 1, 10, f"{cap}=1 again")

    assert not stack.said(ident, text, stack.doctor())

    # once, and that it is over
    log = stack.nginx.log()
    assert len(re.findall(rf"scc: audit {ident}: .*{text}", log)) == 1
    assert re.search(rf"scc: audit {ident} is over: .*{text}", log)


def test_claims(stack):
    wait_until(lambda: stack.caps()[:3] == (1, 1, 1), 10, "what is proven")
    # a worker that saw the queue lie asks it again
    wait_until(lambda: stack.durability(Prefer="wait=10") == {
        "journal": 1, "queue": 1, "applied": 1}, 10, "the claims", 0.2)


def test_backups(stack):
    """P5: one of any kind, a full one, and one that was verified."""
    def seen():
        return [f["finding"].split(": ", 1)[1] for f in stack.find("P5")]
    try:
        for kind, want in (
                (None, ["the last one: never, the last full one: never, "
                        "the last that was verified: never"]),
                ("backup", ["the last full one: never, the last that was "
                            "verified: never"]),
                ("full", ["the last that was verified: never"]),
                ("verify", [])):
            if kind:
                stack.pg.query(f"SELECT scc.stamp_add('{kind}', "
                               "clock_timestamp(), true, '')")
            wait_until(lambda: seen() == want, 30, f"P5 after {kind}")
        stack.pg.query("DELETE FROM scc.stamp WHERE kind <> 'full' "
                       "RETURNING 1")
        wait_until(lambda: seen() == ["the last that was verified: never"],
                   30, "a full one to be a backup, too")
    finally:
        stack.pg.query("DELETE FROM scc.stamp RETURNING 1")


def test_queue_emptied(stack):
    """R5: ids of a stream never go back."""
    for _ in range(3):
        stack.durability()
    wait_until(lambda: stack.nginx.log().count("R5") or True)
    time.sleep(0.7)                 # an audit has seen the stream
    stack.queue.r.flushall()
    wait_until(lambda: re.search(r"scc: audit R5: .*has lost entries",
                                 stack.nginx.log()), 10, "R5")


def test_trial_left_behind(stack):
    """A process that ended in its trial leaves a file; what is not such a
    file, or young, is not touched."""
    path = stack.nginx.dirs[0]
    day = time.time() - 86400
    files = {".probe-4000001": day, ".probed-4000002": day,
             ".probe-4000003": None, ".probe-": day, ".probe-4x": day,
             "probe-4": day, ".probe-4000004": day, ".probed-4.seg": day}
    for name, when in files.items():
        with open(os.path.join(path, name), "wb") as f:
            f.write(b"x" * (4097 if name == ".probe-4000004" else 4096))
        if when is not None:
            os.utime(os.path.join(path, name), (when, when))
    wait_until(lambda: not os.path.exists(path + "/.probe-4000001")
               and not os.path.exists(path + "/.probed-4000002"), 10,
               "the old ones to go")
    for name in list(files)[2:]:
        os.unlink(os.path.join(path, name))


def test_journal_moved(stack):
    """J9, also between two audits: nothing is acknowledged into a journal
    that has lost its name."""
    path = stack.nginx.dirs[0]
    stack.durability()
    os.rename(path, path + ".old")
    shutil.copytree(path + ".old", path)
    shutil.rmtree(path)
    os.mkdir(path, 0o700)
    shutil.copy(os.path.join(path + ".old", "store"), path)
    for name in (path, os.path.join(path, "store")):
        shutil.chown(name, SERVER_USER or os.getuid())
    ident = stack.nginx.post().json()["id"]
    assert ident in map(str, stack.nginx.ids())
    wait_until(lambda: re.search(r"scc: audit J9: ", stack.nginx.log()), 10,
               "J9")


def test_eatmydata():
    """J4 and J5: syncs that do nothing."""
    with Stack(env={"LD_PRELOAD": library()}) as s:
        assert s.find("J5", "libeatmydata")
        assert s.find("J4")
        assert s.caps()[0] == 0
        assert s.durability()["journal"] == 0
        assert not s.said("J5", "", s.doctor())
        doc = s.doctor(env={"LD_PRELOAD": library()})
        assert s.said("J5", "libeatmydata", doc) and s.said("J4", "", doc)
        assert doc["journal"] == 0


def test_fast_disk(place, tmp_path_factory):
    """J4: a sync that seems to take no time is believed if the disk counted
    what was written (one with protected power may be so fast), and is not
    if nothing reached it."""
    shim = str(tmp_path_factory.mktemp("fast") / "fast.so")
    source = os.path.join(os.path.dirname(__file__), "fast_shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"],
                   check=True)
    path = place()
    dev = os.stat(path).st_dev
    if not os.path.exists(
            f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}/stat"):
        pytest.skip("no disk that counts below /var/lib")
    for how, found in (("clock", False), ("lie", True)):
        doc = doctor("--journal", path, "--user", SERVER_USER, status=None,
                     env={"LD_PRELOAD": shim, "SCC_FAST": how})
        ids = [f["id"] for f in doc["findings"]]
        assert ("J4" in ids) == found and "J5" not in ids, (how, doc)
        assert doc["journal"] == (0 if found else 1)


def test_settings_hidden(stack):
    """R2: what cannot be seen is taken for no."""
    acl = stack.queue.r.execute_command
    acl("ACL", "SETUSER", "default", "-config")
    wait_until(lambda: stack.find("R2", "does not show its settings"), 10,
               "R2")
    assert stack.caps()[1] == 0
    assert stack.durability()["queue"] == 0
    assert stack.said("R2", "does not show its settings", stack.doctor())
    acl("ACL", "SETUSER", "default", "+config")
    wait_until(lambda: stack.caps()[1] == 1, 10, "queue=1 again")


def test_one_server():
    """R7, and R1 when it is gone."""
    queue = queue_redis(maxmemory_policy="allkeys-lru")
    with queue, Stack(queue=queue, redis=queue) as s:
        assert s.find("R7")
        assert s.said("R7", "", s.doctor())
        assert s.caps()[1] == 0
        queue.kill()
        wait_until(lambda: s.find("R1", "no answer"), 15, "R1")
        assert s.caps()[1] == 0


def test_rights(stack):
    """R4: a user who can do no harm is not complained about."""
    assert stack.find("R4", "FLUSHALL, FLUSHDB")
    with queue_redis() as queue:
        queue.r.execute_command(
            "ACL", "SETUSER", "scc", "on", ">word", "~scc:*", "+@all",
            "-@dangerous", "-@admin", "+info", "+role", "+config|get",
            "-del", "-unlink", "-xtrim", "-xgroup|destroy", "-rename",
            "+acl|whoami", "+acl|dryrun")
        secret = os.path.join(new_dir("pw"), "password")
        with open(secret, "w") as f:
            f.write("word\n")
        with Stack(queue=queue, scc_queue=f"{queue.address} user=scc "
                   f"password_file={secret}") as s:
            assert not s.find("R4")
            assert s.caps()[1] == 1


def test_applied_is_refused(stack):
    """An answer never says more than the store can keep."""
    stack.system("fsync", "off")
    wait_until(lambda: stack.find("P1"), 10, "P1")
    assert stack.durability(Prefer="wait=10")["applied"] == 0

    stack.nginx.write(LOCATION=LOCATION + "scc_ack applied;")
    stack.nginx.reload()
    assert stack.durability()["applied"] == 0
    stack.nginx.write(LOCATION=LOCATION
                      + "scc_ack applied; scc_ack_fallback off;")
    stack.nginx.reload()
    a = stack.nginx.post()
    assert a.status == 503 and "retry-after" in a.headers
    assert b"not known to be durable" in a.body

    stack.system("fsync", None)
    wait_until(lambda: stack.caps()[2] == 1, 10, "applied=1 again")
    assert stack.durability()["applied"] == 1


def test_store_away(stack):
    stack.pg.kill()
    wait_until(lambda: stack.find("P1", "does not say"), 20, "P1")
    assert stack.caps()[2] == 0
    assert stack.said("P1", "does not say", stack.doctor())
    stack.pg.start()
    wait_until(lambda: stack.caps()[2] == 1, 20, "applied=1 again")


def test_strict_refuses_contributions(place):
    """The journal's disk goes away under a strict nginx."""
    path = place()
    with Stack(dirs=[path], scc_audit="strict") as s:
        assert s.durability()["journal"] == 1
        with contextlib.ExitStack() as stack:
            stack.enter_context(mounted("-t", "tmpfs", "-o",
                                        "mode=0700,size=40m", "none", path))
            shutil.chown(path, SERVER_USER)
            sccj.init(path, store_uuid(s.pg))
            wait_until(lambda: s.find("J1"), 10, "J1")
            a = s.nginx.post()
            assert a.status == 503, a.body
            assert b"not known to be durable, nothing was taken" in a.body
            # readers notice nothing
            assert s.nginx.get("/v1/places?bbox=1,1,2,2").status == 200
        wait_until(lambda: not s.find("J1"), 10, "the end of J1")
        assert s.durability()["journal"] == 1


def test_offsite_required(place):
    """O1 with scc_offsite: nothing is taken that only this host would have
    for longer than it says."""
    path, dest = place(), place()
    with Stack(dirs=[path], scc_offsite="required 60s") as s:
        a = s.nginx.post()
        assert a.status == 503 and b"is late, nothing was taken" in a.body
        assert int(a.headers["retry-after"]) > 0
        assert s.find("O1", "later than scc_offsite permits: there is none")
        assert list(s.nginx.ids()) == []
        assert s.nginx.get("/v1/places?bbox=1,1,2,2").status == 200

        ship = lambda: sccctl("ship", "--once", "--to", dest, path)
        late = os.path.join(path, "shipped")
        ship()
        wait_until(lambda: s.nginx.post().status == 202, 30, "a copy")
        assert not s.find("O1")

        os.utime(late, (time.time() - 90,) * 2)
        wait_until(lambda: s.nginx.post().status == 503, 30, "to be late")
        assert s.find("O1", "the last whole round: ")
        # also for a worker of another configuration
        s.nginx.reload()
        wait_until(lambda: s.nginx.post().status == 503, 30, "to be late")
        ship()
        wait_until(lambda: s.nginx.post().status == 202, 30, "a copy")


# -- sccctl doctor -----------------------------------------------------------


def test_doctor_is_content(place):
    with contextlib.ExitStack() as stack:
        disk = ext4(place, stack, size=1 << 30)
        path, other = (os.path.join(disk, x) for x in "ab")
        for at in path, other:
            os.mkdir(at, 0o700)
            shutil.chown(at, SERVER_USER)
        with open(os.path.join(path, "shipped"), "w"):
            pass
        doc = doctor("--journal", path, "--user", SERVER_USER, status=0)
        assert doc["findings"] == [] and doc["journal"] == 1
        assert os.listdir(path) == ["shipped"]
        # a second directory on the same disk is no second copy
        doc = doctor("--journal", path, other)
        assert [f["id"] for f in doc["findings"]] == ["J7"]
        assert doc["journal"] == 1


@pytest.mark.parametrize("lie", LIES)
def test_doctor_sees_the_disk(place, lie):
    make, ident, text = LIES[lie]
    with contextlib.ExitStack() as up:
        path = make(place, up)
        doc = doctor("--journal", path, "--user", SERVER_USER)
        assert [f for f in doc["findings"]
                if f["id"] == ident and text in f["finding"]]
        assert doc["journal"] == (0 if ident in ("J1", "J2") else 1)


def test_doctor_talks():
    path = new_dir("j")
    p = run([SCCCTL, "doctor", "--journal", path], check=False)
    assert p.returncode == 3
    assert re.search(r"^J3 +the journal .* lies under /tmp$", p.stdout, re.M)
    assert re.search(r"^ +change: scc_journal /var/lib/scc/journal;$",
                     p.stdout, re.M)
    assert "not looked at: the store" in p.stdout
    assert "what may be said: journal=" in p.stdout
    assert "\033" not in p.stdout


def test_doctor_usage():
    env = {k: v for k, v in os.environ.items() if not k.startswith("SCC_")}
    for args in [], ["--user", "nobody-at-all", "--journal", "/x"], \
            ["--journal", "/a", "/b", "/c"]:
        p = run([SCCCTL, "doctor", *args], check=False, env=env)
        assert p.returncode == 2, p.stdout
