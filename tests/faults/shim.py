"""Compiles shim.c and drives it: faults of the disk and of the clock, and
deaths at chosen moments, inside nginx.

    s = Shim(directory)
    nginx = ...(env=s.env)
    s.fault("fdatasync", errno.EIO, after=5)
"""

import ctypes
import mmap
import os
import shlex
import struct
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

OPS = ["pwrite", "fdatasync", "fsync", "fallocate", "open", "rename",
       "ftruncate", "unlink"]

# what an injected failure does besides returning an error
PLAIN, SHORT, SHORT_ERROR, LOSE = range(4)

# when a process that sends the pattern dies
BEFORE_SEND, AFTER_SEND, ON_ANSWER = 1, 2, 3

OP_SIZE = 24
AT_OPS = 16
AT_DELAY = AT_OPS + OP_SIZE * len(OPS)
AT_NOSYNC = AT_DELAY + 4
AT_RESYNCED = AT_DELAY + 8
AT_KILLED = AT_DELAY + 12
AT_CLOCK = AT_DELAY + 16
AT_KILL = AT_DELAY + 24
AT_PATTERN = AT_DELAY + 32
AT_PATH = AT_DELAY + 96
AT_TITLE = AT_DELAY + 224
AT_NAMES = AT_DELAY + 288
AT_AGAIN = AT_NAMES + 4
SIZE = 4096

_lib = None


def build():
    """The library's path; compiled once per run."""
    global _lib
    if _lib is None:
        out = tempfile.mkdtemp(prefix="scc-shim-")
        os.chmod(out, 0o755)
        path = os.path.join(out, "shim.so")
        argv = shlex.split(os.environ.get("CC", "gcc")) + [
            "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared",
            "-fPIC", "-o", path, os.path.join(HERE, "shim.c"), "-ldl"]
        p = subprocess.run(argv, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        assert p.returncode == 0, p.stdout
        lib = ctypes.CDLL(path)
        lib.scc_shim_crc32c.restype = ctypes.c_uint32
        lib.scc_shim_crc32c.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        _lib = lib, path
    return _lib[1]


def crc32c(data):
    build()
    return _lib[0].scc_shim_crc32c(data, len(data))


class Shim:
    """watch(path): only files below it are touched."""

    def __init__(self, path=""):
        self.lib = build()
        fd, self.file = tempfile.mkstemp(prefix="shim-",
                                         dir=os.path.dirname(self.lib))
        os.fchmod(fd, 0o666)
        os.ftruncate(fd, SIZE)
        self.map = mmap.mmap(fd, SIZE)
        os.close(fd)
        self.watch(path)
        self.map[0:8] = b"SCCSHIM1"

    def watch(self, path):
        raw = os.fsencode(path)
        assert len(raw) < 128
        self.put(AT_PATH, "<128s", raw)

    @property
    def env(self):
        return {"LD_PRELOAD": self.lib, "SCC_SHIM": self.file}

    # for "env" in nginx.conf: nginx forgets its environment, and a new
    # binary is started with what is kept
    MAIN = "env LD_PRELOAD;\nenv SCC_SHIM;\n"

    def put(self, at, fmt, *values):
        struct.pack_into(fmt, self.map, at, *values)

    def get(self, at, fmt="<I"):
        return struct.unpack_from(fmt, self.map, at)[0]

    def fault(self, op, err, after=0, count=1, mode=PLAIN):
        """The calls after the next "after" ones fail, "count" of them."""
        at = AT_OPS + OP_SIZE * OPS.index(op)
        self.put(at, "<i", 0)                   # disarm while it is changed
        self.put(at + 4, "<ii", err, mode)
        self.put(at + 12, "<II", 0, 0)
        self.put(at + 20, "<i", count)
        self.put(at, "<i", after + 1)

    def clear(self):
        self.put(AT_OPS, f"<{OP_SIZE * len(OPS)}s", b"")

    def hits(self, op):
        return self.get(AT_OPS + OP_SIZE * OPS.index(op) + 16)

    def calls(self, op):
        return self.get(AT_OPS + OP_SIZE * OPS.index(op) + 12)

    def delay(self, seconds):
        """Every fdatasync takes so much longer."""
        self.put(AT_DELAY, "<I", int(seconds * 1e6))

    def nosync(self, on=True):
        self.put(AT_NOSYNC, "<I", int(on))

    def again(self):
        """A sync that failed is done once more, and what that says is told:
        what no program may do."""
        self.put(AT_AGAIN, "<I", 1)

    def names(self, synced=True):
        """From now on undo_names() knows what became of names; not synced:
        and no directory's fsync does anything."""
        path = self.file + ".names"
        with open(path, "w", encoding="utf-8"):
            os.chmod(path, 0o666)
        self.put(AT_NAMES, "<I", 1 if synced else 2)

    def keeps_names(self):
        return self.get(AT_NAMES) != 0

    def undo_names(self, suffixes):
        """Takes back, of files with these suffixes, what no directory's
        fsync made durable; how much it was."""
        todo, durable, at = [], 0, 0
        with open(self.file + ".names", encoding="utf-8") as f:
            for line in f:
                op, a, b = line.rstrip("\n").split(" ")
                if op == "S":
                    durable = max(durable, int(a))
                else:
                    todo.append((at, op, a, b))
                at += len(line.encode())
        todo = [x[1:] for x in todo
                if x[0] >= durable and x[2].endswith(suffixes)]
        for op, a, b in reversed(todo):
            if op == "C" and os.path.exists(a):
                os.unlink(a)
            elif op == "R" and os.path.exists(b):
                os.rename(b, a)
        return len(todo)

    def resynced(self):
        """Syncs of a descriptor after one of it had failed."""
        return self.get(AT_RESYNCED)

    def clock(self, seconds):
        """The wall clock's error; the monotonic clock goes on."""
        self.put(AT_CLOCK, "<q", int(seconds * 1e9))

    def kill_at(self, when, pattern, title="", skip=0):
        """The next process, of this title, that sends the pattern for the
        (skip + 1)-th time dies."""
        self.put(AT_KILL, "<Ii", 0, skip)
        self.put(AT_PATTERN, "<64s", pattern.encode())
        self.put(AT_TITLE, "<64s", title.encode())
        self.put(AT_KILL, "<I", when)

    def killed(self):
        return self.get(AT_KILLED)
