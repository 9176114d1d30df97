"""A store that goes away and comes back as another one: what readers are
told meanwhile, by nginx and by an edge in front of it, and what the cache
holds."""

import json
import os
import random
import shutil
import threading
import time
from urllib.parse import quote

import psycopg2

import check
from client import Closed, Http
from edge import Varnish
from rig import Stack
from servers import (SERVER_USER, Postgres, new_dir, pg_bin, run, sccctl,
                     shared, wait_until)

AUDIT = 1.0             # scc_audit_interval, seconds
PLACES = 900            # a twentieth is more than the guard lets pass

STATE = """
        location = /guard {
            return 200 "$scc_guard_state $scc_guard_reason \
$scc_guard_replayed";
        }
"""


def template():
    """A stopped store with the sample in it, and the journal that the
    import wrote: (data directory, journal)."""
    def make():
        journal = os.path.join(new_dir("sample"), "journal")
        with Postgres(fsync=False) as pg:
            sccctl("init", pg=pg)
            sccctl("journal", "init", journal, pg=pg)
            path = os.path.join(pg.dir, "sample.csv")
            with open(path, "w") as f:
                f.write(sccctl("sample", "--places", PLACES, "--seed",
                               7).stdout)
            sccctl("import", "--journal", journal, path, pg=pg)
        return f"{pg.data}\n{journal}"
    return shared("lost_store", make).split("\n")


class LostStack(Stack):
    """Journals hold all that the store holds; an edge stands in front.

    guard: off is the negative control.  .imported: the import's journal.
    """

    def __init__(self, seed, guard=True, edge=True, scc=None, workers=2,
                 allow_log=(), **kw):
        data, journal = template()
        self.imported = os.path.join(new_dir("imported"), "journal")
        shutil.copytree(journal, self.imported)
        own(self.imported)
        directives = {"scc_zone": "lost:16m",
                      "scc_audit_interval": f"{AUDIT:g}s",
                      "scc_store_guard": "on" if guard else "off"}
        directives.update(scc or {})
        super().__init__(
            seed, workers=workers, scc=directives, pg={"template": data},
            server=STATE,
            allow_log=[r"scc: ", *allow_log], **kw)
        self.guard = guard
        self.edge = Varnish(self.nginx.port) if edge else None

    def start(self):
        super().start()
        if self.edge:
            self.edge.start()
        if self.guard:
            self.wait_state("healthy")
        return self

    def stop(self, strict=True):
        try:
            super().stop(strict)
        finally:
            if self.edge and self.edge.process is not None:
                self.edge.kill()

    def state(self):
        """("quarantine", "empty", "0")"""
        return tuple(self.nginx.get("/guard").body.decode().split(" "))

    def wait_state(self, state, limit=15, reasons=()):
        """Seconds until it is so."""
        t = time.monotonic()
        now = [None]

        def there():
            now[0] = self.state()
            return now[0][0] == state and (not reasons
                                           or now[0][1] in reasons)
        try:
            wait_until(there, limit, f"the guard to say {state}", 0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}; it says {now[0]}\n"
                                 + self.nginx.log()[-3000:]) from None
        return time.monotonic() - t

    def settle(self):
        """Every segment is sealed, and marked as applied."""
        self.nginx.reload()
        wait_until(lambda: all(
            os.path.exists(os.path.join(d, f[:-4] + ".applied"))
            for d in self.dirs for f in os.listdir(d)
            if f.endswith(".seg")), 30, "segments to be marked", 0.1)

    # -- a person's steps -------------------------------------------------

    def journals(self):
        return [*self.dirs, self.imported]

    def epoch(self):
        with open(os.path.join(self.dirs[0], "anchor")) as f:
            return json.load(f)["epoch"]

    def store_uuid(self):
        with open(os.path.join(self.dirs[0], "store")) as f:
            return f.read().strip()

    def rebuild(self, adopt=True):
        """Into a new database, which then takes the lost one's name."""
        epoch = self.epoch() + 1
        self.admin("DROP DATABASE IF EXISTS scc_new",
                   "CREATE DATABASE scc_new")
        to = ["--pg", self.pg.conninfo(dbname="scc_new")]
        sccctl("init", "--store", self.store_uuid(), "--epoch", epoch, *to)
        sccctl("rebuild", "--journal", *self.journals(), *to)
        if adopt:
            sccctl("adopt", "--store", self.store_uuid(), "--epoch", epoch,
                   "--journal", *self.journals(), *to)
        self.admin("ALTER DATABASE scc ALLOW_CONNECTIONS false", check=False)
        self.admin("SELECT pg_terminate_backend(pid, 5000) FROM "
                   "pg_stat_activity WHERE datname IN ('scc', 'scc_new')",
                   "ALTER DATABASE scc RENAME TO scc_lost", check=False)
        self.admin("ALTER DATABASE scc_new RENAME TO scc")

    def admin(self, *statements, check=True):
        for sql in statements:
            p = run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1",
                     self.pg.conninfo(dbname="postgres"), "-c", sql],
                    check=False)
            if p.returncode and check:
                raise AssertionError(f"{sql}: {p.stdout}")

    def sccctl_verify(self):
        p = sccctl("verify", "--journal", *self.journals(), "--queue",
                   self.queue.address, "--redis", self.cache.address,
                   pg=self.pg, check=False)
        assert p.returncode == 0, p.stdout + p.stderr
        return p.stdout

    def fresh_cluster(self, init):
        """initdb on the same address; the old data is kept beside it."""
        self.pg.stop()
        kept = self.pg.data + ".lost"
        os.rename(self.pg.data, kept)
        run([pg_bin("initdb"), "-D", self.pg.data, "-U", "postgres", "-A",
             "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            server_user=True)
        self.pg.start()
        if init:
            sccctl("init", pg=self.pg)
        return kept

    def old_cluster(self, kept):
        self.pg.stop()
        shutil.rmtree(self.pg.data)
        os.rename(kept, self.pg.data)
        self.pg.start()

    # -- what is in the cache ---------------------------------------------

    def snapshot(self):
        """Every copy of the map, byte by byte."""
        r = self.cache.client()
        keys = sorted(k for p in ("scc:c:*", "scc:p:*", "scc:t:*")
                      for k in r.scan_iter(p, 1000))
        return dict(zip(keys, r.mget(keys))) if keys else {}


def own(path):
    if SERVER_USER:
        for where, _, files in os.walk(path):
            shutil.chown(where, SERVER_USER)
            for f in files:
                shutil.chown(os.path.join(where, f), SERVER_USER)


# -- readers -----------------------------------------------------------------


class Watch:
    """Readers of everything, through nginx and through the edge, who know
    what was there before.

    warm: paths that are in the cache; they must always be answered.  cold:
    places that nobody has read; they may be refused with 503.  Of neither
    may it be said that there is nothing, or less than there was.
    """

    def __init__(self, stack, threads=4):
        self.stack = stack
        self.rng = random.Random(stack.seed * 31)
        self.faults = check.Faults()
        self.n = {}
        self.states = set()
        self.end = threading.Event()
        self.lock = threading.Lock()
        with Http(("127.0.0.1", stack.nginx.port)) as http:
            self.plan(http)
        ports = [stack.nginx.port]
        if stack.edge:
            ports.append(stack.edge.port)
            with Http(("127.0.0.1", stack.edge.port)) as http:
                for path in self.warm:
                    assert http.get(path).status == 200, path
        self.threads = [threading.Thread(target=self.read,
                                         args=(i, ports[i % len(ports)]))
                        for i in range(threads)]

    def plan(self, http):
        places = self.stack.pg.query(
            "SELECT id, lon_e7 / 1e7, lat_e7 / 1e7, cell FROM scc.place "
            "WHERE NOT is_closed ORDER BY id")
        ids = [p[0] for p in places]
        self.warm, self.cold, self.unsure = {}, [], {}
        for i in ids[:40]:
            self.warm["/v1/places/" + quote(i, safe="")] = 1
        self.cold = ["/v1/places/" + quote(i, safe="") for i in ids[60:]]
        self.rng.shuffle(self.cold)
        for _, lon, lat, cell in self.rng.sample(places[:40], 8):
            lon, lat = float(lon), float(lat)
            x, y = cell >> 16, cell & 65535
            self.warm[f"/v1/places?bbox={lon - 0.004:.4f},{lat - 0.004:.4f},"
                      f"{lon + 0.004:.4f},{lat + 0.004:.4f}&limit=1000"] = 0
            self.warm[f"/v1/cells/16/{x}-{x + 1}/{y}-{y + 1}.json"] = 0
            self.warm[f"/v1/tiles/15/{x >> 1}/{y >> 1}.json"] = 0
            # answered by the store alone, or not at all
            self.unsure[f"/v1/nearby?lng={lon:.4f}&lat={lat:.4f}&k=5"] = 0
            self.unsure[f"/v1/tiles/10/{x >> 6}/{y >> 6}.json"] = 0
        self.unsure["/v1/places?bbox=126.5,37,127.5,38&limit=50"] = 0
        for paths in (self.warm, self.unsure):
            for path in paths:
                def there(path=path):
                    a = http.get(path)
                    if a.status != 200:
                        return None
                    return count(path, a.json()) or -1
                n = wait_until(there, 20, path, 0.05)
                paths[path] = max(n, 0)
        self.warm = {p: n for p, n in self.warm.items() if n}
        self.unsure = {p: n for p, n in self.unsure.items() if n}
        assert len(self.warm) > 50 and self.unsure

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        for t in self.threads:
            t.join(30)

    def read(self, number, port):
        rng = random.Random(self.stack.seed * 131 + number)
        http = Http(("127.0.0.1", port), 10)
        warm, unsure = list(self.warm), list(self.unsure)
        while not self.end.is_set():
            way = rng.random()
            if way < 0.7:
                kind, path = "warm", rng.choice(warm)
            elif way < 0.85:
                kind, path = "unsure", rng.choice(unsure)
            else:
                kind, path = "cold", rng.choice(self.cold)
            t0 = time.monotonic()
            try:
                a = http.get(path)
            except (Closed, OSError):
                http.close()
                self.end.wait(0.02)
                continue
            self.judge(kind, path, a, t0, "edge" if number % 2 and
                       self.stack.edge else "nginx")
            self.end.wait(0.003)

    def judge(self, kind, path, a, t0, who):
        state = a.headers.get("scc-data-state")
        where = f"{who} {path} at {t0:.3f}, state {state}"
        with self.lock:
            self.n[kind, a.status] = self.n.get((kind, a.status), 0) + 1
            if state:
                self.states.add(state)
            if a.status == 200:
                want = 1 if kind == "cold" else self.warm.get(
                    path, self.unsure.get(path))
                have = count(path, a.json())
                if have < want:
                    self.faults.add("I6", f"{have} instead of {want}: "
                                    + where)
            elif a.status in (404, 410):
                self.faults.add("I6", f"{a.status}: {where}")
            elif a.status != 503 or kind == "warm":
                self.faults.add("I9", f"{a.status}: {where} "
                                + a.body[:200].decode(errors="replace"))

    def so_far(self):
        with self.lock:
            return sum(self.n.values())

    def more(self, n=200, limit=20):
        have = self.so_far()
        wait_until(lambda: self.so_far() >= have + n, limit,
                   f"{n} more reads", 0.02)

    def whole(self, limit=30):
        """All of it is there again, what nobody had read too."""
        with Http(("127.0.0.1", self.stack.nginx.port)) as http:
            for path, n in [*self.warm.items(), *self.unsure.items(),
                            *((p, 1) for p in self.cold)]:
                def there(path=path, n=n):
                    a = http.get(path)
                    return a.status == 200 and count(path, a.json()) >= n \
                        and "scc-data-state" not in a.headers
                wait_until(there, limit, path + " to be whole", 0.05)


def count(path, doc):
    """How much of the map an answer shows."""
    if "/tiles/10/" in path:
        return sum(f["properties"]["n"] for f in doc["features"])
    if "features" in doc:
        return len(doc["features"])
    return 1 if doc.get("id") else 0


def same(a, b):
    """What differs between two snapshots of the cache; nothing."""
    out = []
    for k in sorted({*a, *b}):
        if a.get(k) != b.get(k):
            out.append(f"{k.decode()}: "
                       + ("gone" if k not in b else "new" if k not in a
                          else f"{len(a[k] or b'')} -> {len(b[k] or b'')} "
                          f"bytes, state {a[k][5:6]!r} -> {b[k][5:6]!r}"))
    return out


def no_less(before, after):
    """No copy went, and none shows less."""
    out = []
    for k, v in before.items():
        if k.startswith(b"scc:c:") and v and v[6] & 1:
            w = after.get(k)
            n = int.from_bytes(v[40:44], "little")
            if not w or not w[6] & 1 \
                    or int.from_bytes(w[40:44], "little") < n:
                out.append(f"{k.decode()} had {n} places")
    return out


def joined(*histories):
    """One history of several loads, whose clients have the same numbers."""
    out = histories[-1]
    for turn, h in enumerate(histories[:-1], 1):
        out.lines += [{**x, "client": x["client"] + 1000 * turn}
                      for x in h.lines]
    return out


# -- ways to lose a store ------------------------------------------------------


def truncate(stack, but=()):
    """As owner, everything, with the belts taken off."""
    c = psycopg2.connect(stack.pg.conninfo())
    with c, c.cursor() as cur:
        cur.execute("SELECT relname FROM pg_class WHERE relnamespace = "
                    "'scc'::regnamespace AND relkind = 'r'")
        tables = ["scc." + x[0] for x in cur.fetchall() if x[0] not in but]
        c.commit()
        for _ in range(20):
            try:
                cur.execute("SET lock_timeout = '2s'; LOCK "
                            + ", ".join(tables))
                break
            except (psycopg2.errors.LockNotAvailable,
                    psycopg2.errors.DeadlockDetected):
                c.rollback()
        for t in tables:
            cur.execute(f"ALTER TABLE {t} DISABLE TRIGGER USER")
        cur.execute("TRUNCATE " + ", ".join(tables) + " CASCADE")
        for t in tables:
            cur.execute(f"ALTER TABLE {t} ENABLE TRIGGER USER")
    c.close()


def truncate_rows(stack):
    """The rows, but not who the store is and what it counts."""
    truncate(stack, ("identity", "migration", "tally", "anchor", "stamp",
                     "rollup"))


def drop_schema(stack):
    stack.pg.psql("SET lock_timeout = '10s'; DROP SCHEMA scc CASCADE")


def drop_database(stack):
    stack.admin("DROP DATABASE scc WITH (FORCE)", "CREATE DATABASE scc")
