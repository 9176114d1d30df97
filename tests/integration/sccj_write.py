"""The journal's format, written from its description alone: segments of
dead, living and damaged writers, and records for the queue."""

import fcntl
import hashlib
import os
import struct
import time
import uuid

from sccj import BLOCK, HEADER, KINDS, RECORD, crc32c


def pad(data, to):
    return data + bytes(-len(data) % to)


def now_hlc():
    return time.time_ns() // 10**6 << 16


def record(kind, body, hlc=None, by="u1", name="이름", key="", target="",
           event_id=None, age=0.0, schema=1):
    """The bytes of a record; age: seconds since it was received."""
    if isinstance(body, str):
        body = body.encode()
    event_id = event_id or uuid.uuid4()
    parts = [x.encode() for x in (key, target, by, name)] + [body]
    received = time.time_ns() - int(age * 1e9)
    head = RECORD.pack(
        RECORD.size + sum(map(len, parts)), 0, schema, KINDS.index(kind), 0,
        *map(len, parts), hlc or now_hlc(), received, event_id.bytes,
        hashlib.sha256(body).digest())
    data = head + b"".join(parts)
    return pad(data[:4] + struct.pack("<I", crc32c(data[8:])) + data[8:], 8)


class Writer:
    """A writer's open segment; locked while it lives."""

    def __init__(self, directory, store, size=1 << 20, number=0, base=None):
        self.id = uuid.uuid4()
        self.base = base or "%016x-%08x-%04x" % (
            time.time_ns() // 10**6, os.getpid(), number)
        self.path = os.path.join(directory, self.base + ".open")
        self.sealed = os.path.join(directory, self.base + ".seg")
        self.broken = os.path.join(directory, self.base + ".broken")
        self.applied = os.path.join(directory, self.base + ".applied")
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL,
                          0o600)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        os.truncate(self.fd, size)
        st = os.stat(directory)
        if os.getuid() == 0:
            os.chown(self.path, st.st_uid, st.st_gid)

        host = b"elsewhere"
        b = bytearray(pad(b"SCCJ0001" + struct.pack("<HHI", 1, 1, 0)
                          + self.id.bytes + uuid.uuid4().bytes
                          + uuid.UUID(str(store)).bytes
                          + struct.pack("<QQQ", number, time.time_ns(), 0)
                          + bytes(16) + struct.pack("<II", 0, len(host))
                          + host, BLOCK))
        self.chain = crc32c(b)
        b[12:16] = struct.pack("<I", self.chain)
        os.pwrite(self.fd, b, 0)
        self.at, self.batches = BLOCK, 0
        self.n, self.first, self.last, self.xor = 0, 0, 0, 0

    def batch(self, *records, kind=1, payload=None):
        """Appends a batch; its place and size."""
        payload = payload or b"".join(records)
        hlcs = [struct.unpack_from("<Q", r, 24)[0] for r in records]
        first, last = (min(hlcs), max(hlcs)) if hlcs \
            else (self.first, self.last)
        head = HEADER.pack(b"SCCB", kind, self.batches, self.id.bytes[:8],
                           len(records), len(payload), first, last,
                           crc32c(payload), 0, 0, 0)[:52]
        self.chain = crc32c(struct.pack("<I", self.chain) + head)
        head += struct.pack("<I", self.chain)
        head += struct.pack("<II", crc32c(head), 0)
        data = pad(head + payload, BLOCK)
        os.pwrite(self.fd, data, self.at)
        place = self.at, len(data)
        self.at += len(data)
        self.batches += 1
        for r in records:
            self.xor ^= int.from_bytes(r[40:56], "big")
        if records:
            self.first = min(self.first or first, first)
            self.last = max(self.last, last)
            self.n += len(records)
        return place

    def seal(self):
        payload = struct.pack("<QQQ16sQ", self.n, self.first, self.last,
                              self.xor.to_bytes(16, "big"), self.batches)
        self.batch(kind=2, payload=pad(payload, 64))
        os.ftruncate(self.fd, self.at)
        os.rename(self.path, self.sealed)
        self.die()

    def damage(self, at, data=b"\xff" * 8):
        os.pwrite(self.fd, data, at)

    def die(self):
        """The lock goes, as if long ago."""
        os.close(self.fd)
