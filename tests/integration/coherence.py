"""Writers, readers and evictions at once, and what must be true after."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2

import places
from servers import wait_until
from store import differences, snapshot

PLACES = 3000
SEED = 1105
BOUND = 2.0             # P6: seconds at p99 while all parts are up
RETRY = 2.5             # s: by then each worker has asked a server that was
                        # lost and is back (backoff of 2 s at most)


def ask_cells(client, cells):
    """{cell: features} asked cell by cell, in rows of up to 100."""
    out = {}
    for c in cells:
        x, y = c >> 16, c & 65535
        a = client.get(f"/v1/cells/16/{x}-{x}/{y}-{y}.json")
        assert a.status == 200, a
        out[c] = a.json()["features"]
    return out


class Writer(threading.Thread):
    """Changes rows by hand until told to stop."""

    def __init__(self, pg, seed, stop, outage=False):
        super().__init__()
        self.pg, self.rng, self.halt = pg, random.Random(seed), stop
        self.outage = outage        # the store may be away meanwhile
        self.done = 0
        self.error = None

    def run(self):
        c = None
        try:
            while not self.halt.is_set():
                try:
                    if c is None:
                        c = self.pg.connect()
                    with c, c.cursor() as cur:
                        for _ in range(self.rng.choice((1, 1, 1, 3))):
                            self.change(cur)
                        if self.rng.random() < .2:
                            # a commit long after its rows were read
                            self.halt.wait(self.rng.random() / 20)
                        self.done += 1
                except (psycopg2.OperationalError,
                        psycopg2.InterfaceError) as e:
                    if isinstance(e, (
                            psycopg2.errors.DeadlockDetected,
                            psycopg2.errors.SerializationFailure)):
                        continue
                    if not self.outage:
                        raise
                    c = None
                    self.halt.wait(.05)
        except Exception as e:
            self.error = e
        finally:
            if c is not None:
                c.close()

    def change(self, cur):
        rng = self.rng
        some = "(SELECT id FROM scc.place ORDER BY id OFFSET %s LIMIT %s)"
        at = (rng.randrange(PLACES - 300), rng.choice((1, 1, 1, 5, 40)))
        kind = rng.randrange(9)
        if kind == 0:                       # often into another cell
            cur.execute("UPDATE scc.place SET lon_e7 = lon_e7 + %s, "
                        f"lat_e7 = lat_e7 + %s WHERE id IN {some}",
                        (rng.randint(-60000, 60000),
                         rng.randint(-40000, 40000), *at))
        elif kind == 1:
            cur.execute("UPDATE scc.place SET name = %s, category = %s "
                        f"WHERE id IN {some}",
                        (f"이름 {rng.random()} \"'<&>",
                         rng.choice(("CAFE", None, "약국")), *at))
        elif kind in (2, 3):
            cur.execute("UPDATE scc.place_accessibility SET stair_info = %s,"
                        " has_slope = %s, is_first_floor = %s "
                        f"WHERE place_id IN {some}",
                        (rng.choice(("UNDEFINED", "NONE", "ONE",
                                     "TWO_TO_FIVE", "OVER_SIX")),
                         rng.choice((True, False, None)),
                         rng.choice((True, False, None)), *at))
        elif kind == 4:
            cur.execute("UPDATE scc.building_accessibility SET "
                        "has_elevator = %s, elevator_stair_info = %s "
                        "WHERE building_id IN (SELECT building_id FROM "
                        f"scc.place WHERE id IN {some})",
                        (rng.choice((True, False, None)),
                         rng.choice(("UNDEFINED", "NONE", "ONE")), *at))
        elif kind == 5:
            cur.execute("UPDATE scc.place SET is_closed = NOT is_closed "
                        f"WHERE id IN {some}", at)
        elif kind == 6:
            cur.execute("DELETE FROM scc.place WHERE id LIKE 'new-%%' AND "
                        f"id IN {some}", (PLACES - 300, 400))
        elif kind == 7:
            cur.execute("INSERT INTO scc.place_accessibility (place_id, "
                        f"stair_info) SELECT id, 'NONE' FROM scc.place "
                        f"WHERE id IN {some} ON CONFLICT DO NOTHING", at)
        else:
            cur.execute("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                        "SELECT 'new-' || gen_random_uuid(), 'new', "
                        f"lon_e7 + 7, lat_e7 - 7 FROM scc.place "
                        f"WHERE id IN {some}", at)


class Reader(threading.Thread):
    """Asks for views around places until told to stop.

    Answers must be whole: 200, or, if the test allows it, 503.
    """

    def __init__(self, nginx, spots, seed, stop, allow=(200,)):
        super().__init__()
        self.nginx, self.spots, self.halt = nginx, spots, stop
        self.rng = random.Random(seed)
        self.allow = allow
        self.count = {}
        self.layers = {}
        self.error = None

    def run(self):
        rng = self.rng
        try:
            with self.nginx.client() as c:
                while not self.halt.is_set():
                    x, y = rng.choice(self.spots)
                    k = rng.randrange(10)
                    if k < 5:
                        w, s = x / 1e7 - .006, y / 1e7 - .004
                        a = c.get(f"/v1/places?bbox={w:.7f},{s:.7f},"
                                  f"{w + .012:.7f},{s + .008:.7f}")
                    elif k < 8:
                        cell = places.cell(x, y)
                        cx, cy = cell >> 16, cell & 65535
                        n = rng.randrange(4)
                        a = c.get(f"/v1/cells/16/{cx}-{cx + n}/"
                                  f"{cy}-{cy + n}.json")
                    else:
                        cell = places.cell(x, y)
                        a = c.get(f"/v1/tiles/15/{cell >> 17}/"
                                  f"{(cell & 65535) >> 1}.json")
                    self.count[a.status] = self.count.get(a.status, 0) + 1
                    layer = a.headers.get("cache-status", "")
                    self.layers[layer] = self.layers.get(layer, 0) + 1
                    assert a.status in self.allow, a
                    if a.status == 200:
                        doc = a.json()
                        assert len(doc["features"]) == doc["numberReturned"]
        except Exception as e:
            self.error = e


def settled(pg, redis, limit=6):
    """Waits until every fresh entry in Redis equals the store."""
    last = []

    def coherent():
        last[:] = differences(pg, redis)
        return not last
    try:
        wait_until(coherent, limit, "the cache to equal the store", .2)
    except AssertionError as e:
        raise AssertionError(str(e) + ":\n" + "\n".join(last[:5]))


def quiet(pg, redis, nginx, limit=6, bound=0):
    """Waits until Redis equals the store; then asks for all of it, after
    which nothing may be old for longer than "bound"."""
    settled(pg, redis, limit)
    truth = snapshot(pg)
    time.sleep(bound)
    with nginx.client() as c:
        got = ask_cells(c, truth)
    for cell, (_, features) in truth.items():
        assert got[cell] == features, f"cell {cell >> 16}/{cell & 65535}"
    assert differences(pg, redis) == []
    assert pg.query("SELECT count(*) FROM scc.cell_drift") == [(0,)]
    return len(truth)


def hammer(pg, redis, nginx, seconds, disturb=None, allow=(200,),
           outage=False):
    truth = snapshot(pg)
    spots = [(round(f["geometry"]["coordinates"][0] * 1e7),
              round(f["geometry"]["coordinates"][1] * 1e7))
             for _, fs in truth.values() for f in fs]
    stop = threading.Event()
    writers = [Writer(pg, i, stop, outage) for i in range(2)]
    readers = [Reader(nginx, spots, i, stop, allow) for i in range(3)]
    evicted = [0]

    def evict():
        rng = random.Random(SEED)
        c = redis.client()
        while not stop.wait(.003):
            try:
                key = c.randomkey()
                if key is not None and rng.random() < .8:
                    evicted[0] += c.delete(key)
            except Exception:
                c = redis.client()

    threads = [*writers, *readers, threading.Thread(target=evict)]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    try:
        if disturb is not None:
            disturb()
        while time.monotonic() < end and not any(
                t.error for t in writers + readers):
            stop.wait(.05)
    finally:
        stop.set()
        for t in threads:
            t.join()
    for t in writers + readers:
        if t.error is not None:
            raise t.error
    statuses = {}
    for r in readers:
        for k, v in r.count.items():
            statuses[k] = statuses.get(k, 0) + v
    return (f"{sum(w.done for w in writers)} transactions, "
            f"{sum(statuses.values())} reads {statuses}, "
            f"{evicted[0]} evictions")


def pick(pg, n, seed=1):
    """Some open places."""
    rows = pg.query("SELECT id, lon_e7, lat_e7, name FROM scc.place "
                    "WHERE NOT is_closed AND id NOT LIKE 'new-%' "
                    "ORDER BY id")
    return random.Random(seed).sample(rows, n)


def cell_path(lon, lat):
    c = places.cell(lon, lat)
    x, y = c >> 16, c & 65535
    return f"/v1/cells/16/{x}-{x}/{y}-{y}.json"


def names(answer):
    return {f["id"]: f["properties"]["name"]
            for f in answer.json()["features"]}


def seen_after(client, path, test, limit=10):
    """Seconds until an answer passes the test."""
    began = time.monotonic()
    wait_until(lambda: test(client.get(path)), limit,
               f"the change to be visible in {path}", .004)
    return time.monotonic() - began


def summary(times):
    t = sorted(times)
    return (f"n={len(t)} median {t[len(t) // 2] * 1000:.0f} ms, p99 "
            f"{p99(t) * 1000:.0f} ms, worst {t[-1] * 1000:.0f} ms")


def p99(times):
    t = sorted(times)
    return t[min(len(t) - 1, int(len(t) * .99))]


def measure(trial, items, figure, name):
    """Runs trials a few at a time, each at its own moment of the feed."""
    rng = random.Random(SEED)
    pause = [rng.random() / 2 for _ in items]

    def one(i):
        time.sleep(pause[i])
        return trial(i, items[i])

    with ThreadPoolExecutor(6) as pool:
        times = list(pool.map(one, range(len(items))))
    figure(name, summary(times))
    assert p99(times) <= BOUND
