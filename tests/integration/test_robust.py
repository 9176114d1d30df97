"""Servers die, freeze, refuse and lie while the map is read.

No read fails that the design says must succeed, no answer is false, nothing
leaks, nothing crashes; when the servers are back, all is well by itself.
"""

import os
import random
import socket
import threading

import pytest

import places
from load import (CONNECTIONS, SEED, WORKERS, Load, binaries, cell_paths,
                  cold_paths, fresh, no_leak, ok, warm)
from servers import Nginx, Postgres, Redis, wait_until
from store import differences, snapshot


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
    wait_until(lambda: not differences(pg, redis), 30, "a true cache")
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
    wait_until(lambda: not differences(pg, redis), 30, "a true cache")
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
        wait_until(lambda: kill_script(redis), 30, "the script to be killed")
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
        seen = wait_until(lambda: is_loading(redis), 30, "LOADING")
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
    wait_until(lambda: heal(nginx, redis, answers), 30,
               "every key to be an entry again")
    wait_until(lambda: not differences(pg, redis), 30, "a true cache")


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
            wait_until(lambda: any("ttl=-" in x for x in load.layers), 30,
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
                redis.forget()
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
    redis.forget()
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
                assert "max-age=2," in a.headers["cache-control"], a
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
    # two are the helper's: the feed's and the audit's
    assert most <= CONNECTIONS * WORKERS + 2, most
    assert load.statuses[200] > 100
    figure("sessions without a cache", f"at most {most} for 40 clients; "
           f"{load}")
