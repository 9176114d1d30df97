"""Long runs: mixed load under valgrind and the sanitizers, 200 reloads, and
a zone a hundred times smaller than what is asked for.  make soak."""

import json
import os
import re
import shutil
import threading
import time

import pytest

import rig
from reads import Readers
from servers import (DATA, MODULE, NGINX, Nginx, Postgres, Redis, alive,
                     sccctl, wait_until)

SECONDS = int(os.environ.get("SCC_SOAK", "60"))

OGC = """
        location /ogc/ {
            scc_ogc;
        }
"""

# all readers may export at once, and of the same worker
MANY = {"scc_export_limit": "8"}

# tools make everything slow: what is late is still right
PATIENT = {"scc_redis_timeout": "10s", "scc_postgres_timeout": "20s", **MANY,
           "scc_lease_time": "30s", "scc_zone": "scc:4m",
           "scc_rollup_interval": "1s"}


def mixed(stack, seed, seconds, clients, reloads, figure, wait_old=True):
    """Reads of all kinds, contributions, reloads."""
    wait_until(lambda: stack.nginx.get("/v1/tiles/5/0/0.mvt").status == 200,
               60, "the first roll-up")
    end = time.monotonic() + seconds
    with rig.Load(stack, clients=1, readers=0, timeout=60, pause=.05) \
            as posts, Readers(stack, clients, seed=seed, timeout=60) as reads:
        done = 0
        while time.monotonic() < end or done < reloads:
            reads.more(30, 300)
            if done < reloads:
                stack.nginx.reload(wait_old=wait_old, limit=120)
                done += 1
        reads.more(30, 300)
    stack.drain(120)
    figure("mixed load", f"{reads.total()} reads, {posts.acked()} "
           f"contributions, {done} reloads: {reads}")
    stack.verify(posts.history)


VALGRIND = """#!/bin/sh
exec valgrind --quiet --vgdb=no --trace-children=yes --num-callers=30 \\
    --leak-check=no --log-file={dir}/valgrind.%p {nginx} "$@"
"""


class Valgrinded(rig.WriteNginx):
    """Its processes have valgrind's command line: the log tells them
    apart."""

    def kids(self, what):
        text = re.escape(f"start {what}") + r"(?: process)? (\d+)"
        return [p for p in map(int, re.findall(text, self.log()))
                if alive(p)]


def test_valgrind(seed, figure, tmp_path):
    """memcheck finds nothing while everything is asked for."""
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: run make deps-test")
    os.chmod(tmp_path, 0o777)
    logs = tmp_path / "logs"
    logs.mkdir()
    os.chmod(logs, 0o777)
    program = tmp_path / "nginx"
    program.write_text(VALGRIND.format(dir=logs, nginx=NGINX))
    program.chmod(0o755)
    stack = rig.Stack(seed, workers=1, scc=PATIENT, server=OGC,
                      shutdown="60s", binary=str(program), module=MODULE)
    stack.nginx.__class__ = Valgrinded
    with stack:
        mixed(stack, seed, SECONDS, 2, 3, figure)
        stack.nginx.quit()
    found = "".join(p.read_text() for p in sorted(logs.iterdir()))
    assert len(list(logs.iterdir())) >= 3       # master, helper, workers
    assert not re.search(r"==\d+== \w", found), found[:6000]


def sanitized():
    binary = os.environ.get("SCC_NGINX_ASAN", "")
    if not binary or not os.path.exists(binary):
        pytest.skip("SCC_NGINX_ASAN names no sanitized nginx: "
                    "make asan-nginx")
    return binary


def with_sanitizers(seed, seconds, figure):
    with rig.Stack(seed, workers=2, scc=PATIENT, server=OGC, shutdown="60s",
                   binary=sanitized()) as stack:
        mixed(stack, seed, seconds, 4, max(1, seconds // 5), figure)
        stack.nginx.quit()              # whose log is looked at


@pytest.mark.quick
def test_sanitizers_a_little(seed, figure):
    with_sanitizers(seed, 3, figure)


def test_sanitizers(seed, figure):
    with_sanitizers(seed, SECONDS, figure)


def test_200_reloads(seed, figure):
    """No read fails, no contribution is lost."""
    with rig.Stack(seed, workers=2, server=OGC, shutdown="10s",
                   scc={"scc_zone": "scc:16m", **MANY}) as stack:
        mixed(stack, seed, 0, 4, 200, figure, wait_old=False)


ZONE = """}
        location = /zone {
            return 200 '{%s}';
""" % ",".join(f'"{x}":$scc_zone_{x}' for x in (
    "size", "free", "entries", "refused", "evictions", "hits", "repairs"))


def test_1_mb_zone_under_100_mb(figure):
    """Views from everywhere: each is what it is without a zone, and the
    zone neither fills with what nobody can free nor grows its processes."""
    with Postgres(fsync=False) as pg, Redis() as redis:
        sccctl("init", pg=pg)
        names = [os.path.join(DATA, x + "_A.csv.gz")
                 for x in ("kr_places", "kr_lights")]
        if not all(map(os.path.exists, names)):
            names = [os.path.join(pg.dir, "sample.csv")]
            with open(names[0], "w") as f:
                f.write(sccctl("sample", "--places", 300000, "--seed",
                               1).stdout)
        for name in names:
            sccctl("import", name, pg=pg)
        cells = [x[0] for x in pg.query(
            "SELECT cell FROM scc.cell WHERE n > 0 ORDER BY cell")]
        with Nginx(pg, redis, workers=2, location=ZONE, scc={
                "scc_zone": "scc:1m", "scc_answer_cache": "0"}) as small, \
                Nginx(pg, redis, scc={"scc_answer_cache": "0"}) as plain:
            read_all(small, plain, cells)
            sizes = [rss(p) for p in small.workers()]
            again = read_all(small, plain, cells)
            grown = max(b / a for a, b in zip(sizes, (
                rss(p) for p in small.workers())))
            with small.client() as c:
                zone = json.loads(c.get("/zone").body)
                assert zone["evictions"] > 1000 and zone["repairs"] == 0
                assert grown < 1.3, f"workers grew {grown:.2f} times"
                hot = f"/v1/cells/16/{cells[0] >> 16}-{cells[0] >> 16}/" \
                    f"{cells[0] & 65535}-{cells[0] & 65535}.json"
                wait_until(lambda: "l1" in c.get(hot).headers[
                    "cache-status"], 10, "the zone to take a copy again")
    figure("1 MB of zone", f"{len(cells):,} cells, twice, "
           f"{again / 1e6:.0f} MB: {zone}")
    assert again > 50e6


def read_all(small, plain, cells):
    """Every cell, by four clients; bytes."""
    total, wrong = [0] * 4, []

    def run(k):
        with small.client() as a, plain.client() as b:
            for c in cells[k::4]:
                x, y = c >> 16, c & 65535
                path = f"/v1/cells/16/{x}-{x}/{y}-{y}.json"
                mine, other = a.get(path), b.get(path)
                total[k] += len(mine.body)
                if mine.status != 200 or mine.body != other.body:
                    wrong.append((mine, other))
                    return

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[0]
    return sum(total)


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1])
