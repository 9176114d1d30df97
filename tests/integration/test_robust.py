"""Servers die, freeze, refuse and lie while the map is read.

No read fails that the design says must succeed, no answer is false, nothing
leaks, nothing crashes; when the servers are back, all is well by itself.
"""

import os
import random
import re
import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest

import places
from servers import (Nginx, Postgres, Redis, alive, fd_count, fd_list,
                     sccctl, wait_until)
from store import differences, load_sample, snapshot

PLACES = 4000
SEED = 99
WORKERS = 2
CONNECTIONS = 4             # scc_postgres_connections, the default
REDIS_CONNECTIONS = 2       # scc_redis_connections, the default


@pytest.fixture(scope="module")
def template():
    """A stopped store with the generator's places."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        load_sample(pg, PLACES, SEED)
    return pg.data


@pytest.fixture
def pg(template):
    with Postgres(template=template) as server:
        yield server


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


def binaries():
    asan = os.environ.get("SCC_NGINX_ASAN", "")
    out = [pytest.param(None, id="nginx")]
    if asan and os.path.exists(asan):
        out.append(pytest.param(asan, id="asan"))
    return out


@pytest.fixture(params=binaries())
def nginx(request, pg, redis):
    with Nginx(pg, redis, workers=WORKERS, binary=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def truth(template):
    """What every cell holds: nobody changes rows unless a test says so."""
    with Postgres(template=template) as pg:
        return snapshot(pg)


def cell_paths(truth, n, seed=SEED):
    """n requests of one cell each, and what they must be answered."""
    cells = sorted(c for c, (_, f) in truth.items() if f)
    out = {}
    for c in random.Random(seed).sample(cells, n):
        x, y = c >> 16, c & 65535
        out[f"/v1/cells/16/{x}-{x}/{y}-{y}.json"] = truth[c][1]
    return out


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
                "cache-status", ""), 5, "a hit")


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
    before = count()
    files = [fd_list(p) for p in nginx.workers()]
    yield
    try:
        wait_until(lambda: count() <= before + 2 * (
            CONNECTIONS + REDIS_CONNECTIONS) * WORKERS, 10, "descriptors")
    except AssertionError:
        raise AssertionError(f"{before} descriptors before, {count()} after:"
                             f"\n{files}\n"
                             f"{[fd_list(p) for p in nginx.workers()]}")
    check_connections(pg, redis)


def check_connections(pg, redis):
    n = pg.query("SELECT count(*) FROM pg_stat_activity "
                 "WHERE usename = 'scc_app'")[0][0]
    assert n <= CONNECTIONS * WORKERS + 1, f"{n} connections to PostgreSQL"
    # workers, the helper, and the test's own few
    mine = sum(b"ngx" not in x.get("name", "").encode()
               and x.get("lib-name", "") != "" for x in
               redis.r.client_list())
    n = len(redis.r.client_list()) - mine
    assert n <= REDIS_CONNECTIONS * (WORKERS + 1) + 3, \
        f"{n} connections to Redis: {redis.r.client_list()}"


# -- Redis -------------------------------------------------------------------


def test_redis_killed_and_restarted(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 60)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers) as load:
            for _ in range(5):
                load.went_on()
                redis.kill()
                load.went_on()
                redis.start()
        ok(nginx, answers)
    figure("Redis killed 5 times", str(load))


def test_redis_frozen(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 60)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers) as load:
            for _ in range(3):
                load.went_on()
                redis.sigstop()
                load.went_on(100)
                redis.sigcont()
        ok(nginx, answers)
    # its own deadline, 200 ms, then PostgreSQL
    assert load.slowest < 2
    figure("Redis frozen 3 times", str(load))


def test_redis_restarted_gently(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 60)
    with Load(nginx, answers) as load:
        for _ in range(5):
            load.went_on()
            redis.restart()
    ok(nginx, answers)
    figure("Redis restarted 5 times", str(load))


def test_redis_closes_connections(nginx, pg, redis, truth):
    answers = cell_paths(truth, 60)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers) as load:
            for _ in range(20):
                load.went_on(10)
                redis.r.client_kill_filter(_type="normal", skipme=True)
        ok(nginx, answers)


def test_redis_is_not_there(pg, truth):
    """An address where nobody listens, for ever."""
    answers = cell_paths(truth, 30)
    with Nginx(pg, "127.0.0.1:1", workers=WORKERS) as n:
        with Load(n, answers) as load:
            load.went_on(100)


@pytest.mark.parametrize("reply", [
    b"", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n",
    b"$999999999999999999999\r\n", b"*-5\r\n", b":1\r\n" * 1000,
    b"-ERR go away\r\n" * 50, b"+OK\r\n" * 50, b"*2\r\n$1\r\na\r\n" * 9,
    b"*" * 100000])
def test_what_answers_is_no_redis(pg, truth, reply):
    answers = cell_paths(truth, 10)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    stop = threading.Event()

    def talk():
        listener.settimeout(.05)
        held = []
        while not stop.is_set():
            try:
                s, _ = listener.accept()
            except TimeoutError:
                continue
            held.append(s)
            try:
                s.sendall(reply)
                if len(held) % 2:
                    s.close()
            except OSError:
                pass
        for s in held:
            s.close()

    t = threading.Thread(target=talk)
    t.start()
    try:
        with Nginx(pg, f"127.0.0.1:{listener.getsockname()[1]}",
                   workers=1) as n:
            with Load(n, answers, 2) as load:
                load.went_on(30)
    finally:
        stop.set()
        t.join()
        listener.close()


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


def test_redis_out_of_memory(nginx, pg, redis, truth, figure):
    """OOM replies: what is cached is used and kept true, all is answered."""
    answers = cell_paths(truth, 100)
    warm(nginx, dict(list(answers.items())[:30]))
    fresh(nginx, pg, truth)
    redis.r.config_set("maxmemory-policy", "noeviction")
    redis.r.config_set("maxmemory", "1mb")
    with pytest.raises(Exception, match="OOM"):
        redis.r.set("x", "y" * 1000)
    with Load(nginx, cell_paths(snapshot(pg), 100)) as load:
        load.went_on(200)
    fresh(nginx, pg, truth)
    redis.r.config_set("maxmemory", "0")
    wait_until(lambda: not differences(pg, redis), 5, "a true cache")
    ok(nginx, cell_paths(snapshot(pg), 20))
    figure("Redis out of memory", str(load))


def test_redis_read_only(nginx, pg, redis, truth, figure):
    """A replica that lost its master answers what it has and takes
    nothing: an entry it cannot be told to drop must not be believed."""
    answers = cell_paths(truth, 100)
    warm(nginx, dict(list(answers.items())[:30]))
    fresh(nginx, pg, truth)
    redis.r.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(Exception, match="(?i)read only"):
        redis.r.set("x", "y")
    with Load(nginx, cell_paths(snapshot(pg), 100)) as load:
        load.went_on(200)
    fresh(nginx, pg, truth)
    redis.r.execute_command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: not differences(pg, redis), 5, "a true cache")
    ok(nginx, cell_paths(snapshot(pg), 20))
    figure("Redis read only", str(load))


def test_redis_refuses_stale_reads(nginx, pg, redis, truth):
    """MASTERDOWN for every command."""
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    redis.r.config_set("replica-serve-stale-data", "no")
    redis.r.execute_command("REPLICAOF", "127.0.0.1", "1")
    with Load(nginx, answers) as load:
        load.went_on(100)
    fresh(nginx, pg, truth)
    redis.r.execute_command("REPLICAOF", "NO", "ONE")
    ok(nginx, cell_paths(snapshot(pg), 20))


def test_redis_wants_a_password(nginx, pg, redis, truth):
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    redis.r.config_set("requirepass", "x")
    redis.r.execute_command("AUTH", "x")
    redis.r.client_kill_filter(_type="normal", skipme=True)
    with Load(nginx, answers) as load:
        load.went_on(100)
    fresh(nginx, pg, truth)
    redis.r.config_set("requirepass", "")
    ok(nginx, cell_paths(snapshot(pg), 20))


def test_redis_password(pg, truth):
    """password_file=, and a user with rights to the cache's keys only."""
    answers = cell_paths(truth, 20)
    with Redis() as redis:
        redis.r.acl_setuser("scc", enabled=True, passwords=["+pw d"],
                            keys=["scc:*"], commands=["+@all"])
        redis.r.config_set("requirepass", "other")
        redis.r.execute_command("AUTH", "other")
        secret = os.path.join(redis.dir, "secret")
        with open(secret, "w") as f:
            f.write("pw d\n")
        with Nginx(pg, f"{redis.address} user=scc password_file={secret}"
                   ) as n:
            ok(n, answers)
            assert "pw d" not in n.log()


def test_redis_busy(nginx, pg, redis, truth):
    """BUSY: a script runs for ever and is killed."""
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    redis.r.config_set("busy-reply-threshold", "50")
    t = threading.Thread(target=lambda: pytest.raises(
        Exception, redis.client(30).eval, "while true do end", 0))
    with Load(nginx, answers) as load:
        t.start()
        load.went_on(100)
        wait_until(lambda: kill_script(redis), 5, "the script to be killed")
        t.join()
        load.went_on(50)
    ok(nginx, answers)


def kill_script(redis):
    try:
        return redis.client().execute_command("SCRIPT KILL")
    except Exception:
        return False


def test_redis_is_loading(nginx, pg, redis, truth, figure):
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    pipe = redis.r.pipeline()
    for i in range(2000):
        pipe.set(f"filler:{i}", "x" * 100)
    pipe.execute()
    redis.r.save()
    redis.kill()
    redis.settings["key-load-delay"] = "1000"
    redis.settings["loading-process-events-interval-bytes"] = "1024"
    with Load(nginx, answers) as load:
        redis.start(wait=False)
        seen = wait_until(lambda: is_loading(redis), 5, "LOADING")
        load.went_on(100)
        assert seen and is_loading(redis) in (True, False)
        redis.wait_ready()
        load.went_on(50)
    redis.r.config_set("key-load-delay", "0")
    fresh(nginx, pg, truth)
    ok(nginx, cell_paths(snapshot(pg), 20))
    figure("Redis is loading", str(load))


def is_loading(redis):
    try:
        redis.client().get("x")
    except Exception as e:
        return "loading" in str(e).lower()
    return False


def test_wrong_type_under_cell_keys(nginx, pg, redis, truth):
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    keys = list(redis.r.scan_iter("scc:c:*"))
    assert keys
    with Load(nginx, answers) as load:
        for _ in range(5):
            for i, key in enumerate(keys):
                t = redis.r.pipeline(transaction=True).delete(key)
                (t.lpush(key, "x") if i % 3 == 0 else
                 t.hset(key, "a", "b") if i % 3 == 1 else
                 t.zadd(key, {"a": 1})).execute()
            load.went_on(50)
    wait_until(lambda: heal(nginx, redis, answers), 10,
               "every key to be an entry again")
    wait_until(lambda: not differences(pg, redis), 5, "a true cache")


def heal(nginx, redis, answers):
    with nginx.client() as c:
        for path in answers:
            c.get(path)
    return all(redis.r.type(k) == b"string"
               for k in redis.r.scan_iter("scc:c:*"))


def test_damaged_entries(nginx, pg, redis, truth, figure):
    """Bits flip, entries are cut, swapped and emptied: no false answer."""
    answers = cell_paths(truth, 40)
    warm(nginx, answers)
    rng = random.Random(SEED)
    keys = list(redis.r.scan_iter("scc:c:*"))
    whole = {k: v for k, v in zip(keys, redis.r.mget(keys))}
    damaged = 0
    with nginx.client() as c, Load(nginx, answers, 1):
        for path, want in list(answers.items()) * 8:
            x, y = path.split("/")[4].split("-")[0], \
                path.split("/")[5].split("-")[0]
            key = f"scc:c:1:{x}:{y}".encode()
            data = bytearray(whole[key])
            kind = rng.randrange(6)
            if kind == 0:           # not in the header that scripts change:
                at = rng.choice([*range(0, 6), *range(40, len(data))])
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del data[rng.randrange(len(data)):]
            elif kind == 2:
                data += bytes(rng.randrange(1, 100))
            elif kind == 3:
                data = bytearray(rng.randbytes(rng.randrange(300)))
            elif kind == 4:
                data[40:64] = rng.randbytes(24)
            else:
                data[64:] = rng.randbytes(len(data) - 64)
            redis.r.set(key, bytes(data))
            a = c.get(path)
            assert a.status == 200
            assert a.json()["features"] == want, (path, kind)
            damaged += 1
    ok(nginx, answers)              # and each is replaced by a good one
    figure("damaged entries", f"{damaged}, no false answer")


# -- PostgreSQL --------------------------------------------------------------


def cold_paths(truth, answers):
    """Requests for other cells than these."""
    more = cell_paths(truth, 200, SEED + 1)
    return {k: v for k, v in more.items() if k not in answers}


def test_store_killed_and_restarted(nginx, pg, redis, truth, figure):
    """What is cached is served as if nothing were; the rest is 503."""
    answers = cell_paths(truth, 60)
    cold = cold_paths(truth, answers)
    warm(nginx, answers)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers) as load, \
                Load(nginx, cold, 2, (200, 503)) as misses:
            for _ in range(3):
                load.went_on()
                misses.went_on()
                pg.kill()
                load.went_on(100)
                misses.went_on(100)
                pg.start()
        ok(nginx, {**answers, **cold})
    assert set(load.statuses) == {200}
    figure("PostgreSQL killed 3 times", f"cached: {load}; others: {misses}")


def test_store_frozen(nginx, pg, redis, truth, figure):
    """Cached cells are answered all the while, soon marked stale; a silent
    store is not waited for again and again."""
    answers = cell_paths(truth, 60)
    cold = cold_paths(truth, answers)
    warm(nginx, answers)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers) as load, \
                Load(nginx, cold, 4, (200, 503)) as misses:
            load.went_on()
            pg.sigstop()
            wait_until(lambda: any("ttl=-" in x for x in load.layers), 10,
                       "answers marked stale")
            load.went_on(200)
            misses.went_on(8)
            pg.sigcont()
            load.went_on(50)
        ok(nginx, {**answers, **cold})
    assert set(load.statuses) == {200}
    assert max(load.slowest, misses.slowest) < 5    # one timeout is 2 s
    figure("PostgreSQL frozen", f"cached: {load}; others: {misses}")


def test_store_restarted_gently(nginx, pg, redis, truth):
    answers = cell_paths(truth, 60)
    warm(nginx, answers)
    with Load(nginx, answers) as load:
        for _ in range(3):
            load.went_on()
            pg.restart()
    ok(nginx, cold_paths(truth, answers))


def test_backends_terminated(nginx, pg, redis, truth):
    """An administrator ends every session, again and again."""
    answers = cell_paths(truth, 60)
    with no_leak(nginx, pg, redis):
        with Load(nginx, answers, 4, (200, 503)) as load:
            for _ in range(20):
                redis.r.flushall()
                load.went_on(10)
                pg.query("SELECT pg_terminate_backend(pid) FROM "
                         "pg_stat_activity WHERE usename = 'scc_app'")
        ok(nginx, answers)
    assert load.statuses[200] > load.statuses.get(503, 0)


def test_store_refuses(nginx, pg, redis, truth):
    """No right to read, then no room for sessions, then all is well."""
    answers = cell_paths(truth, 20)
    pg.psql("REVOKE SELECT ON scc.feature FROM scc_app")
    with Load(nginx, answers, 2, (503,)) as load:
        load.went_on(20)
    pg.psql("GRANT SELECT ON scc.feature TO scc_app")
    ok(nginx, answers)
    redis.r.flushall()
    pg.psql("ALTER ROLE scc_app CONNECTION LIMIT 0")
    pg.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
             "WHERE usename = 'scc_app'")
    with Load(nginx, answers, 2, (503,)) as load:
        load.went_on(20)
    pg.psql("ALTER ROLE scc_app CONNECTION LIMIT -1")
    ok(nginx, answers)


def test_stale_copies_outlive_the_store(nginx, pg, redis, truth):
    """P5: an old copy is answered, marked stale, while nothing better is."""
    answers = cell_paths(truth, 5)
    warm(nginx, answers)
    for key in redis.r.scan_iter("scc:c:*"):
        b = places.read_blob(redis.r.get(key))
        redis.r.setrange(key, 16, b.ver.to_bytes(8, "little"))
        redis.r.setrange(key, 5, b"\3")
    pg.kill()
    with nginx.client() as c:
        for _ in range(3):
            for path, want in answers.items():
                a = c.get(path)
                assert a.status == 200 and a.json()["features"] == want
                assert "ttl=-" in a.headers["cache-status"], a
                assert a.headers["cache-control"] == "no-store", a
    pg.start()
    ok(nginx, answers)


def test_store_is_capped(pg, redis, truth, figure):
    """Without a cache many clients still are few sessions."""
    answers = cell_paths(truth, 400)
    most = 0
    with Nginx(pg, None, workers=WORKERS) as n:
        with Load(n, answers, 40, (200, 503)) as load:
            for _ in range(60):
                load.went_on(5)
                rows = pg.query(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE usename = 'scc_app' "
                    "AND backend_type = 'client backend'")
                most = max(most, rows[0][0])
    assert most <= CONNECTIONS * WORKERS + 1, most
    assert load.statuses[200] > 100
    figure("sessions without a cache", f"at most {most} for 40 clients; "
           f"{load}")


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
                wait_until(lambda: c.get(path).status == 200, 10, "a 200")
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
                redis.r.flushall()
            nginx.reload(wait_old=i % 5 == 0)
        load.went_on(50)
    wait_until(lambda: len(nginx.kids("worker process")) == WORKERS
               and len(nginx.kids("cache manager")) == 1, 20,
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
            wait_until(lambda: r.r.dbsize() > 10, 10, "entries in it")


def test_reload_with_a_bad_configuration(nginx, pg, redis, truth):
    answers = cell_paths(truth, 20)
    good = nginx.values["LOCATION"]
    workers = nginx.workers()
    with Load(nginx, answers, 2) as load:
        nginx.write(LOCATION="scc_limit x;")
        nginx.allow_log.append(re.compile("scc_limit"))
        nginx.signal(signal.SIGHUP)
        wait_until(lambda: "scc_limit" in nginx.log(), 10, "the refusal")
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
            wait_until(lambda: not alive(pid), 5, "its end")
        wait_until(lambda: len(nginx.workers()) == WORKERS
                   and len(nginx.helpers()) == 1, 10, "a new one")
        wait_until(lambda: reads(nginx, answers), 5, "answers")
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
                    redis.r.flushall()
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
                        redis.r.flushall()
                    if i % 10 == 0:
                        redis.r.client_kill_filter(_type="normal",
                                                   skipme=True)
        wait_until(nginx.helpers, 10, "the helper")
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
        wait_until(lambda: "hit" in c.get(path).headers["cache-status"], 10,
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
    wait_until(lambda: "hit" in nginx.get(path).headers["cache-status"], 10,
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
        redis.r.flushall()
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
