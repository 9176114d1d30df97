"""Disks that fail as disks do, each an ext4 of its own.  Need root and loop
devices, most of them FUSE.

PowerDisk    its power can be cut:

                 nbdkit(cache=writeback) -> nbdfuse -> loop device -> ext4

             What was written and not flushed is in nbdkit's memory.  cut()
             kills it, as a cut of the power empties a disk's cache; what the
             image then holds is what a real disk would hold.
BrokenDisk   the same without a cache: its writes fail while it is broken()
ThinDisk     it has less room than it says: an image on a small tmpfs.  What
             was written fails when it is written back, which fsync tells
             once.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from servers import SERVER_USER, base_dir, run, wait_until


def need(fuse=True):
    if os.getuid() != 0:
        pytest.skip("the power rig needs root: it mounts file systems")
    for tool in ("losetup", "mkfs.ext4", "mount", *(
            ("nbdkit", "nbdfuse") if fuse else ())):
        if shutil.which(tool) is None:
            pytest.skip(f"the power rig needs {tool}: run make deps-test")
    for path in ("/dev/loop-control", *(("/dev/fuse",) if fuse else ())):
        if not os.path.exists(path):
            pytest.skip(f"the power rig needs {path}, which this system "
                        "does not have")
    with open("/proc/filesystems") as f:
        if fuse and "fuse" not in f.read():
            pytest.skip("the power rig needs FUSE in the kernel")


def unmounted(path):
    """A thread that dies in a sync keeps it busy for a while."""
    wait_until(lambda: run(["umount", path], check=False).returncode == 0,
               60, f"{path} to be unmounted", 0.1)


def mended(device):
    """Without a journal of ext4's own: what it knew of free blocks may not
    have been written, and it would give away those that are in use."""
    p = run(["e2fsck", "-fy", device], check=False)
    assert p.returncode < 4, p.stdout


def own_dir(path):
    os.mkdir(path, 0o700)
    if SERVER_USER:
        shutil.chown(path, SERVER_USER)


class PowerDisk:
    """.path: a directory on the disk, owned by the servers' user."""

    mkfs = ()

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
             "lazy_itable_init=0,lazy_journal_init=0", *self.mkfs,
             self.image])

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
            ["nbdkit", "-f", "-U", self.sock, *self.nbdkit_args()],
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
        own_dir(self.path)
        self.sync()

    def sync(self):
        run(["sync", "-f", self.mount])

    def nbdkit_args(self):
        return ["--filter=cache", "file", self.image, "cache=writeback"]

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


class BrokenDisk(PowerDisk):
    """Without a journal of ext4's own, which would give up at the first
    error, for ever: here a disk is broken and is mended again."""

    mkfs = ("-O", "^has_journal")

    def nbdkit_args(self):
        self.switch = os.path.join(self.dir, "broken")
        return ["--filter=error", "file", self.image, "error=EIO",
                "error-pwrite-rate=100%", f"error-file={self.switch}"]

    def broken(self, yes=True):
        if yes:
            open(self.switch, "w").close()
        else:
            os.unlink(self.switch)

    def forget(self):
        """Nothing that only the kernel's memory has is read any more."""
        unmounted(self.mount)
        mended(self.loop)
        run(["mount", "-o", "noatime", self.loop, self.mount])


class ThinDisk:
    """.path: a directory on it; more(): it gets the room it says it has."""

    def __init__(self, size=100 << 20, room=30 << 20):
        need(fuse=False)
        self.dir = tempfile.mkdtemp(prefix="thin-", dir=base_dir())
        os.chmod(self.dir, 0o755)
        self.small = os.path.join(self.dir, "small")
        self.mount = os.path.join(self.dir, "mnt")
        self.path = os.path.join(self.mount, "journal")
        self.size, self.room = size, room

    def __enter__(self):
        os.mkdir(self.small)
        os.mkdir(self.mount)
        try:
            run(["mount", "-t", "tmpfs", "-o", f"size={self.room}", "none",
                 self.small])
            image = os.path.join(self.small, "image")
            with open(image, "wb") as f:
                f.truncate(self.size)
            run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal",
                 "-b", "4096", "-N", "256", image])
            self.room_for_inodes(image)
            p = run(["mount", "-o", "loop,noatime", image, self.mount],
                    check=False)
            if p.returncode:
                pytest.skip(f"no loop device: {p.stdout}")
            own_dir(self.path)
            run(["sync", "-f", self.mount])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *a):
        for at in (self.mount, self.small):
            run(["umount", at], check=False)
            run(["umount", "-l", at], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def room_for_inodes(image):
        """What ext4 keeps of files has room from the beginning, in its one
        group: without a journal of its own a failed write of an inode is told
        to nobody who syncs the file."""
        with open(image, "r+b") as f:
            head = f.read(4 << 20)
            f.seek(0)
            f.write(head)

    def full(self):
        """Takes what room there is left, but for a few pages."""
        size = 0
        with open(os.path.join(self.small, "ballast"), "wb",
                  buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    size += f.write(bytes(4096))
            f.truncate(max(0, size - (64 << 10)))

    def more(self):
        os.unlink(os.path.join(self.small, "ballast"))

    def forget(self):
        """As of BrokenDisk; the loop device goes with the mount."""
        image = os.path.join(self.small, "image")
        unmounted(self.mount)
        mended(image)
        run(["mount", "-o", "loop,noatime", image, self.mount])
