"""Journals in format SCCJ 1, written from core/scc_journal.h once more."""

import hashlib
import json
import os
import struct
import time
import uuid

BLOCK = 4096
SECTOR = 512

KINDS = ["", "place", "place_accessibility", "building",
         "building_accessibility", "comment", "report", "retract", "restore",
         "contributor", "erase", "remove", "reinstate", "photo"]


def _table():
    out = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        out.append(n)
    return out


_TABLE = _table()


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def pad(data, to):
    return data + bytes(-len(data) % to)


class Record:
    """A record as "sccctl journal cat" prints it."""

    def __init__(self, kind, body, msec=1764000000000, counter=0,
                 contributor="c-1", name="용감한 토끼", target="p1", key="",
                 event=None, schema=1, sha256=None):
        self.kind = kind
        self.body = body if isinstance(body, bytes) else \
            json.dumps(body, ensure_ascii=False).encode()
        self.hlc = msec << 16 | counter
        self.received = msec * 1000000 + 123456
        self.contributor, self.name = contributor, name
        self.target, self.key = target, key
        self.event = event or uuid.uuid4()
        self.schema = schema
        self.sha256 = sha256 or hashlib.sha256(self.body).digest()

    def encode(self):
        parts = [p.encode() for p in (self.key, self.target,
                                      self.contributor, self.name)]
        parts.append(self.body)
        rest = struct.pack("<HBBHHHHIQQ", self.schema,
                           KINDS.index(self.kind), 0,
                           *(len(p) for p in parts), self.hlc,
                           self.received)
        rest += self.event.bytes + self.sha256 + b"".join(parts)
        return pad(struct.pack("<II", len(rest) + 8, crc32c(rest)) + rest, 8)


class Segment:
    """A segment in memory; write() puts it into a directory."""

    def __init__(self, store, previous=None, created=1764000000000, number=0,
                 pid=4711, writer=None):
        self.id = uuid.uuid4()
        self.writer = writer or uuid.uuid4()
        self.store, self.number = store, number
        self.name = f"{created:016x}-{pid:08x}-{number:04x}"
        host = b"host.test"
        head = b"SCCJ0001" + struct.pack("<HHI", 1, 1, 0)
        head += self.id.bytes + self.writer.bytes + store.bytes
        head += struct.pack("<QQQ", number, created * 1000000, 0)
        head += previous.id.bytes if previous else bytes(16)
        head += struct.pack("<II", previous.chain if previous else 0,
                            len(host)) + host
        head = pad(head, BLOCK)
        self.chain = crc32c(head)
        self.data = bytearray(head)
        self.data[12:16] = struct.pack("<I", self.chain)
        self.records, self.batches, self.sealed = [], [], False

    def _append(self, kind, records, payload, first, last):
        head = b"SCCB" + struct.pack("<IQ", kind, len(self.batches))
        head += self.id.bytes[:8]
        head += struct.pack("<IIQQI", records, len(payload), first, last,
                            crc32c(payload))
        self.chain = crc32c(head, crc32c(struct.pack("<I", self.chain)))
        head += struct.pack("<I", self.chain)
        head += struct.pack("<II", crc32c(head), 0)
        self.batches.append(len(self.data))
        self.data += pad(head + payload, BLOCK)

    def batch(self, *records):
        self.records += records
        self._append(1, len(records), b"".join(r.encode() for r in records),
                     min(r.hlc for r in records),
                     max(r.hlc for r in records))
        return self

    def seal(self):
        ids = 0
        for r in self.records:
            ids ^= int.from_bytes(r.event.bytes, "big")
        hlc = [r.hlc for r in self.records] or [0]
        payload = struct.pack("<QQQ", len(self.records), min(hlc), max(hlc))
        payload += ids.to_bytes(16, "big")
        payload += struct.pack("<Q", len(self.batches)) + bytes(16)
        self._append(2, 0, payload, min(hlc), max(hlc))
        self.sealed = True
        return self

    def zeros(self, blocks):
        self.data += bytes(blocks * BLOCK)
        return self

    def write(self, folder, suffix=None):
        suffix = suffix or (".seg" if self.sealed else ".open")
        path = os.path.join(folder, self.name + suffix)
        with open(path, "wb") as f:
            f.write(self.data)
        return path


def write_anchor(folder, store, **members):
    """What nginx's guard keeps beside the segments."""
    now = int(time.time() * 1000)
    a = {"anchor": 1, "store": str(store), "epoch": 1, "life": 0,
         "system": "1", "timeline": 1, "lsn": "0/1", "events": 1,
         "removals": 0, "places": 1, "contributors": 1, "hlc": "1",
         "state": "healthy", "reason": "none", "sinceMs": now,
         "writtenMs": now, **members}
    text = json.dumps(a, separators=(",", ":"))[:-1].encode()
    with open(os.path.join(folder, "anchor"), "wb") as f:
        f.write(text + b',"crc":"%08x"}\n' % crc32c(text))
