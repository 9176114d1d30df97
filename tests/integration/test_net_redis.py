"""The Redis client of ngx_scc_module/net, against a real Redis."""

import random
import socket
import time

import pytest

from net import Load, Net, burst, eval_path, redis_path
from servers import Redis, alive, fd_count, free_port, wait_until

# a test machine is busy: what may be added to a deadline
MARGIN = 1.5

SCRIPTS = {
    "pair": "return {KEYS[1], ARGV[1], {1, false, {}}}",
    "fail": "return redis.error_reply(ARGV[1])",
    "size": "return #ARGV[1]",
}


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(redis):
    with Net(redis.address, scripts=SCRIPTS) as server:
        server.wait_redis()
        yield server


def net(redis, **options):
    return Net(redis.address, scripts=SCRIPTS, redis_options=options)


def clients(redis):
    return [c for c in redis.r.client_list() if c["name"] == "scc"]


# -- commands and replies ----------------------------------------------------


def test_reply_types(nginx, redis):
    redis.r.flushall()
    assert nginx.redis("PING") == "OK\nS4:PONG\n"
    assert nginx.redis("SET", "a b", "경사로\r\n") == "OK\nS2:OK\n"
    assert nginx.redis("GET", "a b") == "OK\nS11:경사로\r\n\n"
    assert nginx.redis("SET", "empty", "") == "OK\nS2:OK\n"
    assert nginx.redis("GET", "empty") == "OK\nS0:\n"
    assert nginx.redis("GET", "none") == "OK\nN\n"
    assert nginx.redis("INCRBY", "n", -(1 << 62)) == f"OK\nI{-(1 << 62)}\n"
    assert nginx.redis("MGET", "n", "none", "empty") == \
        f"OK\nA3\nS20:{-(1 << 62)}\nN\nS0:\n"
    assert nginx.redis("KEYS", "nothing*") == "OK\nA0\n"
    assert nginx.redis("NOSUCH").startswith("OK\nE")
    assert nginx.redis("LPUSH", "l", "x") == "OK\nI1\n"
    assert nginx.redis("GET", "l").startswith("OK\nE65:WRONGTYPE ")
    assert nginx.redis("EVAL", "return {1,{2,{'x',false}},{}}", 0) == \
        "OK\nA3\nI1\nA2\nI2\nA2\nS1:x\nN\nA0\n"


def test_large_reply_and_argument(nginx, redis):
    assert nginx.redis("SET", "big", "", fill=3_000_000) == "OK\nS2:OK\n"
    assert redis.r.strlen("big") == 3_000_000
    assert nginx.redis("GET", "big") == f"OK\nS3000000:{'x' * 3000000}\n"
    values = [str(i) * 1000 for i in range(600)]
    redis.r.rpush("many", *values)
    got = nginx.redis("LRANGE", "many", 0, -1)
    assert got == "OK\nA600\n" + "".join(f"S{len(v)}:{v}\n" for v in values)
    redis.r.delete("big", "many")


def test_thousand_concurrent(nginx, redis, figure):
    """Each request gets its own reply, over two connections."""
    before = redis.r.info("stats")["total_connections_received"]
    words = [f"{i}-" + "y" * random.randrange(3000) for i in range(1000)]
    answers = burst(nginx, [redis_path("ECHO", w) for w in words])
    for word, (body, _) in zip(words, answers):
        assert body == f"OK\nS{len(word)}:{word}\n"
    after = redis.r.info("stats")["total_connections_received"]
    assert after == before
    figure("1000 requests at once", f"{max(s for _, s in answers):.3f} s")


def test_commands_from_handlers(nginx):
    assert nginx.redis("PING", repeat=5000) == "OK\nS4:PONG\n"


def test_cancel(nginx):
    with nginx.client() as client:
        for i in range(300):
            assert nginx.redis("ECHO", "gone", client=client, cancel=1) == \
                "CANCELLED\n"
            assert nginx.redis("ECHO", i, client=client) == \
                f"OK\nS{len(str(i))}:{i}\n"


def test_client_abort(nginx):
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", nginx.port)) as s:
            path = redis_path("EVAL", "local n = 0 for i = 1, 1e5 do "
                              "n = n + i end return n", 0)
            s.sendall(f"GET /?{path} HTTP/1.0\r\n\r\n".encode())
    assert nginx.redis("PING") == "OK\nS4:PONG\n"


# -- scripts -----------------------------------------------------------------


def test_eval(nginx, redis):
    assert nginx.ask(eval_path("pair", "k", "v")) == \
        "OK\nA3\nS1:k\nS1:v\nA3\nI1\nN\nA0\n"
    assert nginx.ask(eval_path("size", "k", "", fill=200000)) == \
        "OK\nI200000\n"


def test_script_flush(nginx, redis):
    redis.r.script_flush()
    assert nginx.ask(eval_path("pair", "a", "b")).startswith("OK\nA3\nS1:a")
    redis.r.config_resetstat()
    assert nginx.ask(eval_path("pair", "a", "b")).startswith("OK\nA3\nS1:a")
    stats = redis.r.info("commandstats")
    assert "cmdstat_evalsha" in stats and "cmdstat_eval" not in stats

    for _ in range(5):
        redis.r.script_flush()
        answers = burst(nginx, [eval_path("pair", f"k{i}", i)
                                for i in range(200)])
        for i, (body, _) in enumerate(answers):
            assert body.startswith(f"OK\nA3\nS{len(str(i)) + 1}:k{i}\n"), body


def test_scripts_loaded_at_connect(nginx, redis):
    redis.r.script_flush()
    redis.r.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: len(clients(redis)) == 2, 30, "two connections")
    nginx.wait_redis()
    redis.r.config_resetstat()
    assert nginx.ask(eval_path("size", "a", "bcd")) == "OK\nI3\n"
    assert "cmdstat_eval" not in redis.r.info("commandstats")


def test_bad_script_is_named(redis):
    with Net(redis.address, scripts={"broken": "return return"}) as nginx:
        wait_until(lambda: "is down" in nginx.log(), 30, "the error")
        assert 'SCRIPT LOAD of "broken": ERR' in nginx.log()
        assert nginx.redis("PING") == "NONE\n"


# -- error replies that say more ---------------------------------------------


def test_oom_reply(nginx, redis):
    used = redis.r.info("memory")["used_memory"]
    redis.r.config_set("maxmemory-policy", "noeviction")
    redis.r.config_set("maxmemory", used // 2)
    try:
        assert nginx.redis("SET", "k", "v").startswith("OK\nE")
        assert ":OOM command not allowed" in nginx.redis("SET", "k", "v")
        assert nginx.redis("PING") == "OK\nS4:PONG\n"
        assert nginx.state()["redis"] == "1"
    finally:
        redis.r.config_set("maxmemory", 0)


def test_readonly_and_masterdown():
    with Redis(replica_serve_stale_data="yes") as redis, \
            net(redis, backoff_min=50) as nginx:
        nginx.wait_redis()
        redis.r.replicaof("127.0.0.1", free_port())
        assert ":READONLY " in nginx.redis("SET", "k", "v")
        assert nginx.state()["redis"] == "1", "reads still work"

        redis.r.config_set("replica-serve-stale-data", "no")
        answers = burst(nginx, [redis_path("GET", i) for i in range(20)])
        assert any(":MASTERDOWN " in b for b, _ in answers)
        assert all(":MASTERDOWN " in b or b == "NONE\n" for b, _ in answers)
        nginx.wait_redis(up=False)
        wait_until(lambda: "MASTERDOWN" in nginx.log(), 30, "the reason")

        redis.r.replicaof("no", "one")
        nginx.wait_redis()
        assert nginx.redis("SET", "k", "v") == "OK\nS2:OK\n"


def test_unusable_reply_is_delivered_and_reconnects(nginx, redis):
    for word in ["LOADING", "NOAUTH", "MASTERDOWN"]:
        wait_until(lambda: len(clients(redis)) == 2, 30, "two connections")
        nginx.wait_redis()
        before = {c["id"] for c in clients(redis)}
        text = f"{word} it says so"
        assert nginx.ask(eval_path("fail", "k", text)) == \
            f"OK\nE{len(text)}:{text}\n"
        wait_until(lambda: len(clients(redis)) == 2
                   and {c["id"] for c in clients(redis)} != before,
                   30, "another connection")
    nginx.wait_redis()
    assert nginx.ask(eval_path("fail", "k", "WRONGTYPE x")) == \
        "OK\nE11:WRONGTYPE x\n"


def test_loading():
    with Redis(save="3600 1") as redis:
        pipe = redis.r.pipeline()
        for i in range(1500):
            pipe.set(i, "x" * 2000)
        pipe.execute()
        redis.r.save()
        redis.settings.update({"key-load-delay": "1500",
                               "loading-process-events-interval-bytes":
                               "4096"})
        with net(redis, backoff_min=20, backoff_max=100) as nginx:
            nginx.wait_redis()
            redis.kill()
            redis.start(wait=False)
            wait_until(lambda: "LOADING" in nginx.log(), 30, "LOADING")
            assert nginx.redis("GET", "1") == "NONE\n"
            nginx.wait_redis(limit=30)
            assert nginx.redis("STRLEN", "1499") == "OK\nI2000\n"
            assert nginx.state()["incarnation"] == "2"


# -- handshake ---------------------------------------------------------------


def test_password():
    with Redis() as redis:
        # this connection stays the one of a user that needed no password
        redis.r.config_set("requirepass", "s3cret-word")
        with net(redis, password="s3cret-word", db=3) as good, \
                net(redis, password="wr0ng-word") as bad, \
                net(redis) as none:
            good.wait_redis()
            assert good.redis("SET", "k", "v") == "OK\nS2:OK\n"
            assert redis.r.info("keyspace")["db3"]["keys"] == 1

            wait_until(lambda: "WRONGPASS" in bad.log(), 30, "WRONGPASS")
            wait_until(lambda: "NOAUTH" in none.log(), 30, "NOAUTH")
            assert bad.redis("PING") == none.redis("PING") == "NONE\n"
            for server in good, bad, none:
                assert "s3cret" not in server.log()
                assert "wr0ng" not in server.log()

            redis.r.acl_setuser("scc", enabled=True, passwords=["+pw"],
                                keys=["*"], commands=["+get", "+set",
                                                      "+script", "+evalsha",
                                                      "+eval", "+select"])
            with net(redis, user="scc", password="pw") as few:
                few.wait_redis()
                assert few.redis("GET", "k") == "OK\nN\n"
                assert ":NOPERM" in few.redis("KEYS", "*")
                assert few.state()["incarnation"] == "1"


def test_too_many_clients():
    with Redis(maxclients=1) as redis:
        keep = redis.r
        keep.ping()
        with net(redis) as nginx:
            wait_until(lambda: "max number of clients" in nginx.log(), 30,
                       "the reason")
            keep.config_set("maxclients", 100)
            nginx.wait_redis()


def test_not_redis():
    """A server of another protocol, one that hangs up and a silent one."""
    for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None,
                   b"+OK\r\n" * 50, b"*100000\r\n", b"$-5\r\n",
                   b"*1\r\n" * 20]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            with Net(f"127.0.0.1:{server.getsockname()[1]}",
                     redis_options={"connections": 1, "connect_timeout":
                                    300}) as nginx:
                s = server.accept()[0]
                if answer is not None:
                    s.recv(4096)
                    s.sendall(answer)
                    if not answer:
                        s.close()
                wait_until(lambda: "is down" in nginx.log(), 30, "the error")
                assert nginx.redis("PING") == "NONE\n"
                s.close()


# -- deadlines ---------------------------------------------------------------


def test_deadline(redis, figure):
    with net(redis, connections=1, backoff_min=10) as nginx:
        nginx.wait_redis()
        start = time.monotonic()
        assert nginx.redis("BLPOP", "never", 0, timeout=200) == "LOST\n"
        took = time.monotonic() - start
        assert 0.15 < took < 0.2 + MARGIN
        figure("deadline of 200 ms", f"{took:.3f} s")
        nginx.wait_redis()
        assert nginx.redis("PING") == "OK\nS4:PONG\n"


def test_short_deadline_behind_a_long_one(redis):
    with net(redis, connections=1) as nginx:
        nginx.wait_redis()
        long, short = burst(nginx, [
            redis_path("BLPOP", "never", 0, timeout=9000),
            redis_path("PING", timeout=250)])
        assert long[0] == short[0] == "LOST\n"
        assert long[1] < 0.25 + MARGIN


def test_long_command_outlives_short_ones(redis):
    """The timer a short command leaves behind does not end a long one."""
    with net(redis, connections=1, timeout=5000) as nginx:
        nginx.wait_redis()
        assert nginx.redis("PING", timeout=100) == "OK\nS4:PONG\n"
        assert nginx.redis("BLPOP", "never", 0.6) == "OK\nN\n"


def test_pending_limit(redis):
    with net(redis, connections=1, pending=4, timeout=5000) as nginx:
        nginx.wait_redis()
        paths = [redis_path("BLPOP", "never", 0.5)]
        paths += [redis_path("PING")] * 9
        answers = [b for b, _ in burst(nginx, paths)]
        assert answers[0] == "OK\nN\n"
        assert answers.count("OK\nS4:PONG\n") == 3
        assert answers.count("NONE\n") == 6


# -- trouble under load ------------------------------------------------------


def check_ends(load, seconds):
    assert not load.errors, load.errors[:5]
    assert load.kinds() <= {"OK", "LOST", "NONE"}
    assert load.slowest() < seconds + MARGIN


def test_killed_and_restarted(figure):
    with Redis() as redis, net(redis, timeout=500) as nginx:
        nginx.wait_redis()
        fds = fd_count(nginx.worker())
        with Load(nginx, redis_path("INCR", "n")) as load:
            load.more(100)
            for _ in range(4):
                redis.kill()
                load.more(20, "NONE")
                redis.start()
                start = time.monotonic()
                load.more(100, "OK")
            figure("back after a restart", f"{time.monotonic() - start:.2f}"
                   " s (100 requests)")
        check_ends(load, 0.5)
        wait_until(lambda: fd_count(nginx.worker()) <= fds, 30,
                   "descriptors to be closed")
        assert nginx.state()["incarnation"] == "5"
        down = nginx.log().count("is down")
        assert 1 <= down <= 8, nginx.log()
        assert "is up again" in nginx.log()


def test_stopped(figure):
    with Redis() as redis, net(redis, timeout=400, connect_timeout=300,
                               backoff_max=100) as nginx:
        nginx.wait_redis()
        with Load(nginx, redis_path("PING")) as load:
            load.more(100)
            redis.sigstop()
            load.more(2, "LOST")
            load.more(50, "NONE")
            quick = nginx.redis("PING")
            redis.sigcont()
            load.more(100, "OK")
        assert quick == "NONE\n"
        check_ends(load, 0.4)
        figure("slowest, with a deadline of 400 ms",
               f"{load.slowest():.3f} s")
        assert nginx.state()["incarnation"] == "1", "the same server"


def test_reconnects_leak_nothing(nginx, redis):
    wait_until(lambda: len(clients(redis)) == 2, 30, "two connections")
    worker = nginx.worker()
    before = fd_count(worker)
    for _ in range(50):
        ids = {c["id"] for c in clients(redis)}
        for i in ids:
            redis.r.client_kill_filter(_id=i)
        wait_until(lambda: len(clients(redis)) == 2 and
                   not ids & {c["id"] for c in clients(redis)}, 30,
                   "two new connections")
        nginx.wait_redis()
    assert nginx.redis("PING") == "OK\nS4:PONG\n"
    assert nginx.worker() == worker
    wait_until(lambda: fd_count(worker) <= before, 30, "no more descriptors "
               "than before")
    assert nginx.state()["incarnation"] == "1"


def test_failed_connects_leak_nothing():
    for address in ["unix:/tmp/scc-no-such-socket",
                    f"127.0.0.1:{free_port()}"]:
        with Net(address, redis_options={
                "backoff_min": 1, "backoff_max": 5},
                # nginx itself hands memcpy() a NULL when it logs for debug
                log_level="debug", allow_log=["ngx_string.c.*null pointer"]
        ) as nginx:
            fds = fd_count(nginx.worker())
            wait_until(lambda: nginx.log().count("connected") +
                       nginx.log().count("stream socket") > 100 or
                       nginx.log().count("event timer add") > 300, 30,
                       "many attempts")
            wait_until(lambda: fd_count(nginx.worker()) <= fds + 1, 30,
                       "descriptors to be closed")
            assert nginx.redis("PING") == "NONE\n"
            assert nginx.log().count("is down") == 1


def test_starts_without_redis(figure):
    with Redis() as redis:
        redis.kill()
        with net(redis, backoff_max=200) as nginx:
            assert nginx.redis("PING") == "NONE\n"
            redis.start()
            nginx.wait_redis()
            assert nginx.redis("PING") == "OK\nS4:PONG\n"
            assert nginx.state()["incarnation"] == "1"


# -- life of the process -----------------------------------------------------


def test_quit_waits_for_replies(redis):
    nginx = net(redis, timeout=5000).start()
    nginx.wait_redis()
    worker = nginx.worker()
    with Load(nginx, redis_path("BLPOP", "never", 0.5), threads=4) as load:
        wait_until(lambda: any("b" in c["flags"] for c in clients(redis)), 30,
                   "a waiting command")
        load.end.set()
        nginx.quit()
    assert not load.errors, load.errors
    assert load.kinds() == {"OK"}
    assert not alive(worker)


def test_quit_does_not_wait_for_nobody(redis):
    nginx = net(redis, timeout=20000).start()
    nginx.wait_redis()
    assert nginx.redis("BLPOP", "never", 0, cancel=1) == "CANCELLED\n"
    start = time.monotonic()
    nginx.quit()
    assert time.monotonic() - start < 5


def test_worker_shutdown_timeout(redis):
    nginx = Net(redis.address, redis_options={"timeout": 20000},
                shutdown="300ms").start()
    nginx.wait_redis()
    with socket.create_connection(("127.0.0.1", nginx.port)) as s:
        path = redis_path("BLPOP", "never", 0)
        s.sendall(f"GET /?{path} HTTP/1.0\r\n\r\n".encode())
        wait_until(lambda: any("b" in c["flags"] for c in clients(redis)), 30,
                   "a waiting command")
        start = time.monotonic()
        nginx.quit()
        assert time.monotonic() - start < 5


def test_fast_stop_with_commands_pending(redis):
    nginx = net(redis, timeout=20000).start()
    nginx.wait_redis()
    with socket.create_connection(("127.0.0.1", nginx.port)) as s:
        path = redis_path("BLPOP", "never", 0)
        s.sendall(f"GET /?{path} HTTP/1.0\r\n\r\n".encode())
        wait_until(lambda: any("b" in c["flags"] for c in clients(redis)), 30,
                   "a waiting command")
        nginx.stop()


def test_reloads_under_load(figure):
    with Redis() as redis, net(redis, timeout=5000) as nginx:
        nginx.wait_redis()
        with Load(nginx, redis_path("EVAL", "return 1", 0)) as load, \
                Load(nginx, redis_path("BLPOP", "never", 0.05),
                     threads=2) as slow:
            for _ in range(10):
                nginx.reload()
                load.more(50)
        for x in load, slow:
            assert not x.errors, x.errors[:5]
            # a new worker takes requests while its first connect is on
            assert x.kinds() <= {"OK", "NONE"}
        figure("10 reloads", f"{load.count()} requests, "
               f"{load.count('NONE')} before the first connect")
        wait_until(lambda: len(clients(redis)) == 2, 30,
                   "the old workers' connections to end")
