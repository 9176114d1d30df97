"""nginx with the test-only module that runs single Redis commands and
PostgreSQL statements through ngx_scc_module/net, and loads on it."""

import os
import selectors
import socket
import subprocess
import threading
import time
from urllib.parse import quote

import pytest

from servers import BUILD, REPO, Nginx, shared, wait_until

SOURCE = os.environ.get("SCC_NGINX_DEV", "/usr/share/nginx/src")
MODULE = os.environ.get("SCC_NET_MODULE")
# another nginx, with the test module inside: SCC_NET_NGINX=/path/to/nginx
BINARY = os.environ.get("SCC_NET_NGINX")

CONF = """\
@MAIN@
worker_processes  @WORKERS@;
pid               @DIR@/nginx.pid;
error_log         @DIR@/error.log @LOG_LEVEL@;
worker_shutdown_timeout  @SHUTDOWN@;

events {
    worker_connections  4096;
}

http {
    client_body_temp_path  @DIR@/tmp-body;
    proxy_temp_path        @DIR@/tmp-proxy;
    fastcgi_temp_path      @DIR@/tmp-fastcgi;
    uwsgi_temp_path        @DIR@/tmp-uwsgi;
    scgi_temp_path         @DIR@/tmp-scgi;
    access_log             off;
    keepalive_requests     1000000;

@HTTP@
    server {
        listen  127.0.0.1:@PORT@ backlog=4096;

        location / {
            scc_net_test;
        }
    }
}
"""


def build():
    """The test module's path; built once per run."""
    return MODULE or BINARY or shared("net-test", make)


def make():
    if not os.path.exists(os.path.join(SOURCE, "conf_flags")):
        pytest.skip("Debian's nginx-dev is not installed")
    out = os.path.join(BUILD, "nginx-net-test")
    module = os.path.join(REPO, "tests", "nginx_modules", "ngx_scc_net_test")
    os.makedirs(out, exist_ok=True)
    script = f"""set -e
        if ! test -f {out}/Makefile || test {module}/config -nt {out}/Makefile
        then
            rm -rf {out}/tree && cp -rL {SOURCE} {out}/tree && cd {out}/tree
            . ./conf_flags
            ./configure "${{NGX_CONF_FLAGS[@]}}" --with-cc-opt='-g -O1 -fPIC' \
                --add-dynamic-module={module} --builddir={out}
        fi
        cd {out}/tree && make -f {out}/Makefile modules"""
    p = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=300,
                       stdin=subprocess.DEVNULL)
    assert p.returncode == 0, p.stdout[-4000:]
    return os.path.join(out, "ngx_scc_net_test_module.so")


def options(**kw):
    return "".join(f" {k}={v}" for k, v in kw.items())


class Net(Nginx):
    """redis and pg: an address or conninfo text, and options in a tuple."""

    def __init__(self, redis=None, pg=None, scripts=None, statements=None,
                 redis_options=None, pg_options=None, workers=1, **kw):
        path = build()
        http = ""
        if redis:
            http += f"scc_net_redis {redis}{options(**redis_options or {})};\n"
        for name, text in (scripts or {}).items():
            http += f'scc_net_script {name} "{text}";\n'
        if pg:
            http += f'scc_net_pg "{pg}"{options(**pg_options or {})};\n'
        for name, (n, sql) in (statements or {}).items():
            http += f'scc_net_statement {name} {n} "{sql}";\n'
        super().__init__(template=CONF, http=http, workers=workers,
                         module="" if BINARY else path, binary=BINARY,
                         **kw)

    def ask(self, path, client=None, timeout=30):
        """The text of the answer to GET /?path."""
        if client is not None:
            answer = client.get("/?" + path)
        else:
            answer = self.get("/?" + path, timeout=timeout)
        assert answer.status == 200, answer
        return answer.body.decode()

    def redis(self, *args, client=None, **kw):
        return self.ask(redis_path(*args, **kw), client)

    def pg(self, stmt, *values, client=None, **kw):
        return self.ask(pg_path(stmt, *values, **kw), client)

    def state(self):
        return dict(x.split("=") for x in self.ask("op=state").split())

    def worker(self):
        return self.workers()[0]

    def wait_redis(self, up=True, limit=10):
        wait_until(lambda: self.state()["redis"] == ("1" if up else "0"),
                   limit, f"redis={int(up)}")


def more(kw):
    return "".join(f"&{k}={quote(str(v), safe='')}" for k, v in kw.items())


def redis_path(*args, **kw):
    return ("op=redis" + "".join("&a=" + quote(str(a), safe="") for a in args)
            + more(kw))


def eval_path(script, key, *args, **kw):
    return (f"op=eval&script={script}&key={quote(key, safe='')}"
            + "".join("&a=" + quote(str(a), safe="") for a in args)
            + more(kw))


def pg_path(stmt, *values, **kw):
    return (f"op=pg&stmt={stmt}"
            + "".join("&n" if v is None else "&v=" + quote(str(v), safe="")
                      for v in values) + more(kw))


def burst(nginx, paths, limit=30):
    """All at once, each on a connection of its own: [(body, seconds)]."""
    sel = selectors.DefaultSelector()
    answers = [None] * len(paths)
    socks = []
    for _ in paths:
        socks.append(socket.create_connection(("127.0.0.1", nginx.port), 10))
    start = time.monotonic()
    for i, (s, path) in enumerate(zip(socks, paths)):
        s.sendall(f"GET /?{path} HTTP/1.0\r\n\r\n".encode())
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ, [i, b""])
    left = len(paths)
    try:
        while left:
            assert time.monotonic() - start < limit, \
                f"{left} of {len(paths)} requests never ended"
            for key, _ in sel.select(0.2):
                data = key.fileobj.recv(1 << 20)
                key.data[1] += data
                if not data:
                    i, text = key.data
                    head, _, body = text.partition(b"\r\n\r\n")
                    assert b" 200 " in head.split(b"\r\n")[0] + b" ", \
                        (paths[i], text[:200])
                    answers[i] = (body.decode(), time.monotonic() - start)
                    sel.unregister(key.fileobj)
                    left -= 1
    finally:
        for s in socks:
            s.close()
    return answers


class Load:
    """Threads that ask again and again; .answers holds (body, seconds)."""

    def __init__(self, nginx, path, threads=8, pause=0.0):
        self.nginx, self.path, self.pause = nginx, path, pause
        self.answers, self.errors = [], []
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.loop)
                        for _ in range(threads)]

    def loop(self):
        with self.nginx.client() as client:
            while not self.end.is_set():
                start = time.monotonic()
                try:
                    body = self.nginx.ask(self.path, client)
                except Exception as e:          # noqa: BLE001
                    self.errors.append(repr(e))
                    client.close()
                    time.sleep(0.01)
                    continue
                self.answers.append((body, time.monotonic() - start))
                # a refusal is quick: do not spin
                if self.pause or not body.startswith("OK"):
                    time.sleep(self.pause or 0.001)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *a):
        self.end.set()
        for t in self.threads:
            t.join(60)
        assert not any(t.is_alive() for t in self.threads), \
            "a request never ended"

    def count(self, body=None):
        return sum(1 for b, _ in self.answers if body is None or
                   b.startswith(body))

    def more(self, n=20, body="OK", limit=15):
        """Waits for n more answers of a kind."""
        have = self.count(body)
        wait_until(lambda: self.count(body) >= have + n, limit,
                   f"{n} answers {body}")

    def slowest(self):
        return max(s for _, s in self.answers)

    def kinds(self):
        return {b.split("\n")[0] for b, _ in self.answers}
