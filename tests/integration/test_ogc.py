"""The /ogc facade: OGC API Features 1.0 (core, geojson, oas30) and Tiles.

What OGC's own test suite (ets-ogcapi-features10) asserts, and GDAL.
"""

import json
import math
import re
import shutil
import subprocess
from urllib.parse import quote, urlencode, urlsplit

import jsonschema
import pytest

from places import cell_x, cell_y
from servers import Nginx, Postgres, Redis, wait_until

LICENSE = "https://example.org/license"
PAGE, MOST = 100, 1000

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
CONF = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
ITEMS = "/ogc/collections/places/items"

ODD = ["node/21497293", "한글/아이디", "a b+c", "?q#", "..", "%41", "🦽"]


@pytest.fixture(scope="module")
def pg(sample_store):
    with Postgres(template=sample_store) as server:
        for i, ident in enumerate(ODD):
            server.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7) "
                         "VALUES (%s, %s, %s, 375665000)",
                         (ident, "odd \"name\"\n", 1269780000 + i))
        server.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7, "
                     "is_closed) VALUES ('closed', 'x', 1, 1, true)")
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(pg, redis):
    with Nginx(pg, redis, server="""
        location /ogc/ {
            scc_ogc;
            scc_limit %d %d;
            scc_license %s;
            scc_attribution "© \\"a\\"";
            scc_bounds 124,33,132,39;
        }
        location /other/ {
            scc_ogc;
            scc_base_url https://map.example.org/features;
        }""" % (PAGE, MOST, LICENSE)) as server:
        yield server


@pytest.fixture
def client(nginx):
    with nginx.client() as c:
        yield c


@pytest.fixture(scope="module")
def total(pg):
    return pg.query("SELECT count(*) FROM scc.place "
                    "WHERE NOT is_closed")[0][0]


def local(href):
    """Path and query of an absolute link."""
    u = urlsplit(href)
    assert u.scheme == "http" and u.netloc, href
    return u.path + ("?" + u.query if u.query else "")


def link(doc, rel, kind=None):
    found = [x for x in doc["links"] if x["rel"] == rel]
    assert len(found) == 1, (rel, doc["links"])
    if kind:
        assert found[0]["type"] == kind
    return found[0]


def get(client, path, kind="application/json"):
    a = client.get(path)
    assert a.status == 200, a
    assert a.headers["content-type"] == kind, a
    assert a.headers["access-control-allow-origin"] == "*"
    return a.json()


def items(client, **args):
    doc = get(client, ITEMS + ("?" + urlencode(args) if args else ""),
              "application/geo+json")
    assert doc["type"] == "FeatureCollection"
    assert doc["numberReturned"] == len(doc["features"])
    assert "timeStamp" not in doc
    link(doc, "self", "application/geo+json")
    return doc


def refused(a, parameter, status=400):
    assert a.status == status, a
    assert a.headers["content-type"] == "application/problem+json"
    assert a.json().get("parameter") == parameter


# -- documents ---------------------------------------------------------------


def test_landing_page(client):
    doc = get(client, "/ogc/")
    for rel, kind in [("self", "application/json"), ("service-desc", OPENAPI),
                      ("conformance", "application/json"),
                      ("data", "application/json"),
                      ("http://www.opengis.net/def/rel/ogc/1.0/"
                       "tilesets-vector", "application/json")]:
        get(client, local(link(doc, rel, kind)["href"]), kind)
    assert link(doc, "license")["href"] == LICENSE
    assert doc["attribution"] == '© "a"'


def test_conformance(client):
    doc = get(client, "/ogc/conformance")
    assert {CONF + "core", CONF + "geojson", CONF + "oas30"} \
        <= set(doc["conformsTo"])
    assert CONF + "html" not in doc["conformsTo"]


def test_collections(client):
    doc = get(client, "/ogc/collections")
    link(doc, "self", "application/json")
    (one,) = doc["collections"]
    assert one["id"] == "places" and one.get("itemType") == "feature"
    assert one["crs"][0] == CRS84
    assert one["extent"]["spatial"]["bbox"] == [[124, 33, 132, 39]]
    assert local(link(one, "items", "application/geo+json")["href"]) == ITEMS

    alone = get(client, "/ogc/collections/places")
    assert alone == one
    assert local(link(alone, "self")["href"]) == "/ogc/collections/places"
    assert client.get("/ogc/collections/none").status == 404
    assert client.get("/ogc/collections/none/items").status == 404


def test_only_f_is_a_parameter(client):
    for path in ("/ogc/", "/ogc/api", "/ogc/conformance", "/ogc/collections",
                 "/ogc/collections/places", "/ogc/tiles",
                 "/ogc/tiles/WebMercatorQuad", ITEMS + "/a%20b%2Bc", ITEMS):
        plain = client.get(path)
        assert plain.status == 200, plain
        assert client.get(path + "?f=json").body == plain.body
        refused(client.get(path + "?f=html"), "f")
        refused(client.get(path + "?x=1"), "x")
        refused(client.get(path + "?f=json&f=json"), "f")
        assert client.get(path, method="HEAD").status == 200
        assert client.get(path, method="DELETE").status == 405


def test_paths(client):
    for path in ("/ogc/x", "/ogc/places", "/ogc/collections/",
                 "/ogc/collections/places/", "/ogc/contributions",
                 "/ogc/tiles/x", "/ogc/tiles/WebMercatorQuad/13",
                 "/ogc/tiles/WebMercatorQuad/13/1/2/3", "/ogc/export.json",
                 "/v1/collections", "/v1/conformance"):
        assert client.get(path).status == 404, path
    a = client.get("/ogc")
    assert a.status == 301 and a.headers["location"].endswith("/ogc/")


def test_base(client, nginx):
    """Links are absolute, and JSON whatever the Host says."""
    doc = client.get("/ogc/", {"Host": 'a"b:80'}).json()
    assert link(doc, "data")["href"] == 'http://a"b:80/ogc/collections'
    doc = client.get("/other/").json()
    assert link(doc, "data")["href"] \
        == "https://map.example.org/features/collections"
    doc = client.get("/other/collections/places/items?limit=1").json()
    assert link(doc, "next")["href"].startswith(
        "https://map.example.org/features/collections/places/items?limit=1&")
    a = client.get("/ogc/collections", {"Host": "h" * 2000})
    assert a.status == 400


# -- OpenAPI -----------------------------------------------------------------


def walk(node):
    yield node
    for child in (node.values() if isinstance(node, dict)
                  else node if isinstance(node, list) else ()):
        yield from walk(child)


def resolve(api, node):
    while isinstance(node, dict) and "$ref" in node:
        where = node["$ref"]
        assert where.startswith("#/"), where
        node = api
        for part in where[2:].split("/"):
            node = node[part]
    return node


def test_openapi(client):
    api = get(client, "/ogc/api", OPENAPI)
    assert re.fullmatch(r"3\.0\.\d", api["openapi"])
    assert api["info"]["title"] and api["info"]["version"]
    assert api["info"]["license"]["url"] == LICENSE
    assert api["servers"] == [{"url": "http://localhost/ogc"}]

    used = set()
    for node in walk(api):
        if isinstance(node, dict) and "$ref" in node:
            assert resolve(api, node) is not None and len(node) == 1
            used.add(node["$ref"])
    defined = {f"#/components/{kind}/{name}"
               for kind, parts in api["components"].items()
               for name in parts}
    assert used == defined

    assert set(api["paths"]) >= {
        "/", "/conformance", "/api", "/collections", "/collections/places",
        "/collections/places/items",
        "/collections/places/items/{featureId}"}
    names = []
    for path, item in api["paths"].items():
        assert set(item) == {"get"}
        op = item["get"]
        names.append(op["operationId"])
        params = [resolve(api, p) for p in op["parameters"]]
        assert {p["name"] for p in params if p["in"] == "path"} \
            == set(re.findall(r"{(\w+)}", path))
        assert all(p["required"] for p in params if p["in"] == "path")
        keys = [(p["name"], p["in"]) for p in params]
        assert len(keys) == len(set(keys))
        for status, answer in op["responses"].items():
            answer = resolve(api, answer)
            assert answer["description"] and (status == "default"
                                              or status == "200")
            for content in answer["content"].values():
                jsonschema.Draft4Validator.check_schema(content["schema"])
    assert len(names) == len(set(names))

    params = {p["name"]: p for p in (resolve(api, x) for x in api["paths"][
        "/collections/places/items"]["get"]["parameters"])}
    for name in ("limit", "bbox", "datetime"):
        p = params[name]
        assert (p["in"], p["required"], p["style"], p["explode"]) \
            == ("query", False, "form", False)
    limit = params["limit"]["schema"]
    assert limit == {"type": "integer", "minimum": 1, "maximum": MOST,
                     "default": PAGE}
    bbox = params["bbox"]["schema"]
    assert (bbox["type"], bbox["minItems"], bbox["maxItems"]) \
        == ("array", 4, 6)
    assert bbox["items"]["type"] == "number"
    assert params["datetime"]["schema"]["type"] == "string"


def test_answers_are_what_the_api_says(client):
    api = get(client, "/ogc/api", OPENAPI)

    def plain(node):
        """OpenAPI's nullable in JSON Schema's words."""
        node = resolve(api, node)
        if isinstance(node, list):
            return [plain(x) for x in node]
        if not isinstance(node, dict):
            return node
        out = {k: plain(v) for k, v in node.items()}
        if out.pop("nullable", False):
            out["type"] = [out["type"], "null"]
        return out

    for path, at in [("/", "/ogc/"), ("/conformance", "/ogc/conformance"),
                     ("/collections", "/ogc/collections"),
                     ("/collections/places", "/ogc/collections/places"),
                     ("/collections/places/items", ITEMS + "?limit=500"),
                     ("/collections/places/items/{featureId}",
                      ITEMS + "/a%20b%2Bc")]:
        content = api["paths"][path]["get"]["responses"]["200"]["content"]
        a = client.get(at)
        schema = content[a.headers["content-type"]]["schema"]
        jsonschema.Draft4Validator(plain(schema)).validate(a.json())


# -- items -------------------------------------------------------------------


def test_parameters(client, total):
    assert items(client)["numberReturned"] == PAGE
    assert items(client, limit=3)["numberReturned"] == 3
    assert items(client, limit=MOST * 9)["numberReturned"] == MOST

    for bad in ("unlimited", "0", "-1", "1.5", ""):
        refused(client.get(ITEMS + f"?limit={bad}"), "limit")
    for bad in ("1,2,3", "1,2,3,x", "1,2,3,4,5", "0,2,1,1", "1,2,3,4,5,6,7"):
        refused(client.get(ITEMS + f"?bbox={bad}"), "bbox")
    for bad in ("now", "2018-13-01", "2018-02-12T25:00:00Z", "../..", "/",
                "2018-02-12T23:20:50", "2018-02-12/2018-02-13/..", ""):
        refused(client.get(ITEMS + f"?datetime={bad}"), "datetime")
    refused(client.get(ITEMS + "?unknown=1"), "unknown")
    refused(client.get(ITEMS + "?limit=1&limit=1"), "limit")
    refused(client.get(ITEMS + "?cursor=x"), "cursor")
    refused(client.get(ITEMS + "?bbox-crs=" + quote(CRS84)), "bbox-crs")

    # places have no time: all of them are in every time
    for good in ("2018-02-12T23:20:50Z", "2018-02-12T00:00:00Z/..",
                 "../2018-03-18T12:31:12Z", "2018-02-12",
                 "2018-02-12T00:00:00Z/2018-03-18T12:31:12Z",
                 "/2018-03-18T12:31:12Z", "2018-02-12T23:20:50.1+09:00/"):
        assert items(client, datetime=good)["numberMatched"] == total


@pytest.mark.parametrize("bbox", [
    "-1.5,50.0,1.5,53.0", "-80,-5,-70,5", "177,65,-177,70",
    "-180,85,180,90", "-177,-65,177,-70", "5,45,10,55",
    "-180,-90,180,90"])
def test_boxes_of_the_suite(client, bbox):
    w, s, e, n = map(float, bbox.split(","))
    if s > n:
        refused(client.get(ITEMS + f"?bbox={bbox}"), "bbox")
        return
    flat = items(client, bbox=bbox)
    high = items(client, bbox=f"{w},{s},-100,{e},{n},9000")
    assert flat["features"] == high["features"]
    assert flat["numberMatched"] == high["numberMatched"]


def pages(client, path):
    """All pages by their next links; each tells itself and the total."""
    out = []
    while path:
        doc = get(client, path, "application/geo+json")
        again = get(client, local(link(doc, "self")["href"]),
                    "application/geo+json")
        assert again == doc
        assert local(link(doc, "collection")["href"]) \
            == "/ogc/collections/places"
        out.append(doc)
        following = [x for x in doc["links"] if x["rel"] == "next"]
        path = local(following[0]["href"]) if following else None
    return out


@pytest.mark.parametrize("query", [
    "limit=1000", "bbox=126.9,37.5,127.1,37.6&limit=400",
    "bbox=126.97,37.56,126.98,37.57&limit=7&level_max=5",
    "limit=1000&registered=true&has_slope=false"])
def test_pages_are_the_map_s(client, query):
    """The same places as /v1/places, each once, counted right."""
    got = pages(client, ITEMS + "?" + query)
    if "bbox" not in query:
        query += "&bbox=-180,-90,180,90"
    want, path = [], "/v1/places?" + query
    while path:
        a = client.get(path)
        want += a.json()["features"]
        path = a.next()
    assert [f for doc in got for f in doc["features"]] == want
    for doc in got:
        assert doc.get("numberMatched", len(want)) == len(want)
    size = int(re.search(r"limit=(\d+)", query)[1])
    assert len(got) == max(1, math.ceil(len(want) / size))


def test_all_of_it(client, pg, total):
    ids = [f["id"] for doc in pages(client, ITEMS + "?limit=900")
           for f in doc["features"]]
    assert sorted(ids) == sorted(r[0] for r in pg.query(
        "SELECT id FROM scc.place WHERE NOT is_closed"))
    assert items(client)["numberMatched"] == total == len(ids)


@pytest.mark.parametrize("ident", ODD)
def test_item(client, ident):
    a = client.get(ITEMS + "/" + quote(ident, safe=""))
    assert a.status == 200 and a.headers["content-type"] \
        == "application/geo+json"
    doc = a.json()
    assert doc["type"] == "Feature" and doc["id"] == ident
    me = link(doc, "self", "application/geo+json")
    assert client.get(local(me["href"])).body == a.body
    page = client.get("/v1/places/" + quote(ident, safe=""))
    for name in ("cache-control", "cdn-cache-control", "surrogate-control",
                 "surrogate-key"):
        assert a.headers[name] == page.headers[name]
    assert a.headers["surrogate-key"].startswith("p-")
    assert local(link(doc, "collection", "application/json")["href"]) \
        == "/ogc/collections/places"

    lon, lat = doc["geometry"]["coordinates"]
    (same,) = [f for f in items(client, limit=MOST, bbox=f"{lon},{lat},{lon},"
                                f"{lat}")["features"] if f["id"] == ident]
    del doc["links"]
    assert doc == same


def test_no_item(client):
    for ident in ("none", "closed", "x" * 64):
        a = client.get(ITEMS + "/" + ident)
        refused(a, None, 404)
        assert a.headers["cdn-cache-control"] == "max-age=10"
        assert a.headers["surrogate-key"] == f"p-{ident} lay-places"
    for ident in ("x" * 65, "%FF"):
        refused(client.get(ITEMS + "/" + ident), "id")


def test_silent_store(pg, redis, total):
    """No page and no item that is not there is said to be none."""
    with Nginx("host=/nonexistent user=u dbname=d",
               server="location /ogc/ { scc_ogc; }") as server:
        for path in (ITEMS, ITEMS + "?bbox=126,37,126.01,37.01",
                     ITEMS + "/x"):
            a = server.get(path)
            assert a.status == 503 and "retry-after" in a.headers
        assert server.get("/ogc/collections").status == 200


# -- tiles -------------------------------------------------------------------


def test_tiles(client):
    doc = get(client, "/ogc/tiles")
    (one,) = doc["tilesets"]
    assert one["dataType"] == "vector"
    whole = get(client, local(link(one, "self")["href"]))
    assert whole["tileMatrixSetURI"] == one["tileMatrixSetURI"] \
        == "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"
    item = link(whole, "item", "application/vnd.mapbox-vector-tile")
    assert item["templated"] is True

    x, y = cell_x(1269780000), cell_y(375665000)
    for limits in whole["tileMatrixSetLimits"]:
        z = int(limits["tileMatrix"])
        assert limits["maxTileRow"] == limits["maxTileCol"] == 2 ** z - 1
        assert limits["minTileRow"] == limits["minTileCol"] == 0
        col, row = x >> (16 - z), y >> (16 - z)
        path = item["href"].format(tileMatrix=z, tileRow=row, tileCol=col)
        # the helper counts for the low ones, once it has begun
        if z < 13:
            wait_until(lambda: client.get(local(path)).status == 200, 30,
                       "the numbers of places")
        a = client.get(local(path))
        assert a.status == 200 and a.headers["content-type"] \
            == "application/vnd.mapbox-vector-tile"
        assert a.body == client.get(f"/v1/tiles/{z}/{col}/{row}.mvt").body
        assert len(a.body) > 20

    tile = "/ogc/tiles/WebMercatorQuad/"
    for bad in ("13/8192/0", "13/0/8192", "17/0/0", "13/01/1"):
        assert client.get(tile + bad).status == 400, bad
    for bad in ("13/-1/0", "13/1/2.mvt", "x/1/2", "13/1/", "9" * 99):
        assert client.get(tile + bad).status == 404, bad


# -- GDAL --------------------------------------------------------------------


def gdal(*argv):
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not here: install gdal-bin")
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60, text=True)
    assert p.returncode == 0, p.stderr + p.stdout
    assert "ERROR" not in p.stderr and "Warning" not in p.stderr, p.stderr
    return p.stdout


@pytest.fixture
def asked(nginx):
    """How many requests came since the test began."""
    before = len(nginx.access())
    return lambda: len(nginx.access()) - before


def test_ogrinfo(nginx, total, asked):
    out = gdal("ogrinfo", "-so", f"OAPIF:{nginx.url}/ogc", "places")
    assert f"Feature Count: {total}\n" in out
    assert "Geometry: Point" in out
    assert "Extent: (124.000000, 33.000000) - (132.000000, 39.000000)" in out
    for field in ("name: String", "category: String", "level: Integer",
                  "registered: Integer(Boolean)"):
        assert field in out, out
    assert asked() <= 6


def test_ogr2ogr(nginx, client, pg, total, asked):
    out = gdal("ogr2ogr", "-f", "GeoJSON", "/vsistdout/",
               f"OAPIF:{nginx.url}/ogc", "places", "-oo",
               f"PAGE_SIZE={MOST}")
    got = {f["properties"].get("id", f.get("id")): f
           for f in json.loads(out)["features"]}
    assert len(got) == total
    assert asked() <= total / MOST + 6
    want = {f["id"]: f for doc in pages(client, ITEMS + f"?limit={MOST}")
            for f in doc["features"]}
    assert set(got) == set(want)
    for ident, f in want.items():
        assert got[ident]["properties"]["name"] == f["properties"]["name"]
        assert got[ident]["geometry"]["coordinates"] == pytest.approx(
            f["geometry"]["coordinates"], abs=1e-7)


def test_ogr2ogr_box(nginx, client, asked):
    out = gdal("ogr2ogr", "-f", "GeoJSON", "/vsistdout/",
               f"OAPIF:{nginx.url}/ogc", "places", "-oo",
               f"PAGE_SIZE={MOST}", "-spat", "126.95", "37.5", "127.05",
               "37.55")
    n = len(json.loads(out)["features"])
    assert asked() <= 6 + n / MOST
    assert n == items(client, bbox="126.95,37.5,127.05,37.55")[
        "numberMatched"] > 0


def test_ogrinfo_where(nginx, client, pg):
    (category, n), = pg.query(
        "SELECT category, count(*) FROM scc.place WHERE NOT is_closed AND "
        "category IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 1")
    before = len(nginx.access())
    out = gdal("ogrinfo", "-al", "-so", "-oo", f"PAGE_SIZE={MOST}",
               "-where", f"category = '{category}'",
               f"OAPIF:{nginx.url}/ogc", "places")
    assert f"Feature Count: {n}\n" in out
    # asked of the server, as the API says it can be
    assert any(f"category={category}" in x
               for x in nginx.access()[before:]), nginx.access()[before:]
