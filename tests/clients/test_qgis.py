"""QGIS, as it is, against the OGC facade: its provider for OGC API Features
reads a box's places, and draws them where they are.

Opt-in, "make test-clients", with Debian's python3-qgis and qgis-providers.
"""

import json
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from servers import (BUILD, Nginx, Postgres, Redis, new_dir,  # noqa: E402
                     sccctl)
from store import load_sample                                 # noqa: E402

PYTHON = "/usr/bin/python3"
PICTURE = os.path.join(BUILD, "clients", "qgis.png")
SOUTH_WEST, SIDE = (126.9, 37.5), .12


def qgis(*args):
    home = new_dir("qgis")
    env = dict(os.environ, QT_QPA_PLATFORM="offscreen", HOME=home,
               XDG_RUNTIME_DIR=home)
    out = subprocess.run([PYTHON, os.path.join(HERE, "qgis_read.py"),
                          *map(str, args)], capture_output=True, text=True,
                         timeout=240, env=env)
    lines = [x for x in out.stdout.splitlines() if x.startswith("{")]
    assert lines, out.stdout[-2000:] + out.stderr[-4000:]
    return json.loads(lines[-1])


@pytest.fixture(scope="module")
def read():
    if subprocess.run([PYTHON, "-c", "import qgis.core"],
                      capture_output=True).returncode != 0:
        pytest.skip("QGIS is not there: apt-get install python3-qgis "
                    "qgis-providers")
    os.makedirs(os.path.dirname(PICTURE), exist_ok=True)
    w, s = SOUTH_WEST
    with Postgres() as pg, Redis() as redis:
        sccctl("init", pg=pg)
        load_sample(pg, 4000, 99)
        with Nginx(pg, redis, server="""
                location /ogc/ {
                    scc_ogc;
                    scc_limit 100 1000;
                    scc_bounds 124,33,132,39;
                }""") as nginx:
            answer = qgis(f"{nginx.url}/ogc/", w, s, w + SIDE, s + SIDE,
                          PICTURE)
            want = {r[0]: [r[1], r[2] / 1e7, r[3] / 1e7] for r in pg.query(
                "SELECT id, name, lon_e7, lat_e7 FROM scc.place WHERE NOT "
                "is_closed AND lon_e7 BETWEEN %s AND %s AND lat_e7 BETWEEN "
                "%s AND %s", [round(v * 1e7) for v in (w, w + SIDE, s,
                                                       s + SIDE)])}
            asked = [x for x in nginx.access() if "/ogc/" in x]
    return answer, want, asked


def test_layer(read):
    answer, _, _ = read
    assert answer["valid"], answer["error"]
    assert {"name", "level", "registered"} <= set(answer["fields"])
    assert answer["crs"] in ("OGC:CRS84", "EPSG:4326")


def test_features_of_a_box(read):
    answer, want, asked = read
    assert len(want) > 100              # more than a page
    assert answer["features"] == want
    assert any("/items?" in x and "bbox=" in x for x in asked), asked


def test_picture(read):
    """Each place is a dot where it is."""
    answer, want, _ = read
    assert len(answer["drawn"]) > len(want) * .9
    assert set(answer["drawn"].values()) == {"#e52123"}
