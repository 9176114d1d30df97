"""What caches are told: validators, codings, lives and keys, on every route
and in every state.  Where a rule comes from what http-tests/cache-tests found
in real caches, it says so."""

import base64
import gzip
import re
import subprocess
import zlib

import pytest

from places import cell, cell_x, cell_y
from servers import Nginx, Postgres, Redis, sccctl, wait_until

LON, LAT = 1269780000, 375665000
X, Y = cell_x(LON), cell_y(LAT)
DENSE = 40                                  # in the first cell
CELL = 360 / 65536

BOX = "/v1/places?bbox=126.97,37.56,126.99,37.57"
CELLS = f"/v1/cells/16/{X - 1}-{X + 1}/{Y - 1}-{Y + 1}.json"
EMPTY = "/v1/cells/16/1-2/1-2.json"
TILE = f"/v1/tiles/14/{X >> 2}/{Y >> 2}.json"
MVT = f"/v1/tiles/14/{X >> 2}/{Y >> 2}.mvt"
PLACE = "/v1/places/p-0"
SLASH = "/v1/places/node%2F1"
META = "/v1/tiles.json"
WIDE = "/v1/places?bbox=100,20,140,50"

VIEWS = [BOX, BOX + "&level_max=0", BOX + "&limit=3", CELLS, TILE, MVT]
ROUTES = VIEWS + [PLACE, SLASH, META, WIDE]

ETAG = re.compile(r'"[vb]1-[0-9a-hjkmnp-tv-z]{13}-([ig])"')

TILE_CONTROL = (
    "public, max-age=30, stale-while-revalidate=600, stale-if-error=86400",
    "max-age=600, stale-while-revalidate=30, stale-if-error=604800")
AGG_CONTROL = (
    "public, max-age=60, stale-while-revalidate=3600, stale-if-error=86400",
    "max-age=60, stale-while-revalidate=600, stale-if-error=604800")
PLACE_CONTROL = (
    "no-cache",
    "max-age=600, stale-while-revalidate=30, stale-if-error=604800")
NEARBY_CONTROL = ("public, max-age=15", "max-age=30")
META_CONTROL = ("public, max-age=300", "max-age=3600")
MISSING = ("no-cache", "max-age=10")
INVALID = ("public, max-age=60", "max-age=3600")
STALE = ("public, max-age=2, stale-if-error=86400",
         "max-age=2, stale-if-error=86400")
REACHED = ("no-cache", "no-store")
NONE = ("no-store", "no-store")

C14 = f"c14-{X >> 2}-{Y >> 2}"


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        rows = [(f"p-{i}", f"이름 {i}", LON + i, LAT) for i in range(DENSE)]
        rows += [(f"q-{i}", f"자리 {i}", LON + 50000 * (i + 1), LAT)
                 for i in range(30)]
        rows += [("node/1", "slash", LON, LAT + 200000)]
        for row in rows:
            server.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                         "VALUES (%s, %s, %s, %s)", row)
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(pg, redis):
    # nginx's own filter would compress everything, were it let
    with Nginx(pg, redis, scc={"scc_zone": "z:8m"},
               http="gzip on; gzip_types *; gzip_vary on; "
               "gzip_min_length 1; gzip_proxied any;") as server:
        for path in ROUTES:
            settled(server, path, "l1" if path in VIEWS else "hit")
        yield server


@pytest.fixture
def client(nginx):
    with nginx.client() as c:
        yield c


def settled(server, path, word="hit"):
    """Answered from what is kept, where it is kept."""
    def asked():
        a = server.get(path)
        s = a.headers.get("cache-status", word)
        return a if word in s or path == WIDE else None
    return wait_until(asked, 30, f"{path} to be kept")


def accept(client, path, coding=None, method="GET", **more):
    headers = {k.replace("_", "-"): v for k, v in more.items()}
    if coding is not None:
        headers["Accept-Encoding"] = coding
    return client.get(path, headers, method)


def control(a):
    assert a.headers.get("cdn-cache-control") == \
        a.headers.get("surrogate-control")
    return a.headers.get("cache-control"), a.headers.get("cdn-cache-control")


def plain(a):
    if a.headers.get("content-encoding") == "gzip":
        return gzip.decompress(a.body)
    assert "content-encoding" not in a.headers
    return a.body


def keys(a):
    return a.headers.get("surrogate-key", "").split()


# -- every route, every coding ------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
def test_codings(client, path):
    """The same body in each; one strong ETag each; Vary in all."""
    bare = accept(client, path)
    assert bare.status == 200 and "content-encoding" not in bare.headers
    etags = {}
    for coding, wanted in (
            (None, "i"), ("identity", "i"), ("gzip;q=0", "i"), ("br", "i"),
            ("gzip;q=0, *", "i"), ("", "i"), ("gzip", "g"), ("*", "g"),
            ("br, gzip;q=0.1", "g"), ("x-gzip", "g")):
        a = accept(client, path, coding)
        assert a.status == 200, a
        assert [v for k, v in a.raw if k.lower() == "vary"] == \
            ["Accept-Encoding"], a
        etag = a.headers["etag"]
        assert ETAG.fullmatch(etag)[1] == wanted, (coding, a)
        assert ("content-encoding" in a.headers) == (wanted == "g"), a
        assert int(a.headers["content-length"]) == len(a.body)
        assert plain(a) == bare.body
        assert etags.setdefault(wanted, etag) == etag
        assert control(a) == control(bare) and keys(a) == keys(bare)
    assert etags["i"] != etags["g"]
    assert etags["i"][:-3] == etags["g"][:-3]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_304(client, path, coding):
    """The 200's headers and nothing new (cache-tests 304-etag-update-*)."""
    full = accept(client, path, coding)
    etag = full.headers["etag"]
    opaque = etag.strip('"')
    body = {"content-type", "content-length", "content-encoding"}
    for value in (etag, "W/" + etag, "*", f'"x", {etag}', f'"x",W/{etag}',
                  f'W/"x" , {etag} , "y"'):
        a = accept(client, path, coding, If_None_Match=value)
        assert a.status == 304 and a.body == b"", (value, a)
        drop = body | {"date"}
        assert {k: v for k, v in full.headers.items() if k not in drop} == \
            {k: v for k, v in a.headers.items() if k not in drop}
        assert not body & set(a.headers), a
    for value in ('"x"', f"{opaque}", f'"{opaque[:-1]}x"', '""', 'W/""',
                  f'"x" {etag}', f"'{opaque}'", '*, "x"'):
        a = accept(client, path, coding, If_None_Match=value)
        assert a.status == 200 and a.body == full.body, (value, a)
    # the other coding's validator is another representation's
    other = {None: "gzip", "gzip": None}[coding]
    a = accept(client, path, other, If_None_Match=etag)
    assert a.status == 200


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_head(client, path, coding):
    get = accept(client, path, coding)
    head = accept(client, path, coding, method="HEAD")
    assert head.status == 200 and head.body == b""
    assert {k: v for k, v in get.headers.items() if k != "date"} == \
        {k: v for k, v in head.headers.items() if k != "date"}
    a = accept(client, path, coding, method="HEAD",
               If_None_Match=get.headers["etag"])
    assert a.status == 304


@pytest.mark.parametrize("path", ROUTES)
def test_other_conditions(client, path):
    a = accept(client, path)
    etag = a.headers["etag"]
    assert "last-modified" not in a.headers
    old = "Mon, 01 Jan 2001 00:00:00 GMT"
    # without a date of its own neither of these may change an answer
    # (RFC 9110, 13.1.3 and 13.1.4)
    assert accept(client, path, If_Modified_Since=old).status == 200
    assert accept(client, path, If_Unmodified_Since=old).status == 200
    assert accept(client, path, If_Modified_Since=old,
                  If_None_Match=etag).status == 304
    assert accept(client, path, If_Match=etag).status == 200
    assert accept(client, path, If_Match="*").status == 200
    for value in ('"x"', "W/" + etag):          # strong comparison
        a = accept(client, path, If_Match=value)
        assert a.status == 412, a
        assert a.headers["content-type"] == "application/problem+json"
        assert control(a) == NONE and "etag" not in a.headers


@pytest.mark.parametrize("path", ROUTES)
def test_ranges_are_off(client, path):
    a = accept(client, path, Range="bytes=0-9")
    assert a.status == 200 and len(a.body) > 10
    assert "accept-ranges" not in a.headers
    assert "content-range" not in a.headers


@pytest.mark.parametrize("path", ROUTES)
def test_common_headers(client, path):
    h = accept(client, path).headers
    assert h["access-control-allow-origin"] == "*"
    exposed = h["access-control-expose-headers"].split(", ")
    assert {"ETag", "Cache-Status"} <= set(exposed)
    assert h["timing-allow-origin"] == "*"
    assert h["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in h and "pragma" not in h and "expires" not in h
    # Age is a cache's, never the origin's
    assert "age" not in h


# -- lives and keys -----------------------------------------------------------


@pytest.mark.parametrize("path, life, tags", [
    (CELLS, TILE_CONTROL, None),
    (BOX, TILE_CONTROL, None),
    (BOX + "&level_max=0", TILE_CONTROL, None),
    (TILE, TILE_CONTROL, [C14, "lay-places"]),
    (MVT, TILE_CONTROL, [C14, "lay-places"]),
    (f"/v1/tiles/16/{X}/{Y}.json", TILE_CONTROL, [C14, "lay-places"]),
    (EMPTY, TILE_CONTROL, ["c14-0-0", "lay-places"]),
    (f"/v1/tiles/12/{X >> 4}/{Y >> 4}.mvt", AGG_CONTROL, ["agg"]),
    (f"/v1/tiles/5/{X >> 11}/{Y >> 11}.json", AGG_CONTROL, ["agg"]),
    (PLACE, PLACE_CONTROL, ["p-p-0", C14, "lay-places"]),
    (META, META_CONTROL, ["meta"]),
    ("/v1/nearby?lng=126.978&lat=37.5665", NEARBY_CONTROL, None),
    ("/v1/nearby?lng=0&lat=89&radius=5000", NEARBY_CONTROL, []),
    (WIDE, AGG_CONTROL, ["agg"]),
    ("/v1/places/none", MISSING, ["p-none", "lay-places"]),
    ("/v1/places?bbox=1,2,3", INVALID, []),
    ("/v1/places?bbox=1,2,3,4&_=123", INVALID, []),
    ("/v1/tiles/17/0/0.json", INVALID, []),
    ("/v1/cells/16/0-999/0-999.json", INVALID, []),
    ("/v1/nothing", INVALID, []),
    (PLACE + "?rev=1", REACHED, ["p-p-0", C14, "lay-places"]),
    (PLACE + "?rev=99", NONE, []),
    ("/v1/places/none?rev=1", NONE, []),
])
def test_life_and_keys(client, path, life, tags):
    a = wait_until(lambda: (lambda a: a if a.status != 503 else None)(
        accept(client, path)), 30, "the first roll-up")
    assert control(a) == life, a
    if tags is not None:
        assert keys(a) == tags, a
    for key in keys(a):
        assert re.fullmatch(r"[A-Za-z0-9._~-]{1,66}", key), key
    assert len(keys(a)) <= 11


def test_keys_cover_the_view(client):
    """Every cell of an answer has a key; nine at most, else coarse ones."""
    want = {f"c14-{x >> 2}-{y >> 2}" for x in (X - 1, X, X + 1)
            for y in (Y - 1, Y, Y + 1)}
    assert set(keys(accept(client, CELLS))) == want | {"lay-places"}
    a = accept(client, f"/v1/cells/16/{X}-{X + 15}/{Y}-{Y + 15}.json")
    assert a.status == 200
    want = {f"c11-{x >> 5}-{y >> 5}" for x in (X, X + 15)
            for y in (Y, Y + 15)}
    assert set(keys(a)) == want | {"lay-places"}
    # over the antimeridian: both sides
    a = accept(client, "/v1/places?bbox=179.999,0,-179.999,0.001")
    assert {k.split("-")[1] for k in keys(a)[:-1]} == {"16383", "0"}


def test_keys_of_nearby(client):
    """All that could come nearer than what is answered."""
    for radius, fewest in (100, 1), (1000, 4), (5000, 1):
        a = accept(client, "/v1/nearby?lng=126.978&lat=37.5665"
                   f"&radius={radius}")
        assert a.status == 200 and len(keys(a)) >= fewest + 1
        for dlon, dlat in (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1):
            c = cell(
                round((126.978 + dlon * radius / 88500) * 1e7),
                round((37.5665 + dlat * radius / 111300) * 1e7))
            x, y = c >> 16, c & 65535
            assert {f"c14-{x >> 2}-{y >> 2}", f"c11-{x >> 5}-{y >> 5}"} \
                & set(keys(a)), (radius, dlon, dlat)
        assert keys(a)[-1] == "lay-places"


def test_keys_of_ids(client, pg, redis):
    """An odd id has a key of plain bytes, its own."""
    a, b = accept(client, SLASH), accept(client, "/v1/places/node%2F2")
    assert a.status == 200 and b.status == 404
    one, two = keys(a)[0], keys(b)[0]
    assert re.fullmatch(r"p-~[0-9a-z]{13}", one)
    assert re.fullmatch(r"p-~[0-9a-z]{13}", two) and one != two


def test_link_to_the_canonical_view(client):
    """A box's answer is a part of its cells': canonical (RFC 6596), and
    never Content-Location, which would say it is the same."""
    a = accept(client, BOX)
    m = re.fullmatch(r'<(cells/16/\d+-\d+/\d+-\d+\.json)>; rel="canonical"',
                     a.headers["link"])
    b = accept(client, "/v1/" + m[1])
    assert b.status == 200
    assert set(a.ids()) <= set(b.ids()) and a.ids()
    for path in ROUTES:
        c = accept(client, path)
        assert "content-location" not in c.headers
        if path not in (BOX, BOX + "&level_max=0", BOX + "&limit=3"):
            assert "link" not in c.headers, path


def test_no_502_no_life(client):
    """Errors that carry a life are kept (cache-tests status-503-fresh)."""
    for method in "POST", "PUT", "DELETE", "PATCH":
        a = accept(client, CELLS, method=method)
        assert a.status == 405 and control(a) == NONE
        assert a.headers["allow"] == "GET, HEAD, OPTIONS"
        a = accept(client, CELLS, method=method, If_None_Match="*")
        assert a.status == 405
    for path in "/v1/places/none", "/v1/nothing", "/v1/places":
        a = accept(client, path, If_None_Match="*")
        assert a.status in (400, 404) and "etag" not in a.headers
        assert "vary" not in a.headers or a.status == 404


def test_preflight(client):
    for path, allow in (CELLS, "GET, HEAD, OPTIONS"), \
            ("/v1/contributions", "POST, OPTIONS"):
        a = accept(client, path, method="OPTIONS", Origin="https://a.example",
                   Access_Control_Request_Method="POST",
                   Access_Control_Request_Headers="idempotency-key")
        assert a.status == 204 and a.body == b"", a
        assert a.headers["allow"] == allow
        assert a.headers["access-control-allow-methods"] == allow
        assert a.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in a.headers
        assert a.headers["access-control-max-age"] == "86400"
        assert control(a) == NONE and "etag" not in a.headers
    assert "Idempotency-Key" in a.headers["access-control-allow-headers"]
    assert accept(client, "/v1/nothing", method="OPTIONS").status == 404


# -- states -------------------------------------------------------------------


def test_a_change_changes_the_etag(pg, redis):
    with Nginx(pg, redis) as server, server.client() as c:
        far = f"/v1/cells/16/{X + 5}-{X + 6}/{Y}-{Y}.json"
        paths = [BOX, CELLS, TILE, MVT, PLACE]
        before = {(p, g): accept(c, p, g).headers["etag"]
                  for p in paths + [far] for g in (None, "gzip")}
        pg.query("UPDATE scc.place SET name = name || '!' WHERE id = 'p-0'")

        def changed(p, g):
            a = accept(c, p, g, If_None_Match=before[p, g])
            return a if a.status == 200 else None

        for p in paths:
            for g in None, "gzip":
                a = wait_until(lambda: changed(p, g), 30, f"{p} to change")
                assert a.headers["etag"] != before[p, g]
                if p != MVT:
                    assert "이름 0!".encode() in plain(a)
        for g in None, "gzip":
            assert accept(c, far, g,
                          If_None_Match=before[far, g]).status == 304
        pg.query("UPDATE scc.place SET name = '이름 0' WHERE id = 'p-0'")


def test_two_nginx_say_the_same(nginx, pg, redis):
    """Validators and bytes do not depend on who answers, or from where."""
    with Nginx(pg, None) as other, nginx.client() as a, other.client() as b:
        for path in ROUTES:
            for coding in None, "gzip":
                def both():
                    one, two = accept(a, path, coding), \
                        accept(b, path, coding)
                    if path == META:            # it names the port
                        return one
                    return one if (one.headers["etag"], one.body) == \
                        (two.headers["etag"], two.body) else None
                wait_until(both, 30, f"{path} to be the same")


def test_stale_says_so_and_lives_short(pg, redis):
    """An old copy is 200 for two seconds, with its own validator."""
    with Nginx(pg, redis) as server, server.client() as c:
        etag = settled(server, CELLS).headers["etag"]
        settled(server, PLACE)
        pg.kill()
        try:
            for path in CELLS, PLACE:
                def old():
                    a = accept(c, path)
                    assert a.status == 200, a
                    return a if "ttl=-" in a.headers["cache-status"] else None
                a = wait_until(old, 30, "an old copy")
                assert control(a) == STALE, a
                b = accept(c, path, If_None_Match=a.headers["etag"])
                assert b.status == 304 and control(b) == STALE
                assert "ttl=-" in b.headers["cache-status"]
            assert accept(c, CELLS).headers["etag"] == etag
            # what nobody has is 503, and kept by nobody
            for path in EMPTY.replace("1-2", "3-4"), "/v1/places/none2", \
                    WIDE:
                a = accept(c, path, If_None_Match="*")
                assert a.status == 503 and control(a) == NONE, a
                assert a.headers["retry-after"] and "etag" not in a.headers
                assert not keys(a)
        finally:
            pg.start()


def test_small_bodies_have_no_coding(client):
    a = accept(client, EMPTY, "gzip")
    assert "content-encoding" not in a.headers
    assert ETAG.fullmatch(a.headers["etag"])[1] == "i"
    assert a.headers["vary"] == "Accept-Encoding"


def test_joined_answers_are_gzip_for_all(client, tmp_path):
    """By zcat, zlib in pieces, and Python; dense and sparse cells."""
    for path in CELLS, BOX, TILE:
        want = accept(client, path).body
        a = accept(client, path, "gzip")
        assert len(a.body) < len(want) / 3
        assert gzip.decompress(a.body) == want
        d = zlib.decompressobj(31)
        out = b"".join(d.decompress(a.body[i:i + 7])
                       for i in range(0, len(a.body), 7))
        assert out == want and d.eof and not d.unused_data
        p = subprocess.run(["zcat"], input=a.body, capture_output=True)
        assert p.returncode == 0 and p.stdout == want, p.stderr


# -- directives ---------------------------------------------------------------


def test_directives(pg, redis):
    with Nginx(pg, redis, location="""
            scc_cache_control tile max_age=7 swr=0 sie=1h cdn_max_age=0;
            scc_cache_control meta off;
            scc_cache_control missing cdn_max_age=1m;""",
            http="scc_cache_control place max_age=15;") as n:
        a = n.get(CELLS)
        assert control(a) == ("public, max-age=7, stale-if-error=3600",
                              "no-store")
        a = n.get(META)
        assert control(a) == (None, None) and "etag" in a.headers
        assert control(n.get("/v1/places/none")) == ("no-cache",
                                                     "max-age=60")
        assert control(n.get(PLACE)) == ("public, max-age=15",
                                         PLACE_CONTROL[1])
        assert control(n.get(WIDE)) == AGG_CONTROL


def test_gzip_off_leaves_it_to_nginx(pg, redis):
    with Nginx(pg, redis, http="gzip on; gzip_types *; gzip_vary on;",
               location="scc_gzip off;") as n:
        a = n.get(CELLS, {"Accept-Encoding": "gzip"})
        assert a.headers["content-encoding"] == "gzip"
        etag = a.headers["etag"]
        assert etag.startswith('W/"')           # its filter says so
        b = n.get(CELLS, {"Accept-Encoding": "gzip", "If-None-Match": etag})
        assert b.status == 304


def test_old_clients_and_proxies(nginx):
    def ask(version, *lines):
        import socket
        with socket.create_connection(("127.0.0.1", nginx.port), 10) as s:
            s.sendall("\r\n".join([f"GET {CELLS} HTTP/{version}", "Host: a",
                                   "Connection: close", *lines, "",
                                   ""]).encode())
            data = b""
            while d := s.recv(65536):
                data += d
        return data.split(b"\r\n\r\n")[0].lower()
    assert b"content-encoding" not in ask("1.0", "Accept-Encoding: gzip")
    assert b"content-encoding: gzip" in ask(
        "1.1", "Accept-Encoding: gzip", "Via: 1.1 edge")


@pytest.mark.parametrize("size", ["0", "20k"])
def test_answers_kept_are_right(pg, redis, size):
    """With no memory for finished answers, and with hardly any."""
    with Nginx(pg, redis, scc={"scc_answer_cache": size}) as n, \
            n.client() as c:
        settled(n, CELLS)
        for _ in range(3):
            for path in (CELLS, BOX, TILE, MVT, PLACE, BOX + "&limit=3",
                         BOX + "&registered=false"):
                a = accept(c, path, "gzip")
                assert plain(a) == accept(c, path).body
