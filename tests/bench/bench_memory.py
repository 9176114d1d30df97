# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""What a place costs in shared memory and in Redis."""

import json

from bench_common import Part, load_store
from servers import Nginx, Postgres, Redis, wait_until

BLOCK = 16          # cells on a side of what is asked at once

ZONE = """}
        location = /zone {
            return 200 '{%s}';
""" % ",".join(f'"{x}":$scc_zone_{x}' for x in (
    "size", "free", "entries", "refused", "evictions"))


def table(say=print, **_):
    part = Part()
    with Postgres(fsync=False) as pg, Redis() as redis:
        say("loading")
        data = load_store(pg)
        (places, cells), = pg.query("SELECT count(*), count(DISTINCT cell) "
                                    "FROM scc.place")
        blocks = pg.query(f"SELECT DISTINCT (cell >> 16) / {BLOCK}, "
                          f"(cell & 65535) / {BLOCK} FROM scc.place")
        text = pg.query("SELECT avg(octet_length(row_to_json(f)::text)) "
                        "FROM scc.feature f")[0][0]
        before = redis.r.info("memory")["used_memory"]
        with Nginx(pg, redis, scc={"scc_zone": "scc:512m"},
                   location=ZONE) as scc, scc.client() as c:
            def zone():
                s = json.loads(c.get("/zone").body)
                assert s["refused"] == s["evictions"] == 0, s
                return s["size"] - s["free"], s["entries"]

            empty = zone()[0]
            for x, y in blocks:
                path = (f"/v1/cells/16/{x * BLOCK}-{x * BLOCK + BLOCK - 1}/"
                        f"{y * BLOCK}-{y * BLOCK + BLOCK - 1}.json")
                wait_until(lambda: "l1" in c.get(path).headers[
                    "cache-status"], 20, path)
            used, entries = zone()
        in_redis = redis.r.info("memory")["used_memory"] - before
    none = entries - cells
    part.lines += [
        f"{data}, in {cells:,} cells of the {entries:,} that were read (the "
        f"other {none:,} have no place and cost 512 bytes each).", "",
        "| where | bytes a place |", "|---|---|",
        f"| shared memory (`scc_zone`), cells with places | "
        f"**{(used - empty - none * 512) / places:,.0f}** |",
        f"| the same, with the cells without any | "
        f"{(used - empty) / places:,.0f} |",
        f"| Redis, all of it | {in_redis / places:,.0f} |",
        f"| a row of the store as JSON text, to compare | {text:,.0f} |"]
    for line in part.lines:
        say(line)
    return part
