"""Old copies that the store gave less than the bound ago.

What is read and written all the time is answered with them, and the newer
one is brought behind the answer: nobody waits for the store.  They are never
older than any answer may be, nor shown to who asks for a revision.
"""

import os
import re
import signal
import threading
import time
from contextlib import closing

import pytest

from coherence import PLACES, SEED, cell_path, names, pick, seen_after
from servers import Nginx, Postgres, Redis, freeze, sccctl, wait_until
from store import load_sample

BELIEVED = 1.5          # seconds: the feed's interval and one more
SLACK = .3              # of this machine, and of reading the clock

# sessions of the workers, by what they did last
READERS = """
SELECT pid FROM pg_stat_activity
WHERE query ~ 'scc[.](feature|place_page)' AND pid <> pg_backend_pid()
"""


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
    with Nginx(pg, redis, workers=2, scc={"scc_zone": "cells:16m",
                                          "scc_store_guard": "off"}) as n:
        yield n


def detail(answer):
    return answer.headers.get("cache-status", "")


def rename(c, ident, name):
    with c, c.cursor() as cur:
        cur.execute("UPDATE scc.place SET name = %s WHERE id = %s",
                    (name, ident))


class Renames(threading.Thread):
    """A place's name is a number that grows; when each was replaced."""

    def __init__(self, pg, ident):
        super().__init__()
        self.pg, self.place = pg, ident
        self.halt = threading.Event()
        self.replaced = []

    def run(self):
        with closing(self.pg.connect()) as c:
            for i in range(100000):
                rename(c, self.place, f"{i}")
                if i:
                    self.replaced.append(time.monotonic())
                if self.halt.wait(.02):
                    break


def read(nginx, paths, seconds):
    """[(when asked, path, answer)], each path 20 times a second."""
    out, end = [], time.monotonic() + seconds
    with nginx.client() as c:
        while time.monotonic() < end:
            for path in paths:
                began = time.monotonic()
                out.append((began, path, c.get(path)))
            time.sleep(.05)
    return out


def shown(answer, ident):
    doc = answer.json()
    return int(doc["name"] if "name" in doc else names(answer)[ident])


def test_nobody_waits_for_what_changes_all_the_time(pg, nginx, figure):
    ident, lon, lat, _ = pick(pg, 1, 1)[0]
    paths = [cell_path(lon, lat), "/v1/places/" + ident]
    writer = Renames(pg, ident)
    writer.start()
    try:
        with nginx.client() as c:
            for path in paths:
                seen_after(c, path, lambda a: re.search(
                    rb'"name":"\d+"', a.body), 5)
        got = read(nginx, paths, 4)
    finally:
        writer.halt.set()
        writer.join()

    for path in paths:
        mine = [(t, a) for t, p, a in got if p == path]
        last, oldest, waited, young = 0, 0.0, 0, 0
        for began, a in mine:
            n = shown(a, ident)
            if n < len(writer.replaced):
                oldest = max(oldest, began - writer.replaced[n])
            last = max(last, n)
            waited += "detail=pg" in detail(a)
            if "max-age=2," in a.headers["cache-control"]:
                assert "hit" in detail(a)
                young += 1
        figure(path.split("/")[2],
               f"{len(mine)} answers, {waited} waited, {young} young, the "
               f"oldest {oldest:.2f} s")
        assert oldest < BELIEVED + SLACK
        assert last > 100
        assert young > 0
        assert waited <= len(mine) // 20


def test_they_do_not_last(pg, nginx):
    """The new copy does not come: those who would read it are stopped."""
    ident, lon, lat, _ = pick(pg, 1, 2)[0]
    for path in (cell_path(lon, lat), "/v1/places/" + ident):
        stopped = []
        with closing(pg.connect()) as c, nginx.client() as client:
            rename(c, ident, "1")
            seen_after(client, path, lambda a: b'"1"' in a.body, 5)
            rename(c, ident, "2")
            replaced = time.monotonic()
            try:
                for pid in [pg.family()[0]] + [p for p, in pg.query(READERS)]:
                    freeze(pid)
                    stopped.append(pid)
                young = 0
                while True:
                    began = time.monotonic()
                    a = client.get(path)
                    if "hit" not in detail(a) or "ttl=-1" in detail(a):
                        break
                    assert began - replaced < BELIEVED + SLACK, a
                    assert b'"1"' in a.body
                    young += "max-age=2," in a.headers["cache-control"]
                    time.sleep(.02)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert young > 10, path
            assert "ttl=-1" in detail(a), a
            seen_after(client, path, lambda a: b'"2"' in a.body, 5)


def test_who_comes_seldom_gets_the_newest(pg, nginx):
    """A copy that is older than the bound is not shown once it is marked."""
    ident, lon, lat, _ = pick(pg, 1, 3)[0]
    with closing(pg.connect()) as c, nginx.client() as client:
        for path in (cell_path(lon, lat), "/v1/places/" + ident):
            rename(c, ident, "before")
            seen_after(client, path, lambda a: b'"before"' in a.body, 5)
            quiet = time.monotonic() + BELIEVED + SLACK
            wait_until(lambda: time.monotonic() > quiet, 5, "the copy's age")
            rename(c, ident, "after")
            last = []

            def newest():
                a = client.get(path)
                last.append(a)
                return b'"after"' in a.body
            wait_until(newest, 3, "the newest", .01)
            # no answer said that it was old
            assert not any("max-age=2," in a.headers["cache-control"]
                           for a in last)


def test_the_new_one_comes_behind_the_answer(pg, nginx):
    """After an old copy was shown, the new one, and nobody read it."""
    ident, lon, lat, _ = pick(pg, 1, 4)[0]
    with closing(pg.connect()) as c, nginx.client() as client:
        for path in (cell_path(lon, lat), "/v1/places/" + ident):
            rename(c, ident, "one")
            seen_after(client, path, lambda a: b'"one"' in a.body, 5)
            rename(c, ident, "two")
            last = []

            def newest():
                last.append(client.get(path))
                return b'"two"' in last[-1].body
            wait_until(newest, 3, "the newest", .002)
            assert not any("detail=pg" in detail(a) for a in last)
            assert sum("max-age=2," in a.headers["cache-control"]
                       for a in last) > 0


def test_a_revision_is_not_an_older_one(pg, nginx):
    ident = pick(pg, 1, 5)[0][0]
    path = "/v1/places/" + ident
    with closing(pg.connect()) as c, nginx.client() as client:
        for i in range(5):
            rev = int(client.get(path).headers["scc-rev"])
            rename(c, ident, f"revision {i}")
            a = client.get(f"{path}?rev={rev + 1}")
            assert int(a.headers["scc-rev"]) > rev
            assert a.json()["name"] == f"revision {i}"
