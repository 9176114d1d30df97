#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""The lists of sources and headers in ./config must equal the tree.

sources.py          complains, exit 1, if they do not
sources.py --write  makes them equal
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ["core", "net", "cache", "store", "queue", "apply", "http"]
LISTS = {"ngx_scc_deps": ".h", "ngx_scc_srcs": ".c"}


def tree(suffix):
    names = []
    for folder in FOLDERS:
        top = ROOT / "ngx_scc_module" / folder
        names += sorted(f"{folder}/{p.name}" for p in top.glob("*" + suffix))
    return names


def main():
    config = ROOT / "config"
    text = config.read_text()
    ok = True

    for variable, suffix in LISTS.items():
        pattern = re.compile(rf'^{variable}="([^"]*)"$', re.M)
        match = pattern.search(text)

        if match is None:
            sys.exit(f"config: {variable} is not there")

        want, have = tree(suffix), match.group(1).split()

        if want == have:
            continue

        if "--write" in sys.argv:
            body = "".join(f"\n    {name}" for name in want)
            text = pattern.sub(f'{variable}="{body}"', text)
            continue

        ok = False
        for name in sorted(set(want) ^ set(have)):
            where = "the tree" if name in want else "config"
            print(f"config: {variable}: {name} is only in {where}")
        if set(want) == set(have):
            print(f"config: {variable}: not in the order of the tree")

    if "--write" in sys.argv:
        config.write_text(text)
        return

    if not ok:
        sys.exit("run tests/lint/sources.py --write")


if __name__ == "__main__":
    main()
