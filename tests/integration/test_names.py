"""Names as people wrote them reach the map unchanged, whatever is in them."""

import csv
import json
import re

import pytest

import places
from servers import Nginx, Postgres, Redis, need_data, sccctl
from test_oracle import pages

FILES = ["kr_places_A.csv.gz", "osm_pois_A.csv",
         "tokyo_accessible_toilets_A.csv"]

ODD = ["<b>&amp;'\"</b>", "쉼표, 있는 이름", "ＦＵＬＬ　ｗｉｄｔｈ", "漢字",
       "\ufffd\ufffd", "e\u0301 not NFC \u1112\u1161\u11ab",
       "TEXT(SUBTOTAL(103,A1),\"0\")", "=1+1", "\\\"\\n", "</script>",
       "\u2028\u2029\u200b\u202e", "🦽🛗", "x" * 512, "가" * 170,
       "two\nlines", "tab\there"]


@pytest.fixture(scope="module")
def pg(tmp_path_factory):
    files = [need_data(f) for f in FILES]
    odd = tmp_path_factory.mktemp("odd") / "odd.csv"
    with open(odd, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow("id name category lng lat address".split())
        for i, name in enumerate(ODD):
            w.writerow([f"odd-{i}", name, "odd", f"{-30 + i / 1000}", "10",
                        name])
    with Postgres(fsync=False) as server:
        sccctl("init", pg=server)
        for f in [*files, str(odd)]:
            sccctl("import", f, pg=server, check=False)
        yield server


@pytest.fixture(scope="module")
def nginx(pg):
    with Redis() as redis, Nginx(
            pg, redis, location="scc_limit 1000 50000;",
            scc={"scc_postgres_timeout": "20s",
                 "scc_lease_time": "30s"}) as n:
        yield n


def test_every_name_of_the_files(nginx, pg, figure):
    want = {p.id: [p.name, p.category or None, p.address or None]
            for f in FILES for p in places.read_csv(f)}
    with nginx.client() as c:
        path = "/v1/places?bbox=-180,-90,180,90&limit=50000"
        got = {}
        while path:
            a = c.get(path)
            for f in a.json()["features"]:
                p = f["properties"]
                got[f["id"]] = [p["name"], p["category"], p["address"]]
            path = a.next()
    missing = [k for k in want if k not in got]
    wrong = [(k, got[k], v) for k, v in want.items()
             if k in got and got[k] != v]
    assert not missing, (len(missing), missing[:10])
    assert not wrong, (len(wrong), wrong[:10])
    figure("names", f"{len(want)} names, categories and addresses exact")


def test_odd_names_from_redis(nginx):
    """The same through cells, filled and then from the cache."""
    for _ in range(3):
        with nginx.client() as c:
            ids, _ = pages(c, "/v1/places?bbox=-30.001,9.99,-29.9,10.01")
            doc = c.get("/v1/places?bbox=-30.001,9.99,-29.9,10.01").json()
    got = {f["id"]: f["properties"] for f in doc["features"]}
    assert set(ids) == set(got)
    for i, name in enumerate(ODD):
        p = got.pop(f"odd-{i}")
        assert p["name"] == name
        if len(name.encode()) <= 512:
            assert p["address"] == name
    assert not got


def test_json_is_for_everybody(nginx):
    """UTF-8 as it is, controls escaped, nothing else needed."""
    a = nginx.get("/v1/places?bbox=-30.001,9.99,-29.9,10.01")
    text = a.body.decode("utf-8")
    assert "漢字" in text and "🦽" in text
    assert not re.search(r"[\x00-\x1f]", text.replace("\n", "", 1)) \
        or json.loads(text)
    assert "\n" not in text.rstrip("\n")
