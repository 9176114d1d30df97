#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""Hot views, gzip and 304, against nginx serving the same bytes from files.

bench_headers.py [--seconds N] [--rounds N]

The static side is the same nginx binary with gzip_static: each view is a
file, and its gzip answer a file beside it, both as the module answered them.
Both sides are asked by wrk in turn, A B A B.
"""

import argparse
import collections
import gzip
import json
import os
import random
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

from bench_view import load_store           # noqa: E402
from servers import Nginx, Postgres, Redis, run, wait_until  # noqa: E402

CONNECTIONS = 8
GROUPS = [(60, 50, 70), (600, 540, 660)]
VIEWS = 50
LEAST = 0.8

STATIC_CONF = """\
@MAIN@
worker_processes  @WORKERS@;
pid               @DIR@/nginx.pid;
error_log         @DIR@/error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000;
    keepalive_requests 100000000;
    gzip_static on;
    gzip_vary on;
    types { application/geo+json json; }
    server {
        listen 127.0.0.1:@PORT@;
        location /v1/ {
            root @DIR@/files;
            add_header Cache-Control "public, max-age=30";
        }
    }
}
"""


def choose(pg, low, high):
    """Rectangles of cells with so many features, about as high as wide."""
    c = pg.connect()
    with c, c.cursor() as cur:
        cur.execute("SELECT cell >> 16, cell & 65535, count(*) "
                    "FROM scc.place GROUP BY 1, 2")
        cells = {(x, y): n for x, y, n in cur.fetchall()}
    c.close()
    rng, keys, found = random.Random(high), sorted(cells), []
    for _ in range(20000):
        x, y = rng.choice(keys)
        w, h = rng.randint(1, 15), rng.randint(1, 16)
        n = sum(cells.get((i, j), 0) for i in range(x, x + w)
                for j in range(y, y + h))
        if low <= n <= high:
            found.append(f"/v1/cells/16/{x}-{x + w - 1}/{y}-{y + h - 1}.json")
            if len(found) == VIEWS:
                break
    return found


def answers(client, paths, coding):
    headers = {"Accept-Encoding": "gzip"} if coding else {}

    def hit(path):
        a = client.get(path, headers)
        assert a.status == 200, a
        return a if "; hit" in a.headers.get("cache-status", "; hit") \
            else None
    return [wait_until(lambda p=p: hit(p), 10, p) for p in paths]


def write_files(static, plain, coded):
    for a, b in zip(plain, coded):
        name = os.path.join(static.dir, "files" + a.path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as f:
            f.write(a.body)
        with open(name + ".gz", "wb") as f:
            f.write(b.body)
        assert gzip.decompress(b.body) == a.body
        os.utime(name + ".gz", (os.stat(name).st_mtime,) * 2)
    run(["chmod", "-R", "a+rX", static.dir])


def requests(where, name, paths, *headers):
    path = os.path.join(where, name)
    with open(path, "w") as f:
        for i, p in enumerate(paths):
            f.write("\t".join([p, *(h[i] if isinstance(h, list) else h
                                    for h in headers)]) + "\n")
    return path


def measure(nginx, name, seconds):
    out = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s",
               os.path.join(HERE, "load_headers.lua"), nginx.url, "--",
               name], timeout=seconds + 60).stdout
    r = json.loads(next(x for x in out.splitlines()
                        if x.startswith("RESULT "))[7:])
    assert r["errors"] == 0 and r["requests"], out
    r["rps"] = r["requests"] / r["microseconds"] * 1e6
    return r


def median(rounds, key):
    return statistics.median(x[key] for x in rounds)


def header_table(seconds=2, rounds=5, workers=1, say=print):
    """Runs it all; returns (Markdown lines, whether the least was met)."""
    lines, met = [], True
    with Postgres(fsync=False) as pg, Redis() as cache:
        say("loading")
        data = load_store(pg)
        scc = Nginx(pg, cache, scc={"scc_zone": "scc:128m"}, workers=workers,
                    http="keepalive_requests 100000000;",
                    server="access_log off;")
        static = Nginx(module="", template=STATIC_CONF, workers=workers)
        with scc, static:
            lines += [
                f"{data}; whole cells, {VIEWS} views a row; {workers} "
                f"worker(s) each, wrk with {CONNECTIONS} connections, "
                f"{rounds} rounds of {seconds} s in turn; medians.", "",
                "| features | answer | bytes | ngx_scc_module, req/s | "
                "p50, p99 µs | static file, req/s | p50, p99 µs | ratio |",
                "|---|---|---|---|---|---|---|---|"]
            for about, low, high in GROUPS:
                paths = choose(pg, low, high)
                assert len(paths) >= 20, f"only {len(paths)} views"
                with scc.client() as c:
                    plain = answers(c, paths, False)
                    coded = answers(c, paths, True)
                    coded = answers(c, paths, True)
                write_files(static, plain, coded)
                with static.client() as c:
                    tags = [a.headers["etag"]
                            for a in answers(c, paths, False)]
                    for a, b in zip(coded, answers(c, paths, True)):
                        assert a.body == b.body
                ours = [a.headers["etag"] for a in plain]
                cases = {
                    "identity": ([], [], plain),
                    "gzip": (["Accept-Encoding: gzip"],
                             ["Accept-Encoding: gzip"], coded),
                    "304": ([["If-None-Match: " + t for t in ours]],
                            [["If-None-Match: " + t for t in tags]], []),
                }
                for name, (mine, others, bodies) in cases.items():
                    a = requests(scc.dir, name, paths, *mine)
                    b = requests(static.dir, name, paths, *others)
                    results = collections.defaultdict(list)
                    for _ in range(rounds):
                        results["a"].append(measure(scc, a, seconds))
                        results["b"].append(measure(static, b, seconds))
                    one, two = results["a"], results["b"]
                    ratio = median(one, "rps") / median(two, "rps")
                    size = sum(len(x.body) for x in bodies) / len(paths)
                    line = (
                        f"| {about} | {name} | {size:,.0f} | "
                        f"{median(one, 'rps'):,.0f} | "
                        f"{median(one, 'p50'):,.0f}, "
                        f"{median(one, 'p99'):,.0f} | "
                        f"{median(two, 'rps'):,.0f} | "
                        f"{median(two, 'p50'):,.0f}, "
                        f"{median(two, 'p99'):,.0f} | **{ratio:.2f}×** "
                        f"(≥ {LEAST}×) |")
                    say(line)
                    lines.append(line)
                    met = met and ratio >= LEAST
    return lines, met


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--workers", type=int, default=1)
    args = p.parse_args()
    lines, met = header_table(args.seconds, args.rounds, args.workers)
    print("\n" + "\n".join(lines))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
