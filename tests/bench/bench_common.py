# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""What the parts of the bench share: data, load in turns, ratios.

Both sides of a ratio are asked in turn, A B A B, so that what disturbs the
machine disturbs both; a ratio is that of the medians, its spread that of the
rounds.
"""

import json
import os
import platform
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "integration")]

from servers import (DATA, Nginx, cpu_seconds, run, sccctl,  # noqa: E402
                     wait_until)

CONNECTIONS = 8
REAL = "kr_places_A.csv.gz"
HTTP = "keepalive_requests 100000000;"

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
    types {
        application/geo+json json;
        application/vnd.mapbox-vector-tile mvt;
    }
    server {
        listen 127.0.0.1:@PORT@;
        location /v1/ {
            root @DIR@/files;
            add_header Cache-Control "public, max-age=30";
        }
    }
}
"""


def load_store(pg):
    """Real places if they are here; says which."""
    sccctl("init", pg=pg)
    path = os.path.join(DATA, REAL)
    if os.path.exists(path):
        sccctl("import", path, pg=pg)
        return f"67,797 real places ({REAL})"
    made = os.path.join(pg.dir, "sample.csv")
    with open(made, "w") as f:
        f.write(sccctl("sample", "--places", 70000, "--seed", 1).stdout)
    sccctl("import", made, pg=pg)
    return "70,000 made places (sccctl sample)"


def machine():
    return (f"{os.cpu_count()} CPUs, {platform.machine()}, Linux "
            f"{platform.release().split('-')[0]}; the load comes from the "
            "same machine")


class Static(Nginx):
    """The same nginx with files below /v1/, and nothing of the module."""

    def __init__(self, workers):
        super().__init__(module="", template=STATIC_CONF, workers=workers)

    def keep(self, path, body, coded=None):
        name = os.path.join(self.dir, "files" + path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as f:
            f.write(body)
        if coded is not None:
            with open(name + ".gz", "wb") as f:
                f.write(coded)
            os.utime(name + ".gz", (os.stat(name).st_mtime,) * 2)

    def show(self):
        run(["chmod", "-R", "a+rX", self.dir])


def answer(client, path, headers=None, layer="hit", limit=20):
    """The answer, once it comes from a cache."""
    def ask():
        a = client.get(path, headers or {})
        assert a.status == 200, a
        return a if layer in a.headers.get("cache-status", layer) else None
    return wait_until(ask, limit, f"{path} to come from {layer}")


def requests(where, name, paths, *headers):
    """A file for load.lua; a header is "Name: value", or a list of them,
    one for each path."""
    path = os.path.join(where, name.replace(" ", "-").replace(",", ""))
    with open(path, "w") as f:
        for i, p in enumerate(paths):
            f.write("\t".join([p, *(h[i] if isinstance(h, list) else h
                                    for h in headers)]) + "\n")
    return path


def busy(pids):
    """Seconds that processes have run on a processor."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def measure(nginx, name, seconds, redis=None, connections=CONNECTIONS,
            pids=()):
    """One turn: rps, p50 and p99 in microseconds; CPU per request, of Redis
    and of pids."""
    before = cpu_seconds(redis.pid) if redis else 0
    ran = busy(pids)
    apart = []
    if nginx.values["WORKERS"] == "1" and os.cpu_count() > 1:
        # else the kernel puts both on one processor now and then
        for pid in nginx.workers():
            os.sched_setaffinity(pid, {0})
        apart = ["taskset", "-c", f"1-{os.cpu_count() - 1}"]
    # wrk knows whole seconds only, and ends well when it is interrupted
    out = run([*apart, "timeout", "--preserve-status", "--signal=INT",
               str(seconds), "wrk", "-t1", f"-c{connections}",
               f"-d{seconds + 9:.0f}s", "-s", os.path.join(HERE, "load.lua"),
               nginx.url, "--", name],
              timeout=seconds + 60).stdout
    r = json.loads(next(x for x in out.splitlines()
                        if x.startswith("RESULT "))[7:])
    assert r["errors"] == 0 and r["requests"], out
    r["rps"] = r["requests"] / r["microseconds"] * 1e6
    r["busy"] = (busy(pids) - ran) / r["requests"] * 1e6
    if redis:
        r["cpu"] = (cpu_seconds(redis.pid) - before) / r["requests"] * 1e6
    return r


def turns(rounds, *sides):
    """sides: functions that take a turn; a list of rounds for each."""
    out = [[] for _ in sides]
    for _ in range(rounds):
        for side, results in zip(sides, out):
            results.append(side())
    return out


def median(rounds, key):
    return statistics.median(x[key] for x in rounds)


def spread(rounds, key="rps"):
    v = sorted(x[key] for x in rounds)
    return f"{median(rounds, key):,.0f} ({v[0]:,.0f}-{v[-1]:,.0f})"


def times(rounds):
    return f"{median(rounds, 'p50'):,.0f}, {median(rounds, 'p99'):,.0f}"


class Ratio:
    """a's median over b's, with the lowest and highest of the rounds."""

    def __init__(self, a, b, key="rps"):
        each = sorted(x[key] / y[key] for x, y in zip(a, b))
        self.value = median(a, key) / median(b, key)
        self.low, self.high = each[0], each[-1]

    def text(self, digits=2):
        return (f"**{self.value:.{digits}f}×** "
                f"({self.low:.{digits}f}-{self.high:.{digits}f})")


class Part:
    """Lines of Markdown, bars of a picture, and whether all was met."""

    def __init__(self, unit="×"):
        self.lines, self.bars, self.met, self.unit = [], [], True, unit

    def bar(self, label, value, low, high, least=None, most=None):
        self.bars.append((label, value, low, high, least, most))
        if least is not None and value < least \
                or most is not None and value > most:
            self.met = False
