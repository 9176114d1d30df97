"""Acknowledged contributions beside PostgreSQL's own inserts.

One run, one disk, A/B/A/B: contributions per second through nginx (journal,
fdatasync, 202; the applier at work behind) and pgbench inserting single rows
of the same size, at the same numbers of clients; the applier beside pgbench
batches of 100; reads while contributions pour in.  All of it shares the
machine's processors.  Prints a table and the ratios.

    bench_write.py [--seconds 4] [--rounds 2] [--clients 1,16,64,256]
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for name in ("faults", "integration"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), name))

import rig                                                    # noqa: E402
from servers import Http, base_dir, pg_bin, run, wait_until   # noqa: E402

AIMS = {"writes": 1.5, "latency": 2.0, "apply": 0.7, "reads": 1.5}

WRK = """
local n = 0

function setup(thread)
    thread:set("id", math.random(1, 1e9))
end

function init(args)
    math.randomseed(id)
    wrk.method = "POST"
    wrk.path = "/v1/contributions"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-Name"] = "volunteer"
end

function request()
    n = n + 1
    wrk.headers["X-Contributor"] = "c-" .. math.random(1, 200)
    return wrk.format(nil, nil, nil, string.format(
        '{"kind":"place_accessibility","placeId":"%s",' ..
        '"stairInfo":"TWO_TO_FIVE","floors":[1],"isFirstFloor":true,' ..
        '"hasSlope":false,"entranceDoorTypes":["Hinged"],"imageUrls":' ..
        '["https://img.example.org/2026/11/23/%d-%d-%s.jpg"]}',
        PLACES[math.random(1, #PLACES)], id, n, string.rep("x", 150)))
end

DELAY

function done(summary, latency)
    io.write(string.format("RESULT %d %d %f %d %d %d\\n",
        summary.requests, summary.errors.status, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99), latency.max))
end
"""

TABLE = """
CREATE TABLE bench (event_id uuid PRIMARY KEY, hlc bigint NOT NULL,
    received_at timestamptz NOT NULL, kind text NOT NULL,
    target text NOT NULL, contributor_id text NOT NULL,
    body_sha256 bytea NOT NULL, body text NOT NULL);
CREATE TABLE bench_place (id int PRIMARY KEY, hlc bigint NOT NULL,
    event_id uuid NOT NULL, body text NOT NULL)
"""

SINGLE = """
\\set hlc random(1, 1000000000)
\\set place random(1, 300)
INSERT INTO bench VALUES (gen_random_uuid(), :hlc, now(),
    'place_accessibility', 'place-' || :place, 'c-1',
    '\\x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    'BODY');
"""

BATCH = """
\\set place random(1, 200)
WITH e AS (
    INSERT INTO bench
    SELECT gen_random_uuid(), i, now(), 'place_accessibility',
        'place-' || (:place + i), 'c-1', sha256('BODY'), 'BODY'
    FROM generate_series(1, 100) i
    ON CONFLICT DO NOTHING RETURNING event_id, hlc, body)
INSERT INTO bench_place AS p
SELECT :place + hlc::int, hlc, event_id, body FROM e ORDER BY 1
ON CONFLICT (id) DO UPDATE SET hlc = excluded.hlc,
    event_id = excluded.event_id, body = excluded.body
WHERE (p.hlc, p.event_id) < (excluded.hlc, excluded.event_id);
"""


def body():
    return json.dumps({
        "kind": "place_accessibility", "placeId": "place-100",
        "stairInfo": "TWO_TO_FIVE", "floors": [1], "isFirstFloor": True,
        "hasSlope": False, "entranceDoorTypes": ["Hinged"],
        "imageUrls": ["https://img.example.org/2026/11/23/123456789-1234-"
                      + "x" * 150 + ".jpg"]}, separators=(",", ": "))


def file(name, text):
    path = os.path.join(base_dir(), name)
    with open(path, "w") as f:
        f.write(text)
    return path


def script(stack, delay=0):
    places = ",".join(f'"{p}"' for p in stack.sample)
    text = WRK.replace("DELAY", "" if not delay else
                       f"function delay() return {delay} end")
    return file(f"post-{delay}.lua", f"PLACES = {{{places}}}\n" + text)


def posts(stack, clients, seconds, lua):
    """(per second, p50 ms, p99 ms), errors are fatal"""
    out = run(["wrk", "-t", str(min(clients, 2)), "-c", str(clients), "-d",
               f"{seconds}s", "--timeout", "10s", "-s", lua,
               stack.nginx.url]).stdout
    m = re.search(r"RESULT (\d+) (\d+) ([\d.]+) (\d+) (\d+) (\d+)", out)
    assert m, out
    n, bad, took, p50, p99, _ = map(float, m.groups())
    if bad:
        print(f"    {int(bad)} of {int(n)} contributions were refused")
    return (n - bad) / took, p50 / 1000, p99 / 1000


def pgbench(stack, text, clients, seconds):
    sql = file("bench.sql", text.replace("BODY", body()))
    with tempfile.TemporaryDirectory(dir=base_dir()) as d:
        out = run([pg_bin("pgbench"), "-n", "-M", "prepared", "-f", sql,
                   "-c", str(clients), "-j", str(min(clients, 2)), "-T",
                   str(seconds), "-l", "--log-prefix", d + "/log",
                   "-h", stack.pg.dir, "-p",
                   str(stack.pg.settings["port"]), "-U", "postgres",
                   "scc"]).stdout
        took = []
        for name in os.listdir(d):
            with open(os.path.join(d, name)) as f:
                took += [int(line.split()[2]) for line in f]
    took.sort()
    tps = float(re.search(r"tps = ([\d.]+)", out).group(1))
    return (tps, took[len(took) // 2] / 1000,
            took[int(len(took) * 0.99)] / 1000)


def group_commit(stack, writers, seconds=2):
    """Records per second of group commit and nothing else: the limit."""
    program = os.path.join(base_dir(), "group_commit")
    if not os.path.exists(program):
        run([os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-o", program,
             os.path.join(HERE, "group_commit.c"), "-lpthread"])
    return float(run([program, os.path.join(stack.dirs[0], "raw"),
                      str(writers), str(seconds)]).stdout)


def count(stack):
    return stack.pg.query("SELECT count(*) FROM scc.contribution")[0][0]


def drained(stack, limit=600):
    """Waits until the ledger stops growing and the queue is empty."""
    r = stack.queue.client(10)
    wait_until(lambda: r.xlen(rig.QUEUE) == 0, limit, "the applier", 0.05)


def applied(stack, events, lua):
    """Contributions applied per second out of a full queue."""
    drained(stack)
    had = count(stack)
    stack.pg.sigstop()
    n = 0
    while n < events:
        n += posts(stack, 64, 1, lua)[0]
    stack.pg.sigcont()
    # the first connection may be found again only after a moment
    wait_until(lambda: count(stack) > had, 60, "the applier", 0.01)
    a, start = count(stack), time.monotonic()
    drained(stack)
    b, took = count(stack), time.monotonic() - start
    return (b - a) / took, b - had


class Reads:
    """Paced reads of one hot view: their times, without the wait."""

    def __init__(self, stack, per_second=200, threads=2):
        self.stack, self.end, self.took = stack, threading.Event(), []
        self.pause = threads / per_second
        self.path = "/v1/places/" + stack.sample[0]
        self.threads = [threading.Thread(target=self.loop)
                        for _ in range(threads)]

    def loop(self):
        with Http(("127.0.0.1", self.stack.nginx.port)) as http:
            while not self.end.is_set():
                t = time.monotonic()
                assert http.get(self.path).status == 200
                t2 = time.monotonic()
                self.took.append(t2 - t)
                time.sleep(max(0.0, self.pause - (t2 - t)))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *a):
        self.end.set()
        for t in self.threads:
            t.join()

    def p(self, q):
        xs = sorted(self.took)
        return xs[int(len(xs) * q)] * 1000


def reads(stack, seconds, lua, gentle):
    out = {}
    for name, clients, lua_of in (("quiet", 0, None),
                                  ("1,000 a second", 64, gentle),
                                  ("storm", 64, lua)) * 2:
        with Reads(stack) as r:
            if clients:
                posts(stack, clients, seconds, lua_of)
            else:
                time.sleep(seconds)
        out.setdefault(name, []).append((r.p(0.5), r.p(0.99)))
        drained(stack)
    return {k: tuple(map(statistics.mean, zip(*v))) for k, v in out.items()}


def line(*cells):
    print("".join(f"{x:>12}" if isinstance(x, str) else f"{x:>12,.2f}"
                  if x < 100 else f"{x:>12,.0f}" for x in cells))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=4)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--clients", default="1,16,64,256")
    p.add_argument("--events", type=int, default=30000)
    args = p.parse_args()
    misses = []

    def aim(what, got, want, most=False):
        good = got <= want if most else got >= want
        print(f"{what}: {got:.2f}x, {'at most' if most else 'at least'} "
              f"{want}x asked{'' if good else ': MISSED'}")
        if not good:
            misses.append(what)

    with rig.Stack(1, scc={"scc_journal_segment": "16m",
                           "scc_journal_pending": "8m"},
                   pg={"max_connections": 300, "max_wal_size": "8GB",
                       "checkpoint_timeout": "1h"}) as stack:
        stack.nginx.values["LOG_LEVEL"] = "warn"
        for statement in TABLE.split(";"):
            stack.pg.query(statement)
        lua, gentle = script(stack), script(stack, 64)
        line("clients", "POST/s", "insert/s", "ratio", "POST p99 ms",
             "insert p99", "ratio", "applier off", "disk alone")
        for clients in map(int, args.clients.split(",")):
            a, b, c = [], [], []
            for _ in range(args.rounds):
                a.append(posts(stack, clients, args.seconds, lua))
                drained(stack)
                b.append(pgbench(stack, SINGLE, clients, args.seconds))
            # what the acknowledgement costs alone
            stack.pg.sigstop()
            c.append(posts(stack, clients, args.seconds, lua))
            stack.pg.sigcont()
            drained(stack)
            a, b, c = [tuple(map(statistics.mean, zip(*x)))
                       for x in (a, b, c)]
            line(str(clients), a[0], b[0], a[0] / b[0], a[2], b[2],
                 a[2] / b[2], c[0], group_commit(stack, clients))
            if clients == 64:
                at64 = a[0] / b[0], a[2] / b[2]

        xs, ys = [], []
        for _ in range(args.rounds):
            xs.append(applied(stack, args.events, lua)[0])
            ys.append(pgbench(stack, BATCH, 1, args.seconds)[0] * 100)
        x, y = statistics.mean(xs), statistics.mean(ys)
        print(f"applied: {x:,.0f} a second; pgbench in batches of 100: "
              f"{y:,.0f}")

        rs = reads(stack, args.seconds, lua, gentle)
        for name, (p50, p99) in rs.items():
            print(f"reads, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")

        if "64" in args.clients.split(","):
            aim("acknowledged writes, 64 clients", at64[0], AIMS["writes"])
            aim("their p99", at64[1], AIMS["latency"], True)
        aim("applier", x / y, AIMS["apply"])
        aim("reads' p99 in a storm", rs["storm"][1] / rs["quiet"][1],
            AIMS["reads"], True)
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
