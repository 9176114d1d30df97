"""docker/varnish/scc.vcl in a real Varnish, before an origin in Python."""

import gzip
import socket
import time

import pytest

from edge import Fake, Varnish
from servers import wait_until

LONG = {"Cache-Control": "public, max-age=0",
        "CDN-Cache-Control": "max-age=600, stale-while-revalidate=30, "
                             "stale-if-error=604800"}


class Origin(Fake):
    """Answers with a number that a test may change, and with one key."""

    def __init__(self):
        super().__init__(self.reply)
        self.body = b"1"
        self.status = 200
        self.headers = LONG

    def reply(self, method, path, headers):
        if self.status >= 500:
            return self.status, {"Cache-Control": "no-store"}, b"trouble"
        more = dict(self.headers, Vary="Accept-Encoding",
                    **{"Surrogate-Key": "c14-1-2 p-x scc",
                       "Content-Type": "application/json", "Age": "77",
                       "ETag": f'"{self.body.decode()}"'})
        if headers.get("If-None-Match", "").replace("W/", "") \
                == f'"{self.body.decode()}"':
            return 304, more, b""
        body = self.body
        if "gzip" in headers.get("Accept-Encoding", ""):
            more["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        return self.status, more, body


@pytest.fixture(scope="module")
def origin():
    with Origin() as server:
        yield server


@pytest.fixture(scope="module")
def edge(origin):
    with Varnish(origin.port) as server:
        yield server


def back(edge):
    """Varnish leaves a server alone for a moment that refused it."""
    wait_until(lambda: edge.get("/v1/back").status == 200, 5, "the origin")


@pytest.fixture(autouse=True)
def fresh(origin, edge):
    origin.body, origin.status, origin.headers = b"1", 200, LONG
    back(edge)
    edge.purge("scc", soft=False)
    origin.forget()


def test_what_the_cdn_is_told(edge, origin):
    for _ in range(3):
        a = edge.get("/v1/tiles/16/1/2.json")
        assert a.status == 200 and a.body == b"1", a
        assert "age" not in a.headers and "xkey" not in a.headers
    assert a.headers["cache-control"] == "public, max-age=0"
    assert "edge; hit" in a.headers["cache-status"]
    assert len(origin.paths()) == 1
    # a number of hours is not taken out of another word
    origin.headers = {"CDN-Cache-Control": "x-max-age=9, max-age=0"}
    for _ in range(2):
        assert edge.get("/v1/tiles/16/1/3.json").status == 200
    assert origin.paths().count("/v1/tiles/16/1/3.json") == 2
    origin.headers = {"CDN-Cache-Control": "no-store",
                      "Cache-Control": "max-age=600"}
    for _ in range(2):
        assert edge.get("/v1/tiles/16/1/4.json").status == 200
    assert origin.paths().count("/v1/tiles/16/1/4.json") == 2


@pytest.mark.parametrize("paths", [
    ("/v1/places?bbox=126.9,37.5,127,37.6&limit=5",
     "/v1/places?limit=5&bbox=126.9,37.5,127,37.6",
     "/v1/places?bbox=126.90000,37.500,127.0,37.6&limit=5",
     "/v1/places?bbox=126.9%2C37.5%2c127%2C37.6&limit=5",
     "/v1/places?utm_source=a&bbox=126.9,37.5,+127.00,037.60&limit=5",
     "/v1/places?bbox=126.9,37.5,127,37.6&limit=5&fbclid=1"),
    ("/v1/places?bbox=-0.5,0,100,20", "/v1/places?bbox=-0.50,0.0,100.,20.0"),
    ("/v1/tiles/16/1/2.json", "/v1/tiles/16/1/2.json?",
     "/v1/tiles/16/1/2.json?utm_campaign=x"),
])
def test_one_object_per_question(edge, origin, paths):
    for path in paths:
        assert edge.get(path).status == 200
    assert len(origin.paths()) == 1, origin.paths()


@pytest.mark.parametrize("a, b", [
    ("bbox=1,2,3,4", "bbox=1,2,3,40"), ("bbox=1,2,3,4", "bbox=10,2,3,4"),
    ("bbox=1.05,2,3,4", "bbox=1.5,2,3,4"), ("bbox=1,2,3,4", "bbox=-1,2,3,4"),
    ("bbox=100,2,3,4", "bbox=1,2,3,4"), ("bbox=1,2,3,4&limit=10",
                                         "bbox=1,2,3,4&limit=1"),
    ("bbox=1,2,3,4&category=a", "bbox=1,2,3,4&category=a%2500"),
    ("bbox=0,0,0.01,1", "bbox=0,0,0.1,1"),
])
def test_other_questions_stay_apart(edge, origin, a, b):
    for args in (a, b):
        assert edge.get("/v1/places?" + args).status == 200
    assert len(set(origin.paths())) == 2, origin.paths()


def test_encodings_share_one_object(edge, origin):
    for accept in ("gzip", "gzip, deflate, br, zstd", "br", "identity", None,
                   "gzip;q=0", "GZIP", "*"):
        a = edge.get("/v1/tiles/16/1/2.json",
                     {"Accept-Encoding": accept} if accept else None)
        body = a.body
        if a.headers.get("content-encoding") == "gzip":
            assert "gzip" in (accept or "").lower()
            body = gzip.decompress(body)
        assert body == b"1", (accept, a)
        assert a.headers["vary"].lower() == "accept-encoding"
    assert len(origin.paths()) == 1


def test_soft_purge_is_seen_and_hard_facts(edge, origin):
    path = "/v1/cells/16/1-1/2-2.json"
    assert edge.get(path).body == b"1"
    origin.body = b"2"
    assert edge.get(path).body == b"1"
    assert edge.purge("nothing c14-1-2").json()["purged"] >= 1
    wait_until(lambda: edge.get(path).body == b"2", 2, "the new answer")

    # the origin is dead: what was purged softly is still there
    edge.purge("c14-1-2")
    with origin.down():
        for _ in range(3):
            a = edge.get(path)
            assert a.status == 200 and a.body == b"2", a
            time.sleep(0.6)         # beyond the second of grace too
        a = edge.get("/v1/cells/16/9-9/2-2.json")
        assert a.status == 503, a
        assert a.headers["cache-control"] == "no-store"
        assert a.headers["retry-after"] == "2"
        assert a.json()["status"] == 503
        # what was purged hard is not
        assert edge.purge("p-x", soft=False).json()["purged"] >= 1
        assert edge.get(path).status == 503
    back(edge)
    assert edge.get(path).body == b"2"


def test_trouble_of_the_origin_does_not_replace(edge, origin):
    path = "/v1/cells/16/1-1/2-2.json"
    assert edge.get(path).body == b"1"
    origin.status = 503
    edge.purge("scc")
    for _ in range(3):
        assert edge.get(path).body == b"1"
        time.sleep(0.5)
    a = edge.get("/v1/cells/16/8-8/2-2.json")
    assert a.status == 503 and a.body == b"trouble", a
    assert a.headers["cache-control"] == "no-store"
    origin.status, origin.body = 200, b"3"
    assert edge.get("/v1/cells/16/8-8/2-2.json").body == b"3"
    wait_until(lambda: edge.get(path).body == b"3", 3, "the new answer")


def test_an_unchanged_answer_is_only_confirmed(edge, origin):
    path = "/v1/cells/16/1-1/2-2.json"
    assert edge.get(path).body == b"1"
    for _ in range(2):
        edge.purge("c14-1-2")
        time.sleep(1.05)
        assert edge.get(path).body == b"1"
    asked = [h for _, _, _, h in origin.seen if "If-None-Match" in h]
    assert len(asked) >= 2, origin.seen
    assert edge.purge("p-x").json()["purged"] >= 1          # still tagged


def test_what_passes(edge, origin):
    for _ in range(2):
        edge.get("/v1/nearby?lng=127&lat=37")
        edge.get("/v1/contributions/x")
        edge.get("/v1/places?bbox=1,2,3,4", {"Authorization": "Bearer x"})
        edge.get("/v1/contributions", method="POST", body=b"{}")
    assert len(origin.paths()) == 8
    origin.forget()
    # a contribution is never sent twice by the edge
    origin.status = 503
    a = edge.get("/v1/contributions", method="POST", body=b"{}")
    assert a.status == 503 and a.body == b"trouble"
    assert len(origin.paths()) == 1
    origin.status = 200
    with origin.down():
        a = edge.get("/v1/contributions", method="POST", body=b"{}")
        assert a.status == 503 and a.headers["cache-control"] == "no-store"
    back(edge)
    # cookies neither part objects nor reach the origin
    origin.forget()
    for cookie in ("a=1", "a=2"):
        edge.get("/v1/tiles/16/1/2.json", {"Cookie": cookie})
    assert len(origin.seen) == 1 and "Cookie" not in origin.seen[0][3]


def test_who_may_purge(edge):
    assert edge.get("/scc-purge").status == 405
    assert edge.get("/scc-purge", method="POST").status == 400
    with socket.create_connection(("127.0.0.1", edge.port), 5,
                                  ("127.0.0.2", 0)) as s:
        s.sendall(b"POST /scc-purge HTTP/1.1\r\nHost: x\r\nConnection: "
                  b"close\r\nSurrogate-Key: scc\r\nContent-Length: 0\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 403")
