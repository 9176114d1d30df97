"""An HTTP client for the tests: quick, keeps connections, hides nothing."""

import json
import socket
from urllib.parse import urljoin, urlsplit


class Answer:
    """status, headers (lower-case names; last wins), raw list, body."""

    __slots__ = ("status", "headers", "raw", "body", "version", "path")

    def __init__(self, status, raw, body, version, path):
        self.status, self.raw, self.body = status, raw, body
        self.version, self.path = version, path
        self.headers = {k.lower(): v for k, v in raw}

    def json(self):
        return json.loads(self.body)

    def ids(self):
        return [f["id"] for f in self.json()["features"]]

    def next(self):
        """Path and query of the next page, or None on the last one."""
        for link in self.json()["links"]:
            if link["rel"] == "next":
                assert link["type"] == "application/geo+json", link
                u = urlsplit(urljoin("http://localhost" + self.path,
                                     link["href"]))
                return u.path + "?" + u.query
        return None

    def __repr__(self):
        return (f"<{self.status} {self.path} {self.headers} "
                f"{self.body[:300]!r}>")


class Closed(Exception):
    """The server closed the connection before a whole answer."""

    def __init__(self, text, got):
        super().__init__(text)
        self.got = got              # answer bytes seen


class Http:
    """A keep-alive HTTP/1.1 client that is quick and hides nothing.

    An idle connection that the server closed is opened again, once, if not
    a byte of an answer was seen (RFC 9112, 9.3.1); "reopened" counts these.
    """

    def __init__(self, address, timeout=30):
        self.address = address          # (host, port) or a socket path
        self.timeout = timeout
        self.sock = None
        self.used = 0                   # answers seen on this connection
        self.reopened = 0
        self.buf = b""

    def connect(self):
        self.close()
        unix = isinstance(self.address, str)
        s = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        s.settimeout(self.timeout)
        s.connect(self.address)
        if not unix:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.used, self.buf = s, 0, b""
        return s

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()

    def get(self, path, headers=None, method="GET", body=None):
        lines = [f"{method} {path} HTTP/1.1"]
        for k, v in {"Host": "localhost", **(headers or {})}.items():
            lines.append(f"{k}: {v}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
        data += body or b""
        while True:
            fresh = self.sock is None
            if fresh:
                self.connect()
            try:
                self.sock.sendall(data)
                return self.read(path, method)
            except (Closed, OSError) as e:
                got = getattr(e, "got", 0)
                self.close()
                if fresh or got or isinstance(e, TimeoutError):
                    raise
                self.reopened += 1

    def more(self):
        try:
            d = self.sock.recv(262144)
        except ConnectionError:
            d = b""
        if not d:
            raise Closed("connection closed before a whole answer",
                         len(self.buf))
        self.buf += d

    def read(self, path="", method="GET"):
        """Reads one answer (for pipelining: after sock.sendall)."""
        while b"\r\n\r\n" not in self.buf:
            self.more()
        head, _, rest = self.buf.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ", 2)[:2]
        status = int(status)
        raw = []
        for line in lines[1:]:
            k, _, v = line.partition(":")
            raw.append((k, v.strip()))
        h = {k.lower(): v for k, v in raw}
        self.buf = rest
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif h.get("transfer-encoding", "").lower() == "chunked":
            body = self.chunks()
        elif "content-length" in h:
            n = int(h["content-length"])
            parts, have = [self.buf[:n]], min(len(self.buf), n)
            self.buf = self.buf[n:]
            while have < n:
                try:
                    d = self.sock.recv(min(n - have, 1 << 20))
                except ConnectionError:
                    d = b""
                if not d:
                    raise Closed(f"closed after {have} of {n} bytes",
                                 have + 1)
                parts.append(d)
                have += len(d)
            body = b"".join(parts)
        else:
            parts = [self.buf]
            self.buf = b""
            while True:
                d = self.sock.recv(262144)
                if not d:
                    break
                parts.append(d)
            body = b"".join(parts)
            self.close()
        self.used += 1
        if h.get("connection", "").lower() == "close" or \
                version == "HTTP/1.0":
            self.close()
        return Answer(status, raw, body, version, path)

    def chunks(self):
        parts = []
        while True:
            while b"\r\n" not in self.buf:
                self.more()
            line, _, self.buf = self.buf.partition(b"\r\n")
            n = int(line.split(b";")[0], 16)
            while len(self.buf) < n + 2:
                self.more()
            assert self.buf[n:n + 2] == b"\r\n", "bad chunk"
            parts.append(self.buf[:n])
            self.buf = self.buf[n + 2:]
            if n == 0:
                return b"".join(parts)
