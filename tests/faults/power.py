"""A disk whose power can be cut.

    nbdkit(cache=writeback) -> nbdfuse -> loop device -> ext4

What was written and not flushed is in nbdkit's memory.  cut() kills it, as
a cut of the power empties a disk's cache; what the image then holds is what
a real disk would hold.  Needs root, FUSE and loop devices.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from servers import SERVER_USER, base_dir, run, wait_until


def need():
    if os.getuid() != 0:
        pytest.skip("the power rig needs root: it mounts file systems")
    for tool in ("nbdkit", "nbdfuse", "losetup", "mkfs.ext4", "mount"):
        if shutil.which(tool) is None:
            pytest.skip(f"the power rig needs {tool}: run make deps-test")
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path):
            pytest.skip(f"the power rig needs {path}, which this system "
                        "does not have")
    with open("/proc/filesystems") as f:
        if "fuse" not in f.read():
            pytest.skip("the power rig needs FUSE in the kernel")


class PowerDisk:
    """.path: a directory on the disk, owned by the servers' user."""

    def __init__(self, size=64 << 20):
        need()
        self.dir = tempfile.mkdtemp(prefix="power-", dir=base_dir())
        os.chmod(self.dir, 0o755)
        self.image = os.path.join(self.dir, "image")
        self.sock = os.path.join(self.dir, "sock")
        self.fuse = os.path.join(self.dir, "fuse")
        self.mount = os.path.join(self.dir, "mnt")
        self.path = os.path.join(self.mount, "journal")
        self.loop = None
        self.nbdkit = self.nbdfuse = None
        os.mkdir(self.fuse)
        os.mkdir(self.mount)
        with open(self.image, "wb") as f:
            f.truncate(size)
        run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E",
             "lazy_itable_init=0,lazy_journal_init=0", self.image])

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *a):
        self.stop()

    def start(self):
        env = dict(os.environ, TMPDIR=self.dir)
        self.log = open(os.path.join(self.dir, "log"), "ab")
        out = {"stdin": subprocess.DEVNULL, "stdout": self.log,
               "stderr": self.log}
        self.nbdkit = subprocess.Popen(
            ["nbdkit", "-f", "-U", self.sock, "--filter=cache", "file",
             self.image, "cache=writeback"],
            env=env, **out)
        wait_until(lambda: os.path.exists(self.sock), 10, "nbdkit")
        file = os.path.join(self.fuse, "disk")
        open(file, "w").close()
        self.nbdfuse = subprocess.Popen(
            ["nbdfuse", file, "--unix", self.sock], **out)
        wait_until(lambda: os.path.getsize(file) > 0, 10, "nbdfuse")
        p = run(["losetup", "-f", "--show", file], check=False)
        if p.returncode:
            pytest.skip(f"no loop device: {p.stdout}")
        self.loop = p.stdout.strip()
        run(["mount", "-o", "noatime", self.loop, self.mount])
        os.mkdir(self.path, 0o700)
        if SERVER_USER:
            shutil.chown(self.path, SERVER_USER)
        run(["sync", "-f", self.mount])

    def cut(self, users=()):
        """The power goes; users: pids that go with it."""
        self.nbdkit.kill()
        for pid in users:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.nbdkit.wait(10)
        self.nbdkit = None
        self.release()

    def again(self):
        """After cut(): the disk as it comes back, mounted at .mount."""
        p = run(["losetup", "-f", "--show", self.image])
        self.loop = p.stdout.strip()
        run(["mount", "-o", "noatime", self.loop, self.mount])

    def release(self):
        for at in (self.mount, os.path.join(self.fuse, "disk")):
            run(["umount", "-l", at], check=False)
        if self.loop:
            run(["losetup", "-d", self.loop], check=False)
            self.loop = None
        if self.nbdfuse:
            self.nbdfuse.kill()
            self.nbdfuse.wait(10)
            self.nbdfuse = None
        run(["umount", "-l", os.path.join(self.fuse, "disk")], check=False)

    def stop(self):
        if self.loop and self.nbdkit:
            run(["umount", self.mount], check=False)
        self.release()
        if self.nbdkit:
            self.nbdkit.kill()
            self.nbdkit.wait(10)
            self.nbdkit = None
        end = time.monotonic() + 5
        while os.path.ismount(self.mount) and time.monotonic() < end:
            run(["umount", "-l", self.mount], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
