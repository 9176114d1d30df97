"""The HTTP face: methods, parameters, ids, headers, odd clients."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import time
import urllib.request
from urllib.parse import quote

import pytest

import mvt
from load import binaries
from places import cell_x, cell_y
from servers import (Closed, Nginx, Postgres, Redis, run, sccctl,
                     wait_until)

PLACES = [
    # id, name, lon, lat
    ("node/21497293", "slash", 86669980, 494535403),
    ("a+b c", "plus and blank", 1269780000, 375665000),
    ("toilet_kr:seoul-0", "colon", 1269988500, 375903600),
    ("한글/아이디", "한글 이름", 1269780001, 375665001),
    ("%41%2F", "looks encoded", 1269780002, 375665002),
    ("?q=1&r#x", "query characters", 1269780003, 375665003),
    ("..", "dots", 1269780004, 375665004),
    ("a//b/", "slashes", 1269780005, 375665005),
    ("x" * 64, "long", 1269780006, 375665006),
    ("\u00e9", "\u00e9 composed", 1269780007, 375665007),
    ("e\u0301", "e\u0301 decomposed", 1269780008, 375665008),
    ("\"<&>'\\", "\"<&>'\\ \t\u0001\u007f\u2028", 1269780009, 375665009),
    ("🦽", "🦽 astral", 1269780010, 375665010),
]

SEOUL = "bbox=126.975,37.565,127,37.592"      # 42 cells


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        for p in PLACES:
            server.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                         "VALUES (%s, %s, %s, %s)", p)
        server.query("INSERT INTO scc.place_accessibility (place_id, "
                     "stair_info, has_slope, is_first_floor) VALUES "
                     "('a+b c', 'NONE', true, true)")
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module", params=binaries())
def nginx(request, pg, redis):
    with Nginx(pg, redis, binary=request.param,
               location='scc_limit 100 1000; scc_attribution "© <b>a</b>";'
                        'scc_bounds 124,33,132,39;') as server:
        yield server


@pytest.fixture
def client(nginx):
    with nginx.client() as c:
        yield c


def problem(a, status, parameter=None):
    """RFC 9457; how long it may be kept is in test_headers.py."""
    assert a.status == status, a
    assert a.headers["content-type"] == "application/problem+json", a
    if status not in (400, 404):
        assert a.headers["cache-control"] == "no-store", a
    assert a.headers["access-control-allow-origin"] == "*", a
    doc = a.json()
    assert doc["status"] == status
    assert doc["type"] and doc["title"] and doc["detail"], doc
    assert doc.get("parameter") == parameter, doc
    return doc


# -- answers -----------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/v1/places?" + SEOUL, "/v1/places/a%2Bb%20c", "/v1/tiles.json",
    "/v1/tiles/14/13972/6343.json", "/v1/cells/16/55888-55890/25375-25377"
    ".json", "/v1/places", "/v1/places/none", "/v1/none",
    "/v1/places?bbox=0,0,180,90"])
def test_head_is_get_without_body(nginx, path):
    def both():                     # answered from the same place, in the end
        a = nginx.get(path), nginx.get(path, method="HEAD")
        return a if a[0].headers.get("cache-status") == \
            a[1].headers.get("cache-status") else None

    get, head = wait_until(both, 30, "GET and HEAD to come from one place")
    assert head.status == get.status and head.body == b""
    drop = {"date"}
    assert {k: v for k, v in get.headers.items() if k not in drop} == \
        {k: v for k, v in head.headers.items() if k not in drop}
    assert int(get.headers["content-length"]) == len(get.body) > 0


def test_head_of_what_is_not_cached(nginx, redis):
    redis.forget()
    path = "/v1/places?" + SEOUL
    a = nginx.get(path, method="HEAD")
    assert a.status == 200 and a.body == b""
    assert int(a.headers["content-length"]) == len(nginx.get(path).body)


def test_feature(client):
    a = client.get("/v1/places?" + SEOUL)
    assert a.status == 200
    assert a.headers["content-type"] == "application/geo+json"
    doc = a.json()
    assert doc["type"] == "FeatureCollection"
    assert doc["numberMatched"] == doc["numberReturned"] == len(PLACES) - 1
    assert doc["links"] == []
    by_id = {f["id"]: f for f in doc["features"]}
    assert by_id["a+b c"] == {
        "type": "Feature", "id": "a+b c",
        "geometry": {"type": "Point", "coordinates": [126.978, 37.5665]},
        "properties": {
            "name": "plus and blank", "category": None, "address": None,
            "level": 0, "registered": True, "stairInfo": "NONE",
            "stairHeightLevel": None, "hasSlope": True,
            "isFirstFloor": True, "buildingRegistered": False,
            "buildingEntranceStairInfo": None, "buildingHasSlope": None,
            "buildingHasElevator": None,
            "buildingElevatorStairInfo": None}}


def test_unknown_is_null(client):
    """P7: what nobody has said is null, never false and never 5."""
    p = {f["id"]: f["properties"]
         for f in client.get("/v1/places?" + SEOUL).json()["features"]}[".."]
    assert p.pop("name") == "dots"
    assert p.pop("registered") is False
    assert p.pop("buildingRegistered") is False
    assert p["level"] is None
    assert all(v is None for v in p.values()), p


def test_names_and_ids_are_exact(client):
    got = {f["id"]: f["properties"]["name"] for f in client.get(
        "/v1/places?bbox=-180,-90,180,90").json()["features"]}
    assert got == {p[0]: p[1] for p in PLACES}


@pytest.mark.parametrize("place", PLACES, ids=[p[1][:12] for p in PLACES])
def test_place_by_id(nginx, place):
    ident, name, lon, lat = place
    a = nginx.get("/v1/places/" + quote(ident, safe=""))
    assert a.status == 200, a
    assert a.headers["content-type"] == "application/json"
    doc = a.json()
    assert doc["id"] == ident and doc["name"] == name
    assert doc["location"] == {"lng": lon / 1e7, "lat": lat / 1e7}


def test_id_with_its_slash(client):
    for text in ("node/21497293", "node%2f21497293", "node%2F21497293",
                 "%6eode/21497293"):
        a = client.get("/v1/places/" + text)
        assert a.status == 200 and a.json()["id"] == "node/21497293", a
    assert client.get("/v1/places/a+b%20c").status == 200


@pytest.mark.parametrize("text", [
    "none", "node", "node/", "node/21497293/", "x" * 63, "a%20b%20c",
    "%EF%BF%BD", "scc:c:1:2:3"])
def test_no_such_place(client, text):
    problem(client.get("/v1/places/" + text), 404)


@pytest.mark.parametrize("text", [
    "%ff", "%c3%28", "%ed%a0%80", "a%00b", "x" * 65, "%zz", "%4",
    "%ED%95%9C" * 22])
def test_what_is_no_id(client, text):
    a = client.get("/v1/places/" + text)
    if a.headers.get("content-type") == "text/html":
        assert a.status == 400          # nginx itself refuses the line
    else:
        problem(a, 400, "id")


@pytest.mark.parametrize("path", [
    "/v1/", "/v1/nothing", "/v1/Places", "/v1/placesx", "/v1/tile.json",
    "/v1/tiles/", "/v1/tiles/14/1/1.pbf", "/v1/tiles/14/1.json",
    "/v1/tiles/14/1/1/1.json", "/v1/cells/16/1-1/1-1", "/v1/cells/",
    "/v1/cells/16/1/1.json", "/v1/cells/16/1-2/3-4.json/",
    "/v1/tiles.json/", "/v1/place/x"])
def test_no_such_path(client, path):
    problem(client.get(path), 404)


@pytest.mark.parametrize("path, parameter", [
    ("/v1/places", "bbox"),
    ("/v1/places?", "bbox"),
    ("/v1/places?bbox", "bbox"),
    ("/v1/places?bbox=", "bbox"),
    ("/v1/places?bbox=1,2,3", "bbox"),
    (f"/v1/places?{SEOUL}&{SEOUL}", "bbox"),
    (f"/v1/places?{SEOUL}&limit=0", "limit"),
    (f"/v1/places?{SEOUL}&limit=-1", "limit"),
    (f"/v1/places?{SEOUL}&limit=unlimited", "limit"),
    (f"/v1/places?{SEOUL}&limit=1&limit=1", "limit"),
    (f"/v1/places?{SEOUL}&limit=", "limit"),
    (f"/v1/places?{SEOUL}&limit=1.5", "limit"),
    (f"/v1/places?{SEOUL}&cursor=x", "cursor"),
    (f"/v1/places?{SEOUL}&cursor=", "cursor"),
    (f"/v1/places?{SEOUL}&cursor=" + "A" * 300, "cursor"),
    (f"/v1/places?{SEOUL}&level_max=6", "level_max"),
    (f"/v1/places?{SEOUL}&level_max=x", "level_max"),
    (f"/v1/places?{SEOUL}&registered=1", "registered"),
    (f"/v1/places?{SEOUL}&registered=TRUE", "registered"),
    (f"/v1/places?{SEOUL}&has_slope=maybe", "has_slope"),
    (f"/v1/places?{SEOUL}&category=", "category"),
    (f"/v1/places?{SEOUL}&category=" + "x" * 65, "category"),
    (f"/v1/places?{SEOUL}&category=%ff", "category"),
    (f"/v1/places?{SEOUL}&limt=1", "limt"),
    (f"/v1/places?{SEOUL}&LIMIT=1", "LIMIT"),
    (f"/v1/places?{SEOUL}&_=1", "_"),
    (f"/v1/places?{SEOUL}&%22%5C=1", "%22%5C"),
    ("/v1/places/none?x=1", "x"),
    ("/v1/tiles.json?v=3", "v"),
    ("/v1/tiles/14/1/1.json?limit=1", "limit"),
    ("/v1/cells/16/1-1/1-1.json?a", "a"),
    ("/v1/tiles/4/1/1.json", "z"),
    ("/v1/tiles/17/1/1.json", "z"),
    ("/v1/tiles/13/8192/1.json", "x"),
    ("/v1/tiles/13/1/8192.json", "y"),
    ("/v1/tiles/13/01/1.json", "x"),
    ("/v1/cells/15/1-1/1-1.json", "z"),
    ("/v1/cells/16/1-65536/1-1.json", "x1"),
    ("/v1/cells/16/2-1/1-1.json", None),
    ("/v1/cells/16/0-16/0-15.json", None),
])
def test_bad_parameters_are_named(client, path, parameter):
    a = client.get(path)
    if parameter is None:
        assert a.status == 400 and a.json()["detail"], a
    else:
        problem(a, 400, parameter)


def test_limit_is_cut_to_the_maximum(client):
    assert client.get(f"/v1/places?{SEOUL}&limit=999999").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(client, method):
    for path in ("/v1/places?" + SEOUL, "/v1/tiles.json", "/v1/places/x"):
        a = client.get(path, method=method, body=b"{}")
        problem(a, 405)
        assert a.headers["allow"] == "GET, HEAD, OPTIONS"
    problem(client.get("/v1/none", method=method, body=b"{}"), 404)


def test_get_with_a_body(client):
    a = client.get("/v1/places?" + SEOUL, body=b"x" * 100000)
    assert a.status == 200
    assert client.get("/v1/tiles.json").status == 200


# -- pages -------------------------------------------------------------------


def test_pages_follow_each_other(client):
    path = f"/v1/places?{SEOUL}&limit=5"
    ids = []
    while path:
        a = client.get(path)
        doc = a.json()
        ids += [f["id"] for f in doc["features"]]
        assert doc["numberReturned"] <= 5
        assert doc["numberMatched"] == len(PLACES) - 1
        path = a.next()
        assert path is None or path.startswith("/v1/places?"), path
    assert len(ids) == len(set(ids)) == len(PLACES) - 1


def test_next_keeps_the_filters(client):
    a = client.get(f"/v1/places?{SEOUL}&limit=2&registered=false")
    while a.next():
        assert "registered=false" in a.next() and "limit=2" in a.next()
        a = client.get(a.next())
        assert all(f["properties"]["registered"] is False
                   for f in a.json()["features"])


def test_cursor_survives_its_place(nginx, pg):
    """A page goes on even if the place it ended with is gone."""
    a = nginx.get(f"/v1/places?{SEOUL}&limit=3")
    last = a.ids()[-1]
    rest = nginx.get(a.next()).ids()
    row = pg.query("DELETE FROM scc.place WHERE id = %s "
                   "RETURNING name, lon_e7, lat_e7", (last,))[0]
    try:
        wait_until(lambda: last not in nginx.get(
            "/v1/places?" + SEOUL).ids(), 5, "the place to go")
        assert nginx.get(a.next()).ids() == rest
    finally:
        pg.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) VALUES "
                 "(%s, %s, %s, %s)", (last, *row))
        wait_until(lambda: last in nginx.get("/v1/places?" + SEOUL).ids(),
                   5, "the place to be back")


# -- headers -----------------------------------------------------------------


def logged(nginx, path, layer):
    """Asks for a path; its line in the access log must end so."""
    before = len(nginx.access())
    a = nginx.get(path)
    # the line of a request before this one may come as late as ours
    wait_until(lambda: any(f" {path} " in x and x.rsplit(" ", 1)[1] == layer
                           for x in nginx.access()[before:]),
               30, f"{layer} in the access log")
    return a


def test_cache_status(nginx, redis):
    path = "/v1/cells/16/55888-55890/25375-25377.json"
    wait_until(lambda: "hit" in nginx.get(path).headers["cache-status"], 30,
               "a hit")
    redis.r.delete(*redis.r.keys("scc:c:*"))
    a = logged(nginx, path, "MISS")
    assert a.headers["cache-status"] == "scc; fwd=miss; stored; detail=pg"
    wait_until(lambda: nginx.get(path).headers["cache-status"]
               == "scc; hit; detail=redis", 30, "a hit")
    logged(nginx, path, "HIT")
    a = logged(nginx, "/v1/cells/16/55888-55890/25375-25378.json", "MISS")
    assert a.headers["cache-status"].startswith("scc; fwd=partial"), a
    a = logged(nginx, "/v1/places?bbox=0,0,180,90", "WIDE")
    assert a.headers["cache-status"] == "scc; fwd=bypass; detail=pg"
    for path in "/v1/tiles.json", "/v1/places?x=1", "/v1/none":
        assert "cache-status" not in logged(nginx, path, "-").headers


def test_cache_status_without_cache(nginx, redis):
    redis.stop()
    try:
        a = logged(nginx, "/v1/places?" + SEOUL, "PG")
        assert a.status == 200
        assert a.headers["cache-status"] == "scc; fwd=bypass; detail=pg"
    finally:
        redis.start()


def test_any_origin_may_read(client):
    for path in ("/v1/places?" + SEOUL, "/v1/places/..", "/v1/tiles.json",
                 "/v1/none", "/v1/places"):
        a = client.get(path, {"Origin": "https://example.org"})
        assert a.headers["access-control-allow-origin"] == "*"
        assert a.headers["x-content-type-options"] == "nosniff"
        assert [k.lower() for k, _ in a.raw].count(
            "access-control-allow-origin") == 1


def test_no_answer_is_ranged(client):
    a = client.get("/v1/places?" + SEOUL, {"Range": "bytes=0-9"})
    assert a.status == 200 and a.json()


# -- tiles.json --------------------------------------------------------------


def test_tilejson(client):
    a = client.get("/v1/tiles.json")
    assert a.status == 200
    assert a.headers["content-type"] == "application/json"
    t = a.json()
    assert t["tilejson"] == "3.0.0" and t["scheme"] == "xyz"
    assert re.fullmatch(r"\d+\.\d+\.\d+", t["version"])
    assert t["minzoom"] == 5 and t["maxzoom"] == 15
    assert t["bounds"] == [124, 33, 132, 39]
    assert t["attribution"] == "© <b>a</b>"
    assert t["tiles"] == ["http://localhost/v1/tiles/{z}/{x}/{y}.mvt"]
    layer, numbers = t["vector_layers"]
    for one in layer, numbers:
        assert one["id"] and one["fields"] and all(
            isinstance(v, str) for v in one["fields"].values())
    assert [(v["minzoom"], v["maxzoom"]) for v in t["vector_layers"]] == [
        (13, 15), (5, 12)]
    # the fields are the id and properties of features
    doc = client.get("/v1/places?" + SEOUL).json()
    assert set(layer["fields"]) - {"id"} < set(
        doc["features"][0]["properties"])


def test_tile_of_tilejson(nginx):
    t = nginx.get("/v1/tiles.json", {"Host": f"127.0.0.1:{nginx.port}"})
    x, y = cell_x(1269780000, 14), cell_y(375665000, 14)
    url = t.json()["tiles"][0].format(z=14, x=x, y=y)
    assert url.startswith(nginx.url)
    with urllib.request.urlopen(url, timeout=10) as r:
        assert r.status == 200
        assert mvt.points(r.read(), t.json()["vector_layers"][0]["id"])


# -- clients -----------------------------------------------------------------


def test_python_http_client_agrees(nginx):
    """Another HTTP implementation reads the same."""
    c = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=10)
    for path in ("/v1/places?" + SEOUL, "/v1/none", "/v1/tiles.json") * 3:
        c.request("GET", path)
        r = c.getresponse()
        body = r.read()
        a = nginx.get(path, {"Host": f"127.0.0.1:{nginx.port}"})
        assert (r.status, body) == (a.status, a.body)
    c.close()


def test_keep_alive(nginx):
    with nginx.client() as c:
        for i in range(200):
            assert c.get("/v1/places?" + SEOUL).status == 200
        assert c.used == 200 and c.reopened == 0


def test_pipelining(nginx):
    paths = ["/v1/places?" + SEOUL, "/v1/none", "/v1/tiles.json",
             "/v1/places/..", "/v1/places?bbox=0,0,180,90"] * 8
    want = [nginx.get(p) for p in paths[:5]] * 8
    with nginx.client() as c:
        c.connect()
        c.sock.sendall("".join(
            f"GET {p} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            for p in paths).encode())
        for p, w in zip(paths, want):
            a = c.read(p)
            assert (a.status, a.body) == (w.status, w.body)


def test_http_1_0(nginx):
    for extra in ("", "Host: x\r\n"):
        s = socket.create_connection(("127.0.0.1", nginx.port), 10)
        s.sendall(f"GET /v1/places?{SEOUL} HTTP/1.0\r\n{extra}\r\n".encode())
        data = b""
        while True:
            d = s.recv(65536)
            if not d:
                break
            data += d
        s.close()
        head, body = data.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200")
        assert len(json.loads(body)["features"]) == len(PLACES) - 1
    s = socket.create_connection(("127.0.0.1", nginx.port), 10)
    s.sendall(b"GET /v1/tiles.json HTTP/1.0\r\n\r\n")
    assert b'"tilejson"' in s.makefile("rb").read()
    s.close()


def test_request_byte_by_byte(nginx):
    c = nginx.client()
    s = c.connect()
    for b in f"GET /v1/places?{SEOUL} HTTP/1.1\r\nHost: a\r\n\r\n".encode():
        s.sendall(bytes([b]))
    assert c.read().status == 200
    c.close()


def test_clients_that_leave(nginx, pg, redis):
    """Some leave while the backends are asked; the others are served."""
    for i in range(100):
        if i % 10 == 0:
            redis.forget()
        c = nginx.client()
        s = c.connect()
        s.sendall(f"GET /v1/places?bbox=126.8{i:02},37.4,127,37.6"
                  " HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if i % 3 == 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         b"\1\0\0\0\0\0\0\0")       # a reset, no FIN
        c.close()
        if i % 10 == 9:
            assert nginx.get("/v1/places?" + SEOUL).status == 200


def test_client_leaves_while_the_store_is_silent(nginx, pg, redis):
    redis.forget()
    pg.sigstop()
    try:
        socks = []
        for i in range(20):
            c = nginx.client()
            c.connect().sendall(f"GET /v1/places?{SEOUL}&limit={i + 1} "
                                "HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            socks.append(c)
        time.sleep(.1)
        for c in socks[:15]:
            c.close()
    finally:
        pg.sigcont()
    for c in socks[15:]:
        a = c.read()
        assert a.status in (200, 503), a
        c.close()
    wait_until(lambda: nginx.get("/v1/places?" + SEOUL).status == 200, 30,
               "answers after the store is back")


# -- in other places of a configuration --------------------------------------


def test_other_locations(pg, redis):
    """Prefixes, internal redirects, subrequests, error pages."""
    with Nginx(pg, redis, server="""
        location /map { scc_api; }
        location = /exact { rewrite ^ /map/tiles.json last; }
        location /ids/ { rewrite ^/ids/(.*)$ /map/places/$1 last; }
        location / { scc_api; scc_limit 2 3; }
        location = /auth { auth_request /check; try_files /none @yes; }
        location = /check { rewrite ^ /map/tiles/16/1/1.json last; }
        location @yes { return 204; }
        location = /ssi { ssi on; default_type text/html; return 200
            '[<!--# include virtual="/map/places?@S@" -->,
              <!--# include virtual="/map/places/none" -->,
              <!--# include virtual="/map/places/node/21497293" -->,
              <!--# include virtual="/map/places?@S@&limit=2" -->]'; }
        location /own/ { scc_api; error_page 404 = /map/tiles.json; }
        """.replace("@S@", SEOUL)) as n:
        want = len(PLACES) - 1
        redis.forget()          # so that the subrequests must wait
        for _ in range(3):
            doc = n.get("/ssi").json()
            assert len(doc[0]["features"]) == want
            assert doc[1]["status"] == 404
            assert doc[2]["name"] == "slash"
            assert doc[3]["numberReturned"] == 2
        assert len(n.get("/map/places?" + SEOUL).ids()) == want
        assert len(n.get(f"/places?{SEOUL}").ids()) == 2
        assert len(n.get(f"/places?{SEOUL}&limit=9").ids()) == 3
        assert n.get("/exact").json()["tilejson"]
        assert n.get("/map/tiles.json").json()["tiles"] == [
            "http://localhost/map/tiles/{z}/{x}/{y}.mvt"]
        assert n.get("/ids/node/21497293").json()["name"] == "slash"
        assert n.get("/ids/" + quote("한글/아이디")).json()["name"] == \
            "한글 이름"
        a = n.get(f"/map/places?{SEOUL}&limit=1")
        assert a.next().startswith("/map/places?")
        assert n.get("/own/none").status in (200, 404)
        for _ in range(3):
            assert n.get("/auth").status == 204


def test_http2(pg, redis):
    curl = shutil.which("curl")
    if not curl or "HTTP2" not in run([curl, "--version"]).stdout:
        pytest.skip("curl with HTTP/2 is not installed")
    with Nginx(pg, redis) as n:
        n.write(PORT=f"{n.port} http2")
        n.reload()
        redis.forget()
        for limit in 1, 5, 9:
            out = run([curl, "-sS", "-f", "--http2-prior-knowledge",
                       f"{n.url}/v1/places?{SEOUL}&limit={limit}"]).stdout
            assert json.loads(out)["numberReturned"] == limit


def test_base_url(pg, redis):
    with Nginx(pg, redis, location="scc_base_url "
               "https://map.example.org$uri_prefix;",
               http='map $host $uri_prefix { default "/api"; }') as n:
        assert n.get("/v1/tiles.json").json()["tiles"] == [
            "https://map.example.org/api/tiles/{z}/{x}/{y}.mvt"]
        link = n.get(f"/v1/places?{SEOUL}&limit=1").json()["links"][0]
        assert "cursor=" in link["href"]


def test_gzip(pg, redis):
    import gzip
    with Nginx(pg, redis, http="gzip on; gzip_types application/geo+json "
               "application/json; gzip_min_length 1;") as n:
        plain = n.get("/v1/places?" + SEOUL)
        a = n.get("/v1/places?" + SEOUL, {"Accept-Encoding": "gzip"})
        assert a.headers["content-encoding"] == "gzip"
        assert gzip.decompress(a.body) == plain.body


def test_one_process(pg, redis):
    """master_process off: the only process does everything."""
    with Nginx(pg, redis, main="master_process off;\n", workers=0) as n:
        assert len(n.get("/v1/places?" + SEOUL).ids()) == len(PLACES) - 1
        pg.query("UPDATE scc.place SET name = 'one' WHERE id = '..'")
        try:
            wait_until(lambda: n.get("/v1/places/..").json()["name"]
                       == "one", 3, "the change")
        finally:
            pg.query("UPDATE scc.place SET name = 'dots' WHERE id = '..'")


def test_together_with_nchan(pg):
    """Both bring a hiredis; each must use its own, in both orders."""
    nchan = "/usr/lib/nginx/modules/ngx_nchan_module.so"
    if not os.path.exists(nchan):
        pytest.skip("libnginx-mod-nchan is not installed")
    from servers import MODULE
    for first, second in ((MODULE, nchan), (nchan, MODULE)):
        with Redis(tcp=True) as redis, Nginx(
                pg, redis, module=first, load=[second], http=f"""
            upstream nchan_redis {{
                nchan_redis_server redis://127.0.0.1:{redis.tcp_port};
            }}""", server="""
            location /pub { nchan_publisher; nchan_channel_id a;
                            nchan_redis_pass nchan_redis; }""") as n:
            for _ in range(5):
                assert n.get("/v1/places?" + SEOUL).status == 200
            wait_until(lambda: "hit" in n.get("/v1/places?" + SEOUL)
                       .headers["cache-status"], 30, "a hit")
            wait_until(lambda: n.get("/pub", method="POST", body=b"hello")
                       .status in (201, 202), 30, "nchan to publish")


def test_quit_answers_what_was_asked(pg, redis):
    """A graceful stop lets requests in flight end."""
    n = Nginx(pg, redis)
    with n:
        redis.forget()
        pg.sigstop()
        c = n.client()
        c.connect().sendall(f"GET /v1/places?{SEOUL} HTTP/1.1\r\n"
                            "Host: a\r\n\r\n".encode())
        time.sleep(.2)
        n.signal(signal.SIGQUIT)
        time.sleep(.2)
        pg.sigcont()
        try:
            a = c.read()
            assert a.status == 200, a
        except Closed:
            raise AssertionError("the answer was lost in a graceful stop")
        n.process.wait(10)
