"""nginx among failing servers: starts, reloads, aborts, large answers.

No read fails that the design says must succeed; nothing leaks.
"""

import os
import re
import signal
import socket

import pytest

import places
from load import (WORKERS, Load, binaries, cell_paths, check_connections,
                  fresh, no_leak, ok, warm)
from servers import Nginx, Postgres, Redis, alive, wait_until


@pytest.fixture
def pg(sample_store):
    with Postgres(template=sample_store) as server:
        yield server


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(params=binaries())
def nginx(request, pg, redis):
    with Nginx(pg, redis, workers=WORKERS, binary=request.param) as server:
        yield server


# -- both, and nginx itself --------------------------------------------------


def test_both_down_and_back(nginx, pg, redis, truth):
    answers = cell_paths(truth, 30)
    warm(nginx, answers)
    redis.kill()
    pg.kill()
    with Load(nginx, answers, 3, (503,)) as load:
        load.went_on(100)
    a = nginx.get("/v1/places/x")
    assert a.status == 503 and a.headers["retry-after"].isdigit()
    assert nginx.get("/v1/places?bbox=0,0,180,90").status == 503
    assert nginx.get("/v1/tiles.json").status == 200
    assert nginx.get("/v1/places?bbox=0").status == 400
    pg.start()
    redis.start()
    ok(nginx, answers)


def test_both_frozen(nginx, pg, redis, truth):
    answers = cell_paths(truth, 30)
    warm(nginx, answers)
    redis.sigstop()
    pg.sigstop()
    try:
        with Load(nginx, answers, 8, (503,)) as load:
            load.went_on(10, 20)
        assert load.slowest < 5
    finally:
        pg.sigcont()
        redis.sigcont()
    ok(nginx, answers)


def test_starts_with_nothing_there(pg, redis, truth):
    answers = cell_paths(truth, 20)
    pg.stop()
    redis.stop()
    with Nginx(pg, redis, workers=WORKERS) as n:
        with Load(n, answers, 2, (503,)) as load:
            load.went_on(50)
        pg.start()
        with n.client() as c:
            for path, want in answers.items():
                wait_until(lambda: c.get(path).status == 200, 30, "a 200")
                assert c.get(path).json()["features"] == want
        redis.start()
        ok(n, answers)
        fresh(n, pg, truth)


def test_twenty_reloads_under_load(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 60)
    with Load(nginx, answers, 4) as load:
        for i in range(20):
            load.went_on(10)
            if i % 3 == 0:
                redis.forget()
            nginx.reload(wait_old=i % 5 == 0)
        load.went_on(50)
    wait_until(lambda: len(nginx.kids("worker process")) == WORKERS
               and len(nginx.kids("cache manager")) == 1, 30,
               "the old processes to end")
    ok(nginx, answers)
    check_connections(pg, redis)
    figure("20 reloads under load", str(load))


def test_reload_to_another_cache(nginx, pg, redis, truth):
    """Addresses and directives change by reload."""
    answers = cell_paths(truth, 40)
    with Redis() as other, Load(nginx, answers, 3) as load:
        for i in range(4):
            load.went_on(30)
            r = (other, redis)[i % 2]
            nginx.write(SCC=nginx.values["SCC"].replace(
                (redis, other)[i % 2].address, r.address))
            nginx.reload()
            wait_until(lambda: r.r.dbsize() > 10, 30, "entries in it")


def test_reload_with_a_bad_configuration(nginx, pg, redis, truth):
    answers = cell_paths(truth, 20)
    good = nginx.values["LOCATION"]
    workers = nginx.workers()
    with Load(nginx, answers, 2) as load:
        nginx.write(LOCATION="scc_limit x;")
        nginx.allow_log.append(re.compile("scc_limit"))
        nginx.signal(signal.SIGHUP)
        wait_until(lambda: "scc_limit" in nginx.log(), 30, "the refusal")
        load.went_on(50)
        assert nginx.workers() == workers
        nginx.write(LOCATION=good)
        nginx.reload()
    ok(nginx, answers)


def test_processes_killed(nginx, pg, redis, truth):
    """nginx brings back a worker and the helper; the feed goes on."""
    nginx.allow_log.append(re.compile("exited on signal 9"))
    answers = cell_paths(truth, 20)
    warm(nginx, answers)
    for pids in nginx.workers()[:1], nginx.helpers():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), 30, "its end")
        wait_until(lambda: len(nginx.workers()) == WORKERS
                   and len(nginx.helpers()) == 1, 30, "a new one")
        wait_until(lambda: reads(nginx, answers), 30, "answers")
        fresh(nginx, pg, truth)


def reads(nginx, answers):
    try:
        return all(nginx.get(p).status == 200 for p in answers)
    except Exception:
        return False


# -- clients and sizes -------------------------------------------------------


def test_clients_that_abort(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 200)
    paths = sorted(answers)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers, 2):
            for i in range(600):
                if i % 20 == 0:
                    redis.forget()
                c = nginx.client()
                s = c.connect()
                s.sendall(f"GET {paths[i % 200]} HTTP/1.1\r\nHost: a\r\n"
                          "\r\n".encode()[:None if i % 4 else 30])
                if i % 3 == 0:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 b"\1\0\0\0\0\0\0\0")
                c.close()
        ok(nginx, answers)
    figure("clients that abort", "600, nothing leaked")


def resident(pid):
    """Kilobytes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def test_memory_does_not_grow(pg, redis, truth, figure):
    """Hits, fills, lost connections and feed rounds give back what they
    take."""
    answers = cell_paths(truth, 100)
    with Nginx(pg, redis, workers=1,
               scc={"scc_feed_interval": "10ms"}) as nginx:
        def work():
            with Load(nginx, answers, 3) as load:
                for i in range(40):
                    load.went_on(50)
                    if i % 2:
                        redis.forget()
                    if i % 10 == 0:
                        redis.r.client_kill_filter(_type="normal",
                                                   skipme=True)
        wait_until(nginx.helpers, 30, "the helper")
        pids = nginx.workers() + nginx.helpers()
        work()
        before = [resident(p) for p in pids]
        work()
        work()
        after = [resident(p) for p in pids]
    grown = [b - a for a, b in zip(before, after)]
    figure("memory", f"worker and helper grew by {grown} KB in "
           "4,000 requests")
    assert max(grown) < 2048, (before, after)


def big_store(pg):
    """9,000 places in one cell: an entry and an answer of 3 MB."""
    pg.query("INSERT INTO scc.place (id, name, address, lon_e7, lat_e7) "
             "SELECT 'big-' || i, '큰 칸 ' || i, repeat('주소', 12), "
             "-300000000 + i % 50, 100000000 + i / 50 "
             "FROM generate_series(1, 9000) i")
    cell = places.cell(-300000000, 100000000)
    return f"/v1/cells/16/{cell >> 16}-{cell >> 16}/" \
           f"{cell & 65535}-{cell & 65535}.json"


def test_three_megabytes(nginx, pg, redis, figure):
    path = big_store(pg)
    sizes = set()
    with nginx.client() as c:
        first = c.get(path)
        wait_until(lambda: "hit" in c.get(path).headers["cache-status"], 30,
                   "a hit of 3 MB")
        for _ in range(20):
            a = c.get(path)
            sizes.add(len(a.body))
            assert a.status == 200 and a.body == first.body
    assert len(first.json()["features"]) == 9000
    assert len(first.body) > 3 * 1000 * 1000, len(first.body)
    redis.stop()
    assert nginx.get(path).body == first.body
    redis.start()

    # slow clients, some of whom leave half way
    wait_until(lambda: "hit" in nginx.get(path).headers["cache-status"], 30,
               "a hit")
    socks = []
    for i in range(12):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", nginx.port))
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n"
                  "Connection: close\r\n\r\n".encode())
        socks.append(s)
    got = [b""] * len(socks)
    for i, s in enumerate(socks):
        got[i] += s.recv(4096)
    for s in socks[::3]:
        s.close()
    for i, s in enumerate(socks):
        if i % 3:
            parts = [got[i]]
            while True:
                d = s.recv(65536)
                if not d:
                    break
                parts.append(d)
            s.close()
            assert b"".join(parts).split(b"\r\n\r\n", 1)[1] == first.body
    figure("a large answer", f"{len(first.body)} bytes, from the store, "
           "the cache, and to slow clients")


def test_cold_herd(pg, redis, truth, figure):
    """Many clients, one cold view: at most two statements."""
    pg.psql("ALTER ROLE scc_app SET log_min_duration_statement = 0")
    cell = max(truth, key=lambda c: len(truth[c][1]))
    x, y = cell >> 16, cell & 65535
    path = f"/v1/cells/16/{x - 2}-{x + 2}/{y - 2}-{y + 2}.json"
    with Nginx(pg, redis, workers=1) as n:
        ok(n, cell_paths(truth, 5))
        redis.forget()
        before = pg.errors().count("scc_fill")
        assert before > 0
        clients = [n.client() for _ in range(200)]
        for c in clients:
            c.connect()
        for c in clients:
            c.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"
                           .encode())
        bodies = {c.read().body for c in clients}
        for c in clients:
            c.close()
        assert len(bodies) == 1
    statements = pg.errors().count("scc_fill") - before
    figure("cold herd", f"200 clients, {statements} statements")
    assert statements <= 2
