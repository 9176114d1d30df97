"""Anchors (core/scc_anchor.h), read and written once more, from the format's
description alone."""

import json
import os
import time

from journals import crc32c

HIGH = {"epoch": 1, "life": 0, "system": "0", "timeline": 1, "lsn": "0/0",
        "events": 0, "removals": 0, "places": 0, "contributors": 0,
        "hlc": "0", "state": "healthy", "reason": "none"}


def text(store, **members):
    now = int(time.time() * 1000)
    doc = {"anchor": 1, "store": str(store), **HIGH, "sinceMs": now,
           "writtenMs": now, **members}
    head = json.dumps(doc, separators=(",", ":"))[:-1]
    return f'{head},"crc":"{crc32c(head.encode()):08x}"}}\n'


def write(folder, store, **members):
    path = os.path.join(folder, "anchor")
    with open(path, "w", encoding="ascii") as f:
        f.write(text(store, **members))
    return path


def parse(line):
    line = line.rstrip("\n")
    head = line[:line.rindex(',"crc":')]
    doc = json.loads(line)
    assert int(doc.pop("crc"), 16) == crc32c(head.encode()), line
    return doc


def read(folder):
    with open(os.path.join(folder, "anchor"), encoding="ascii") as f:
        return parse(f.read())
