"""Real servers for the tests, each in a directory of its own.

Postgres, Redis and Nginx are context managers: starting waits until the
server answers, stopping waits until it is gone.  Nothing outside the
server's own directory and loopback is touched, so that the tests pass while
another set of the same servers is running.

    with Postgres() as pg, Redis() as redis, Nginx(pg, redis) as nginx:
        sccctl("init", pg=pg)
        print(nginx.get("/v1/places?bbox=126,37,127,38").json())

When the tests run as root, servers run as the user "postgres".
"""

import atexit
import gzip
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from urllib.parse import quote

import psycopg2
import pytest
import redis as redispy

from client import Answer, Closed, Http                     # noqa: F401
from machine import (SERVER_USER, base_dir, free_port,       # noqa: F401
                     new_dir, shared)

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("SCC_BUILD", os.path.join(REPO, "build"))
DATA = os.environ.get("SCC_TEST_DATA",
                      os.path.join(os.path.dirname(REPO), "shared", "data"))
NGINX = os.environ.get("SCC_NGINX", "/usr/sbin/nginx")
# an empty SCC_MODULE: the module is linked into SCC_NGINX
MODULE = os.environ.get("SCC_MODULE", os.path.join(
    BUILD, "nginx-debian", "ngx_scc_module.so"))
SCCCTL = os.environ.get("SCCCTL", os.path.join(BUILD, "sccctl"))

# what no log of a healthy server may hold
BAD_LOG = re.compile(
    r"\[alert\]|\[emerg\]|Sanitizer|[Ss]egmentation|runtime error"
    r"|exited on signal")


# -- small helpers -----------------------------------------------------------


def wait_until(condition, limit=10.0, what="the condition", pause=0.01):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit} s for {what}, in vain")
        time.sleep(pause)


def need_data(name):
    """The path of a file of real data; the test is skipped without it."""
    path = os.path.join(DATA, name)
    if not os.path.exists(path):
        pytest.skip(f"real data file {name} is not here: "
                    f"put it at {path} or set SCC_TEST_DATA")
    return path


def open_data(name, **kw):
    path = need_data(name)
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="", **kw)
    return open(path, encoding="utf-8", newline="", **kw)


def as_server():
    """Popen arguments that drop root."""
    if not SERVER_USER:
        return {}
    user = pwd.getpwnam(SERVER_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def run(argv, check=True, server_user=False, **kw):
    kw.setdefault("stdout", subprocess.PIPE)
    kw.setdefault("stderr", subprocess.STDOUT)
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("timeout", 300)
    if server_user:
        kw.update(as_server())
        kw.setdefault("cwd", "/")
    p = subprocess.run(argv, text=True, **kw)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} exited with {p.returncode}:"
                             f"\n{p.stdout}\n{p.stderr or ''}")
    return p


def sccctl(*args, pg=None, redis=None, env=None, check=True, user=None,
           timeout=300):
    """Runs build/sccctl with SCC_PG and SCC_CACHE set for these servers.

    An import goes into no journal, unless one is named: what the tests fill
    is thrown away.
    """
    if not os.path.exists(SCCCTL):
        pytest.skip(f"{SCCCTL} is not built: run make first")
    e = dict(os.environ)
    if pg is not None:
        e["SCC_PG"] = pg.conninfo(**({"user": user} if user else {}))
    if redis is not None:
        e["SCC_CACHE"] = redis.address
    e.update(env or {})
    if args[:1] == ("import",) and not (
            e.get("SCC_JOURNAL") or {"--journal", "--no-journal"} & {*args}):
        args = ("import", "--no-journal", *args[1:])
    return run([SCCCTL, *map(str, args)], check=check, env=e, timeout=timeout,
               stderr=subprocess.PIPE)


def children(pid):
    """Pids of the living children of a process."""
    out = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                out += map(int, f.read().split())
    except OSError:
        pass
    return out


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def stat(pid):
    """The fields of /proc/PID/stat behind the name: the state is first."""
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()


def alive(pid):
    try:
        return stat(pid)[0] not in "ZX"
    except OSError:
        return False


def freeze(pid, limit=10):
    """Stops a process of nginx where it waits in the kernel.

    Elsewhere it may hold the mutex of a zone, and all the others would wait
    for it until it goes on.
    """
    def waits():
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: stat(pid)[0] == "T", limit, f"{pid} to stop")
        with open(f"/proc/{pid}/syscall") as f:
            if f.read().split()[0] not in ("-1", "running"):
                return True
        os.kill(pid, signal.SIGCONT)
        return False

    wait_until(waits, limit, f"process {pid} to wait for something")


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def fd_list(pid):
    """What a process has open, for the message of a failed test."""
    out = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            out.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return sorted(out)


def cpu_seconds(pid):
    """User and system time a process has used."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- a server ----------------------------------------------------------------


_running = set()


@atexit.register
def _stop_all():
    for server in list(_running):
        server.kill()


class Server:
    name = "server"

    def __init__(self):
        self.dir = new_dir(self.name[:2])
        self.process = None
        self.err = os.path.join(self.dir, self.name + ".err")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        except AssertionError:
            if kind is None:
                raise
        finally:
            if self.process is not None:
                self.kill()

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def spawn(self, argv, drop_root=True, env=None):
        kw = as_server() if drop_root else {}
        with open(self.err, "ab") as err:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                cwd=self.dir, env=env, start_new_session=True, **kw)
        _running.add(self)

    def errors(self):
        try:
            with open(self.err, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def family(self):
        """The server's process and all below it."""
        todo, seen = [self.pid], []
        while todo:
            pid = todo.pop()
            if pid and pid not in seen:
                seen.append(pid)
                todo += children(pid)
        return seen

    def signal(self, sig):
        os.kill(self.pid, sig)

    def sigstop(self):
        """Freezes every process of the server."""
        done = set()
        while True:
            todo = [p for p in self.family() if p not in done]
            if not todo:
                return
            for pid in todo:
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    pass
                done.add(pid)

    def sigcont(self):
        for pid in reversed(self.family()):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def kill(self):
        """SIGKILL for all its processes; returns when they are gone."""
        if self.process is None:
            return
        self.sigstop()
        pids = self.family()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)
        wait_until(lambda: not any(map(alive, pids)), 30,
                   f"the end of {self.name}")
        self.gone()

    def end(self, sig, limit=60):
        if self.process is None:
            return
        if self.running():
            self.sigcont()
            self.signal(sig)
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop in {limit} s")
        self.gone()

    def gone(self):
        _running.discard(self)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def check_started(self):
        if not self.running():
            code = self.process.returncode
            self.gone()
            raise AssertionError(f"{self.name} exited at once with {code}:\n"
                                 + self.errors()[-4000:])


# -- PostgreSQL --------------------------------------------------------------


def pg_bin(tool):
    found = shutil.which(tool, path="/usr/lib/postgresql/15/bin:"
                         + os.environ.get("PATH", ""))
    if found:
        return found
    base = "/usr/lib/postgresql"
    for v in sorted(os.listdir(base) if os.path.isdir(base) else [],
                    reverse=True):
        path = os.path.join(base, v, "bin", tool)
        if os.path.exists(path):
            return path
    pytest.skip(f"{tool} of PostgreSQL is not installed")


def pg_template():
    """An initdb'ed data directory, made once per test run."""
    def initdb():
        path = os.path.join(new_dir("pgt"), "data")
        run([pg_bin("initdb"), "-D", path, "-U", "postgres", "-A",
             "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            server_user=True)
        return path
    return shared("initdb", initdb)


class Postgres(Server):
    """A cluster of its own, on a unix socket; port=True adds loopback TCP.

    template: data directory to copy (a stopped Postgres' .data).
    place: where it is copied to, if not into the server's directory.
    fsync: off only for tests that say so.
    """

    name = "postgres"
    dbname = "scc"

    def __init__(self, fsync=True, template=None, tcp=False, place=None,
                 **settings):
        super().__init__()
        self.data = place or os.path.join(self.dir, "data")
        self.tcp_port = free_port() if tcp else None
        run(["cp", "-a", "--reflink=auto", template or pg_template(),
             self.data])
        self.settings = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": self.tcp_port or 5432,
            "unix_socket_directories": self.dir,
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "shared_buffers": "128MB",
            "max_connections": 100,
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        self.settings.update(settings)

    def conninfo(self, user="postgres", dbname=None, tcp=False):
        host = "127.0.0.1" if tcp else self.dir
        return (f"host={host} port={self.settings['port']} user={user} "
                f"dbname={dbname or self.dbname}")

    @property
    def nginx_conninfo(self):
        return self.conninfo(user="scc_app")

    def start(self, wait=True):
        argv = [pg_bin("postgres"), "-D", self.data]
        for k, v in self.settings.items():
            argv += ["-c", f"{k}={v}"]
        self.spawn(argv)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, limit=60):
        def ready():
            self.check_started()
            try:
                psycopg2.connect(self.conninfo(dbname="postgres"),
                                 connect_timeout=2).close()
                return True
            except psycopg2.OperationalError:
                return False
        wait_until(ready, limit, "PostgreSQL to accept connections", 0.02)
        self.create_database(self.dbname)

    def create_database(self, name):
        """Makes a database unless it is there."""
        c = self.connect(dbname="postgres")
        c.autocommit = True             # not inside a transaction
        with c.cursor() as cur:
            cur.execute("SELECT 1 FROM pg_database WHERE datname = %s",
                        (name,))
            if cur.fetchone() is None:
                cur.execute(f'CREATE DATABASE "{name}"')
        c.close()

    def stop(self):
        """A fast shutdown."""
        self.end(signal.SIGINT)

    def connect(self, user="postgres", dbname=None):
        return psycopg2.connect(self.conninfo(user, dbname),
                                connect_timeout=5)

    def query(self, sql, args=None, user="postgres", dbname=None):
        """Runs SQL in a transaction of its own; the rows, if any."""
        c = self.connect(user, dbname)
        try:
            with c, c.cursor() as cur:
                cur.execute(sql, args)
                return cur.fetchall() if cur.description else None
        finally:
            c.close()

    def psql(self, sql, user="postgres"):
        """Runs SQL in psql, as a person would."""
        return run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1",
                    self.conninfo(user), "-c", sql]).stdout


# -- Redis -------------------------------------------------------------------


class Redis(Server):
    """A Redis without persistence on a unix socket, as the cache is.

    More settings as keywords, "-" written "_": Redis(maxmemory="20mb").
    """

    name = "redis"

    def __init__(self, tcp=False, **settings):
        super().__init__()
        self.sock = os.path.join(self.dir, "r.sock")
        self.tcp_port = free_port() if tcp else 0
        self.settings = {
            "port": self.tcp_port, "bind": "127.0.0.1",
            "unixsocket": self.sock, "unixsocketperm": "777",
            "dir": self.dir, "save": "", "appendonly": "no",
            "maxmemory-policy": "allkeys-lru", "daemonize": "no",
            "logfile": "",
        }
        self.settings.update((k.replace("_", "-"), v)
                             for k, v in settings.items())

    @property
    def address(self):
        return "unix:" + self.sock

    def start(self, wait=True):
        if os.path.exists(self.sock):
            os.unlink(self.sock)
        argv = ["redis-server"]
        for k, v in self.settings.items():
            argv += ["--" + k, str(v)]
        self.spawn(argv)
        self._client = None
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, limit=20):
        def ready():
            self.check_started()
            try:
                return self.client().ping()
            except redispy.RedisError:
                return False
        wait_until(ready, limit, "Redis to answer PING")

    def stop(self):
        self.end(signal.SIGTERM)

    def client(self, timeout=5):
        """A new client; r() is the shared one."""
        return redispy.Redis(unix_socket_path=self.sock,
                             socket_timeout=timeout)

    def forget(self, client=None):
        """All cells and pages are evicted; what the feed keeps stays."""
        (client or self.r).eval(
            "for _, p in ipairs({'scc:c:*', 'scc:p:*'}) do "
            "for _, k in ipairs(redis.call('KEYS', p)) do "
            "redis.call('UNLINK', k) end end", 0)

    @property
    def r(self):
        if self._client is None:
            self._client = self.client()
        return self._client

    _client = None


# -- nginx -------------------------------------------------------------------


NGINX_CONF = """\
@MAIN@
worker_processes  @WORKERS@;
pid               @DIR@/nginx.pid;
error_log         @DIR@/error.log @LOG_LEVEL@;
worker_shutdown_timeout  @SHUTDOWN@;

events {
    worker_connections  1024;
}

http {
    client_body_temp_path  @DIR@/tmp-body;
    proxy_temp_path        @DIR@/tmp-proxy;
    fastcgi_temp_path      @DIR@/tmp-fastcgi;
    uwsgi_temp_path        @DIR@/tmp-uwsgi;
    scgi_temp_path         @DIR@/tmp-scgi;

    log_format  scc  '$remote_addr "$request" $status $body_bytes_sent '
                     '$request_time $scc_cache_status';
    access_log  @DIR@/access.log scc;

@SCC@
@HTTP@
    server {
        listen  127.0.0.1:@PORT@;
        listen  unix:@DIR@/h.sock;
@SERVER@
        location /v1/ {
            scc_api;
@LOCATION@
        }
    }
}
"""


def scc_directives(pg=None, redis=None, state=None, **more):
    """The http-level directives for these servers; None leaves one out."""
    d = {}
    if redis is not None:
        d["scc_redis"] = redis if isinstance(redis, str) else redis.address
    if pg is not None:
        text = pg if isinstance(pg, str) else pg.nginx_conninfo
        d["scc_postgres"] = f'"{text}"'
    if state is not None:
        d["scc_state_path"] = state
    # journals of tests are under /tmp, which a strict audit refuses
    d["scc_audit"] = "warn"
    d.update(more)
    return "".join(f"    {k} {v};\n" for k, v in d.items() if v is not None)


class Nginx(Server):
    """nginx with the module, on a free loopback port.

    pg, redis: servers, address texts, or None.  scc: more directives
    (dict).  http, server, location, main: text put into the template;
    template: another one; binary: another nginx, with the module inside.
    allow_log: patterns of error.log lines that are no fault here.
    """

    name = "nginx"

    def __init__(self, pg=None, redis=None, scc=None, workers=1, http="",
                 server="", location="", main="", template=NGINX_CONF,
                 log_level="info", module=None, shutdown="10s",
                 allow_log=(), load=(), binary=None):
        super().__init__()
        self.binary = binary or NGINX
        self.port = free_port()
        self.error_log = os.path.join(self.dir, "error.log")
        self.access_log = os.path.join(self.dir, "access.log")
        self.sock = os.path.join(self.dir, "h.sock")
        self.conf = os.path.join(self.dir, "nginx.conf")
        self.allow_log = [re.compile(x) for x in allow_log]
        if any(x.search("exited on signal 9") for x in self.allow_log):
            # a zone's, which the master then unlocks
            self.allow_log.append(re.compile("was locked by"))
        state = os.path.join(self.dir, "state")
        if module is None:              # another program has it inside
            module = "" if binary else MODULE
        head = f"load_module {module};\n" if module else ""
        head += "".join(f"load_module {m};\n" for m in load)
        if SERVER_USER:
            head += f"user {SERVER_USER};\n"
        self.values = {
            "MAIN": head + main, "WORKERS": str(workers),
            "DIR": self.dir, "LOG_LEVEL": log_level, "SHUTDOWN": shutdown,
            "SCC": scc_directives(pg, redis, state, **(scc or {})),
            "HTTP": http, "PORT": str(self.port), "SERVER": server,
            "LOCATION": location,
        }
        self.template = template
        self.write()

    def write(self, **values):
        """Renders the configuration again with some values changed."""
        self.values.update(values)
        text = self.template
        for k, v in self.values.items():
            text = text.replace(f"@{k}@", v)
        with open(self.conf, "w") as f:
            f.write(text)
        return text

    def argv(self, *more):
        return [self.binary, "-p", self.dir, "-c", self.conf, "-e",
                self.error_log, "-g", "daemon off;", *more]

    def start(self, wait=True):
        if self.values["MAIN"].startswith("load_module"):
            path = self.values["MAIN"].split()[1].rstrip(";")
            if not os.path.exists(path):
                pytest.skip(f"{path} is not built: run make first")
        if not os.path.exists(self.binary):
            pytest.skip(f"{self.binary} is not here")
        env = dict(os.environ)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.spawn(self.argv(), drop_root=False, env=env)
        if wait:
            def ready():
                self.check_started()
                try:
                    with socket.create_connection(("127.0.0.1", self.port),
                                                  1):
                        return True
                except OSError:
                    return False
            wait_until(ready, 30, "nginx to listen")
            wait_until(lambda: len(self.workers()) ==
                       int(self.values["WORKERS"]), 30, "nginx's workers")
        return self

    def check_started(self):
        if not self.running():
            code = self.process.returncode
            self.gone()
            raise AssertionError(f"nginx exited at once with {code}:\n"
                                 + self.errors()[-2000:] + self.log()[-2000:])

    def test(self):
        """nginx -t: the finished process (returncode, stdout)."""
        return run(self.argv("-t"), check=False)

    def stop(self):
        """A fast stop; then the log must hold nothing bad."""
        self.end(signal.SIGTERM)
        self.check_log()

    def quit(self):
        """A graceful stop."""
        self.end(signal.SIGQUIT)
        self.check_log()

    def log(self):
        try:
            with open(self.error_log, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def access(self):
        with open(self.access_log, errors="replace") as f:
            return f.read().splitlines()

    def bad_lines(self):
        return [x for x in (self.log() + self.errors()).splitlines()
                if BAD_LOG.search(x)
                and not any(a.search(x) for a in self.allow_log)]

    def check_log(self):
        bad = self.bad_lines()
        assert not bad, "nginx logged:\n" + "\n".join(bad[:40])

    def kids(self, title):
        return [p for p in children(self.pid)
                if alive(p) and title in cmdline(p)]

    def workers(self):
        """Pids of the workers that accept connections."""
        return [p for p in self.kids("worker process")
                if "shutting down" not in cmdline(p)]

    def helpers(self):
        return [p for p in self.kids("cache manager")
                if "shutting down" not in cmdline(p)]

    def reload(self, wait_old=True, limit=30):
        """SIGHUP; returns when new workers serve (and old ones are gone)."""
        old = self.workers()
        self.signal(signal.SIGHUP)
        want = int(self.values["WORKERS"])
        wait_until(lambda: len([p for p in self.workers()
                                if p not in old]) == want,
                   limit, "the new workers")
        if wait_old:
            wait_until(lambda: not any(map(alive, old)), limit,
                       "the end of the old workers")

    def client(self, unix=False, timeout=30):
        return Http(self.sock if unix else ("127.0.0.1", self.port), timeout)

    def get(self, path, headers=None, method="GET", body=None, timeout=30):
        with self.client(timeout=timeout) as c:
            return c.get(path, headers, method, body)

    def place(self, place_id):
        return self.get("/v1/places/" + quote(place_id, safe=""))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
