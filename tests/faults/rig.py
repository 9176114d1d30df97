"""All servers of the write path, clients that keep a history, and a proxy
that breaks connections."""

import fcntl
import hashlib
import json
import os
import random
import selectors
import shutil
import signal
import socket
import threading
import time
import uuid
from urllib.parse import quote

import psycopg2
import pytest

import check
import journal
from servers import (Closed, Http, Nginx, Postgres, Redis, SERVER_USER,
                     alive, new_dir, sccctl, shared, wait_until)

QUEUE = "scc:queue"
GROUP = "apply"

PLACES = 300            # of the sample that every store begins with

# what nginx may log while parts of it are being broken
NOISE = [r"exited on signal (9|19)", r"scc: the journal",
         r"clock has jumped", r"open socket #\d+ left in connection"]


def template():
    """Data directory of a stopped store with the sample in it."""
    def make():
        with Postgres(fsync=False) as pg:
            sccctl("init", pg=pg)
            path = os.path.join(pg.dir, "sample.csv")
            with open(path, "w") as f:
                f.write(sccctl("sample", "--places", PLACES, "--seed",
                               7).stdout)
            sccctl("import", path, pg=pg)
        return pg.data
    return shared("faults_store", make)


def seeded(name):
    """A random generator whose seed is printed; SCC_SEED repeats one."""
    seed = int(os.environ.get("SCC_SEED", "0")) or random.SystemRandom() \
        .randrange(1, 1 << 31)
    print(f"{name}: seed {seed} (SCC_SEED={seed} repeats it)")
    return random.Random(seed), seed


def queue_redis(**settings):
    """A Redis that is fit to be the queue."""
    d = {"appendonly": "yes", "appendfsync": "always",
         "maxmemory_policy": "noeviction"}
    d.update(settings)
    return Redis(**d)


class Stack:
    """PostgreSQL, both Redis servers and nginx, ready for contributions.

    shim: a Shim, preloaded into nginx.  dirs: journal directories (made
    here if None).  proxied: names of the parts ("pg", "cache", "queue")
    that nginx reaches through a Proxy, kept in .proxies.
    """

    def __init__(self, seed=1, workers=2, dirs=None, n_dirs=1, shim=None,
                 proxied=(), scc=None, location="", main="", pg=None,
                 queue=None, allow_log=(), shutdown="2s", stack=None,
                 threads=2, **nginx):
        self.seed = seed
        self.shim = shim
        self.dir = new_dir("stack")
        self.owns = stack is None
        if stack is None:
            pg = dict(pg or {})
            if "template" not in pg:
                pg["template"] = template()
            self.pg = Postgres(**pg)
            self.cache = Redis()
            self.queue = queue or queue_redis()
        else:
            self.pg, self.cache, self.queue = (stack.pg, stack.cache,
                                               stack.queue)
        self.proxies = {}
        for name in proxied:
            server = getattr(self, name)
            target = server.sock if name != "pg" else os.path.join(
                self.pg.dir, f".s.PGSQL.{self.pg.settings['port']}")
            where = os.path.join(self.dir, name)
            os.mkdir(where)
            os.chmod(where, 0o755)
            listen = os.path.join(where, os.path.basename(target))
            self.proxies[name] = Proxy(listen, target)
        self.dirs = dirs or [self.new_journal() for _ in range(n_dirs)]
        if shim is not None and len(self.dirs) == 1:
            shim.watch(self.dirs[0])
        conninfo = self.pg.nginx_conninfo
        if "pg" in self.proxies:
            conninfo = conninfo.replace(self.pg.dir,
                                        os.path.join(self.dir, "pg"))
        directives = {
            "scc_journal": " ".join(self.dirs),
            "scc_queue": self.address("queue"),
            "scc_journal_segment": "1m",
            "scc_journal_pending": "48k",
            "scc_contribution_max": "8k",
        }
        directives.update(scc or {})
        main += f"thread_pool scc threads={threads} max_queue=64;\n"
        if shim is not None:
            main += shim.MAIN
        location += """
            scc_contributor       $http_x_contributor;
            scc_contributor_name  $http_x_name;
"""
        self.nginx = WriteNginx(
            conninfo, self.address("cache"), scc=directives,
            workers=workers, main=main, location=location,
            allow_log=[*NOISE, *allow_log], shutdown=shutdown,
            preload=shim.env if shim else None, **nginx)

    def address(self, name):
        if name in self.proxies:
            return "unix:" + self.proxies[name].listen
        return getattr(self, name).address

    def new_journal(self):
        path = new_dir("journal")
        os.chmod(path, 0o700)
        return path

    def init_journals(self):
        for d in self.dirs:
            if not os.path.exists(os.path.join(d, "store")):
                sccctl("journal", "init", d, pg=self.pg)
                if SERVER_USER:
                    for name in os.listdir(d):
                        if name != "lost+found":
                            shutil.chown(os.path.join(d, name), SERVER_USER)

    def start(self):
        if self.owns:
            self.pg.start()
            self.cache.start()
            self.queue.start()
        for p in self.proxies.values():
            p.start()
        self.init_journals()
        self.before = [x[0] for x in self.pg.query(
            "SELECT event_id::text FROM scc.contribution")]
        self.sample = [x[0] for x in self.pg.query(
            "SELECT id FROM scc.place WHERE NOT is_closed ORDER BY id")]
        self.nginx.start()
        return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop(False)
            raise

    def __exit__(self, kind, value, trace):
        self.stop(kind is None)

    def stop(self, strict=True):
        try:
            if self.nginx.process is not None:
                self.nginx.end(signal.SIGTERM)
            if strict:
                self.nginx.check_log()
        finally:
            for p in self.proxies.values():
                p.stop()
            parts = [self.nginx]
            if self.owns:
                parts += [self.pg, self.cache, self.queue]
            for server in parts:
                if server.process is not None:
                    server.kill()

    # -- what is there --------------------------------------------------

    def store(self):
        return check.Store(self.pg.query)

    def known(self):
        """Ids that the store holds, dead letters included."""
        return {x[0] for x in self.pg.query(
            "SELECT event_id::text FROM scc.contribution UNION ALL SELECT "
            "event_id::text FROM scc.dead_letter "
            "WHERE event_id IS NOT NULL")}

    def journaled(self):
        return {str(r.event_id) for s in journal.segments(*self.dirs)
                for r in s.records}

    def orphans(self):
        """Open segments that nobody has locked."""
        with open("/proc/locks") as f:
            locked = {line.split()[5 if "->" not in line else 6]
                      for line in f}
        inodes = {x.rsplit(":", 1)[-1] for x in locked}
        out = []
        for d in self.dirs:
            for name in os.listdir(d):
                if name.endswith(".open"):
                    try:
                        st = os.stat(os.path.join(d, name))
                    except FileNotFoundError:
                        continue
                    if str(st.st_ino) not in inodes:
                        out.append(os.path.join(d, name))
        return out

    def drain(self, limit=30, orphans=True):
        """Waits until all that was journaled has been applied."""
        missing = [None]

        def done():
            try:
                missing[0] = self.journaled() - self.known()
            except psycopg2.Error:
                return False
            return not missing[0]
        try:
            wait_until(done, limit, "the applier", 0.1)
        except AssertionError:
            where = {str(r.event_id): (os.path.basename(s.path), s.end)
                     for s in journal.segments(*self.dirs)
                     for r in s.records}
            raise AssertionError(
                f"after {limit} s {len(missing[0] or ())} journaled "
                "contributions are not applied: "
                + ", ".join(f"{i} in {where.get(i)}"
                            for i in sorted(missing[0] or ())[:5])
                + f"\nqueue: {self.queue_state()}\n"
                + self.nginx.log()[-3000:]) from None
        if orphans:
            wait_until(lambda: not self.orphans(), limit,
                       "the adoption of " + str(self.orphans()[:3]), 0.1)

    def queued(self):
        """The records in the queue: an entry has one or more."""
        return [r for _, fields in self.queue.client(30).xrange(QUEUE)
                for r in journal.read_records(fields[b"r"], b"")]

    def queue_state(self):
        try:
            r = self.queue.client(2)
            return (r.xlen(QUEUE), r.xinfo_groups(QUEUE))
        except Exception as e:          # noqa: BLE001
            return repr(e)

    def verify(self, history, faults=None, **kw):
        """All invariants; fails with what was violated and the seed."""
        history.close()
        found = check.check(history, self.dirs, self.store(), self.before,
                            **kw)
        for i, texts in (faults.found if faults else {}).items():
            found.found[i] += texts
        assert not found, (f"seed {self.seed}, {history.outcomes()}, "
                           f"history {history.path}\n{found}")

    def workers_alive(self):
        return [p for p in self.nginx.workers() if alive(p)]


class Adopted:
    """A process that is nobody's child here, as Popen would show it."""

    returncode = None

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None if alive(self.pid) else 0

    def wait(self, timeout=10):
        wait_until(lambda: not alive(self.pid), timeout, "nginx's end")


class WriteNginx(Nginx):
    """preload: environment of a shim.  detached: no child of the test's, as
    nginx upgrades itself only then."""

    def __init__(self, *args, preload=None, detached=False, **kw):
        super().__init__(*args, **kw)
        self.preload, self.detached = preload or {}, detached

    def start(self, wait=True):
        if os.path.exists(self.sock):       # the last one was killed
            os.unlink(self.sock)
        return super().start(wait)

    def spawn(self, argv, drop_root=True, env=None):
        if self.detached:
            argv = ["sh", "-c", '"$@" & sleep 0.3', "sh", *argv]
        super().spawn(argv, drop_root, {**(env or os.environ),
                                        **self.preload})
        if self.detached:
            self.process.wait(10)
            self.process = Adopted(wait_until(self.masters, 10,
                                              "nginx")[0])

    # the processes of a binary upgrade are found by the configuration

    def masters(self):
        out = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
            except OSError:
                continue
            if b"nginx: master" in line and self.conf.encode() in line:
                out.append(int(pid))
        return out


# -- clients -----------------------------------------------------------------


class Poster(Http):
    """Sends a request once: what became of it is told, never hidden."""

    def post(self, body, headers, path="/v1/contributions"):
        lines = [f"POST {path} HTTP/1.1", "Host: localhost",
                 "Content-Type: application/json",
                 f"Content-Length: {len(body)}"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        data = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
        try:
            if self.sock is None:
                self.connect()
            self.sock.sendall(data)
            return self.read(path, "POST")
        except (Closed, OSError):
            self.close()
            raise


STAIRS = ["NONE", "ONE", "TWO_TO_FIVE", "OVER_SIX"]


def uuid7(rng):
    ms = int(time.time() * 1000)
    n = ms << 80 | rng.getrandbits(80)
    n = n & ~(0xF << 76) | 7 << 76
    n = n & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=n))


class Client:
    """One volunteer: writes one thing after the other."""

    KINDS = (["place_accessibility"] * 12 + ["building_accessibility"] * 2
             + ["place"] * 2 + ["contributor"] * 2 + ["comment"] * 2)

    def __init__(self, load, number):
        self.load = load
        self.number = number
        self.rng = random.Random(load.seed * 1000 + number)
        self.id = f"volunteer-{load.seed}-{number}"
        self.n = 0
        self.http = Poster(load.address, load.timeout)
        sample = load.stack.sample
        self.own = [sample[i] for i in range(number * 3, number * 3 + 3)]

    def body(self):
        """kind, target, fields"""
        rng = self.rng
        kind = rng.choice(self.KINDS)
        nonce = f"{self.load.seed}-{self.number}-{self.n}"
        shared = self.load.stack.sample[-20:]
        place = rng.choice(self.own if rng.random() < 0.7 else shared)
        if kind == "place_accessibility":
            stair = rng.choice(STAIRS)
            d = {"placeId": place, "stairInfo": stair, "floors": [1],
                 "isFirstFloor": True, "entranceDoorTypes": ["Hinged"],
                 "imageUrls": [f"https://img.example.org/{nonce}.jpg"]}
            if stair == "ONE":
                d["stairHeightLevel"] = "THUMB"
            d["hasSlope"] = rng.random() < 0.5
            return kind, place, d
        if kind == "building_accessibility":
            building = f"b-{rng.randrange(30)}"
            return kind, building, {
                "buildingId": building, "hasElevator": False,
                "hasSlope": True,
                "entranceStairInfo": rng.choice(["NONE", "TWO_TO_FIVE"]),
                "entranceDoorTypes": ["Sliding"],
                "elevatorStairInfo": "UNDEFINED",
                "imageUrls": [f"https://img.example.org/{nonce}.jpg"]}
        if kind == "place":
            ident = f"p-{nonce}"
            return kind, ident, {
                "placeId": ident, "name": f"계단 없는 집 {nonce}",
                "location": {"lng": round(126.9 + rng.random() / 10, 7),
                             "lat": round(37.5 + rng.random() / 10, 7)},
                "category": "cafe", "address": "서울 성동구 왕십리로"}
        if kind == "contributor":
            return kind, self.id, {"displayName": f"정복자 {nonce}"}
        return kind, place, {"placeId": place,
                             "comment": f"입구에 턱이 있어요 {nonce}"}

    def step(self):
        """One contribution, repeated until its outcome is known."""
        load = self.load
        kind, target, fields = self.body()
        fields = {"kind": kind, **fields}
        key = own = None
        way = self.rng.random()
        if way < 0.4:
            own = fields["id"] = uuid7(self.rng)
        elif way < 0.8:
            key = f"k-{self.load.seed}-{self.number}-{self.n}"
        text = json.dumps(fields, ensure_ascii=False).encode()
        headers = {"X-Contributor": self.id,
                   "X-Name": f"name of {self.number}", **load.headers}
        if key:
            headers["Idempotency-Key"] = f'"{key}"'
        for attempt in range(load.tries):
            x = {"client": self.number, "n": self.n, "try": attempt,
                 "kind": kind, "target": target, "contributor": self.id,
                 "key": key, "own": own, "event_id": None, "hlc": None,
                 "durability": None, "status": None,
                 "sha256": hashlib.sha256(text).hexdigest(),
                 "t0": time.monotonic()}
            if kind == "contributor":
                x["name"] = fields["displayName"]
            self.send(x, text, headers)
            x["t1"] = time.monotonic()
            load.history.add(x)
            if x["outcome"] == "ok" and load.on_ok:
                load.on_ok(x)
            if x["outcome"] != "unknown" or not (key or own):
                break
            if load.end.wait(self.rng.uniform(0.02, 0.3)):
                break
        self.n += 1
        return x

    def send(self, x, text, headers):
        try:
            a = self.http.post(text, headers)
        except (Closed, OSError) as e:
            x["outcome"] = "unknown"
            x["error"] = repr(e)[:100]
            return
        x["status"] = a.status
        if a.status in (200, 201, 202):
            x["outcome"] = "ok"
            x["durability"] = a.headers.get("scc-durability")
            answer = a.json()
            x["event_id"] = answer["id"]
            x["hlc"] = int(answer["hlc"]) if "hlc" in answer else None
            where = a.headers.get("location", "")
            if where and not where.endswith("/contributions/"
                                            + answer["id"]):
                x["event_id"] = where
        elif a.status < 500:
            x["outcome"] = "fail"
            x["error"] = a.body[:400].decode(errors="replace")
        else:
            x["outcome"] = "unknown"
            x["retry_after"] = a.headers.get("retry-after")


class Load:
    """Clients, and readers of what must stay readable, in threads."""

    def __init__(self, stack, clients=12, readers=2, timeout=5.0, tries=4,
                 headers=None, pause=0.0, address=None, turn=0,
                 on_ok=None):
        self.stack = stack
        self.seed = stack.seed + turn * 7919
        self.timeout, self.tries, self.pause = timeout, tries, pause
        self.headers = headers or {}
        self.on_ok = on_ok
        self.address = address or ("127.0.0.1", stack.nginx.port)
        self.history = check.History(os.path.join(stack.dir,
                                                  f"history-{turn}.jsonl"))
        self.end = threading.Event()
        self.errors = []
        self.clients = [Client(self, i) for i in range(clients)]
        self.threads = [threading.Thread(target=self.write, args=(c,))
                        for c in self.clients]
        self.threads += [threading.Thread(target=self.read, args=(i,))
                         for i in range(readers)]

    def __enter__(self):
        # the cache is warm for what the readers ask
        if len(self.threads) > len(self.clients):
            with Http(self.address) as http:
                for path in self.paths():
                    a = http.get(path)
                    assert a.status == 200, a
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        for t in self.threads:
            t.join(60)
        assert not any(t.is_alive() for t in self.threads), \
            "a request never ended"
        if exc[0] is None:
            assert not self.errors, self.errors[:5]

    def write(self, client):
        try:
            while not self.end.is_set():
                x = client.step()
                if x["outcome"] == "fail":
                    self.errors.append(x)
                    if len(self.errors) > 20:
                        return
                if x["outcome"] != "ok":
                    self.end.wait(0.02)
                elif self.pause:
                    self.end.wait(client.rng.expovariate(1 / self.pause))
        except Exception as e:          # noqa: BLE001
            self.errors.append(repr(e))
            raise

    def paths(self):
        return ["/v1/places?bbox=126.5,37,127.5,38&limit=1"] + [
            "/v1/places/" + quote(i, safe="")
            for i in self.stack.sample[:20]]

    def read(self, number):
        rng = random.Random(self.seed * 77 + number)
        paths = self.paths()[1:]
        http = Http(self.address, 10)
        while not self.end.is_set():
            path = rng.choice(paths)
            t0 = time.monotonic()
            try:
                a = http.get(path)
            except (Closed, OSError):
                self.history.lost_reads += 1
                http.close()
                self.end.wait(0.05)
                continue
            self.history.add_read(check.Read(t0, time.monotonic(), path,
                                             a.status, None))
            self.end.wait(0.01)

    def acked(self):
        return sum(1 for x in self.history.lines if x["outcome"] == "ok")

    def more(self, n=50, limit=15):
        """Waits for n more acknowledgements."""
        have = self.acked()
        try:
            wait_until(lambda: self.acked() >= have + n or
                       len(self.errors) > 20, limit,
                       f"{n} more acknowledgements", 0.02)
        except AssertionError as e:
            raise AssertionError(
                f"{e}; so far {self.history.outcomes()}\n"
                f"errors: {self.errors[:3]}\n{self.stack.nginx.log()[-2000:]}"
            ) from None
        assert not self.errors, self.errors[:3]

    def round(self, limit=15):
        """Waits until each client has been answered what it sends now."""
        t = time.monotonic()
        everybody = {c.number for c in self.clients}
        wait_until(lambda: {x["client"] for x in self.since(t)} >= everybody
                   or len(self.errors) > 20, limit,
                   "an answer to each client", 0.02)

    def since(self, t):
        return [x for x in self.history.lines if x["t0"] >= t]


# -- a proxy -----------------------------------------------------------------


class Proxy:
    """Forwards a unix socket, and breaks it as told.  target: a unix
    socket's path, or (host, port).

    mode: "pass"; "refuse" (nobody listens, and all is closed); "drop"
    (connections stay, nothing gets through); "up"/"down" (only requests,
    only answers get through); "cut" (each connection is closed when a
    request has gone through, before its answer); delay: seconds for every
    answer.  replace: bytes of requests, and what gets there instead.
    """

    def __init__(self, listen, target):
        self.listen, self.target = listen, target
        self.mode, self.delay = "pass", 0.0
        self.end = threading.Event()
        self.pairs = {}
        self.thread = threading.Thread(target=self.loop)
        self.server = None
        self.wake, self.waker = socket.socketpair()
        self.todo = []
        self.late = []                      # (when, socket, bytes)
        self.replace, self.replaced = None, 0

    def start(self):
        self.open()
        self.thread.start()

    def open(self):
        if os.path.exists(self.listen):
            os.unlink(self.listen)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.listen)
        os.chmod(self.listen, 0o777)
        self.server.listen(512)
        self.server.setblocking(False)

    def set(self, mode, delay=0.0):
        self.todo.append((mode, delay))
        self.waker.send(b"x")
        wait_until(lambda: not self.todo, 5, "the proxy")

    def stop(self):
        self.end.set()
        if self.thread.is_alive():
            self.waker.send(b"x")
            self.thread.join(10)

    def loop(self):
        sel = selectors.DefaultSelector()
        sel.register(self.wake, selectors.EVENT_READ, "wake")
        sel.register(self.server, selectors.EVENT_READ, "server")
        while not self.end.is_set():
            now = time.monotonic()
            wait = 1.0
            if self.late:
                wait = max(0.0, min(x[0] for x in self.late) - now)
            for key, _ in sel.select(wait):
                if key.data == "wake":
                    self.wake.recv(64)
                elif key.data == "server":
                    self.accept(sel)
                elif key.fileobj in self.pairs:
                    self.move(sel, key.fileobj, key.data)
            now = time.monotonic()
            due = [x for x in self.late if x[0] <= now]
            self.late = [x for x in self.late if x[0] > now]
            for _, s, data in due:
                if s in self.pairs:
                    self.send(sel, s, data)
            while self.todo:
                self.change(sel, *self.todo[0])
                self.todo.pop(0)
        for s in list(self.pairs):
            s.close()
        if self.server:
            self.server.close()

    def change(self, sel, mode, delay):
        was, self.mode, self.delay = self.mode, mode, delay
        if mode == "refuse" and was != "refuse":
            sel.unregister(self.server)
            self.server.close()
            self.server = None
            os.unlink(self.listen)
            for s in list(self.pairs):
                self.close(sel, s)
        elif was == "refuse" and mode != "refuse":
            self.open()
            sel.register(self.server, selectors.EVENT_READ, "server")
        if was in ("drop", "up", "down") and mode == "pass":
            # bytes were lost: no conversation can go on
            for s in list(self.pairs):
                self.close(sel, s)

    def accept(self, sel):
        try:
            a, _ = self.server.accept()
        except OSError:
            return
        tcp = isinstance(self.target, tuple)
        b = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        try:
            b.connect(self.target)
        except OSError:
            a.close()
            return
        self.pairs[a], self.pairs[b] = b, a
        sel.register(a, selectors.EVENT_READ, "up")
        sel.register(b, selectors.EVENT_READ, "down")

    def move(self, sel, s, way):
        try:
            data = s.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.close(sel, s)
            return
        if self.mode == "cut" and way == "down":
            self.close(sel, s)
            return
        if self.mode == "drop" or self.mode in ("up", "down") \
                and way != self.mode:
            return
        if self.delay and way == "down":
            self.late.append((time.monotonic() + self.delay,
                              self.pairs[s], data))
            return
        if self.replace and way == "up":
            self.replaced += data.count(self.replace[0])
            data = data.replace(*self.replace)
        self.send(sel, self.pairs[s], data)

    def send(self, sel, s, data):
        try:
            s.sendall(data)
        except OSError:
            self.close(sel, s)

    def close(self, sel, s):
        other = self.pairs.pop(s, None)
        if other is None:
            return
        del self.pairs[other]
        for x in (s, other):
            sel.unregister(x)
            x.close()


def need_root(what):
    if os.getuid() != 0:
        pytest.skip(f"{what} needs root")


def locked(path):
    """Whether somebody holds the lock of a file."""
    with open(path, "rb") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
