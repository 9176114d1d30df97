"""A hot tile beside a static file of the same bytes, in the same nginx.

One nginx worker; both are asked by wrk in turn, A B A B, so that what
disturbs the machine disturbs both.  By hand: make bench-tiles.
"""

import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import mvt                                                    # noqa: E402
from bench_view import (load_store, measure, median, spread,  # noqa: E402
                        wait_hit)
from places import cell_x, cell_y                             # noqa: E402
from servers import Nginx, Postgres, Redis, wait_until        # noqa: E402

TILES = 60


def choose(rows, z):
    """Tiles as users see them: where the places are."""
    rng = random.Random(z)
    found = {}
    for lon, lat in rng.sample(rows, min(len(rows), 40 * TILES)):
        found[(cell_x(lon, z), cell_y(lat, z))] = 1
        if len(found) == TILES:
            break
    return [(z, x, y) for x, y in found]


def tile_table(seconds=2, rounds=5, say=print, zooms=(12, 13, 14, 15, 16)):
    """Markdown lines."""
    lines = []
    with Postgres(fsync=False) as pg, Redis() as cache:
        say("loading")
        data = load_store(pg)
        rows = pg.query("SELECT lon_e7, lat_e7 FROM scc.place")
        with Nginx(pg, cache, http="keepalive_requests 100000000;",
                   scc={"scc_aggregates_valid": "1h",
                        "scc_zone": "scc:256m"}) as server:
            root = os.path.join(server.dir, "static")
            os.mkdir(root)
            server.write(SERVER="access_log off; location /static/ { "
                         "types { application/vnd.mapbox-vector-tile mvt; } "
                         f"root {server.dir}; open_file_cache max=1000; "
                         "etag off; }")
            server.reload()
            wait_until(lambda: server.get("/v1/tiles/5/0/0.mvt").status
                       == 200, 60)
            lines += [
                f"{len(rows):,} places of {data}; {TILES} tiles per row, one "
                f"nginx worker, wrk, {rounds} rounds of {seconds} s in turn; "
                "median (lowest-highest).", "",
                "| z | features | KB | tile, req/s | static file, req/s | "
                "ratio | p50, p99 ms: tile | static |",
                "|---|---|---|---|---|---|---|---|"]
            for z in zooms:
                tiles = choose(rows, z)
                name = "places" if z > 12 else "aggregates"
                features = size = 0
                files = {k: os.path.join(server.dir, k)
                         for k in ("tiles", "files")}
                with open(files["tiles"], "w") as a, \
                        open(files["files"], "w") as b, \
                        server.client() as c:
                    for t in tiles:
                        path = "/v1/tiles/{}/{}/{}.mvt".format(*t)
                        body = wait_hit(c, path).body
                        features += len(mvt.points(body, name))
                        size += len(body)
                        copy = "{}-{}-{}.mvt".format(*t)
                        with open(os.path.join(root, copy), "wb") as f:
                            f.write(body)
                        os.chmod(os.path.join(root, copy), 0o644)
                        assert c.get("/static/" + copy).body == body
                        a.write(path + "\n")
                        b.write(f"/static/{copy}\n")
                mine, file = [], []
                for i in range(rounds):
                    mine.append(measure(server, cache, files["tiles"],
                                        seconds))
                    file.append(measure(server, cache, files["files"],
                                        seconds))
                ratio = median(mine, "rps") / median(file, "rps")
                say(f"z {z}: {features / len(tiles):.0f} features, "
                    f"{size / len(tiles) / 1024:.1f} KB, {ratio:.2f}")
                lines.append(
                    f"| {z} | {features / len(tiles):.0f} | "
                    f"{size / len(tiles) / 1024:.1f} | "
                    f"{spread(mine, 'rps')} | {spread(file, 'rps')} | "
                    f"**{ratio:.2f}×** | "
                    f"{median(mine, 'p50') / 1000:.2f}, "
                    f"{median(mine, 'p99') / 1000:.2f} | "
                    f"{median(file, 'p50') / 1000:.2f}, "
                    f"{median(file, 'p99') / 1000:.2f} |")
    return lines


if __name__ == "__main__":
    print("\n".join(tile_table(*map(int, sys.argv[1:]))))
