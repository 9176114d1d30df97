"""The cache equals the store, whatever happens between them.

Writers change rows by hand, readers hammer, entries are evicted at random,
servers freeze and restart; then, after quiet, every fresh cell in Redis and
every answer must be what the tables say.
"""

import random
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from coherence import (BOUND, PLACES, RETRY, SEED, ask_cells, cell_path,
                       hammer, measure, names, pick, quiet, seen_after, settled)
from places import LEASE, STALE, cell, crc32c, read_blob
from servers import Nginx, Postgres, Redis, sccctl, wait_until
from store import load_sample, snapshot


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


@pytest.fixture(scope="module")
def nginx(pg, redis):
    """Without the guard: the writers delete rows by the hundred, by hand,
    which it would take for the loss that it is (test_guard.py)."""
    with Nginx(pg, redis, workers=2, scc={"scc_store_guard": "off"},
               location="scc_limit 100 5000;") as server:
        yield server


def cell_key(lon, lat):
    at = cell(lon, lat)
    return f"scc:c:1:{at >> 16}:{at & 65535}"


def test_readers_writers_evictions(pg, redis, nginx, figure):
    text = hammer(pg, redis, nginx, 12)
    n = quiet(pg, redis, nginx)
    figure("coherence", f"{text}: after quiet all of {n} cells equal")


def test_redis_frozen_while_rows_change(pg, redis, nginx, figure):
    def freeze():
        for _ in range(3):
            redis.sigstop()
            time.sleep(.7)
            redis.sigcont()
            time.sleep(.3)
    text = hammer(pg, redis, nginx, 4, freeze)
    n = quiet(pg, redis, nginx, 10)
    figure("coherence, Redis freezes", f"{text}: {n} cells equal")


def test_redis_killed_while_rows_change(pg, redis, nginx, figure):
    def kill():
        for _ in range(3):
            redis.kill()
            time.sleep(.3)
            redis.start()
            time.sleep(.7)
    text = hammer(pg, redis, nginx, 4, kill)
    n = quiet(pg, redis, nginx, 10)
    figure("coherence, Redis dies", f"{text}: {n} cells equal")


def test_store_killed_while_rows_change(pg, redis, nginx, figure):
    def kill():
        for _ in range(2):
            pg.kill()
            time.sleep(.3)
            pg.start()
            time.sleep(.5)
    text = hammer(pg, redis, nginx, 4, kill, allow=(200, 503), outage=True)
    n = quiet(pg, redis, nginx, 15, RETRY)
    figure("coherence, PostgreSQL dies", f"{text}: {n} cells equal")


def test_reloads_while_rows_change(pg, redis, nginx, figure):
    def reload():
        for _ in range(5):
            nginx.reload(wait_old=False)
            time.sleep(.2)
    text = hammer(pg, redis, nginx, 4, reload)
    n = quiet(pg, redis, nginx)
    figure("coherence, reloads", f"{text}: {n} cells equal")


def test_changes_while_cells_are_read(pg, redis, figure):
    """A slow statement and a quick feed: changes come between a cell's
    read and its fill all the time."""
    view = pg.query("SELECT pg_get_viewdef('scc.feature'::regclass)")[0][0]
    body = view.strip().rstrip(";")
    pg.psql(f"CREATE OR REPLACE VIEW scc.feature AS SELECT q.* FROM ({body})"
            " q WHERE (SELECT true FROM pg_sleep(.04))")
    cells = sorted(c for c, (_, f) in snapshot(pg).items() if f)[:12]
    stop = threading.Event()
    counts = [0, 0]

    def write():
        rng = random.Random(1)
        c = pg.connect()
        c.autocommit = True
        with c.cursor() as cur:
            while not stop.wait(.004):
                counts[0] += 1
                cur.execute("UPDATE scc.place SET name = %s WHERE cell = %s",
                            (f"n{counts[0]}", rng.choice(cells)))
        c.close()

    def evict():
        rng, c = random.Random(2), redis.client()
        while not stop.wait(.01):
            x = rng.choice(cells)
            counts[1] += c.delete(f"scc:c:1:{x >> 16}:{x & 65535}")

    def read(n, seed):
        rng = random.Random(seed)
        with n.client() as c:
            while not stop.is_set():
                x = rng.choice(cells)
                a = c.get(f"/v1/cells/16/{x >> 16}-{x >> 16}/"
                          f"{x & 65535}-{x & 65535}.json")
                assert a.status == 200, a

    try:
        with Nginx(pg, redis, workers=2, scc={
                "scc_store_guard": "off",
                "scc_feed_interval": "15ms",
                "scc_lease_time": "2500ms"}) as n:
            for _ in range(6):
                stop.clear()
                with ThreadPoolExecutor(8) as pool:
                    jobs = [pool.submit(write), pool.submit(evict)]
                    jobs += [pool.submit(read, n, i) for i in range(5)]
                    time.sleep(.8)
                    stop.set()
                for j in jobs:
                    j.result()
                settled(pg, redis)
            reads = len(n.access())
            pg.psql(f"CREATE OR REPLACE VIEW scc.feature AS {view}")
            quiet(pg, redis, n)
    finally:
        pg.psql(f"CREATE OR REPLACE VIEW scc.feature AS {view}")
    figure("coherence, slow store", f"{counts[0]} changes, {counts[1]} "
           f"evictions, {reads} reads: equal after each of 6 stops")


# -- freshness ---------------------------------------------------------------


@pytest.mark.alone
def test_freshness_of_cells(pg, redis, nginx, figure):
    def trial(i, item):
        ident, lon, lat, _ = item
        path = cell_path(lon, lat)
        name = f"changed by hand {i}"
        sql = f"UPDATE scc.place SET name = '{name}' WHERE id = "
        with nginx.client() as c:
            wait_until(lambda: "hit" in c.get(path).headers["cache-status"],
                       30, "the cell to be in Redis")
            if i < 6:
                pg.psql(sql + "'" + ident.replace("'", "''") + "'")
            else:
                pg.query(sql + "%s", (ident,))
            return seen_after(c, path, lambda a: names(a).get(ident) == name)

    measure(trial, pick(pg, 60), figure, "freshness of a view")


@pytest.mark.alone
def test_freshness_of_places(pg, redis, nginx, figure):
    def trial(i, item):
        ident = item[0]
        path = "/v1/places/" + quote(ident, safe="")
        name = f"한 장소 {i}"
        with nginx.client() as c:
            c.get(path)
            a = c.get(path)
            assert a.status == 200, a
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (name, ident))
            return seen_after(c, path, lambda a: a.status == 200
                              and a.json()["name"] == name)

    measure(trial, pick(pg, 60, 2), figure, "freshness of a place")


@pytest.mark.alone
def test_freshness_under_load(pg, redis, nginx, figure):
    def trial(i, item):
        # writers may move or close it meanwhile: ask by id
        path = "/v1/places/" + quote(item[0], safe="")
        with nginx.client() as c:
            c.get(path)
            c.get(path)
            pg.query("UPDATE scc.place SET address = %s WHERE id = %s",
                     (f"under load {i}", item[0]))
            return seen_after(c, path, lambda a: a.json()["address"]
                              == f"under load {i}")

    def trials():
        measure(trial, pick(pg, 60, 3), figure, "freshness under load")

    hammer(pg, redis, nginx, 0, trials)
    quiet(pg, redis, nginx)


def test_place_moves_to_another_cell(pg, redis, nginx):
    with nginx.client() as c:
        for ident, lon, lat, _ in pick(pg, 10, 4):
            old, new = cell_path(lon, lat), cell_path(lon + 200000, lat)
            for path in (old, new, old, new):
                c.get(path)
            pg.query("UPDATE scc.place SET lon_e7 = lon_e7 + 200000 "
                     "WHERE id = %s", (ident,))
            seen_after(c, old, lambda a: ident not in a.ids(), BOUND)
            seen_after(c, new, lambda a: ident in a.ids(), BOUND)


def test_place_appears_where_nothing_was(pg, redis, nginx):
    """A cell without places is a real entry; its first place is seen."""
    for i in range(5):
        lon, lat = 1290000000 + i * 300000, 350000000
        path = cell_path(lon, lat)
        assert nginx.get(path).ids() == []
        a = nginx.get(path)
        assert a.ids() == [] and "hit" in a.headers["cache-status"]
        pg.psql("INSERT INTO scc.place (id, name, lon_e7, lat_e7) VALUES "
                f"('alone/{i}', '혼자', {lon}, {lat})")
        with nginx.client() as c:
            seen_after(c, path, lambda a: a.ids() == [f"alone/{i}"], BOUND)
            pg.psql(f"DELETE FROM scc.place WHERE id = 'alone/{i}'")
            seen_after(c, path, lambda a: a.ids() == [], BOUND)


def test_place_that_appears_and_goes(pg, redis, nginx):
    """404 only while the store says so."""
    for i in range(5):
        path = f"/v1/places/born-{i}"
        assert nginx.get(path).status == 404
        assert nginx.get(path).status == 404
        pg.psql("INSERT INTO scc.place (id, name, lon_e7, lat_e7) VALUES "
                f"('born-{i}', 'x', 1269999999, 375000000)")
        with nginx.client() as c:
            seen_after(c, path, lambda a: a.status == 200, BOUND)
            pg.psql(f"DELETE FROM scc.place WHERE id = 'born-{i}'")
            seen_after(c, path, lambda a: a.status == 404, BOUND)


def test_page_of_a_closed_place(pg, redis, nginx):
    ident, lon, lat, _ = pick(pg, 1, 5)[0]
    path = "/v1/places/" + quote(ident, safe="")
    with nginx.client() as c:
        pg.query("UPDATE scc.place SET is_closed = true WHERE id = %s",
                 (ident,))
        seen_after(c, path, lambda a: a.status == 200
                   and a.json()["isClosed"] is True, BOUND)
        seen_after(c, cell_path(lon, lat),
                   lambda a: ident not in a.ids(), BOUND)
        for i in range(3):
            c.get(path)
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (f"closed {i}", ident))
            seen_after(c, path, lambda a: a.json()["name"] == f"closed {i}",
                       BOUND)
        # it moves while closed, then opens where it is now
        pg.query("UPDATE scc.place SET lon_e7 = lon_e7 + 300000 "
                 "WHERE id = %s", (ident,))
        pg.query("UPDATE scc.place SET is_closed = false WHERE id = %s",
                 (ident,))
        seen_after(c, cell_path(lon + 300000, lat),
                   lambda a: ident in a.ids(), BOUND)
        seen_after(c, path, lambda a: a.json()["isClosed"] is False, BOUND)


def test_page_after_its_contributor_is_renamed(pg, redis, nginx):
    rows = pg.query(
        "SELECT a.place_id, a.contributor_id FROM scc.place_accessibility a "
        "JOIN scc.place p ON p.id = a.place_id JOIN scc.contributor c "
        "ON c.id = a.contributor_id ORDER BY 1 LIMIT 3")
    assert rows, "the sample has no contributor"
    with nginx.client() as c:
        for ident, who in rows:
            path = "/v1/places/" + quote(ident, safe="")
            c.get(path)
            c.get(path)
            pg.query("UPDATE scc.contributor SET display_name = %s "
                     "WHERE id = %s", ("새 이름 " + ident, who))
            seen_after(c, path, lambda a: a.json()["accessibility"][
                "contributor"]["name"] == "새 이름 " + ident, BOUND)


def test_page_after_its_building_changes(pg, redis, nginx):
    ident, building = pg.query(
        "SELECT p.id, p.building_id FROM scc.place p JOIN scc.building b "
        "ON b.id = p.building_id ORDER BY 1 LIMIT 1")[0]
    path = "/v1/places/" + quote(ident, safe="")
    with nginx.client() as c:
        c.get(path)
        pg.query("UPDATE scc.building SET name = '새 건물' WHERE id = %s",
                 (building,))
        seen_after(c, path, lambda a: a.json()["building"]["name"]
                   == "새 건물", BOUND)


def test_page_goes_by_what_its_cell_was_told(pg, redis, nginx):
    """While the cell's copy is old a page costs one statement, then none."""
    ident, lon, lat, _ = pick(pg, 1, 6)[0]
    path = "/v1/places/" + quote(ident, safe="")
    key = cell_key(lon, lat)
    with nginx.client() as c:
        c.get(cell_path(lon, lat))
        for name in ("told once", "told twice"):
            had = read_blob(redis.r.get(key)).floor
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (name, ident))
            wait_until(lambda: read_blob(redis.r.get(key)).floor > had, 10,
                       "the feed")
            for kept in ("stored", "hit"):
                a = c.get(path)
                assert a.json()["name"] == name
                assert kept in a.headers["cache-status"]
            assert read_blob(redis.r.get(key)).state == STALE


def test_page_does_not_go_by_a_lease_without_a_copy(pg, redis, nginx):
    """The copy was evicted, and a late word of an earlier change has reached
    who brings it again: what the entry was told is not the newest."""
    ident, lon, lat, _ = pick(pg, 1, 7)[0]
    path = "/v1/places/" + quote(ident, safe="")
    key = cell_key(lon, lat)
    with nginx.client() as c:
        c.get(cell_path(lon, lat))
        wait_until(lambda: "hit" in c.get(path).headers["cache-status"], 10,
                   "the page to be kept")
        had = read_blob(redis.r.get(key)).floor
        pg.query("UPDATE scc.place SET name = 'newest' WHERE id = %s",
                 (ident,))
        wait_until(lambda: read_blob(redis.r.get(key)).floor > had, 10,
                   "the feed")
        lease = struct.pack("<4sBBBB4Q5I", b"SCCC", 1, LEASE, 0, 0, 0, had, 1,
                            *[0] * 6)
        redis.r.set(key, lease + struct.pack(
            "<I", crc32c(lease[40:60] + bytes(4))))
        assert c.get(path).json()["name"] == "newest"


# -- what a feed could miss --------------------------------------------------


def test_commit_long_after_others(pg, redis, nginx):
    """A transaction that began before many others and ends after them."""
    (a, lon, lat, _), *others = pick(pg, 30, 6)
    path = cell_path(lon, lat)
    c = pg.connect()
    with c.cursor() as cur, nginx.client() as http:
        # its id is older than those that follow; the row comes last, for
        # writers take turns
        cur.execute("SELECT pg_current_xact_id()")
        for ident, *_ in others:
            pg.query("UPDATE scc.place SET name = name || '.' "
                     "WHERE id = %s", (ident,))
        cur.execute("UPDATE scc.place SET name = 'late' WHERE id = %s", (a,))
        # the feed has gone on meanwhile, several turns
        time.sleep(1.2)
        http.get(path)
        assert "hit" in http.get(path).headers["cache-status"]
        c.commit()
        seen_after(http, path, lambda x: names(x).get(a) == "late", BOUND)
    c.close()


def test_rolled_back(pg, redis, nginx):
    (a, lon, lat, name), = pick(pg, 1, 7)
    path = cell_path(lon, lat)
    c = pg.connect()
    with c.cursor() as cur:
        cur.execute("UPDATE scc.place SET name = 'never' WHERE id = %s",
                    (a,))
        for _ in range(20):
            assert names(nginx.get(path))[a] == name
        c.rollback()
    c.close()
    assert names(nginx.get(path))[a] == name


def test_changed_while_nginx_was_down(pg, redis, nginx):
    some = pick(pg, 20, 8)
    with nginx.client() as c:
        for _, lon, lat, _ in some:
            c.get(cell_path(lon, lat))
    nginx.stop()
    for ident, *_ in some:
        pg.query("UPDATE scc.place SET name = 'meanwhile' WHERE id = %s",
                 (ident,))
    nginx.start()
    with nginx.client() as c:
        for ident, lon, lat, _ in some:
            seen_after(c, cell_path(lon, lat),
                       lambda a: names(a).get(ident) == "meanwhile", 4)


def test_changed_while_redis_was_out_of_reach(pg, redis, nginx):
    """What Redis kept from before is corrected when it is back."""
    some = pick(pg, 20, 9)
    with nginx.client() as c:
        for _, lon, lat, _ in some:
            c.get(cell_path(lon, lat))
        redis.sigstop()
        try:
            for ident, *_ in some:
                pg.query("UPDATE scc.place SET name = 'frozen' "
                         "WHERE id = %s", (ident,))
            # longer than the feed's interval and every deadline
            time.sleep(1.5)
            for ident, lon, lat, _ in some:
                assert names(c.get(cell_path(lon, lat)))[ident] == "frozen"
        finally:
            redis.sigcont()
        began = time.monotonic()
        for ident, lon, lat, _ in some:
            seen_after(c, cell_path(lon, lat),
                       lambda a: names(a).get(ident) == "frozen", 5)
        assert time.monotonic() - began < 8
    quiet(pg, redis, nginx)


def test_two_hosts_share_one_cache(pg, redis, nginx):
    with Nginx(pg, redis, scc={"scc_store_guard": "off"}) as other, \
            nginx.client() as c, \
            other.client() as d:
        for i, (ident, lon, lat, _) in enumerate(pick(pg, 10, 10)):
            path = cell_path(lon, lat)
            c.get(path)
            assert "hit" in d.get(path).headers["cache-status"]
            name = f"both {i}"
            pg.query("UPDATE scc.place SET name = %s WHERE id = %s",
                     (name, ident))
            for client in (c, d):
                seen_after(client, path,
                           lambda a: names(a).get(ident) == name, BOUND)


def test_cache_restored_from_an_old_dump(pg, redis, nginx):
    """Redis comes back with entries from before a change."""
    some = pick(pg, 10, 11)
    with nginx.client() as c:
        for _, lon, lat, _ in some:
            c.get(cell_path(lon, lat))
        redis.r.save()
        for ident, lon, lat, _ in some:
            pg.query("UPDATE scc.place SET name = 'newer' WHERE id = %s",
                     (ident,))
        for ident, lon, lat, _ in some:
            seen_after(c, cell_path(lon, lat),
                       lambda a: names(a).get(ident) == "newer", BOUND)
        redis.kill()
        redis.start()
        assert redis.r.dbsize() > 0, "the dump was not read"
        for ident, lon, lat, _ in some:
            seen_after(c, cell_path(lon, lat),
                       lambda a: names(a).get(ident) == "newer", 5)
    quiet(pg, redis, nginx, 10)
    redis.r.config_set("save", "")
    redis.r.flushall()


def test_another_store_at_the_same_address():
    """Its versions say nothing about copies of the first store's cells:
    they are neither used nor destroyed, and good again when it is back.
    With the guard (test_guard.py) it would not be asked at all."""
    with Postgres() as second:
        sccctl("init", pg=second)
        load_sample(second, 400, SEED)      # the same places, fewer
        second.query("UPDATE scc.place SET name = 'second ' || name")
    with Postgres() as first, Redis() as redis:
        sccctl("init", pg=first)
        load_sample(first, 800, SEED)
        with Nginx(first, redis, scc={"scc_store_guard": "off"}) as nginx:
            wait_until(lambda: redis.r.exists("scc:v:1"), 30,
                       "the feed to vouch")
            quiet(first, redis, nginx)
            old = set(snapshot(first))
            assert len(list(redis.r.scan_iter("scc:c:*"))) >= len(old)
            first.stop()
            first.data, kept = second.data, first.data
            first.start()
            truth = snapshot(first)
            with nginx.client() as c:
                for cell in sorted(old)[::7]:
                    want = truth.get(cell, (0, []))[1]
                    x, y = cell >> 16, cell & 65535
                    wait_until(lambda: c.get(
                        f"/v1/cells/16/{x}-{x}/{y}-{y}.json").json()
                        ["features"] == want, 30, "the second store's cell")
            # cells that it fills meanwhile are not for the first one
            for key in list(redis.r.scan_iter("scc:[cp]:*"))[::5]:
                redis.r.delete(key)
            with nginx.client() as c:
                ask_cells(c, old)
            assert not redis.r.exists("scc:v:1")
            assert "raise \"scc_cache_generation\"" in nginx.log()
            assert len(list(redis.r.scan_iter("scc:c:1:*"))) > len(old) / 2
            first.stop()
            first.data = kept
            first.start()                   # the right one is back
            quiet(first, redis, nginx, 10)
