#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""make bench: measures what the design promises, and fails if it is missed.

bench.py [--part NAME,...] [--seconds N] [--rounds N] [--keep] [--wait]

Each part's table and picture are put into RESULTS.md and PART.svg, unless
--keep leaves them as they are.  With --wait a part whose stores take long to
make says so when they are there, and measures after a line on its input: when
the machine is quiet.
"""

import argparse
import sys
import time

import results
from bench_common import Part               # noqa: F401: sets sys.path


def parts():
    """Imported when they are wanted: each needs other programs."""
    import bench_beside
    import bench_edge
    import bench_herd
    import bench_hot
    import bench_memory
    import bench_redis
    import bench_scale
    import bench_tiles
    import bench_write
    return {"hot": bench_hot.table, "beside": bench_beside.table,
            "tiles": bench_tiles.table,
            "redis": bench_redis.table, "herd": bench_herd.table,
            "scale": bench_scale.table, "edge": bench_edge.table,
            "memory": bench_memory.table, "writes": bench_write.table}


def wait():
    print("ready: press Enter to measure", flush=True)
    sys.stdin.readline()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--part", default="")
    p.add_argument("--seconds", type=float)
    p.add_argument("--rounds", type=int)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--wait", action="store_true")
    args = p.parse_args()

    known = parts()
    wanted = args.part.split(",") if args.part else list(known)
    for name in wanted:
        if name not in known:
            p.error(f"no part {name}: there are {', '.join(known)}")
    more = {k: v for k, v in (("seconds", args.seconds),
                              ("rounds", args.rounds)) if v}
    if args.wait:
        more["ready"] = wait
    missed = []

    for name in wanted:
        print(f"== {results.TITLES[name]}", flush=True)
        began = time.monotonic()
        part = known[name](
            say=lambda s: print(s, flush=True), **more)
        print(f"({time.monotonic() - began:.0f} s)\n", flush=True)
        if not part.met:
            missed.append(name)
        if not args.keep:
            results.write(name, part.lines, part.bars, part.unit)

    if missed:
        print(f"below what the design asks for: {', '.join(missed)}",
              file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
