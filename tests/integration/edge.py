"""An edge for the tests: Varnish with the VCL that is shipped, and servers
in Python that play an origin, an edge, or a slow way between them."""

import os
import shutil
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from client import Http
from servers import Server, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
VCL = os.path.join(HERE, "..", "..", "docker", "varnish")

SITE = """
backend origin {{
    .host = "127.0.0.1";
    .port = "{port}";
    .connect_timeout = 1s;
    .first_byte_timeout = 5s;
    .between_bytes_timeout = 5s;
}}

acl scc_purgers {{
    "127.0.0.1";
}}
"""


class Varnish(Server):
    """varnishd in front of a port of this host."""

    name = "varnishd"

    def __init__(self, origin, storage="64m"):
        binary = shutil.which("varnishd") \
            or shutil.which("varnishd", path="/usr/sbin")
        if binary is None:
            pytest.skip("varnishd is not installed: run make deps-test")
        super().__init__()
        self.binary = binary
        self.storage = storage
        self.port = free_port()
        with open(os.path.join(self.dir, "site.vcl"), "w") as f:
            f.write(SITE.format(port=origin))

    def start(self, wait=True):
        self.spawn([
            self.binary, "-F", "-j", "none", "-n", self.dir,
            "-a", f"127.0.0.1:{self.port}", "-s", "malloc," + self.storage,
            "-p", f"vcl_path={self.dir}:{os.path.realpath(VCL)}",
            "-p", "thread_pool_min=10", "-p", "thread_pools=1",
            "-f", os.path.join(os.path.realpath(VCL), "scc.vcl")],
            drop_root=False)
        if wait:
            wait_until(self.answers, 20, "varnishd")
        return self

    def answers(self):
        assert self.running(), self.errors()[-2000:]
        try:
            with self.client(timeout=2) as c:
                return c.get("/scc-purge").status == 405
        except OSError:
            return False

    def stop(self):
        self.end(15)

    def client(self, timeout=30):
        return Http(("127.0.0.1", self.port), timeout)

    def get(self, path, headers=None, method="GET", body=None):
        with self.client() as c:
            return c.get(path, headers, method, body)

    def purge(self, keys, soft=True):
        headers = {"Surrogate-Key": keys}
        if soft:
            headers["Fastly-Soft-Purge"] = "1"
        return self.get("/scc-purge", headers, "POST")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/scc-purge"


class Fake:
    """An HTTP server whose answers a test decides.

    answer(method, path, headers) -> (status, headers, body); a status of 0
    closes the connection without an answer.
    """

    def __init__(self, answer):
        self.answer = answer
        self.seen = []                  # (time, method, path, headers)
        self.lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def one(self):
                if fake.server is None:         # a connection from before
                    self.close_connection = True
                    return
                n = int(self.headers.get("Content-Length") or 0)
                if n:
                    self.rfile.read(n)
                with fake.lock:
                    fake.seen.append((time.monotonic(), self.command,
                                      self.path, dict(self.headers)))
                status, headers, body = fake.answer(
                    self.command, self.path, self.headers)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD" and status != 304:
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = one

            def log_message(self, *args):
                pass

        self.handler = Handler
        self.port = free_port()
        self.server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def start(self):
        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, address):
                pass

        self.server = Quiet(("127.0.0.1", self.port), self.handler)
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.02},
                         daemon=True).start()

    def stop(self):
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    @contextmanager
    def down(self):
        self.stop()
        try:
            yield
        finally:
            self.start()

    def paths(self):
        with self.lock:
            return [x[2] for x in self.seen]

    def forget(self):
        with self.lock:
            self.seen.clear()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/purge"


def relay(port, hold):
    """An answer() that asks another server first, and calls hold(path)
    between its answer and ours."""

    def answer(method, path, headers):
        keep = {k: v for k, v in headers.items()
                if k.lower() in ("accept-encoding", "if-none-match",
                                 "accept")}
        with Http(("127.0.0.1", port), 10) as c:
            a = c.get(path, keep, method)
        hold(path)
        out = {k: v for k, v in a.raw
               if k.lower() not in ("content-length", "connection", "date",
                                    "server", "transfer-encoding")}
        return a.status, out, a.body

    return answer
