"""What the tests of the write path share: nginx with a journal, clients,
and a small applier typed by hand."""

import asyncio
import json
import os
import shutil
import signal
import threading
import time
import uuid

import redis as redispy

import sccj
from servers import (NGINX_CONF, Closed, Nginx, Redis, freeze, new_dir,
                     wait_until)

PATH = "/v1/contributions"
JSON = {"Content-Type": "application/json"}
POOL = "thread_pool scc threads=2 max_queue=64;\n"
LOCATION = ("scc_contributor $http_x_user;\n"
            "scc_contributor_name $http_x_name;\n")
TEMPLATE = NGINX_CONF.replace("worker_connections  1024",
                              "worker_connections  6000")


def body(place="p1", **more):
    doc = {"kind": "place_accessibility", "placeId": place,
           "stairInfo": "NONE", "hasSlope": False, "floors": [1],
           "entranceDoorTypes": ["None"]}
    doc.update(more)
    return json.dumps(doc, ensure_ascii=False).encode()


def large_body(size):
    """A contribution of so many bytes: JSON allows blanks."""
    doc = new_body(size)
    return doc[:1] + b" " * (size - len(doc)) + doc[1:]


def new_body(n=0):
    return body(f"p-{n}-{uuid.uuid4()}")


def queue_redis(**settings):
    """A Redis as the queue should be: on disk before each answer."""
    given = {"appendonly": "yes", "appendfsync": "always",
             "maxmemory_policy": "noeviction"}
    given.update(settings)
    return Redis(**given)


def store_uuid(pg):
    return pg.query("SELECT store_uuid FROM scc.identity")[0][0]


def journal_dir(store, kind="journal"):
    path = new_dir(kind)
    os.chmod(path, 0o700)
    sccj.init(path, store)
    return path


class Writer(Nginx):
    """nginx that takes contributions; dirs: its journal.

    The helper is stopped at once, so that nothing is applied but by the
    test: helper=True lets it run.
    """

    def __init__(self, pg, redis=None, queue=None, dirs=None, n_dirs=1,
                 scc=None, helper=False, env=None, **kw):
        self.dirs = dirs if dirs is not None else [
            journal_dir(store_uuid(pg)) for _ in range(n_dirs)]
        self.helper, self.env = helper, env
        d = {"scc_journal": " ".join(self.dirs),
             "scc_queue": getattr(queue, "address", queue)}
        d.update(scc or {})
        kw["location"] = LOCATION + kw.get("location", "")
        kw["main"] = POOL + kw.get("main", "")
        kw.setdefault("template", TEMPLATE)
        super().__init__(pg, redis, scc=d, **kw)

    def spawn(self, argv, drop_root=True, env=None):
        env = dict(env or os.environ)
        env.update(self.env or {})
        super().spawn(argv, drop_root, env)

    def start(self, wait=True):
        super().start(wait)
        if wait and not self.helper:
            self.wait_audit()
            self.stop_helper()
        return self

    def wait_audit(self, limit=20):
        """What may be claimed is known when the helper has looked."""
        wait_until(lambda: "scc: the durability audit has" in self.log(),
                   limit, "the durability audit")

    def reload(self, wait_old=True, limit=30):
        for pid in self.kids("cache manager"):
            os.kill(pid, signal.SIGCONT)
        super().reload(wait_old, limit)
        if not self.helper:
            self.stop_helper()

    def stop_helper(self):
        for pid in wait_until(self.helpers, 30, "the helper"):
            freeze(pid)

    def post(self, data=None, user="u1", key=None, headers=None, **kw):
        return self.get(PATH, head(user, key, headers), method="POST",
                        body=new_body() if data is None else data, **kw)

    def records(self, i=0):
        return sccj.records(self.dirs[i])

    def ids(self, i=0):
        return [r.event_id for r in self.records(i)]

    def state(self, ident):
        a = self.get(f"{PATH}/{ident}")
        return a.json()["status"] if a.status == 200 else a.status


def head(user="u1", key=None, more=None):
    h = dict(JSON)
    if user is not None:
        h["X-User"] = user
    if key is not None:
        h["Idempotency-Key"] = key
    h.update(more or {})
    return {k: v for k, v in h.items() if v is not None}


def request(data, user="u1", key=None, more=None):
    """The bytes of a POST; of its head alone if its length is not told."""
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost"]
    if "Transfer-Encoding" not in (more or {}):
        lines.append(f"Content-Length: {len(data)}")
    lines += [f"{k}: {v}" for k, v in head(user, key, more).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def problem(a, status):
    assert a.status == status, a
    assert a.headers["content-type"] == "application/problem+json", a
    assert a.headers["cache-control"] == "no-store", a
    doc = a.json()
    assert doc["status"] == status and doc["title"] and doc["detail"], doc
    return doc


def durability(a):
    """{"journal": 1, "queue": 0, "applied": 0}"""
    return {k: int(v) for k, v in (x.strip().split("=") for x in
            a.headers["scc-durability"].split(","))}


def accepted(a, status=202):
    assert a.status == status, a
    doc = a.json()
    assert a.headers["content-type"] == "application/json", a
    assert a.headers["cache-control"] == "no-store", a
    assert a.headers["location"] == doc["href"] == f"{PATH}/{doc['id']}", a
    assert str(uuid.UUID(doc["id"])) == doc["id"]
    assert isinstance(doc["hlc"], str) and int(doc["hlc"]) > 0
    d = durability(a)
    assert d["journal"] >= 1 or d["applied"], a
    assert doc["status"] == ("applied" if d["applied"] else doc["status"])
    return doc


class Applier:
    """Stream to store, as an applier does; by hand, for the tests."""

    def __init__(self, queue, pg, delay=0.0):
        self.r = redispy.Redis(unix_socket_path=queue.sock)
        self.pg, self.delay = pg, delay
        self.done = threading.Event()
        self.applied = []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        try:
            self.r.xgroup_create("scc:queue", "test", "$", mkstream=True)
        except redispy.ResponseError:
            self.r.xgroup_setid("scc:queue", "test", "$")
        self.db = self.pg.connect(user="scc_app")
        self.thread.start()
        return self

    def __exit__(self, *a):
        self.done.set()
        self.thread.join(10)
        self.db.close()

    def run(self):
        while not self.done.is_set():
            got = self.r.xreadgroup("test", "me", {"scc:queue": ">"}, 100,
                                    block=50)
            for _, entries in got or []:
                time.sleep(self.delay)
                for _, f in entries:
                    r, _ = sccj.record(f[b"r"])
                    self.apply(r, uuid.UUID(bytes=f[b"s"]))

    def apply(self, r, segment):
        apply(self.db, r, segment)
        self.applied.append(r.event_id)


def apply(db, r, segment=None):
    with db, db.cursor() as cur:
        cur.execute(
            "SELECT * FROM scc.apply(%s::uuid[], %s::bigint[], %s::text[],"
            " %s::text[], %s::text[], %s::text[],"
            " %s::timestamptz[], %s::uuid, %s::text[])",
            ([str(r.event_id)], [r.hlc], [r.kind], [r.contributor],
             [r.name or None], [r.key or None],
             [time.strftime("%Y-%m-%dT%H:%M:%SZ",
                            time.gmtime(r.received // 10**9))],
             str(segment) if segment else None, [r.body.decode()]))


class Load:
    """Clients that contribute without a pause and keep what they are told.

    acked: {event id: (body, answer)}; other: {status: times}; lost: how
    often a connection ended before the answer (outcome unknown).
    """

    def __init__(self, nginx, clients=8, user="load"):
        self.nginx, self.user = nginx, user
        self.acked, self.other, self.lost = {}, {}, 0
        self.details = set()
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,),
                                         daemon=True)
                        for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *a):
        self.stop()

    def stop(self):
        self.done.set()
        for t in self.threads:
            t.join(30)
            assert not t.is_alive(), "a client hangs"

    def count(self):
        return len(self.acked)

    def wait(self, n, limit=20):
        """Until n more contributions were acknowledged."""
        want = self.count() + n
        try:
            wait_until(lambda: self.count() >= want, limit,
                       f"{n} acknowledged contributions")
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.count()} of {want}, others "
                                 f"{self.other} {self.details}, lost "
                                 f"{self.lost}")

    def run(self, i):
        c = self.nginx.client(timeout=20)
        n = 0
        while not self.done.is_set():
            n += 1
            data = new_body(f"{i}-{n}")
            try:                    # once: what was lost is not sent again
                if c.sock is None:
                    c.connect()
                c.sock.sendall(request(data, self.user))
                a = c.read(PATH)
            except (OSError, Closed):
                c.close()
                with self.lock:
                    self.lost += 1
                time.sleep(0.01)
                continue
            with self.lock:
                if a.status in (201, 202):
                    self.acked[uuid.UUID(a.json()["id"])] = (data, a)
                else:
                    self.other[a.status] = self.other.get(a.status, 0) + 1
                    self.details.add(a.json()["detail"])
            if a.status == 503:
                time.sleep(0.05)
        c.close()

    def check(self, *directories):
        """Every acknowledged contribution is in each of these journals,
        whole, once."""
        for d in directories:
            kept = {}
            for r in sccj.records(d):
                kept.setdefault(r.event_id, []).append(r)
            missing = [x for x in self.acked if x not in kept]
            assert not missing, (len(missing), missing[:3])
            for ident, (data, _) in self.acked.items():
                assert {r.body for r in kept[ident]} == {data}
            yield kept

    def verify(self, *directories):
        return list(self.check(*directories))


async def _many(address, requests):
    gate = asyncio.Event()
    answers = [None] * len(requests)
    ready = 0

    async def one(i, data):
        nonlocal ready
        reader, writer = await asyncio.open_connection(*address)
        ready += 1
        await gate.wait()
        writer.write(data)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        h = {k.lower(): v.strip() for k, _, v in
             (x.partition(":") for x in lines[1:] if x)}
        data = await reader.readexactly(int(h.get("content-length", 0)))
        answers[i] = (int(lines[0].split()[1]), h, data)
        writer.close()

    tasks = [asyncio.ensure_future(one(i, d)) for i, d in
             enumerate(requests)]
    while ready < len(requests) and not any(t.done() for t in tasks):
        await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*tasks)
    return answers


def post_together(nginx, bodies, user="crowd", limit=60):
    """Contributions on as many connections, all open before the first is
    sent: [(status, headers, body)]."""
    requests = [request(data, user) for data in bodies]
    return asyncio.run(asyncio.wait_for(
        _many(("127.0.0.1", nginx.port), requests), limit))


def remove(path):
    shutil.rmtree(path)
