"""What the tests know about places without asking the module.

Files are read with Python's csv, coordinates rounded with Decimal, cells
computed from the projection's formula, boxes kept as exact decimals.
"""

import csv
import json
import math
import struct
from collections import namedtuple
from decimal import ROUND_HALF_UP, Decimal

from servers import open_data

E7 = Decimal(10) ** 7

# the files of real places
REAL = ["seoul_places_A.csv.gz", "osm_pois_A.csv"]

Place = namedtuple("Place", "id name category address lon lat cell")


def e7(text):
    """Decimal text -> units of 1e-7 degree, half away from zero."""
    return int((Decimal(text) * E7).to_integral_value(ROUND_HALF_UP))


def decimal(n):
    """Units of 1e-7 degree -> Decimal degrees."""
    return Decimal(n) / E7


def cell_x(lon, z=16):
    side = 1 << z
    return max(0, min(side - 1, (lon + 1800000000) * side // 3600000000))


def cell_y(lat, z=16):
    side = 1 << z
    rad = math.radians(lat / 1e7)
    y = (1 - math.asinh(math.tan(rad)) / math.pi) / 2 * side
    return max(0, min(side - 1, math.floor(y)))


def cell(lon, lat):
    return cell_x(lon) << 16 | cell_y(lat)


def tile_lon(x, z):
    """The western edge of a tile, exactly."""
    return Decimal(x) * 360 / (1 << z) - 180


def tile_lat(y, z):
    """The northern edge of a tile."""
    n = math.pi * (1 - 2 * y / (1 << z))
    return Decimal(repr(math.degrees(math.atan(math.sinh(n)))))


def read_csv(name):
    csv.field_size_limit(1 << 24)
    with open_data(name) as f:
        for row in csv.DictReader(f):
            lon, lat = e7(row["lng"]), e7(row["lat"])
            yield Place(row["id"], row["name"], row["category"],
                        row["address"], lon, lat, cell(lon, lat))


def in_order(places):
    """The API's order: cell, then id as bytes."""
    return sorted(places, key=lambda p: (p.cell, p.id.encode()))


# -- level, from SCC's published rules (AccessibilityScore, August 2025) ------


def part(stair, slope):
    if slope:
        return 0.0 if stair == "NONE" else 1.0
    return {"NONE": 0.0, "ONE": 2.0, "TWO_TO_FIVE": 3.0,
            "OVER_SIX": 5.0}.get(stair)


def known_level(p, b):
    """p: stair, slope, first; b: None or entrance, slope, elevator,
    elevator_stair.  All yes/no inputs known."""
    if p["first"]:
        v = part(p["stair"], p["slope"])
        return None if v is None else int(v)
    if b is None:
        return None
    if not b["elevator"]:
        return 5
    s = [v for v in (part(p["stair"], p["slope"]),
                     part(b["entrance"], b["slope"]),
                     part(b["elevator_stair"], b["slope"]))
         if v is not None]
    if not s:
        return None
    m = max(s)
    if m <= 2:
        return math.ceil(m)
    if m <= 3:
        return 3 if s.count(3.0) == 1 else 4
    return 5


def level(p, b):
    """The same where every way to fill in the unknowns agrees, else None."""
    if p is None:
        return None
    seen = set()
    for first in ([p["first"]] if p["first"] is not None else [True, False]):
        for slope in ([p["slope"]] if p["slope"] is not None
                      else [True, False]):
            pp = dict(p, first=first, slope=slope)
            if b is None:
                seen.add(known_level(pp, None))
                continue
            for bs in ([b["slope"]] if b["slope"] is not None
                       else [True, False]):
                for el in ([b["elevator"]] if b["elevator"] is not None
                           else [True, False]):
                    seen.add(known_level(pp, dict(b, slope=bs, elevator=el)))
    return seen.pop() if len(seen) == 1 else None


# -- a cell's entry in Redis (core/scc_blob.h) -------------------------------


Blob = namedtuple("Blob", "state body ver floor lease lease_end features "
                          "cats")
Entry = namedtuple("Entry", "id lon lat flags cat json")

VAL, LEASE, STALE = 1, 2, 3


def crc32c_table():
    table = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        table.append(c)
    return table


_crc = crc32c_table()


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = c >> 8 ^ _crc[(c ^ b) & 0xFF]
    return c ^ 0xFFFFFFFF


def read_blob(data, check=True):
    """Parses and checks an entry as strictly as its description is."""
    assert len(data) >= 64, f"entry of {len(data)} bytes"
    magic, fmt, state, flags, zero = struct.unpack_from("<4sBBBB", data)
    ver, floor, lease, end = struct.unpack_from("<4Q", data, 8)
    n, n_cat, ids_len, cats_len, frags_len, crc = struct.unpack_from(
        "<6I", data, 40)
    assert magic == b"SCCC" and fmt == 1, (magic, fmt)
    assert state in (VAL, LEASE, STALE) and zero == 0, (state, zero)
    body = bool(flags & 1)
    if not body:
        assert state != VAL and len(data) == 64
        return Blob(state, False, ver, floor, lease, end, [], [])
    index = 64
    cats = index + 28 * n
    ids = cats + cats_len
    frags = ids + ids_len
    assert len(data) == frags + frags_len
    if check:
        tail = data[40:60] + b"\0\0\0\0" + data[64:]
        assert crc32c(tail) == crc, "checksum"
    names, at = [], cats
    for _ in range(n_cat):
        k = data[at]
        names.append(data[at + 1:at + 1 + k].decode())
        at += 1 + k
    assert at == ids
    out = []
    last = None
    for i in range(n):
        lon, lat, fo, fl, io, il, cat, fflags, z = struct.unpack_from(
            "<iiIIIHHHH", data, index + 28 * i)
        ident = data[ids + io:ids + io + il]
        assert len(ident) == il and (last is None or ident > last)
        last = ident
        text = data[frags + fo:frags + fo + fl]
        assert len(text) == fl and z == 0
        out.append(Entry(ident.decode(), lon, lat, fflags,
                         None if cat == 0xFFFF else names[cat],
                         json.loads(text) if check else text))
    return Blob(state, True, ver, floor, lease, end, out, names)
