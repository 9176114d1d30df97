"""Tiles as other people's code sees them: @mapbox/vector-tile reads what
the strict reader reads, MapLibre GL draws it in a headless Chromium.

Opt-in, "make test-clients": npm brings the clients to the build directory,
nothing of them is kept in the tree.
"""

import base64
import json
import os
import random
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import mvt                                                    # noqa: E402
from places import cell_x, cell_y                             # noqa: E402
from servers import (BUILD, Nginx, Postgres, Redis, sccctl,   # noqa: E402
                     wait_until)
from store import load_sample                                 # noqa: E402

SEED = 20230501
CLIENTS = os.path.join(BUILD, "clients")
COLORS = {0: "06903a", 1: "85cf3a", 2: "ffc109", 3: "ff9202", 4: "ff5722",
          5: "e52123", None: "9a9b9f"}


def need(path, cure):
    if not (os.path.exists(path) if os.sep in path else shutil.which(path)):
        pytest.skip(f"{path} is not there: {cure}", allow_module_level=True)


need("node", "install nodejs and npm")
need(os.path.join(CLIENTS, "node_modules", "@mapbox", "vector-tile"),
     "run make test-clients where the npm registry can be reached")

pytestmark = pytest.mark.filterwarnings("ignore")


def node(script, *args, data):
    """Runs a script of this folder beside the packages."""
    copy = shutil.copy(os.path.join(HERE, script), CLIENTS)
    out = subprocess.run(["node", copy, *args], input=json.dumps(data),
                         capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.fixture(scope="module")
def nginx():
    static = os.path.join(CLIENTS, "page")
    os.makedirs(static, exist_ok=True)
    shutil.copy(os.path.join(HERE, "map.html"), static)
    dist = os.path.join(CLIENTS, "node_modules", "maplibre-gl", "dist")
    with Postgres() as pg, Redis() as redis:
        sccctl("init", pg=pg)
        load_sample(pg, 4000, 99)
        with Nginx(pg, redis, scc={"scc_rollup_interval": "100ms"},
                   server=f"""
                location /page/ {{
                    types {{ text/html html; text/css css;
                             text/javascript js mjs;
                             application/json map; }}
                    alias {static}/;
                    try_files $uri @dist;
                }}
                location @dist {{
                    types {{ text/css css; text/javascript js mjs; }}
                    rewrite ^/page/(.*)$ /$1 break;
                    root {dist};
                }}""") as server:
            server.places = [
                (r[0], r[1] / 1e7, r[2] / 1e7, r[3]) for r in pg.query(
                    "SELECT id, lon_e7, lat_e7, level FROM scc.place "
                    "WHERE NOT is_closed ORDER BY id")]
            wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status
                       == 200)
            yield server


def test_vector_tile(nginx, figure):
    rng = random.Random(SEED)
    bodies, want = [], []
    for z in range(5, 17):
        held = {(cell_x(round(p[1] * 1e7), z), cell_y(round(p[2] * 1e7), z))
                for p in rng.sample(nginx.places, 40)} | {(0, 0)}
        for x, y in sorted(held):
            a = nginx.get(f"/v1/tiles/{z}/{x}/{y}.mvt")
            assert a.status == 200
            name = "places" if z > 12 else "aggregates"
            bodies.append(base64.b64encode(a.body).decode())
            want.append({name: [
                [f.id, *f.geometry[0][0],
                 {k: v[1] for k, v in f.tags.items()}]
                for f in mvt.points(a.body, name)]})
    got = node("read.mjs", data=bodies)
    # a layer without features is none to this reader
    assert got == [w if any(w.values()) else {} for w in want]
    figure("@mapbox/vector-tile", f"{len(bodies)} tiles, "
           f"{sum(len(v) for w in want for v in w.values())} features")


def busiest(places):
    """A place with many others around it."""
    def near(p):
        return sum(abs(q[1] - p[1]) < 0.004 and abs(q[2] - p[2]) < 0.003
                   for q in places)
    return max(places[::7], key=near)


def test_maplibre(nginx, figure):
    need("chromium", "install chromium")
    places = nginx.places
    mid = busiest(places)
    views = []
    for zoom in (6, 10.5, 13.2, 15.5, 17.3):
        span = 540 / 512 * 360 / 2 ** zoom
        # places that no other one covers
        points = [p for p in places if abs(p[1] - mid[1]) < span / 2
                  and abs(p[2] - mid[2]) < span / 3]
        gap = 16 / 512 * 360 / 2 ** zoom
        points = [p for p in points if not any(
            q[0] != p[0] and abs(q[1] - p[1]) < gap
            and abs(q[2] - p[2]) < gap for q in places)]
        views.append({
            "url": f"{nginx.url}/page/map.html?lng={mid[1]}&lat={mid[2]}"
                   f"&zoom={zoom}",
            "png": os.path.join(CLIENTS, f"map-{zoom}.png"),
            "points": points if zoom > 13 else [], "zoom": zoom,
        })
    seen = node("draw.mjs", shutil.which("chromium"), data=views)
    drawn = 0
    for view, s in zip(views, seen):
        assert s["faults"] == [], (view["url"], s["faults"])
        low = view["zoom"] < 13
        kind, other = (("aggregates", "places") if low
                       else ("places", "aggregates"))
        assert s["features"][kind] and not s["features"][other], view
        for (r, g, b, ids), (place, _, _, level) in zip(s["points"],
                                                        view["points"]):
            assert place in ids, (view, place, ids)
            want = bytes.fromhex(COLORS[level])
            assert all(abs(x - y) < 8 for x, y in zip((r, g, b), want)), (
                view["png"], place, level, (r, g, b))
            drawn += 1
    levels = {p[3] for v in views for p in v["points"]}
    assert None in levels and len(levels) > 3 and drawn > 30
    figure("MapLibre GL", f"{drawn} places drawn in the colour of their "
           f"level, {len(views)} views: {CLIENTS}/map-*.png")
