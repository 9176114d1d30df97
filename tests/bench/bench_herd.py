# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""1,000 clients ask for one cold view at once: statements that the store is
sent."""

import time

from bench_common import HTTP, Part, answer, load_store
from bench_hot import choose
from load import herd
from servers import NGINX_CONF, Nginx, Postgres, Redis, wait_until

CLIENTS = 1000
MOST = 2


def table(rounds=5, workers=(1, 2), say=print, **_):
    part = Part(unit="")
    part.lines += [
        f"{CLIENTS:,} connections, each with one request for the same view "
        "of about 600 features that no cache has; statements as PostgreSQL "
        f"logs them. {rounds} cold views a row. Without `scc_zone` a crowd may "
        "wait for Redis longer than it waits for a lease: nothing is promised.",
        "",
        "| workers | cells from | statements, most of one view | all answered "
        "after, ms: median (lowest-highest) |", "|---|---|---|---|"]
    with Postgres(fsync=False, log_statement="all") as pg:
        say("loading")
        load_store(pg)
        views = choose(pg, 540, 660)
        for n in workers:
            for name, zone in (("zone and Redis", "scc:128m"),
                               ("zone", "scc:128m"), ("Redis", None)):
                with Redis() as redis:
                    row(part, pg, redis, n, name, zone, views, rounds, say)
    return part


def row(part, pg, redis, workers, name, zone, views, rounds, say):
    def fills():
        return pg.errors().count("execute scc_fill")

    with Nginx(pg, redis if "Redis" in name else None, workers=workers,
               scc={"scc_zone": zone}, http=HTTP,
               server="access_log off;",
               template=NGINX_CONF.replace("1024", "4096")) as scc:
        with scc.client() as c:         # the feed has begun
            if zone:
                answer(c, "/v1/cells/16/9-9/9-9.json", layer="l1")
            else:
                wait_until(lambda: redis.r.exists("scc:v:1"), 20,
                           "the feed to vouch for Redis")
        most, took = 0, []
        for path in views[:rounds]:
            before, began = fills(), time.monotonic()
            bodies = herd(scc, path, CLIENTS)
            took.append((time.monotonic() - began) * 1000)
            assert len(bodies) == 1
            n = fills() - before
            assert n >= 1, path
            most = max(most, n)
    took.sort()
    part.bar(f"{name}, {workers} worker" + "s" * (workers > 1), most, most,
             most, most=MOST if zone else None)
    line = (f"| {workers} | {name} | **{most}**{f' ≤ {MOST}' * bool(zone)} | "
            f"{took[len(took) // 2]:,.0f} ({took[0]:,.0f}-{took[-1]:,.0f}) |")
    say(line)
    part.lines.append(line)
