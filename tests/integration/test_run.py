"""make run, make up, make down: the demonstration and how it ends."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.request

import pytest

from servers import (BUILD, MODULE, NGINX, REPO, alive, base_dir, cmdline,
                     free_port, wait_until)

PLACES = """\
id,name,category,lng,lat,address
a,"계단 <없는> 카페",CAFE,126.9750001,37.5550001,서울
b,둘째,CAFE,126.9760001,37.5560001,
"""

SERVERS = ["postgres", "cache", "queue", "nginx"]


class Demo:
    """A RUN_DIR and make's way to it."""

    def __init__(self, path, user=None, sample=None):
        self.dir, self.user, self.port = path, user, free_port()
        self.sample = sample
        self.process = None

    def spawn(self, target):
        env = {k: v for k, v in os.environ.items()
               if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        env.update(RUN_DIR=self.dir, PORT=str(self.port),
                   SAMPLE=self.sample, SCC_BUILD=BUILD, SCC_NGINX=NGINX,
                   SCC_MODULE=MODULE)
        return subprocess.Popen(
            [os.path.join(REPO, "docker/run/run.sh"), target], cwd=REPO,
            env=env, user=self.user, group=group_of(self.user),
            extra_groups=[] if self.user else None, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)

    def call(self, target, limit=120):
        """(exit status, output); the output ends when the script does."""
        p = self.spawn(target)
        try:
            out = p.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            p.terminate()
            raise
        return p.returncode, out

    def run(self):
        """Starts it in the foreground; returns the lines up to "ready"."""
        self.process = self.spawn("foreground")
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1].startswith("ready"):
                return lines
        raise AssertionError("it ended:\n" + "\n".join(lines))

    def end(self, sig=signal.SIGINT, limit=60):
        self.process.send_signal(sig)
        return self.ended(limit)

    def ended(self, limit=60):
        try:
            out = self.process.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            self.process.terminate()
            raise
        status, self.process = self.process.returncode, None
        return status, out

    def pids(self):
        out = {}
        for name in SERVERS:
            path = f"{self.dir}/conf/{name}.pid"
            if os.path.exists(path):
                with open(path) as f:
                    out[name] = int(f.read())
        return out

    def left(self):
        """Processes that still know the directory."""
        return [p for p in map(int, filter(str.isdigit, os.listdir("/proc")))
                if self.dir + "/" in cmdline(p) and alive(p)
                and p != os.getpid()]

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}",
                                    timeout=10) as a:
            return a.status, a.read()

    def post(self, doc, **headers):
        r = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/contributions",
            json.dumps(doc).encode(),
            {"Content-Type": "application/json", **headers})
        with urllib.request.urlopen(r, timeout=10) as a:
            return a.status, json.loads(a.read())

    def place(self, ident):
        return json.loads(self.get("/v1/places/" + ident)[1])

    def names(self):
        body = self.get("/v1/places?bbox=126.97,37.55,126.98,37.56")[1]
        return [f["properties"]["name"]
                for f in json.loads(body)["features"]]


def group_of(user):
    return pwd.getpwnam(user).pw_gid if user else None


@pytest.fixture(scope="module")
def sample():
    path = os.path.join(base_dir(), "places.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write(PLACES)
    return path


@pytest.fixture(scope="module")
def demo(sample):
    """One directory for all tests: making a cluster takes seconds."""
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    d = Demo(tempfile.mkdtemp(prefix="run-", dir=base_dir()), sample=sample)
    yield d
    if d.process:
        d.end()
    d.call("down")
    assert d.left() == []


def check_served(d):
    assert d.names() == ["계단 <없는> 카페", "둘째"]
    status, page = d.get("/")
    assert status == 200 and b"<canvas" in page
    assert d.get("/map.js")[0] == 200 and d.get("/map.css")[0] == 200


def test_first_run_then_second_then_restart(demo):
    lines = demo.run()
    assert lines[-1] == f"ready http://127.0.0.1:{demo.port}/"
    assert "importing " + demo.sample in lines
    check_served(demo)

    # another one in the same place says so, and disturbs nothing
    for target in "foreground", "up":
        status, out = demo.call(target)
        assert status == 1 and "already running in " + demo.dir in out
    check_served(demo)

    status, out = demo.end(signal.SIGINT)
    assert status == 0, out
    assert demo.left() == []

    # kept data: no import, the same map
    lines = demo.run()
    assert not [x for x in lines if "importing" in x]
    check_served(demo)
    status, out = demo.end(signal.SIGTERM)
    assert status == 0, out
    assert demo.left() == []


def test_interrupt_of_a_background_command(demo):
    """A shell's "make run &" ignores SIGINT; ours must not."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        demo.run()
    finally:
        signal.signal(signal.SIGINT, before)
    status, out = demo.end(signal.SIGINT)
    assert status == 0, out
    assert demo.left() == []


def test_up_and_down(demo):
    status, out = demo.call("up")
    assert status == 0, out
    assert out.endswith(f"ready http://127.0.0.1:{demo.port}/\n")
    check_served(demo)

    status, out = demo.call("down")
    assert (status, out) == (0, "stopped\n")
    assert demo.left() == []

    status, out = demo.call("down")
    assert status == 0 and "nothing runs" in out


def test_contributions(demo):
    """Taken, applied and shown; as "demo" or as whom X-User names."""
    assert demo.call("up")[0] == 0
    for place, who, headers in (("a", "demo", {}),
                                ("b", "u-7", {"X-User": "u-7"})):
        status, doc = demo.post({"kind": "place_accessibility",
                                 "placeId": place, "stairInfo": "NONE",
                                 "hasSlope": True}, **headers)
        assert status == 202, doc
        wait_until(lambda: json.loads(demo.get(doc["href"])[1])["status"]
                   == "applied", 30, "the contribution to be applied")
        page = demo.place(place)
        assert page["accessibility"]["stairInfo"] == "NONE"
        assert page["accessibility"]["contributor"]["id"] == who
        assert who in [c["id"] for c in page["contributors"]]
    assert demo.call("down")[0] == 0

    # kept: in the store, and in the journal
    assert demo.call("up")[0] == 0
    assert demo.place("a")["accessibility"]["hasSlope"] is True
    out = subprocess.run([f"{BUILD}/sccctl", "journal", "verify",
                          f"{demo.dir}/journal"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert out.returncode == 0, out.stdout
    assert demo.call("down")[0] == 0
    with open(f"{demo.dir}/log/nginx-error.log") as f:
        log = f.read()
    bad = [x for x in log.splitlines()
           if re.search(r"\[(error|crit|alert|emerg)\]", x)]

    # it says loudly what is not durable about a demonstration, and no more
    assert "scc: the durability audit has" in log
    assert [x for x in bad if "scc: audit " not in x
            and "scc: the durability audit has" not in x] == []


def test_env_is_for_people_and_sccctl(demo):
    assert demo.call("up")[0] == 0
    script = f'''. {demo.dir}/env
        "{BUILD}/sccctl" init > /dev/null && echo "$SCC_URL"
        redis-cli -s "${{SCC_CACHE#unix:}}" config get maxmemory-policy
        redis-cli -s "${{SCC_CACHE#unix:}}" config get save
        redis-cli -s "${{SCC_QUEUE#unix:}}" config get maxmemory-policy
        redis-cli -s "${{SCC_QUEUE#unix:}}" config get appendfsync
        psql -X -At "$SCC_PG" -c "SELECT name, setting FROM pg_settings
            WHERE name IN ('fsync', 'synchronous_commit', 'data_checksums',
            'listen_addresses') ORDER BY 1"
        test -d "$SCC_JOURNAL" && echo journal'''
    out = subprocess.run(["sh", "-ec", script], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    assert out.splitlines() == [
        f"http://127.0.0.1:{demo.port}/v1/",
        "maxmemory-policy", "allkeys-lru", "save", "",
        "maxmemory-policy", "noeviction", "appendfsync", "always",
        "data_checksums|on", "fsync|on", "listen_addresses|",
        "synchronous_commit|on", "journal"]
    assert demo.call("down")[0] == 0


def test_everything_is_private(demo):
    assert demo.call("up")[0] == 0
    pids = demo.pids()
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(
        os.getuid()).pw_name
    uid = pwd.getpwnam(user).pw_uid

    for name in "sock", "pg", "cache", "queue", "journal", "state":
        s = os.stat(f"{demo.dir}/{name}")
        assert stat.S_IMODE(s.st_mode) == 0o700, name
        assert s.st_uid == uid, name

    for name in "postgres", "cache", "queue":
        assert os.stat(f"/proc/{pids[name]}").st_uid == uid, name

    with open(f"/proc/{pids['nginx']}/task/{pids['nginx']}/children") as f:
        for worker in f.read().split():
            assert os.stat(f"/proc/{worker}").st_uid == uid

    # one TCP socket listens, on loopback
    inodes = set()
    for pid in demo.left():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                link = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            inodes.update(re.findall(r"^socket:\[(\d+)\]$", link))
    listening = []
    for table in "tcp", "tcp6":
        with open(f"/proc/net/{table}") as f:
            rows = [x.split() for x in f.read().splitlines()[1:]]
        listening += [r[1] for r in rows if r[3] == "0A" and r[9] in inodes]
    assert listening == [f"0100007F:{demo.port:04X}"]
    assert demo.call("down")[0] == 0


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_dies_ends_it(demo, name):
    demo.run()
    os.kill(demo.pids()[name], signal.SIGKILL)
    status, out = demo.ended()
    assert status == 1, out
    assert f"{name} (pid " in out and "ended by itself" in out
    wait_until(lambda: demo.left() == [], 30, "the other servers to end")


def test_servers_end_with_the_script(demo):
    """Even after a SIGKILL nothing stays, and the next start works."""
    demo.run()
    demo.process.kill()
    demo.process.communicate(timeout=30)
    demo.process = None
    status, out = demo.call("up")
    assert status == 0, out
    check_served(demo)
    assert demo.call("down")[0] == 0


def test_wrong_settings_are_named(demo):
    for port in "http", "0", "65536", "-1":
        status, out = call_with(demo, port=port)
        assert status == 1 and "PORT" in out, port

    status, out = call_with(demo, dir="/tmp/a b")
    assert status == 1 and "RUN_DIR" in out

    status, out = call_with(demo, sample="/nowhere.csv")
    assert status == 1 and "/nowhere.csv" in out
    assert demo.left() == []


def call_with(demo, **changes):
    other = Demo(changes.get("dir", demo.dir), sample=changes.get(
        "sample", demo.sample))
    other.port = changes.get("port", other.port)
    return other.call("foreground")


def test_taken_port_is_named(demo):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        status, out = call_with(demo, port=s.getsockname()[1])
    assert status == 1 and "is taken" in out and "PORT" in out


def test_long_directory(sample):
    """Longer than a unix socket's path may be."""
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    d = Demo(os.path.join(base_dir(), "long-" + "x" * 100), sample=sample)
    try:
        status, out = d.call("up")
        assert status == 0, out
        sock = os.readlink(d.dir + "/sock")
        assert len(sock) < 40
        assert stat.S_IMODE(os.stat(sock).st_mode) == 0o700
        check_served(d)
    finally:
        assert d.call("down")[0] == 0
    os.rmdir(sock)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another")
def test_as_a_normal_user(sample):
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    path = os.path.join(base_dir(), "user")
    os.mkdir(path)
    shutil.chown(path, "nobody")
    d = Demo(path, user="nobody", sample=sample)
    if subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups",
                       "test", "-r", MODULE]).returncode != 0:
        pytest.skip("nobody cannot read the build")
    try:
        status, out = d.call("up")
        assert status == 0, out
        check_served(d)
        uid = pwd.getpwnam("nobody").pw_uid
        assert {os.stat(f"/proc/{p}").st_uid for p in d.left()} == {uid}
    finally:
        assert d.call("down")[0] == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs a directory of root's")
def test_unreachable_directory_is_named(demo, tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    status, out = call_with(demo, dir=str(private / "run"))
    assert status == 1
    assert "cannot enter" in out and "RUN_DIR=" in out
