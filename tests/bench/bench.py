#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""make bench: measures, prints ratios, fails if a promised one is missed.

bench.py [--write] [--seconds N] [--rounds N]

--write puts the tables into tests/bench/RESULTS.md.
"""

import argparse
import os
import platform
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

from bench_headers import header_table      # noqa: E402
from bench_view import view_table           # noqa: E402

HEAD = """\
# Measured

Figures of one run of `tests/bench/bench.py --write`; only ratios within it mean
something elsewhere.

## A view from Redis, against nginx + Lua with GEOSEARCH + HMGET

"""


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--write", action="store_true")
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()

    lines, met = view_table(args.seconds, args.rounds)
    more, also = header_table(args.seconds, args.rounds)
    met = met and also
    lines += ["", "## Hot views, gzip and 304, against nginx serving files",
              "", *more, "", f"{os.cpu_count()} CPUs, {platform.machine()}, "
              f"Linux {platform.release().split('-')[0]}."]
    print("\n" + "\n".join(lines))

    if args.write:
        with open(os.path.join(HERE, "RESULTS.md"), "w") as f:
            f.write(HEAD + "\n".join(lines) + "\n")

    if not met:
        print("\na ratio is below what the design asks for",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
