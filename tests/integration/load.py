"""Clients that read without end while tests break things around them."""

import os
import random
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from servers import fd_count, fd_list, wait_until

SEED = 99
WORKERS = 2
CONNECTIONS = 4             # scc_postgres_connections, the default
REDIS_CONNECTIONS = 2       # scc_redis_connections, the default


def binaries():
    asan = os.environ.get("SCC_NGINX_ASAN", "")
    out = [pytest.param(None, id="nginx")]
    if asan and os.path.exists(asan):
        out.append(pytest.param(asan, id="asan"))
    return out


def cell_paths(truth, n, seed=SEED):
    """n requests of one cell each, and what they must be answered."""
    cells = sorted(c for c, (_, f) in truth.items() if f)
    out = {}
    for c in random.Random(seed).sample(cells, n):
        x, y = c >> 16, c & 65535
        out[f"/v1/cells/16/{x}-{x}/{y}-{y}.json"] = truth[c][1]
    return out


def herd(nginx, path, n):
    """n clients ask at once; the set of their bodies."""
    socks = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", nginx.port), 20)
        socks.append(s)
    text = f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode()
    for s in socks:
        s.sendall(text)
    bodies = set()
    for s in socks:
        parts = []
        while True:
            part = s.recv(1 << 16)
            if not part:
                break
            parts.append(part)
        s.close()
        head, body = b"".join(parts).split(b"\r\n\r\n", 1)
        assert b" 200 " in head.splitlines()[0], head
        bodies.add(body)
    return bodies


class Load:
    """Clients that ask for ever; every 200 is compared with the truth."""

    def __init__(self, nginx, answers, clients=4, allow=(200,)):
        self.nginx, self.answers = nginx, answers
        self.paths = sorted(answers)
        self.allow = allow
        self.halt = threading.Event()
        self.statuses = {}
        self.layers = {}
        self.slowest = 0.0
        self.slow = 0
        self.errors = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(clients)]

    def run(self, i):
        rng = random.Random(i)
        with self.nginx.client() as c:
            while not self.halt.is_set():
                path = rng.choice(self.paths)
                began = time.monotonic()
                try:
                    a = c.get(path)
                except Exception as e:
                    with self.lock:
                        self.errors.append(f"{path}: {e!r}")
                    c.close()
                    continue
                took = time.monotonic() - began
                with self.lock:
                    self.slowest = max(self.slowest, took)
                    self.slow += took > .5
                    layer = a.headers.get("cache-status", "")
                    self.layers[layer] = self.layers.get(layer, 0) + 1
                    self.statuses[a.status] = \
                        self.statuses.get(a.status, 0) + 1
                    if a.status not in self.allow:
                        self.errors.append(repr(a))
                    elif a.status == 200 and \
                            a.json()["features"] != self.answers[path]:
                        self.errors.append(f"false: {a!r}")
                    elif a.status == 503:
                        self.check_503(a)

    def check_503(self, a):
        if not a.headers.get("retry-after", "").isdigit() \
                or a.headers["cache-control"] != "no-store" \
                or a.headers["content-type"] != "application/problem+json":
            self.errors.append(repr(a))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, value, trace):
        self.halt.set()
        for t in self.threads:
            t.join()
        if kind is None:
            assert not self.errors, (f"{len(self.errors)} failed reads, "
                                     + "\n".join(self.errors[:5]))

    def went_on(self, n=30, limit=10):
        """Waits for n further answers."""
        want = sum(self.statuses.values()) + n
        wait_until(lambda: sum(self.statuses.values()) >= want
                   or self.errors, limit, f"{n} more answers")

    def __str__(self):
        return (", ".join(f"{n} × {s}" for s, n in
                          sorted(self.statuses.items()))
                + f", slowest {self.slowest * 1000:.0f} ms"
                + (f" ({self.slow} over 500 ms)" if self.slow else ""))


def warm(nginx, answers):
    """Until each of the paths is answered from Redis."""
    with nginx.client() as c:
        for path in answers:
            wait_until(lambda: "hit" in c.get(path).headers.get(
                "cache-status", ""), 30, "a hit")


def ok(nginx, answers, limit=10):
    """All is well: right answers, from Redis."""
    with nginx.client() as c:
        for path, want in list(answers.items())[:20]:
            wait_until(lambda: c.get(path).status == 200, limit, "a 200")
            assert c.get(path).json()["features"] == want
            wait_until(lambda: "hit" in c.get(path).headers["cache-status"],
                       limit, "a hit")


@contextmanager
def no_leak(nginx, pg, redis):
    """Descriptors and connections after as before."""
    def count():
        return sum(fd_count(p) for p in nginx.workers() + nginx.helpers())
    wait_until(nginx.helpers, 30, "the helper")
    before = count()
    files = [fd_list(p) for p in nginx.workers()]
    yield
    try:
        wait_until(lambda: count() <= before + 2 * (
            CONNECTIONS + REDIS_CONNECTIONS) * WORKERS, 30, "descriptors")
    except AssertionError:
        raise AssertionError(f"{before} descriptors before, {count()} after:"
                             f"\n{files}\n"
                             f"{[fd_list(p) for p in nginx.workers()]}")
    check_connections(pg, redis)


def check_connections(pg, redis):
    n = pg.query("SELECT count(*) FROM pg_stat_activity "
                 "WHERE usename = 'scc_app'")[0][0]
    # the workers', and two of the helper: its feed and its roll-up
    assert n <= CONNECTIONS * WORKERS + 2, f"{n} connections to PostgreSQL"
    # workers, the helper, and the test's own few
    mine = sum(b"ngx" not in x.get("name", "").encode()
               and x.get("lib-name", "") != "" for x in
               redis.r.client_list())
    n = len(redis.r.client_list()) - mine
    assert n <= REDIS_CONNECTIONS * (WORKERS + 1) + 3, \
        f"{n} connections to Redis: {redis.r.client_list()}"


def fresh(nginx, pg, truth, limit=4):
    """A change by hand is seen, whatever state the cache is in."""
    cell = sorted(c for c, (_, f) in truth.items() if f)[7]
    ident = truth[cell][1][0]["id"]
    x, y = cell >> 16, cell & 65535
    path = f"/v1/cells/16/{x}-{x}/{y}-{y}.json"
    name = f"changed {random.random()}"
    with nginx.client() as c:
        c.get(path)
        c.get(path)
        pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                 (name, ident))
        wait_until(lambda: name in [f["properties"]["name"] for f in
                                    c.get(path).json()["features"]],
                   limit, "the change")


def cold_paths(truth, answers):
    """Requests for other cells than these."""
    more = cell_paths(truth, 200, SEED + 1)
    return {k: v for k, v in more.items() if k not in answers}
