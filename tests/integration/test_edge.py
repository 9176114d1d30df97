"""Purges: what has changed in the store is soon fresh at the edge.

First an edge in Python that writes down what it is told and may refuse it;
then Varnish with the VCL that is shipped, before nginx as it is.
"""

import os
import threading
import time

import pytest

from edge import Fake, Varnish, relay
from servers import Nginx, Postgres, Redis, wait_until

BOUND = 5.0                 # seconds until a change is seen at the edge
AGAIN = 3.0                 # after which keys are sent for the second time
SECRET = "geheim-123"
ALL = "lay-places"          # the key of all answers of places


def c14(cell, z=14):
    k = 16 - z
    return f"c{z}-{cell >> 16 >> k}-{(cell & 65535) >> k}"


class Edge(Fake):
    """Takes purges, or refuses them with a status."""

    def __init__(self):
        super().__init__(self.reply)
        self.status = 200

    def reply(self, method, path, headers):
        return self.status, {}, b"{}"

    def purges(self):
        """[(time, [keys], headers)]"""
        with self.lock:
            return [(t, h["Surrogate-Key"].split(" "), h)
                    for t, m, p, h in self.seen]

    def keys(self):
        return [k for _, keys, _ in self.purges() for k in keys]

    def quiet(self, seconds):
        """Waits until nothing came for so long, then forgets."""
        def still():
            with self.lock:
                last = self.seen[-1][0] if self.seen else 0
            return time.monotonic() - last > seconds
        wait_until(still, 30, "the end of purges")
        self.forget()


@pytest.fixture(scope="module")
def store(sample_store):
    with Postgres(template=sample_store) as server:
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def told():
    with Edge() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(store, redis, told):
    n = Nginx(store, redis)
    key = os.path.join(n.dir, "key")
    with open(key, "w") as f:
        f.write(SECRET + "\n")
    n.values["SCC"] += f"    scc_purge {told.url} key_file={key};\n"
    n.values["SERVER"] = ("location = /counters { return 200 '$scc_purge_keys"
                          " $scc_purge_calls $scc_purge_failures "
                          "$scc_purge_everything'; }")
    n.write()
    with n:
        yield n


def counters(nginx):
    return [int(x) for x in nginx.get("/counters").body.split()]


def place(store, i):
    return store.query("SELECT id, cell FROM scc.place WHERE NOT is_closed "
                       "ORDER BY id COLLATE \"C\" OFFSET %s LIMIT 1", (i,))[0]


def expected(ident, *cells):
    out = set()
    for cell in cells:
        out |= {c14(cell), c14(cell, 11)}
    if all(c.isalnum() or c in "._~-" for c in ident):
        out.add("p-" + ident)
    return out


def test_the_first_time_everything(nginx, told):
    wait_until(lambda: told.keys() == [ALL, ALL], 8, "both purges")
    a, b = (p[0] for p in told.purges())
    assert AGAIN - 0.1 < b - a < AGAIN + 1
    wait_until(lambda: counters(nginx) == [2, 2, 0, 2], 2, "the counters")


def test_a_move_is_told_twice(nginx, told, store):
    told.forget()
    ident, old = place(store, 7)
    began = time.monotonic()
    store.query("UPDATE scc.place SET lon_e7 = lon_e7 + 900000 WHERE id = %s",
                (ident,))
    new = store.query("SELECT cell FROM scc.place WHERE id = %s",
                      (ident,))[0][0]
    assert c14(old) != c14(new)
    wait_until(lambda: len(told.purges()) == 2, 8, "both purges")
    for t, keys, headers in told.purges():
        assert len(set(keys)) == len(keys)
        assert expected(ident, old, new) <= set(keys), keys
        assert headers["Fastly-Soft-Purge"] == "1"
        assert headers["Fastly-Key"] == SECRET
        assert headers["Content-Length"] == "0"
    (a, first, _), (b, second, _) = told.purges()
    assert first == second
    assert a - began < 2, "the first purge is late"
    assert b - began < BOUND and b - a > AGAIN - 0.1
    assert SECRET not in nginx.log()


def test_many_at_once(nginx, told, store):
    """At most 100 keys a call, each key once; beyond all bounds: one key."""
    told.quiet(1)
    rows = store.query(
        "UPDATE scc.place SET name = name || '.' WHERE id IN (SELECT id FROM "
        "scc.place WHERE NOT is_closed ORDER BY id COLLATE \"C\" LIMIT 300) "
        "RETURNING id, cell")
    want = set()
    for ident, cell in rows:
        want |= expected(ident, cell)
    wait_until(lambda: want <= set(told.keys()), 4, "the keys")
    sent = told.purges()
    assert len(sent) > 2 and all(len(k) <= 100 for _, k, _ in sent)
    first = [k for t, keys, _ in sent if t < sent[0][0] + 1 for k in keys]
    assert len(first) == len(set(first))

    told.forget()
    store.psql("UPDATE scc.place SET name = name || '.'")
    wait_until(lambda: told.keys().count(ALL) == 2, 8, "everything, twice")
    extra = [k for k in told.keys() if k != ALL]
    assert len(extra) <= len(first), "repeated after everything was"


def test_a_refusing_edge_gets_it_later(nginx, told, store):
    told.quiet(1)
    told.status = 500
    ident, cell = place(store, 20)
    store.query("UPDATE scc.place SET name = 'a' WHERE id = %s", (ident,))
    wait_until(lambda: len(told.seen) >= 2, 5, "another try")
    other, at = place(store, 2000)
    with told.down():
        store.query("UPDATE scc.place SET name = 'b' WHERE id = %s", (other,))
        time.sleep(0.5)             # and now nobody listens at all
    told.forget()
    told.status = 200
    wait_until(lambda: expected(ident, cell) | expected(other, at)
               <= set(told.keys()), 12, "what was refused")
    assert "did not take a purge (status 500)" in nginx.log()
    assert SECRET not in nginx.log()
    assert counters(nginx)[2] >= 2


def test_a_restart_knows_where_it_was(nginx, told, store):
    told.quiet(AGAIN + 1)
    nginx.stop()
    told.forget()
    ident, cell = place(store, 33)
    store.query("UPDATE scc.place SET name = 'c' WHERE id = %s", (ident,))
    nginx.start()
    wait_until(lambda: expected(ident, cell) <= set(told.keys()), 5,
               "what changed meanwhile")
    assert ALL not in told.keys()


def test_a_long_transaction_repeats_nothing(nginx, told, store):
    told.quiet(AGAIN + 1)
    c = store.connect()
    cur = c.cursor()
    cur.execute("SELECT pg_current_xact_id()")
    ident, cell = place(store, 44)
    other, at = place(store, 2000)
    assert c14(at) != c14(cell)
    store.query("UPDATE scc.place SET name = 'd' WHERE id = %s", (ident,))
    wait_until(lambda: told.keys().count(c14(cell)) == 2, 8,
               "both purges")
    time.sleep(1.2)
    assert told.keys().count(c14(cell)) == 2
    assert c14(at) not in told.keys()
    # what it commits is older than what was seen long ago
    cur.execute("UPDATE scc.place SET name = 'late' WHERE id = %s", (other,))
    c.commit()
    c.close()
    wait_until(lambda: c14(at) in told.keys(), 3, "the late change")


# -- a real edge -------------------------------------------------------------


class Rig:
    """nginx, a way that may be slow, Varnish.

    The way says what an answer of cells may be kept for and purged by, where
    the origin does not.
    """

    def __init__(self, store, redis):
        self.hold = threading.Event()
        self.held = threading.Event()
        self.slow = None
        self.nginx = Nginx(store, redis)
        self.way = Fake(self.answer)
        self.ask = relay(self.nginx.port, self.wait)
        self.edge = Varnish(self.way.port)
        self.nginx.values["SCC"] += f"    scc_purge {self.edge.url};\n"
        self.nginx.write()

    def answer(self, method, path, headers):
        status, out, body = self.ask(method, path, headers)
        if status == 200 and path.startswith("/v1/cells/16/") \
                and "surrogate-key" not in map(str.lower, out):
            x, y = (int(p.split("-")[0]) for p in path.split("/")[4:6])
            out["Surrogate-Key"] = ALL + " " + c14(x << 16 | y)
            out["CDN-Cache-Control"] = "max-age=600, stale-if-error=604800"
        return status, out, body

    def wait(self, path):
        if path == self.slow:
            self.slow = None
            self.held.set()
            self.hold.wait(10)

    def __enter__(self):
        self.edge.start()
        self.way.start()
        self.nginx.start()
        return self

    def __exit__(self, *args):
        self.nginx.stop()
        self.way.stop()
        self.edge.stop()


@pytest.fixture(scope="module")
def rig(store, redis):
    with Rig(store, redis) as r:
        yield r


def name_at(edge, path, ident):
    a = edge.get(path)
    assert a.status == 200, a
    return {f["id"]: f["properties"]["name"]
            for f in a.json()["features"]}.get(ident)


def cells_path(cell):
    x, y = cell >> 16, cell & 65535
    return f"/v1/cells/16/{x}-{x}/{y}-{y}.json"


def test_a_change_is_seen_at_the_edge(rig, store, figure):
    seen = []
    time.sleep(AGAIN + 1)           # the purges of the first start
    for i in range(6):
        ident, cell = place(store, 100 + 17 * i)
        path = cells_path(cell)
        before = name_at(rig.edge, path, ident)
        assert before == name_at(rig.edge, path, ident)
        began = time.monotonic()
        store.query("UPDATE scc.place SET name = %s WHERE id = %s",
                    (f"새 이름 {i}", ident))
        wait_until(lambda: name_at(rig.edge, path, ident) == f"새 이름 {i}",
                   BOUND, "the change at the edge", 0.02)
        seen.append(time.monotonic() - began)
    seen.sort()
    figure("edge, a change", f"seen after {seen[len(seen) // 2]:.2f} s "
           f"(median), {seen[-1]:.2f} s (worst of {len(seen)})")
    page = "/v1/places/"
    ident, _ = place(store, 700)
    assert rig.edge.get(page + "no-such").status == 404
    old = rig.edge.get(page + ident).json()
    store.query("UPDATE scc.place SET name = 'page' WHERE id = %s", (ident,))
    store.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) VALUES "
                "('no-such', 'x', 1270000000, 370000000)")
    wait_until(lambda: rig.edge.get(page + ident).json() != old, BOUND,
               "the page at the edge")
    wait_until(lambda: rig.edge.get(page + "no-such").status == 200, BOUND,
               "the new place at the edge")


def test_a_purge_during_a_fetch_ends_fresh(rig, store):
    ident, cell = place(store, 900)
    path = cells_path(cell)
    rig.hold.clear()
    rig.held.clear()
    rig.slow = path
    got = []
    reader = threading.Thread(target=lambda: got.append(
        name_at(rig.edge, path, ident)))
    reader.start()
    assert rig.held.wait(5)         # the old answer is on its way
    began = time.monotonic()
    store.query("UPDATE scc.place SET name = 'raced' WHERE id = %s",
                (ident,))
    wait_until(lambda: name_at(rig.nginx, path, ident) == "raced", 3,
               "the origin")
    time.sleep(max(0.0, 1.6 - (time.monotonic() - began)))
    rig.hold.set()                  # it comes after the first purge
    reader.join()
    assert got[0] != "raced"
    assert name_at(rig.edge, path, ident) != "raced", "no race took place"
    wait_until(lambda: name_at(rig.edge, path, ident) == "raced",
               BOUND - (time.monotonic() - began), "the second purge", 0.05)


def test_the_origin_is_dead(rig, store):
    held = [cells_path(place(store, 100 + 17 * i)[1]) for i in range(5)]
    bodies = [rig.edge.get(p).body for p in held]
    ident, cell = place(store, 100)
    store.query("UPDATE scc.place SET name = 'last' WHERE id = %s", (ident,))
    wait_until(lambda: name_at(rig.edge, cells_path(cell), ident) == "last",
               BOUND, "the change")
    bodies[0] = rig.edge.get(held[0]).body
    time.sleep(AGAIN)               # all are stale now, some are old
    rig.nginx.stop()
    try:
        with rig.way.down():
            for path, body in zip(held, bodies):
                a = rig.edge.get(path)
                assert a.status == 200 and a.body == body, a
            a = rig.edge.get("/v1/cells/16/1-1/1-1.json")
            assert a.status == 503 and a.headers["cache-control"] == \
                "no-store", a
    finally:
        rig.nginx.start()
