# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""Hot views while other clients ask, all the time, for views that nobody
has: each brings new copies into the zone.

Both sides of a ratio have the same stream of cold views beside them, asked of
ngx_scc_module at a steady rate; the static side shows what the processors
have left.
"""

import threading
import time

from bench_common import (HTTP, Part, Ratio, Static, load_store, measure,
                          requests, spread, times, turns)
from bench_hot import GROUPS, LEAST, choose, copy
from servers import Nginx, Postgres, Redis

RATE = 400              # cold views a second
SIDE = 2                # cells


class Cold:
    """Asks for rectangles of cells that were never asked for."""

    def __init__(self, scc):
        self.scc, self.end, self.asked = scc, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        due = time.monotonic()
        with self.scc.client() as c:
            while not self.end.wait(max(0, due - time.monotonic())):
                due = max(due + 1 / RATE, time.monotonic() - 1)
                x = self.asked % 8000 * SIDE
                y = self.asked // 8000 * SIDE
                a = c.get(f"/v1/cells/16/{x}-{x + SIDE - 1}/"
                          f"{y}-{y + SIDE - 1}.json")
                assert a.status == 200, a
                self.asked += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *a):
        self.end.set()
        self.thread.join()


def table(seconds=1, rounds=5, workers=(1, 2), say=print, **_):
    part = Part()
    with Postgres(fsync=False) as pg, Redis() as cache:
        say("loading")
        data = load_store(pg)
        views = {about: choose(pg, low, high) for about, low, high in GROUPS}
        part.lines += [
            f"{data}; the views of the part above, while {RATE} views a "
            f"second of {SIDE} × {SIDE} cells are asked for that nobody has, "
            "so that their copies come from the store through Redis into the "
            f"zone; wrk with 8 connections, {rounds} rounds of {seconds} s "
            "in turn; median (lowest-highest). CPU: of nginx's workers for a "
            "hot view, the cold ones included; alone: without the stream.",
            "",
            "| workers | features | hot view, req/s | p50, p99 µs | static "
            "file, req/s | p50, p99 µs | ratio | CPU µs: beside, alone "
            "| cold views/s |",
            "|---|---|---|---|---|---|---|---|---|"]
        for n in workers:
            with Nginx(pg, cache, scc={"scc_zone": "scc:256m"}, workers=n,
                       http=HTTP, server="access_log off;") as scc, \
                    Static(n) as static:
                for about, paths in views.items():
                    row(part, scc, static, n, about, paths, seconds, rounds,
                        say)
    return part


def row(part, scc, static, workers, about, paths, seconds, rounds, say):
    copy(scc, static, paths)
    x = requests(scc.dir, f"{about}", paths)
    y = requests(static.dir, f"{about}", paths)
    pids = scc.workers()

    def hot():
        return measure(scc, x, seconds, pids=pids)

    (alone,) = turns(2, hot)
    with Cold(scc) as cold:
        began = time.monotonic()
        a, b = turns(rounds, hot, lambda: measure(static, y, seconds))
        rate = cold.asked / (time.monotonic() - began)
    r = Ratio(a, b)
    part.bar(f"{about} features, {workers} worker" + "s" * (workers > 1),
             r.value, r.low, r.high, LEAST)
    line = (f"| {workers} | {about} | {spread(a)} | {times(a)} | {spread(b)} "
            f"| {times(b)} | {r.text()} ≥ {LEAST}× | "
            f"{least(a):.1f}, {least(alone):.1f} | {rate:.0f} |")
    say(line)
    part.lines.append(line)


def least(rounds):
    return min(x["busy"] for x in rounds)
