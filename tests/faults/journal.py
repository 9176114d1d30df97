"""The journal's files read without the module.

Written from the description of the format alone (core/scc_journal.h), so
that a fault of the module's writer and a fault of its reader cannot hide
each other.

    for s in segments("/var/lib/scc/journal"):
        print(s.path, s.end, len(s.records))
"""

import glob
import hashlib
import os
import struct
import sys
import uuid
from collections import namedtuple

import shim

BLOCK = 4096
HEADER = 64
RECORD = 88
RECORDS, SEAL = 1, 2

KINDS = ["", "place", "place_accessibility", "building",
         "building_accessibility", "comment", "report", "retract", "restore",
         "contributor", "erase", "remove", "reinstate", "photo"]

Record = namedtuple("Record", "event_id kind hlc received key target "
                    "contributor name sha256 body segment")


class Damage(Exception):
    pass


class Segment:
    """One file: head (dict), records of whole batches, and how it ends:
    clean, sealed, torn or corrupt (as in the format's description)."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.bytes = f.read()
        self.records, self.batches = [], []
        self.head, self.end, self.why = None, None, ""
        self.sealed = False
        self.walk()

    def walk(self):
        b = self.bytes
        try:
            self.head = read_head(b)
        except Damage as e:
            self.end = "clean" if not b.strip(b"\0") else (
                "torn" if not b[BLOCK:].strip(b"\0") else "corrupt")
            self.why = str(e)
            return
        chain, number, pos = self.head["crc"], 0, BLOCK
        ids, hlcs = 0, []
        while pos < len(b) and b[pos:pos + BLOCK].strip(b"\0"):
            try:
                t, chain, payload, first, last, n = read_batch(
                    b, pos, self.head, number, chain)
                if t == SEAL:
                    self.check_seal(payload, number, ids, hlcs)
                    self.sealed = True
                else:
                    got = list(read_records(payload, self.head["segment"]))
                    if len(got) != n:
                        raise Damage(f"{len(got)} records, header says {n}")
                    if (first, last) != (got[0].hlc, got[-1].hlc):
                        raise Damage("hlc range of the header is wrong")
            except Damage as e:
                self.why = f"batch {number} at {pos}: {e}"
                self.end = self.judge(pos, number)
                return
            size = HEADER + len(payload)
            end = pos + size
            pos += -(-size // BLOCK) * BLOCK
            if b[end:pos].strip(b"\0"):
                self.end, self.why = "corrupt", f"padding before {pos}"
                return
            number += 1
            if self.sealed:
                break
            for r in got:
                ids ^= int.from_bytes(r.event_id.bytes, "big")
                hlcs.append(r.hlc)
            self.batches.append((pos - BLOCK, len(got)))
            self.records += got
        if b[pos:].strip(b"\0"):
            self.why = f"bytes after the end at {pos}"
            self.end = "corrupt" if self.sealed else self.judge(pos, number)
            return
        self.end = "sealed" if self.sealed else "clean"

    def judge(self, pos, number):
        """Torn, or damaged after it was acknowledged?"""
        for at in range(pos, len(self.bytes), BLOCK):
            try:
                h = batch_header(self.bytes, at, self.head)
            except Damage:
                continue
            if h[1] > number:
                return "corrupt"
        return "torn"

    def check_seal(self, payload, number, ids, hlcs):
        n, first, last, xor, batches, zero = struct.unpack(
            "<QQQ16sQ16s", payload)
        want = (len(hlcs), hlcs[0] if hlcs else 0, hlcs[-1] if hlcs else 0,
                ids.to_bytes(16, "big"), number, bytes(16))
        if (n, first, last, xor, batches, zero) != want:
            raise Damage(f"the seal says {(n, first, last, batches)}, found "
                         f"{(want[0], want[1], want[2], want[4])}")

    def salvage(self):
        """Records found behind damage, wherever they begin."""
        out = []
        if self.head is None:
            return out
        for pos in range(BLOCK, len(self.bytes) - RECORD, 8):
            try:
                r, _ = read_record(self.bytes, pos, self.head["segment"])
                out.append(r)
            except Damage:
                pass
        return out


def read_head(b):
    if len(b) < BLOCK or b[:8] != b"SCCJ0001":
        raise Damage("no magic in block 0")
    fmt, schema, crc = struct.unpack_from("<HHI", b, 8)
    if shim.crc32c(b[:12] + bytes(4) + b[16:BLOCK]) != crc:
        raise Damage("checksum of block 0")
    if fmt != 1 or schema != 1:
        raise Damage(f"format {fmt}, schema {schema}")
    number, created, last = struct.unpack_from("<3Q", b, 64)
    prev_chain, n = struct.unpack_from("<II", b, 104)
    erased, = struct.unpack_from("<I", b, 240)
    if n > 128 or b[112 + n:240].strip(b"\0"):
        raise Damage("the host's name")
    if erased > 1 or b[244:BLOCK].strip(b"\0"):
        raise Damage("the rest of block 0")
    return {"crc": crc, "segment": b[16:32], "writer": b[32:48],
            "store": uuid.UUID(bytes=b[48:64]), "number": number,
            "created": created, "last_hlc": last, "previous": b[88:104],
            "previous_chain": prev_chain, "host": b[112:112 + n].decode(),
            "erased": bool(erased)}


def batch_header(b, pos, head):
    h = b[pos:pos + HEADER]
    if len(h) < HEADER or h[:4] != b"SCCB":
        raise Damage("no batch")
    t, number, salt, n, size, first, last, crc, chain, own, zero = \
        struct.unpack_from("<IQ8sIIQQIIII", h, 4)
    if shim.crc32c(h[:56]) != own or zero:
        raise Damage("checksum of the header")
    if salt != head["segment"][:8]:
        raise Damage("salt of another segment")
    return t, number, n, size, first, last, crc, chain


def read_batch(b, pos, head, number, chain):
    t, found, n, size, first, last, crc, want = batch_header(b, pos, head)
    if found != number:
        raise Damage(f"number {found} where {number} belongs")
    if t not in (RECORDS, SEAL) or t == SEAL and (n, size) != (0, 64):
        raise Damage(f"type {t} of {n} records, {size} bytes")
    if pos + HEADER + size > len(b):
        raise Damage("longer than the file")
    got = shim.crc32c(struct.pack("<I", chain) + b[pos:pos + 52])
    if got != want:
        raise Damage("chain")
    payload = b[pos + HEADER:pos + HEADER + size]
    if shim.crc32c(payload) != crc:
        raise Damage("checksum of the records")
    return t, got, payload, first, last, n


def read_records(payload, segment):
    pos = 0
    while pos < len(payload):
        r, size = read_record(payload, pos, segment)
        yield r
        pos += size


def read_record(b, pos, segment=b""):
    if len(b) - pos < RECORD:
        raise Damage("record cut short")
    (size, crc, schema, kind, flags, k, t, c, m, n, hlc, received, ident,
     sha) = struct.unpack_from("<IIHBBHHHHIQQ16s32s", b, pos)
    if not RECORD <= size <= 1 << 20 or size > len(b) - pos:
        raise Damage(f"record of {size} bytes")
    if size != RECORD + k + t + c + m + n:
        raise Damage("lengths of a record")
    if shim.crc32c(b[pos + 8:pos + size]) != crc:
        raise Damage("checksum of a record")
    if schema != 1 or not 1 <= kind < len(KINDS):
        raise Damage(f"schema {schema}, kind {kind}")
    at, parts = pos + RECORD, []
    for length in (k, t, c, m, n):
        parts.append(b[at:at + length])
        at += length
    if hashlib.sha256(parts[4]).digest() != sha:
        raise Damage("sha256 of a body")
    padded = -(-size // 8) * 8
    if b[pos + size:pos + padded].strip(b"\0"):
        raise Damage("padding of a record")
    return Record(uuid.UUID(bytes=ident), KINDS[kind], hlc, received,
                  parts[0], parts[1].decode(), parts[2].decode(),
                  parts[3].decode(), sha.hex(), parts[4], segment), padded


def write_record(ident, kind, hlc, target, contributor, name, body,
                 schema=1, key=b""):
    """A record's bytes, whatever is in it."""
    parts = [key, target.encode(), contributor.encode(), name.encode(), body]
    size = RECORD + sum(map(len, parts))
    tail = struct.pack("<HBBHHHHIQQ16s32s", schema, kind, 0,
                       *map(len, parts), hlc, hlc // 65536 * 1000000,
                       uuid.UUID(ident).bytes,
                       hashlib.sha256(body).digest()) + b"".join(parts)
    return struct.pack("<II", size, shim.crc32c(tail)) + tail \
        + bytes(-size % 8)


def segments(*dirs, broken=False):
    """All segments of the directories, .open and .seg, by name."""
    out = []
    for d in dirs:
        names = glob.glob(d + "/*.seg") + glob.glob(d + "/*.open")
        if broken:
            names += glob.glob(d + "/*.broken")
        for path in sorted(names):
            try:
                out.append(Segment(path))
            except FileNotFoundError:       # renamed a moment ago
                other = os.path.splitext(path)[0] + ".seg"
                if os.path.exists(other) and other not in names:
                    out.append(Segment(other))
    return out


def main():
    for s in segments(*sys.argv[1:], broken=True):
        print(f"{os.path.basename(s.path)}: {s.end}, {len(s.batches)} "
              f"batches, {len(s.records)} records {s.why}")


if __name__ == "__main__":
    main()
