"""L1: cells in nginx's shared memory.

Answers come from it without Redis, are as fresh as without it, whatever
dies; a zone that is much too small is only slower.
"""

import gzip
import json
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import places
from coherence import (BOUND, PLACES, SEED, cell_path, hammer, measure,
                       names, pick, quiet, seen_after)
from load import herd
from servers import (NGINX_CONF, Closed, Nginx, Postgres, Redis, fd_list,
                     freeze, sccctl, wait_until)
from store import load_sample, snapshot

STAT = ("hits misses inserts dropped refused evictions marked stale repairs "
        "entries size free epoch moves").split()

# in the template's location: two more beside it
ZONE = """}
        location = /zone {
            return 200 '{%s}';
        }
        location = /l1 {
            return 404;
""" % ",".join(f'"{x}":$scc_zone_{x}' for x in STAT)

BELIEVED = 1.5          # seconds: the feed's interval and one more

KILLED = ("exited on signal 9", "was locked by")


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        load_sample(server, PLACES, SEED)
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


def Zoned(pg, redis, size="16m", workers=2, scc=None, **more):
    """Without the guard: the tests delete rows by the hundred, by hand."""
    return Nginx(pg, redis, workers=workers, location=ZONE,
                 scc={"scc_zone": f"cells:{size}", "scc_store_guard": "off",
                      **(scc or {})}, **more)


@pytest.fixture(scope="module")
def nginx(pg, redis):
    with Zoned(pg, redis) as server:
        yield server


def stat(nginx):
    return json.loads(nginx.get("/zone").body)


def commands(redis):
    """Reads that Redis was asked for."""
    s = redis.r.info("commandstats")
    return sum(s.get("cmdstat_" + c, {}).get("calls", 0)
               for c in ("mget", "get"))


def detail(answer):
    return answer.headers.get("cache-status", "")


def l1(client, path, limit=8):
    """Asks until the answer comes from the zone."""
    def ask():
        a = client.get(path)
        assert a.status == 200, a
        return a if detail(a) == "scc; hit; detail=l1" else None
    return wait_until(ask, limit, f"{path} to come from the zone", .02)


def some_paths(pg, n, seed):
    return sorted({cell_path(lon, lat) for _, lon, lat, _ in
                   pick(pg, n, seed)})


def view(lon, lat, half=60000):
    return "/v1/places?bbox=" + ",".join(
        f"{v / 1e7:.7f}" for v in (lon - half, lat - half, lon + half,
                                   lat + half))


# -- hits --------------------------------------------------------------------


def test_hits_ask_nobody(pg, redis, nginx):
    views = [view(lon, lat) for _, lon, lat, _ in pick(pg, 30, 1)]
    with Nginx(pg, redis) as plain, nginx.client() as c:
        for path in views + some_paths(pg, 30, 1):
            want = plain.get(path).body
            assert l1(c, path).body == want
        before, first = commands(redis), stat(nginx)
        for path in views * 5:
            a = c.get(path)
            assert detail(a) == "scc; hit; detail=l1"
        assert commands(redis) == before
        after = stat(nginx)
        assert after["misses"] == first["misses"]
        assert after["hits"] > first["hits"]
        wait_until(lambda: any(x.endswith(" HIT") for x in nginx.access()),
                   5, "the access log")


def test_cells_without_places_are_entries(redis, nginx):
    path = "/v1/cells/16/100-109/100-109.json"
    with nginx.client() as c:
        a = l1(c, path)
        assert a.json()["features"] == []
        before = commands(redis)
        assert c.get(path).body == a.body
        assert commands(redis) == before


def test_pages_are_checked_by_the_zone(pg, redis, nginx):
    """A place's page costs one GET: its cell's version is in the zone."""
    ident, lon, lat, _ = pick(pg, 1, 2)[0]
    with nginx.client() as c:
        l1(c, cell_path(lon, lat))
        path = "/v1/places/" + ident
        c.get(path)
        assert "hit" in detail(c.get(path))
        stats = redis.r.info("commandstats")
        before = stats["cmdstat_mget"]["calls"]
        for _ in range(5):
            assert "hit" in detail(c.get(path))
        stats = redis.r.info("commandstats")
        assert stats["cmdstat_mget"]["calls"] == before
        pg.query("UPDATE scc.place SET name = 'paged' WHERE id = %s",
                 (ident,))
        seen_after(c, path, lambda a: a.json()["name"] == "paged", BOUND)


# -- freshness ---------------------------------------------------------------


@pytest.mark.alone
def test_freshness(pg, redis, nginx, figure):
    def trial(i, item):
        ident, lon, lat, _ = item
        path, name = cell_path(lon, lat), f"l1 {i}"
        with nginx.client() as c:
            l1(c, path)
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (name, ident))
            return seen_after(c, path, lambda a: names(a).get(ident) == name)

    measure(trial, pick(pg, 40, 3), figure, "freshness with L1")


def test_kept_answers_are_not_older_than_the_zone(pg, redis, nginx):
    """Once a new view shows a change, no answer that was kept lacks it."""
    box = view(0, 0).split("?")[0] + "?bbox={:.7f},{:.7f},{:.7f},{:.7f}"
    with nginx.client() as a, nginx.client() as b:
        for i, (ident, lon, lat, _) in enumerate(pick(pg, 6, 11)):
            def never_asked(k):
                return box.format(*((v + w * k) / 1e7 for v, w in (
                    (lon, -1), (lat, -1), (lon, 1), (lat, 1))))
            tile = "/v1/tiles/15/{}/{}.json".format(
                places.cell_x(lon, 15), places.cell_y(lat, 15))
            kept = [(path, h) for path in (cell_path(lon, lat), tile)
                    for h in ({}, {"Accept-Encoding": "gzip"})]
            for path, headers in kept:
                l1(a, path)
                for c in (a, b) * 3:
                    etag = c.get(path, headers).headers["etag"]
                    again = c.get(path, {**headers, "If-None-Match": etag})
                    assert again.status == 304
            name = f"kept {i}"
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (name, ident))
            for k in range(1, 5000):
                answer = a.get(never_asked(k))
                old = [(c, c.get(path, headers)) for path, headers in kept
                       for c in (a, b)]
                if names(answer).get(ident) == name:
                    break
                time.sleep(.002)
            for c, answer in old:
                body = answer.body
                if answer.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert name.encode() in body, answer


def test_a_helper_that_sleeps_is_not_believed(pg, redis):
    """After an interval and a second; before, it is as old as that."""
    ident, lon, lat, _ = pick(pg, 1, 4)[0]
    path = cell_path(lon, lat)
    with Zoned(pg, redis) as nginx, nginx.client() as c:
        l1(c, path)
        helper = nginx.helpers()[0]
        freeze(helper)
        try:
            pg.query("UPDATE scc.place SET name = 'asleep' WHERE id = %s",
                     (ident,))
            began = time.monotonic()
            seen_after(c, path, lambda a: detail(a)
                       != "scc; hit; detail=l1", 5)
            assert time.monotonic() - began < BELIEVED + .3
            # what Redis has is vouched for a little longer
            seen_after(c, path, lambda a: names(a).get(ident) == "asleep", 4)
        finally:
            os.kill(helper, signal.SIGCONT)
        l1(c, path)
        assert names(c.get(path))[ident] == "asleep"


def test_helper_killed(pg, redis):
    """The next one goes on where it stopped."""
    some = pick(pg, 10, 5)
    with Zoned(pg, redis, allow_log=KILLED) as nginx, nginx.client() as c:
        for i, (ident, lon, lat, _) in enumerate(some):
            path = cell_path(lon, lat)
            l1(c, path)
            helper = nginx.helpers()[0]
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (f"killed {i}", ident))
            time.sleep(random.Random(i).random() / 10)
            os.kill(helper, signal.SIGKILL)
            seen_after(c, path, lambda a: names(a).get(ident)
                       == f"killed {i}", 3)
            wait_until(lambda: nginx.helpers() not in ([], [helper]), 10,
                       "another helper")
        assert stat(nginx)["epoch"] == 2


def unread(port):
    """{(this end's port, the other's): (inode, bytes not read yet)} of the
    connections with that port of 127.0.0.1."""
    out = {}
    with open("/proc/net/tcp") as f:
        for x in map(str.split, f.readlines()[1:]):
            ends = tuple(int(a.split(":")[1], 16) for a in x[1:3])
            if port in ends and x[3] == "01":
                out[ends] = x[9], int(x[4].split(":")[1], 16)
    return out


def links(pid, port):
    """Local ports of a process's connections to that port."""
    mine = fd_list(pid)
    return [here for (here, there), (inode, _) in unread(port).items()
            if there == port and f"socket:[{inode}]" in mine]


@pytest.mark.parametrize("old", [False, True])
def test_another_worker_brings_a_cell_meanwhile(pg, old):
    """While Redis's answer is on its way, which lacks it, or has an old copy
    of it, and lacks another one: the others are taken from where they are."""
    truth = snapshot(pg)
    full = sorted(c for c, (_, f) in truth.items() if f)
    row = next(t for t in zip(full, full[1:], full[2:])
               if t[2] - t[0] < 40 and t[2] >> 16 == t[0] >> 16)
    x, low, high = row[0] >> 16, row[0] & 65535, row[2] & 65535
    path = f"/v1/cells/16/{x}-{x}/{low}-{high}.json"
    first = f"/v1/cells/16/{x}-{x}/{low}-{low}.json"

    def names_of(cells):
        return sorted(f["id"] for c in cells for f in truth[c][1])

    want = names_of(c for c in truth if row[0] <= c <= row[2])

    with Redis(tcp=True) as own:
        port, address = own.tcp_port, f"127.0.0.1:{own.tcp_port}"
        with Nginx(pg, address, scc={"scc_store_guard": "off"}) as plain:
            wait_until(lambda: "hit" in detail(plain.get(path)), 30,
                       "the cells to be in Redis")
        keys = [f"scc:c:1:{c >> 16}:{c & 65535}" for c in row]
        if old:
            own.r.setrange(keys[0], 5, b"\3")
            own.r.delete(keys[2])
        else:
            own.r.delete(keys[0], keys[1])

        with Zoned(pg, address, scc={"scc_redis_timeout": "30s"}) as nginx:
            one, other = nginx.workers()
            wait_until(lambda: all(f" {p}#{p}: redis {address} is up"
                                   in nginx.log() for p in (one, other)),
                       30, "both workers to have Redis")
            wait_until(lambda: own.r.exists("scc:v:1"), 30, "the voucher")
            freeze(other)
            try:
                with ThreadPoolExecutor(1) as pool:
                    own.sigstop()
                    answer = pool.submit(nginx.get, path)
                    wait_until(lambda: any(
                        unread(port)[port, p][1]
                        for p in links(one, port)), 30, "the question")
                    freeze(one)
                    own.sigcont()
                    wait_until(lambda: any(
                        unread(port)[p, port][1]
                        for p in links(one, port)), 30, "the answer")
                    os.kill(other, signal.SIGCONT)
                    with nginx.client() as c:
                        assert l1(c, first).ids() == names_of(row[:1])
                    os.kill(one, signal.SIGCONT)
                    a = answer.result()
            finally:
                own.sigcont()
                for pid in one, other:
                    os.kill(pid, signal.SIGCONT)
            assert a.status == 200, a
            assert sorted(a.ids()) == want


# -- without backends --------------------------------------------------------


def test_redis_dead(pg, redis):
    """The zone goes on alone: hits, and changes in time."""
    some = pick(pg, 8, 6)
    with Redis() as own, Zoned(pg, own) as nginx, nginx.client() as c:
        for _, lon, lat, _ in some:
            l1(c, cell_path(lon, lat))
        own.kill()
        for i, (ident, lon, lat, _) in enumerate(some):
            path = cell_path(lon, lat)
            l1(c, path)
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (f"dead {i}", ident))
            seen_after(c, path, lambda a: names(a).get(ident)
                       == f"dead {i}", BOUND)
            l1(c, path)
        own.start()
        wait_until(lambda: own.r.exists("scc:v:1"), 10, "the feed to vouch")
        quiet(pg, own, nginx)


def test_without_redis(pg):
    ident, lon, lat, _ = pick(pg, 1, 7)[0]
    path = cell_path(lon, lat)
    with Zoned(pg, None) as nginx, nginx.client() as c:
        l1(c, path)
        pg.query("UPDATE scc.place SET name = 'none' WHERE id = %s",
                 (ident,))
        seen_after(c, path, lambda a: names(a).get(ident) == "none", BOUND)


def test_all_dead(sample_store):
    """Old copies, marked as such; what nobody has is 503."""
    with Postgres(template=sample_store) as pg, Redis() as redis, \
            Zoned(pg, redis) as nginx, nginx.client() as c:
        paths = some_paths(pg, 10, 8)
        bodies = [l1(c, p).body for p in paths]
        ident, lon, lat, _ = pick(pg, 1, 8)[0]
        pg.kill()
        redis.kill()
        wait_until(lambda: "ttl=-1" in detail(c.get(paths[0])), 5,
                   "the answer to be old")
        for path, body in zip(paths, bodies):
            a = c.get(path)
            assert a.status == 200 and "ttl=-1" in detail(a)
            assert "max-age=2," in a.headers["cache-control"]
            assert a.body == body
        assert c.get("/v1/cells/16/7-7/7-7.json").status == 503
        assert stat(nginx)["stale"] > 0
        pg.start()
        redis.start()
        l1(c, paths[0])


def test_redis_restored_from_an_old_dump(pg, redis):
    """Copies of before a change, with their voucher, back to life."""
    some = pick(pg, 10, 9)
    with Redis() as own, Zoned(pg, own, "256k", scc={
            "scc_feed_interval": "5s"}) as nginx, nginx.client() as c:
        wait_until(lambda: own.r.exists("scc:v:1"), 10, "the feed to vouch")
        for _, lon, lat, _ in some:
            c.get(cell_path(lon, lat))
        own.r.save()
        for ident, lon, lat, _ in some:
            pg.query("UPDATE scc.place SET name = 'after' WHERE id = %s",
                     (ident,))
        for ident, lon, lat, _ in some:
            seen_after(c, cell_path(lon, lat),
                       lambda a: names(a).get(ident) == "after", 8)
        own.kill()
        own.start()
        assert own.r.exists("scc:v:1")
        for ident, lon, lat, _ in some:
            for _ in range(4):
                a = c.get(cell_path(lon, lat))
                assert names(a)[ident] == "after"


# -- space -------------------------------------------------------------------


def test_new_copies_and_kept_answers(pg):
    """Copies of cells that nobody had void no answer that is kept; but once
    the zone has taken a newer copy of one it had evicted, none is given of
    the older one, even before the feed has heard of the change."""
    sea, row = "/v1/cells/16/0-29/{}-{}.json", 0
    with Zoned(pg, None, "256k", workers=1,
               scc={"scc_feed_interval": "30s"}) as nginx, \
            nginx.client() as c:
        l1(c, sea.format(0, 0))                 # the feed's first round
        before = stat(nginx)
        for path in some_paths(pg, 20, 13):
            c.get(path)
        after = stat(nginx)
        assert after["inserts"] > before["inserts"] + 9
        assert after["moves"] == before["moves"]

        for i, (ident, lon, lat, _) in enumerate(pick(pg, 8, 12)):
            path = cell_path(lon, lat)
            box = "/v1/places?bbox=" + ",".join(
                f"{v / 1e7:.7f}" for v in (lon, lat, lon, lat))
            l1(c, path)
            for _ in range(3):
                c.get(path)
            evicted = stat(nginx)["evictions"]
            while stat(nginx)["evictions"] < evicted + 600:
                c.get(sea.format(row, row + 2))
                row += 3
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (f"evicted {i}", ident))
            for p in box, path:
                assert names(c.get(p)).get(ident) == f"evicted {i}", p


def test_small_zone_while_rows_change(pg, redis, figure):
    with Zoned(pg, redis, "256k") as nginx:
        text = hammer(pg, redis, nginx, 4)
        n = quiet(pg, redis, nginx, 10, BELIEVED)
        s = stat(nginx)
        assert s["evictions"] > 100 and s["hits"] > 100, s
        figure("coherence, 256 KB of L1", f"{text}: {n} cells equal, "
               f"{s['hits']} hits, {s['misses']} misses, "
               f"{s['evictions']} evictions, {s['refused']} refused")


def test_zone_while_servers_die(pg, redis, figure):
    with Zoned(pg, redis, "1m") as nginx:
        def disturb():
            for i in range(3):
                nginx.reload(wait_old=False)
                redis.kill()
                time.sleep(.3)
                redis.start()
                time.sleep(.5)
                pg.kill()
                time.sleep(.2)
                pg.start()
                time.sleep(.5)

        text = hammer(pg, redis, nginx, 1, disturb, (200, 503), True)
        n = quiet(pg, redis, nginx, 15, BELIEVED)
        figure("coherence with L1, all die", f"{text}: {n} cells equal")


def slow_client(nginx, path):
    """Asks, and does not read the answer."""
    c = socket.socket()
    c.settimeout(20)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.connect(("127.0.0.1", nginx.port))
    c.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert c.recv(1)
    return c


def test_slow_clients_get_all_of_it(pg, redis):
    """An answer that was there at once, but not taken at once."""
    truth = snapshot(pg)
    # the fullest: other tests have moved places about
    c = max(truth, key=lambda c: len(truth[c][1]))
    x, y = (c >> 16) - 1, (c & 65535) - 1
    views = [f"/v1/cells/16/{x}-{x + n}/{y}-{y + n}.json" for n in (7, 11)]
    with Zoned(pg, redis, template=NGINX_CONF.replace(
            "@PORT@;", "@PORT@ sndbuf=4k;"), workers=1) as nginx:
        for path in views * 3:
            with nginx.client() as http:
                want = l1(http, path).body
            assert len(want) > 20000
            s = slow_client(nginx, path)
            time.sleep(.05)
            got = b""
            while len(got.partition(b"\r\n\r\n")[2]) < len(want):
                got += s.recv(16384)
            s.close()
            assert got.partition(b"\r\n\r\n")[2] == want


def test_workers_killed_with_what_they_send(pg, redis):
    """What the dead had pinned is free again; what is there stays right."""
    truth = snapshot(pg)
    cells = sorted(c for c, (_, f) in truth.items() if f)
    c = cells[len(cells) // 2]
    x, y = (c >> 16) - 5, (c & 65535) - 5
    big = f"/v1/cells/16/{x}-{x + 11}/{y}-{y + 11}.json"
    with Zoned(pg, redis, "1m", allow_log=KILLED) as nginx:
        for turn in range(3):
            with nginx.client() as http:
                body = l1(http, big).body
            slow = [slow_client(nginx, big) for _ in range(12)]
            old = set(nginx.workers())
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(set(nginx.workers()) - old) == 2, 30,
                       "new workers")
            for s in slow:
                s.close()
            before = stat(nginx)
            with nginx.client() as http:
                for c in cells:
                    a = http.get(f"/v1/cells/16/{c >> 16}-{c >> 16}/"
                                 f"{c & 65535}-{c & 65535}.json")
                    assert a.json()["features"] == truth[c][1]
            after = stat(nginx)
            assert after["refused"] == before["refused"]
            assert after["evictions"] > before["evictions"]
        with nginx.client() as http:
            assert http.get(big).body == body


def test_workers_killed_all_the_time(pg, redis, figure):
    """Also in the middle of a change of the zone."""
    truth = snapshot(pg)
    cells = sorted(c for c, (_, f) in truth.items() if f)
    stop = threading.Event()
    wrong, count = [], [0]

    def read(nginx, seed):
        rng = random.Random(seed)
        while not stop.is_set():
            try:
                with nginx.client() as http:
                    for _ in range(50):
                        c = rng.choice(cells)
                        a = http.get(f"/v1/cells/16/{c >> 16}-{c >> 16}/"
                                     f"{c & 65535}-{c & 65535}.json")
                        count[0] += 1
                        if a.json()["features"] != truth[c][1]:
                            wrong.append(c)
            except (OSError, Closed):
                pass                    # it was killed

    with Zoned(pg, redis, "256k", allow_log=KILLED) as nginx:
        threads = [threading.Thread(target=read, args=(nginx, i))
                   for i in range(4)]
        for t in threads:
            t.start()
        rng = random.Random(3)
        kills = 0
        end = time.monotonic() + 4
        while time.monotonic() < end:
            workers = nginx.workers()
            if workers:
                try:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
            time.sleep(rng.random() / 10)
        stop.set()
        for t in threads:
            t.join()
        assert wrong == []
        wait_until(lambda: len(nginx.workers()) == 2, 10, "workers")
        quiet(pg, redis, nginx, 10)
        figure("L1, workers killed", f"{kills} kills, {count[0]} reads, "
               f"{stat(nginx)['repairs']} repairs of this zone")


# -- the herd ----------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("cache", ["redis", "no redis"])
def test_herd(sample_store, cache, figure):
    """1,000 clients, one cold view, a slow store, three workers."""
    with Postgres(template=sample_store, log_statement="all") as pg, \
            Redis() as redis, Zoned(
                pg, redis if cache == "redis" else None, workers=3,
                template=NGINX_CONF.replace("1024", "4096")) as nginx:
        view_of = pg.query("SELECT pg_get_viewdef('scc.feature'::regclass)")
        text = view_of[0][0].strip().rstrip(";")
        pg.psql(f"CREATE OR REPLACE VIEW scc.feature AS SELECT q.* FROM "
                f"({text}) q WHERE (SELECT true FROM pg_sleep(.3))")
        _, lon, lat, _ = pick(pg, 1, 13)[0]
        with nginx.client() as c:
            l1(c, "/v1/cells/16/9-9/9-9.json")
        if cache == "redis":            # it has been told of everything
            wait_until(lambda: redis.r.exists("scc:v:1"), 10,
                       "the feed to vouch for Redis")
        before = pg.errors().count("execute scc_fill")
        began = time.monotonic()
        bodies = herd(nginx, view(lon, lat), 1000)
        took = time.monotonic() - began
        n = pg.errors().count("execute scc_fill") - before
        assert len(bodies) == 1
        figure(f"herd of 1,000, {cache}", f"{n} statements, {took:.2f} s, "
               "the statement alone takes 0.3 s")
        assert 1 <= n <= 2


# -- life --------------------------------------------------------------------


def test_reload_keeps_it(pg, redis, nginx):
    paths = some_paths(pg, 20, 10)
    with nginx.client() as c:
        for path in paths:
            l1(c, path)
    before = stat(nginx)
    nginx.reload()
    with nginx.client() as c:
        for path in paths:
            assert detail(c.get(path)) == "scc; hit; detail=l1"
    assert stat(nginx)["misses"] == before["misses"]


def test_another_size_begins_empty(pg, redis):
    path = some_paths(pg, 1, 11)[0]
    with Zoned(pg, redis) as nginx:
        with nginx.client() as c:
            l1(c, path)
        scc = nginx.values["SCC"]
        for change in (("cells:16m", "cells:8m"),
                       ("    scc_zone", "    scc_cache_generation 2;\n"
                                        "    scc_zone")):
            scc = scc.replace(*change)
            nginx.write(SCC=scc)
            nginx.reload()
            s = stat(nginx)
            assert s["entries"] == 0 and s["hits"] == 0
            with nginx.client() as c:
                l1(c, path)
        nginx.write(SCC="".join(x for x in scc.splitlines(True)
                                if "scc_zone" not in x))
        nginx.write(LOCATION="")
        nginx.reload()
        assert "detail=l1" not in detail(nginx.get(path))


def test_single_process(pg, redis):
    ident, lon, lat, _ = pick(pg, 1, 12)[0]
    path = cell_path(lon, lat)
    with Zoned(pg, redis, workers=0, main="master_process off;\n") as nginx, \
            nginx.client() as c:
        l1(c, path)
        pg.query("UPDATE scc.place SET name = 'single' WHERE id = %s",
                 (ident,))
        seen_after(c, path, lambda a: names(a).get(ident) == "single", BOUND)
        assert stat(nginx)["hits"] > 0
