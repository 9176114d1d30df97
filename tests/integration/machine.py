"""What all processes of the tests share: ports, directories, and the right
to have the machine to oneself.

"make test" runs the files of tests in several processes at once, and several
such runs may be on one machine.
"""

import atexit
import contextlib
import fcntl
import os
import pwd
import random
import shutil
import socket
import tempfile

KEEP = bool(os.environ.get("SCC_TEST_KEEP"))
SERVER_USER = "postgres" if os.getuid() == 0 else None

BLOCK = 64              # ports that a process takes at once

_ports = None
_locks = []


def free_port():
    """A loopback port that nobody listens on.

    It is given to no other process of the tests, of this run or of another,
    until this process ends; and it is none that the system gives away by
    itself, to a bind to port 0 or to an outgoing connection.
    """
    global _ports
    while True:
        for port in _ports or ():
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    pass
        _ports = port_block()


def port_block():
    """Ports of this process's own.  The lock is an abstract unix socket,
    which lives as long as the process, in the network namespace whose port
    it stands for."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first, last = map(int, f.read().split())
    blocks = [range(p, p + BLOCK)
              for p in (*range(12000, first - BLOCK + 1, BLOCK),
                        *range(last + 1, 65536 - BLOCK + 1, BLOCK))]
    random.SystemRandom().shuffle(blocks)
    for ports in blocks:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0scc-test-ports-{ports[0]}")
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        return iter(ports)
    raise AssertionError("no block of ports is free")


def run_dir():
    """One directory per test run, short enough for unix sockets; the
    processes of a parallel run share it."""
    if "SCC_TEST_RUN" not in os.environ:
        path = tempfile.mkdtemp(prefix="scc-", dir="/tmp")
        os.chmod(path, 0o755)
        os.environ["SCC_TEST_RUN"] = path
        if not KEEP:
            atexit.register(shutil.rmtree, path, ignore_errors=True)
    return os.environ["SCC_TEST_RUN"]


def base_dir():
    """The run's directory, or this process's part of it."""
    path = os.path.join(run_dir(), os.environ.get("PYTEST_XDIST_WORKER", ""))
    os.makedirs(path, 0o755, exist_ok=True)
    return path


def shared(name, make):
    """make()'s value, a text, made once per test run: by the process that
    asks first, while others that ask wait."""
    path = os.path.join(run_dir(), name)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            value = make()
            with open(path, "w") as f:
                f.write(value)
        with open(path) as f:
            return f.read()


def new_dir(kind):
    path = tempfile.mkdtemp(prefix=kind + "-", dir=base_dir())
    os.chmod(path, 0o755)
    if SERVER_USER:
        shutil.chown(path, SERVER_USER, pwd.getpwnam(SERVER_USER).pw_gid)
    return path


@contextlib.contextmanager
def turn(alone):
    """For one test: beside others, or alone while theirs wait.

    Whoever waits for its turn holds the gate, so that one who wants to be
    alone need not wait for ever.
    """
    with open(os.path.join(run_dir(), "gate"), "w") as gate, \
            open(os.path.join(run_dir(), "floor"), "w") as floor:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
