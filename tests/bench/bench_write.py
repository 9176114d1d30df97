# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""Acknowledged contributions beside PostgreSQL's own inserts.

One run, one disk, in turns: contributions through nginx (journal, fdatasync,
202; the applier at work behind) and pgbench inserting single rows with the
same payload over the same kind of connection; the applier beside pgbench
batches of 100; reads while contributions pour in.

    bench.py --part writes
"""

import json
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name)
                for name in ("faults", "integration")]

from bench_common import Part, cpu_seconds                    # noqa: E402
import rig                                                    # noqa: E402
from servers import (Http, base_dir, freeze, pg_bin, run,     # noqa: E402
                     wait_until)

AIMS = {"writes": 1.5, "latency": 2.0, "apply": 0.7, "reads": 1.5}
CLIENTS = (1, 16, 64, 256)
READS = 200                     # a second, at fixed times
READERS = 8
STORM = 5000                    # contributions a second, beside the reads
RATES = (1000, STORM, 10000)
READ_SECONDS = 10               # at least: p99 is then not a handful of reads
STATIC = "/static/file"

# The servers are measured, not the load's own wait for a processor: where it
# may, the load runs before them, and nginx's workers before the rest.
ROOT = os.geteuid() == 0
FIRST = ["nice", "-n", "-10"] if ROOT else []
LAST = ["nice", "-n", "10"]
WORKERS = "worker_priority -5;\n" if ROOT else ""

WRK = """
local prepared, n = {}, 0

function setup(thread)
    thread:set("id", math.random(1, 1e9))
end

function init(args)
    math.randomseed(id)
    wrk.method = "POST"
    wrk.path = "/v1/contributions"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-Name"] = "volunteer"
    for i = 1, 2000 do
        -- a dozen people of 200 go to each place
        local k = math.random(1, #PLACES)
        wrk.headers["X-Contributor"] = "c-" .. (k * 12 + math.random(12)) % 200
        prepared[i] = wrk.format(nil, nil, nil, string.format(BODY,
            PLACES[k], id, i))
    end
end

function request()
    n = n % #prepared + 1
    return prepared[n]
end

DELAY

function done(summary, latency)
    io.write(string.format("RESULT %d %d %f %d %d %d\\n",
        summary.requests, summary.errors.status, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99), latency.max))
end
"""

# At a fixed rate, as people come: what is late does not delay what follows.
PACE = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long s, n; } ts; int clock_gettime(int, ts *);")
local t, due = ffi.new("ts"), nil

function delay()
    ffi.C.clock_gettime(1, t)
    local now = tonumber(t.s) * 1000 + tonumber(t.n) / 1e6
    due = math.max((due or now) + THREADS * 1000 / RATE, now)
    return math.floor(due - now + math.random())
end
"""

BODY = ('{"kind":"place_accessibility","placeId":"%s",'
        '"stairInfo":"TWO_TO_FIVE","floors":[1],"isFirstFloor":true,'
        '"hasSlope":false,"entranceDoorTypes":["Hinged"],"imageUrls":'
        '["https://img.example.org/2026/11/23/%d-%d-' + "x" * 150
        + '.jpg"]}')

TABLE = """
CREATE TABLE bench (event_id uuid PRIMARY KEY, hlc bigint NOT NULL,
    received_at timestamptz NOT NULL, kind text NOT NULL,
    target text NOT NULL, contributor_id text NOT NULL,
    body_sha256 bytea NOT NULL, body text NOT NULL);
CREATE TABLE bench_place (id int PRIMARY KEY, hlc bigint NOT NULL,
    event_id uuid NOT NULL, body text NOT NULL)
"""

# The body is a parameter: it comes over the connection, as in a POST.
SINGLE = """
\\set hlc random(1, 1000000000)
\\set place random(1, 300)
INSERT INTO bench VALUES (gen_random_uuid(), :hlc, now(),
    'place_accessibility', 'place-' || :place, 'c-1',
    '\\x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    :body);
"""

ROWS = """
INSERT INTO bench
SELECT gen_random_uuid(), i, now(), 'place_accessibility',
    'place-' || i, 'c-1', sha256(:body::text::bytea), :body
FROM generate_series(1, 100) i;
"""

EVENTS = """
\\set place random(1, 200)
WITH e AS (
    INSERT INTO bench
    SELECT gen_random_uuid(), i, now(), 'place_accessibility',
        'place-' || (:place + i), 'c-1', sha256(:body::text::bytea), :body
    FROM generate_series(1, 100) i
    ON CONFLICT DO NOTHING RETURNING event_id, hlc, body)
INSERT INTO bench_place AS p
SELECT :place + hlc::int, hlc, event_id, body FROM e ORDER BY 1
ON CONFLICT (id) DO UPDATE SET hlc = excluded.hlc,
    event_id = excluded.event_id, body = excluded.body
WHERE (p.hlc, p.event_id) < (excluded.hlc, excluded.event_id);
"""


def file(name, text):
    path = os.path.join(base_dir(), name)
    with open(path, "w") as f:
        f.write(text)
    return path


def script(stack, rate=0):
    places = ",".join(f'"{p}"' for p in stack.sample)
    return file(f"post-{rate}.lua", f"PLACES = {{{places}}}\n"
                f"BODY = '{BODY}'\nRATE, THREADS = {rate}, 2\n"
                + WRK.replace("DELAY", PACE if rate else ""))


def posts(stack, clients, seconds, lua, nice=FIRST):
    """(per second, p50 ms, p99 ms)"""
    out = run([*nice, "wrk", "-t", str(min(clients, 2)), "-c", str(clients),
               "-d", f"{seconds}s", "--timeout", "10s", "-s", lua,
               stack.nginx.url]).stdout
    m = re.search(r"RESULT (\d+) (\d+) ([\d.]+) (\d+) (\d+) (\d+)", out)
    assert m, out
    n, bad, took, p50, p99, _ = map(float, m.groups())
    if bad:
        print(f"    {int(bad)} of {int(n)} contributions were refused")
    return (n - bad) / took, p50 / 1000, p99 / 1000


def pgbench(stack, text, clients, seconds, tcp=True):
    sql = file("bench.sql", text)
    host = "127.0.0.1" if tcp else stack.pg.dir
    with tempfile.TemporaryDirectory(dir=base_dir()) as d:
        out = run([*FIRST, pg_bin("pgbench"), "-n", "-M", "prepared", "-f",
                   sql, "-D", "body=" + BODY % ("place-100", 123456789, 1234),
                   "-c", str(clients), "-j", str(min(clients, 2)), "-T",
                   str(seconds), "-l", "--log-prefix", d + "/log", "-h", host,
                   "-p", str(stack.pg.settings["port"]), "-U", "postgres",
                   "scc"]).stdout
        took = []
        for name in os.listdir(d):
            with open(os.path.join(d, name)) as f:
                took += [int(line.split()[2]) for line in f]
    took.sort()
    m = re.search(r"tps = ([\d.]+)", out)
    assert m and took, out
    return (float(m.group(1)), took[len(took) // 2] / 1000,
            took[int(len(took) * 0.99)] / 1000)


def group_commit(stack, writers, seconds=1):
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
    """Waits until the queue is empty; seconds."""
    r, start = stack.queue.client(10), time.monotonic()
    wait_until(lambda: r.xlen(rig.QUEUE) == 0, limit, "the applier", 0.02)
    return time.monotonic() - start


def store_cpu(stack):
    """CPU seconds of PostgreSQL's processes that live."""
    total = 0.0
    for pid in stack.pg.family():
        try:
            total += cpu_seconds(pid)
        except FileNotFoundError:
            pass
    return total


class Spent:
    """CPU time of each part while something runs, microseconds of each of n.

    Backends that end are not PostgreSQL's any more when it is asked, so of
    inserts only the whole and the client's part are known.
    """

    def __init__(self, stack):
        self.stack = stack
        self.had = self.look()

    def look(self):
        nginx, client = self.stack.nginx, os.times()
        with open("/proc/stat") as f:
            busy = [int(x) for x in f.readline().split()[1:9]]
        return {
            "client": client.children_user + client.children_system,
            "nginx's workers": sum(map(cpu_seconds, nginx.kids("worker"))),
            "helper": sum(map(cpu_seconds, nginx.kids("cache manager"))),
            "PostgreSQL": store_cpu(self.stack),
            "queue": cpu_seconds(self.stack.queue.process.pid),
            # without idle and waiting for the disk
            "all": (sum(busy) - busy[3] - busy[4])
            / os.sysconf("SC_CLK_TCK"),
        }

    def each(self, n):
        now = self.look()
        return {k: (now[k] - self.had[k]) / n * 1e6 for k in now}


def applied(stack, events, lua):
    """Applied per second out of a full queue; the store's CPU, µs each."""
    drained(stack)
    helper = stack.nginx.kids("cache manager")[0]
    freeze(helper)
    n = 0
    while n < events:
        n += posts(stack, 64, 1, lua)[0]
    had, cpu = count(stack), store_cpu(stack)
    os.kill(helper, signal.SIGCONT)
    took = drained(stack)
    n = count(stack) - had
    cpu = store_cpu(stack) - cpu
    return n / took, cpu / n * 1e6


class Reads:
    """Reads at fixed times, in a process of its own."""

    def __init__(self, stack, paths, seconds):
        self.process = subprocess.Popen(
            [*(["nice", "-n", "-15"] if ROOT else []), sys.executable,
             os.path.abspath(__file__), "read", str(stack.nginx.port),
             str(seconds), *paths], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def begin(self):
        self.process.stdin.write(b"begin\n")
        self.process.stdin.flush()

    def result(self):
        """[(ms, whether the store was asked)], of each read"""
        got = json.loads(self.process.communicate()[0])
        assert self.process.returncode == 0
        return [(x[0] * 1000, x[1]) for x in got]


class Stamped(socket.socket):
    """Knows when the kernel got what was received last: a reader that waits
    for a processor does not make the server slower."""

    NS = 35                             # SO_TIMESTAMPNS

    def recv(self, size):
        data, more, _, _ = self.recvmsg(size, socket.CMSG_SPACE(16))
        for level, kind, stamp in more:
            if (level, kind) == (socket.SOL_SOCKET, self.NS):
                self.stamp = struct.unpack("qq", stamp)
        return data


class StampedHttp(Http):
    def connect(self):
        s = Stamped(socket.AF_INET)
        s.settimeout(self.timeout)
        s.connect(self.address)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.SOL_SOCKET, Stamped.NS, 1)
        self.sock, self.used, self.buf = s, 0, b""

    def got(self):
        """When the last answer was there, seconds."""
        return self.sock.stamp[0] + self.sock.stamp[1] / 1e9


def read(port, seconds, paths):
    """Each read counts from when it was sent; and from when it was due, if
    the one before was not answered by then."""
    print("ready", flush=True)
    sys.stdin.readline()
    start, took = time.time() + 0.5, []         # wrk prepares its requests

    def reader(k):
        before = 0.0
        with StampedHttp(("127.0.0.1", port)) as http:
            http.connect()              # stamps begin some time after this
            for i in range(k, int(seconds * READS), READERS):
                due = start + i / READS
                time.sleep(max(0.0, due - time.time()))
                sent = due if before > due else time.time()
                a = http.get(paths[i % len(paths)])
                before = http.got()
                took.append((before - sent, "detail=pg"
                             in a.headers.get("cache-status", "")))
                assert a.status == 200, a

    threads = [threading.Thread(target=reader, args=[k])
               for k in range(READERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(took) == int(seconds * READS)
    print(json.dumps(took))


def paths(stack):
    """Pages of places that are written to, and what a map shows of them."""
    out = []
    for i, lon, lat in stack.pg.query(
            "SELECT id, lon_e7 / 1e7::float8, lat_e7 / 1e7::float8 "
            "FROM scc.place WHERE NOT is_closed ORDER BY id LIMIT 20"):
        out += ["/v1/places/" + i,
                f"/v1/places?bbox={lon - .003:.5f},{lat - .003:.5f},"
                f"{lon + .003:.5f},{lat + .003:.5f}"]
    return out


def middle(xs):
    return statistics.median(xs)


def spread(xs, digits=0):
    return (f"{middle(xs):,.{digits}f} ({min(xs):,.{digits}f}-"
            f"{max(xs):,.{digits}f})")


def table(seconds=3, rounds=3, clients=CLIENTS, events=60000, say=print,
          parts=("posts", "applier", "reads")):
    part = Part()
    with rig.Stack(1, scc={"scc_journal_segment": "16m",
                           "scc_journal_pending": "8m",
                           "scc_zone": "scc:64m"}, main=WORKERS,
                   server="location /static/ { alias static/; }",
                   pg={"max_connections": 300, "max_wal_size": "8GB",
                       "checkpoint_timeout": "1h", "tcp": True},
                   location=f"access_log {base_dir()}/access.log scc "
                            "buffer=64k flush=1s;\n") as stack:
        stack.nginx.values["LOG_LEVEL"] = "warn"
        for statement in TABLE.split(";"):
            stack.pg.query(statement)
        lua = script(stack)

        def put(line):
            say(line)
            part.lines.append(line)

        posts(stack, 64, 1, lua)
        drained(stack)
        part.lines += [
            f"{rounds} rounds of {seconds} s in turn; median "
            "(lowest-highest). PostgreSQL, both Redis and wrk or pgbench "
            "share the processors; zone and access log are those of "
            "`nginx.conf.example`"
            + ("; the load runs at nice -10, nginx's workers at -5."
               if ROOT else ".")]
        if "reads" in parts:
            part_reads(part, put, stack, seconds, rounds, lua)
        if "posts" in parts:
            part_posts(part, put, stack, clients, seconds, rounds, lua)
        if "applier" in parts:
            part_applier(part, put, stack, events, seconds, rounds, lua)
    return part


def part_posts(part, put, stack, clients, seconds, rounds, lua):
    for line in (
            "", "**Acknowledged.** POST to 202, durable in the journal, the "
            "applier at work behind; pgbench inserts single rows with the "
            "same body, `-M prepared`, `synchronous_commit` and fsync on; "
            "both over TCP. *Behind*: what the applier needs after the end. "
            "*Store stopped*: POST without an applier. *Group commit*: 512 "
            "bytes each, nothing else.", "",
            "| clients | POST/s | insert/s | ratio | POST p99, ms | insert "
            "p99, ms | ratio | behind, s | store stopped, POST/s | group "
            "commit/s |", "|---|---|---|---|---|---|---|---|---|---|"):
        put(line)
    for n in clients:
        a, b, behind, post, insert = [], [], [], [], []
        for _ in range(rounds):
            spent = Spent(stack)
            a.append(posts(stack, n, seconds, lua))
            behind.append(drained(stack))
            post.append(spent.each(a[-1][0] * seconds))
            spent = Spent(stack)
            b.append(pgbench(stack, SINGLE, n, seconds))
            insert.append(spent.each(b[-1][0] * seconds))
        stack.pg.sigstop()
        alone = posts(stack, n, seconds, lua)[0]
        stack.pg.sigcont()
        drained(stack)
        ratios = [x[0] / y[0] for x, y in zip(a, b)]
        slower = [x[2] / y[2] for x, y in zip(a, b)]
        ratio = middle([x[0] for x in a]) / middle([x[0] for x in b])
        slow = middle([x[2] for x in a]) / middle([x[2] for x in b])
        aims = ("", "")
        if n == 64:
            aims = f" (≥ {AIMS['writes']}×)", f" (≤ {AIMS['latency']:.0f}×)"
            cost = (", ".join(f"{k} {middle([x[k] for x in post]):.0f}"
                              for k in post[0])
                    + "; an insert: " + ", ".join(
                        f"{k} {middle([x[k] for x in insert]):.0f}"
                        for k in ("client", "all")))
            part.bar("POST/s, 64 clients", ratio, min(ratios), max(ratios),
                     least=AIMS["writes"])
            part.bar("their p99", slow, min(slower), max(slower),
                     most=AIMS["latency"])
        put(f"| {n} | {spread([x[0] for x in a])} | "
            f"{spread([x[0] for x in b])} | **{ratio:.2f}×**{aims[0]} | "
            f"{spread([x[2] for x in a], 1)} | "
            f"{spread([x[2] for x in b], 1)} | **{slow:.2f}×**{aims[1]} | "
            f"{middle(behind):.1f} | {alone:,.0f} | "
            f"{group_commit(stack, n):,.0f} |")
    if 64 in clients:
        c = [pgbench(stack, SINGLE, 64, seconds, False)[0]
             for _ in range(rounds)]
        put("")
        put(f"Over its unix socket pgbench inserts {spread(c)}/s at 64 "
            "clients.")
        put("")
        put("**CPU at 64 clients**, microseconds, all of it until the "
            f"applier is done. A contribution: {cost}.")


def part_applier(part, put, stack, events, seconds, rounds, lua):
    a, cpu, rows, upserts = [], [], [], []
    for _ in range(rounds):
        rate, each = applied(stack, events, lua)
        a.append(rate)
        cpu.append(each)
        rows.append(pgbench(stack, ROWS, 1, seconds)[0] * 100)
        upserts.append(pgbench(stack, EVENTS, 1, seconds)[0] * 100)
    ratios = [x / y for x, y in zip(a, upserts)]
    ratio = middle(a) / middle(upserts)
    part.bar("applier, of batches of 100", ratio, min(ratios), max(ratios),
             least=AIMS["apply"])
    for line in (
            "", f"**Applied.** {events:,} contributions and more out of the "
            "queue into ledger, map, numbers and cells; one pgbench client, "
            "a transaction of 100 each.", "",
            "| | a second | applier to it |", "|---|---|---|",
            f"| applier (the store's CPU: {middle(cpu):.0f} µs each) | "
            f"{spread(a)} | |",
            "| pgbench: 100 events, and a guarded upsert of a place for each "
            f"| {spread(upserts)} | **{ratio:.2f}×** (≥ {AIMS['apply']}×) |",
            f"| pgbench: 100 plain rows in one statement | {spread(rows)} | "
            f"{middle(a) / middle(rows):.2f}× |"):
        put(line)


def part_reads(part, put, stack, seconds, rounds, lua):
    seconds = max(seconds, READ_SECONDS)
    got, control, rate = {}, {}, {}
    where = paths(stack)
    static(stack)
    loads = [("quiet", None),
             *((f"{n:,} a second", script(stack, n)) for n in RATES),
             ("64 who never rest", lua)]
    aimed = [f"{n:,} a second" for n in RATES if n <= STORM]
    for _ in range(rounds):
        for name, of in loads:
            both = Reads(stack, where, seconds), Reads(stack, [STATIC],
                                                       seconds)
            for reads in both:
                reads.begin()
            if of is not None:
                # until the last read is answered
                rate.setdefault(name, []).append(
                    posts(stack, 64, seconds + 1, of, LAST)[0])
            for reads, out in zip(both, (got, control)):
                out.setdefault(name, []).append(reads.result())
            drained(stack)
    for line in (
            "", f"**Reads meanwhile.** {rounds} rounds of {seconds} s, "
            f"{READS} reads a second at fixed times: pages of 20 places that "
            "are written to, and views of the map around them; each from "
            "when it was sent, or due if the one before was late, to when "
            "the kernel had the answer. p99 is of all rounds' reads (lowest "
            f"and highest round). A storm is {STORM:,} contributions a "
            f"second, a volunteer's afternoon of 80 every {80000 // STORM} "
            "ms, by 200 people of whom a dozen go to each place; what is "
            "below it shows where the machine ends. They come at nice 10, as "
            f"from outside. *Static*: {READS} reads a second more, of "
            "a file, from the same workers at the same time, which is what "
            "the processors leave of any answer. *Store*: answers that "
            "needed PostgreSQL, since what they show had changed.", "",
            "| contributions | POST/s | p50, ms | p99, ms | p99 to quiet | "
            "static p99, ms | p99 to quiet | store |",
            "|---|---|---|---|---|---|---|---|"):
        put(line)
    for name, xs in got.items():
        ratio, ratios = against(xs, got["quiet"])
        floor, _ = against(control[name], control["quiet"])
        if name in aimed:
            part.bar(f"reads' p99, {name}", ratio, min(ratios), max(ratios),
                     most=AIMS["reads"])
        put(f"| {name}"
            + (f" | {middle(rate[name]):,.0f}" if name in rate else " | 0")
            + f" | {p(sum(xs, []), .5):.2f} | {p99(xs)} | "
            + ("" if name == "quiet" else f"**{ratio:.2f}×**")
            + (f" (≤ {AIMS['reads']}×)" if name in aimed else "")
            + f" | {p99(control[name])} | "
            + ("" if name == "quiet" else f"{floor:.2f}×")
            + f" | {statistics.mean(x[1] for x in sum(xs, [])) * 100:.0f} % |")


def p(reads, part):
    return sorted(x[0] for x in reads)[int(len(reads) * part)]


def p99(rounds):
    each = [p(x, .99) for x in rounds]
    return (f"{p(sum(rounds, []), .99):.2f} ({min(each):.2f}-"
            f"{max(each):.2f})")


def against(rounds, quiet):
    """p99 of all rounds to that of the quiet ones; of each round's."""
    return (p(sum(rounds, []), .99) / p(sum(quiet, []), .99),
            [p(x, .99) / p(y, .99) for x, y in zip(rounds, quiet)])


def static(stack):
    """A file of about a page's size, below the same nginx."""
    path = stack.nginx.dir + STATIC
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as f:
        f.write("x" * 1500)
    run(["chmod", "-R", "a+rX", os.path.dirname(path)])


if __name__ == "__main__":
    assert sys.argv[1] == "read"
    read(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
