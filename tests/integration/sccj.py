"""The journal's format, read from its description alone.

    for path in segments(directory):
        s = Segment(path)
        s.end           "sealed", "clean", "torn" or "corrupt"
        s.records       in the order of the file

Nothing is shared with the module's own code: what it writes and what the
description in core/scc_journal.h says must agree here.
"""

import hashlib
import os
import struct
import uuid
from collections import namedtuple

BLOCK = 4096
HEADER = struct.Struct("<4sIQ8sIIQQIIII")       # of a batch, 64 bytes
RECORD = struct.Struct("<IIHBBHHHHIQQ16s32s")   # 88 bytes

KINDS = [None, "place", "place_accessibility", "building",
         "building_accessibility", "comment", "report", "retract", "restore",
         "contributor", "erase", "remove", "reinstate", "photo"]

assert HEADER.size == 64 and RECORD.size == 88

Record = namedtuple("Record", "event_id kind hlc received key target "
                              "contributor name body raw")


def _table():
    out = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82f63b78 if n & 1 else 0)
        out.append(n)
    return out


_TABLE = _table()


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    table = _TABLE
    for b in data:
        crc = table[(crc ^ b) & 255] ^ (crc >> 8)
    return crc ^ 0xffffffff


assert crc32c(b"123456789") == 0xe3069283


class Invalid(Exception):
    pass


def record(data, at=0):
    """The record at a place, and where the next one begins."""
    if len(data) - at < RECORD.size:
        raise Invalid("short record")
    (size, crc, schema, kind, flags, n_key, n_target, n_id, n_name, n_body,
     hlc, received, event, sha) = RECORD.unpack_from(data, at)
    raw = bytes(data[at:at + size])
    if len(raw) != size or size != (RECORD.size + n_key + n_target + n_id
                                    + n_name + n_body):
        raise Invalid("record's lengths")
    if crc32c(raw[8:]) != crc:
        raise Invalid("record's crc")
    if schema != 1 or flags or not 1 <= kind < len(KINDS):
        raise Invalid("record's header")
    parts, p = [], RECORD.size
    for n in n_key, n_target, n_id, n_name, n_body:
        parts.append(raw[p:p + n])
        p += n
    body = parts[4]
    if hashlib.sha256(body).digest() != sha:
        raise Invalid("body's sha256")
    end = at + (size + 7) // 8 * 8
    if any(data[at + size:end]):
        raise Invalid("record's padding")
    return Record(uuid.UUID(bytes=event), KINDS[kind], hlc, received,
                  *[x.decode("utf-8") for x in parts[:4]], body,
                  bytes(data[at:end])), end


class Segment:
    """A segment's file, read whole and checked to its end."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.data = f.read()
        self.records, self.batches = [], 0
        self.end = None
        self.block0()
        self.walk()

    def block0(self):
        b = bytearray(self.data[:BLOCK])
        if len(b) != BLOCK or b[:8] != b"SCCJ0001":
            raise Invalid(f"{self.path}: no segment")
        fmt, schema, crc = struct.unpack_from("<HHI", b, 8)
        b[12:16] = bytes(4)
        if crc32c(b) != crc or fmt != 1 or schema != 1:
            raise Invalid(f"{self.path}: block 0")
        self.id = uuid.UUID(bytes=bytes(b[16:32]))
        self.writer = uuid.UUID(bytes=bytes(b[32:48]))
        self.store = uuid.UUID(bytes=bytes(b[48:64]))
        self.number, self.created, self.last_hlc = \
            struct.unpack_from("<QQQ", b, 64)
        self.previous = uuid.UUID(bytes=bytes(b[88:104]))
        self.previous_chain, n = struct.unpack_from("<II", b, 104)
        self.host = bytes(b[112:112 + n]).decode()
        self.chain = crc

    def walk(self):
        at = BLOCK
        while True:
            if at >= len(self.data) or not any(self.data[at:at + 64]):
                self.end = "clean"
                break
            try:
                at, sealed = self.batch(at)
            except Invalid as e:
                self.why = e
                self.end = "corrupt" if self.later(at) else "torn"
                return
            if sealed:
                self.end = "sealed"
                break
        if any(self.data[at:]):
            self.end = "torn"

    def batch(self, at, check=True):
        head = self.data[at:at + 64]
        if len(head) != 64:
            raise Invalid("short header")
        (magic, kind, number, salt, n, size, first, last, crc, chain, hcrc,
         zero) = HEADER.unpack(head)
        if (magic != b"SCCB" or zero or crc32c(head[:56]) != hcrc
                or salt != self.id.bytes[:8] or kind not in (1, 2)):
            raise Invalid("batch header")
        payload = self.data[at + 64:at + 64 + size]
        if len(payload) != size or crc32c(payload) != crc:
            raise Invalid("batch payload")
        end = at + (64 + size + BLOCK - 1) // BLOCK * BLOCK
        if any(self.data[at + 64 + size:end]):
            raise Invalid("batch padding")
        if not check:
            return end, kind == 2
        if number != self.batches:
            raise Invalid("batch number")
        if crc32c(struct.pack("<I", self.chain) + head[:52]) != chain:
            raise Invalid("batch chain")
        if kind == 2:
            self.seal(payload)
        else:
            got, p = [], 0
            while p < size:
                r, p = record(payload, p)
                got.append(r)
            hlcs = [r.hlc for r in got]
            if len(got) != n or min(hlcs) != first or max(hlcs) != last:
                raise Invalid("batch contents")
            self.records += got
        self.chain = chain
        self.batches += 1
        return end, kind == 2

    def seal(self, payload):
        n, first, last, ids, batches = struct.unpack_from("<QQQ16sQ",
                                                          payload)
        xor = 0
        for r in self.records:
            xor ^= r.event_id.int
        if (n != len(self.records) or batches != self.batches
                or ids != xor.to_bytes(16, "big")):
            raise Invalid("seal")

    def later(self, at):
        """Is there a valid batch of this segment after a bad one?"""
        for p in range(at + BLOCK, len(self.data), BLOCK):
            try:
                self.batch(p, check=False)
                return True
            except Invalid:
                pass
        return False


def segments(directory):
    """Paths of its segments, in the order they were begun."""
    return [os.path.join(directory, x) for x in sorted(os.listdir(directory))
            if x.endswith((".open", ".seg"))]


def records(directory):
    """All records of a journal; every segment must be sound."""
    out = []
    for s in unmoved(directory):
        assert s.end in ("clean", "sealed", "torn"), (s.path, s.end, s.why)
        out += s.records
    return out


def unmoved(directory):
    """Its segments, of a moment when none was being renamed."""
    for _ in range(100):
        paths = segments(directory)
        try:
            read = [Segment(p) for p in paths]
        except FileNotFoundError:       # sealed, or adopted
            continue
        if segments(directory) == paths:
            return read
    raise AssertionError(f"{directory}: segments are renamed without end")


def init(directory, store):
    """What "sccctl journal init" writes."""
    with open(os.path.join(directory, "store"), "w") as f:
        f.write(f"{store}\n")


def event_id_of_key(store, contributor, key):
    """The id an Idempotency-Key stands for."""
    d = bytearray(hashlib.sha256(
        uuid.UUID(str(store)).bytes + contributor.encode() + b"\0key\0"
        + key.encode()).digest()[:16])
    d[6] = d[6] & 0x0f | 0x80
    d[8] = d[8] & 0x3f | 0x80
    return uuid.UUID(bytes=bytes(d))
