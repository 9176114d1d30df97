"""A view from Redis, against nginx with Lua doing GEOSEARCH and HMGET.

The same places, the same views, the same features; each side has a Redis
of its own on a unix socket and one nginx worker, and is asked by wrk in
turn, A B A B, so that what disturbs the machine disturbs both.
"""

import json
import os
import random
import statistics

from servers import (DATA, Nginx, Postgres, Redis, cpu_seconds, run,
                     sccctl, wait_until)
from store import COLUMNS, feature

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = "/usr/lib/nginx/modules"
REAL = "kr_places_A.csv.gz"
CONNECTIONS = 8
GROUPS = [(60, 50, 70), (600, 540, 660)]
LEAST = {60: 8.0, 600: 30.0}
VIEWS = 100

LUA_CONF = """\
@MAIN@
worker_processes  1;
pid               @DIR@/nginx.pid;
error_log         @DIR@/error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    lua_package_path "/usr/share/lua/5.1/?.lua;;";
    keepalive_requests 100000000;
    server {
        listen 127.0.0.1:@PORT@;
        set $geo_socket @SOCKET@;
        location /v1/ {
            set $geo_ready 0;
            content_by_lua_file @HERE@/geo.lua;
        }
        location /ready/ {
            set $geo_ready 1;
            content_by_lua_file @HERE@/geo.lua;
        }
    }
}
"""


class LuaNginx(Nginx):
    def __init__(self, redis):
        super().__init__(module=f"{MODULES}/ndk_http_module.so",
                         load=[f"{MODULES}/ngx_http_lua_module.so"],
                         template=LUA_CONF)
        self.write(SOCKET=redis.sock, HERE=HERE)


def load_store(pg):
    sccctl("init", pg=pg)
    path = os.path.join(DATA, REAL)
    if os.path.exists(path):
        sccctl("import", path, pg=pg)
        return f"{REAL} (real)"
    made = os.path.join(pg.dir, "sample.csv")
    with open(made, "w") as f:
        f.write(sccctl("sample", "--places", 70000, "--seed", 1).stdout)
    sccctl("import", made, pg=pg)
    return "sccctl sample --places 70000 --seed 1"


def read_features(pg):
    c = pg.connect()
    with c, c.cursor() as cur:
        cur.execute(COLUMNS + " ORDER BY p.cell, p.id")
        rows = [(r, feature(r)) for r in cur.fetchall()]
    c.close()
    return rows


def decimal(n):
    sign = "-" if n < 0 else ""
    text = f"{abs(n) // 10**7}.{abs(n) % 10**7:07}".rstrip("0").rstrip(".")
    return sign + text


def fill_geo(redis, rows):
    """A geo index and a hash per place, as such services keep them."""
    def text(v):
        return {None: "", True: "true", False: "false"}.get(v, v)

    pipe = redis.r.pipeline(transaction=False)
    for i, (r, f) in enumerate(rows):
        ident, lon, lat, p = f["id"], decimal(r[2]), decimal(r[3]), \
            f["properties"]
        pipe.execute_command("GEOADD", "geo", lon, lat, ident)
        pipe.hset("p:" + ident, mapping={
            "lon": lon, "lat": lat, "name": p["name"],
            "category": text(p["category"]), "address": text(p["address"]),
            "level": text(p["level"]), "registered": text(p["registered"]),
            "stair": text(p["stairInfo"]),
            "height": text(p["stairHeightLevel"]),
            "slope": text(p["hasSlope"]), "first": text(p["isFirstFloor"]),
            "b_registered": text(p["buildingRegistered"]),
            "b_entrance": text(p["buildingEntranceStairInfo"]),
            "b_slope": text(p["buildingHasSlope"]),
            "b_elevator": text(p["buildingHasElevator"]),
            "b_elevator_stair": text(p["buildingElevatorStairInfo"])})
        pipe.hset("r:" + ident, mapping={
            "lon": lon, "lat": lat,
            "json": json.dumps(f, ensure_ascii=False,
                               separators=(",", ":"))})
        if i % 2000 == 1999:
            pipe.execute()
    pipe.execute()


def choose_views(pg, rows, low, high):
    """Views of a phone with so many features, near places."""
    rng = random.Random(high)
    found = []
    c = pg.connect()
    with c, c.cursor() as cur:
        for _ in range(60):
            boxes = []
            for _ in range(200):
                r = rng.choice(rows)[0]
                z = rng.uniform(13.2, 17)
                width = 360 * 360 / (512 * 2 ** z)
                height = width * 640 / 360 * .79
                lon, lat = r[2] / 1e7, r[3] / 1e7
                boxes.append((lon - width * rng.uniform(.2, .8),
                              lat - height * rng.uniform(.2, .8),
                              width, height))
            cur.execute(
                "SELECT v.w, v.s, v.w + v.x, v.s + v.y FROM "
                "unnest(%s::float8[], %s::float8[], %s::float8[], "
                "%s::float8[]) v(w, s, x, y), LATERAL (SELECT count(*) n "
                "FROM scc.place p WHERE p.geom && ST_MakeEnvelope(v.w, v.s,"
                " v.w + v.x, v.s + v.y, 4326)) k "
                "WHERE k.n BETWEEN %s AND %s",
                [list(x) for x in zip(*boxes)] + [low, high])
            found += [",".join(f"{v:.7f}" for v in row)
                      for row in cur.fetchall()]
            if len(found) >= VIEWS:
                break
    c.close()
    return found[:VIEWS]


def same_answers(scc, lua, views):
    """Both sides answer the same features; the mean number of them."""
    total = size = 0
    with scc.client() as a, lua.client() as b:
        for box in views:
            query = f"places?bbox={box}"
            mine = wait_hit(a, "/v1/" + query)
            features = {f["id"]: f for f in mine.json()["features"]}
            for prefix in "/v1/", "/ready/":
                other = b.get(prefix + query)
                assert other.status == 200, other
                assert features == {f["id"]: f for f in
                                    other.json()["features"]}, box
            total += len(features)
            size += len(mine.body)
    return total / len(views), size / len(views)


def wait_hit(client, path):
    def hit():
        a = client.get(path)
        assert a.status == 200, a
        return a if "hit" in a.headers["cache-status"] else None
    return wait_until(hit, 10, f"{path} to be cached")


def measure(nginx, redis, path_file, seconds):
    """Requests per second, and Redis CPU microseconds per request."""
    before = cpu_seconds(redis.pid)
    out = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s",
               os.path.join(HERE, "load.lua"), nginx.url, "--", path_file],
              timeout=seconds + 60).stdout
    cpu = cpu_seconds(redis.pid) - before
    line = next(x for x in out.splitlines() if x.startswith("RESULT "))
    r = json.loads(line[7:])
    assert r["errors"] == 0, out
    return {"rps": r["requests"] / r["microseconds"] * 1e6,
            "cpu": cpu / r["requests"] * 1e6, "p50": r["p50"],
            "p99": r["p99"]}


def median(rounds, key):
    return statistics.median(x[key] for x in rounds)


def spread(rounds, key):
    v = sorted(x[key] for x in rounds)
    return f"{median(rounds, key):,.0f} ({v[0]:,.0f}-{v[-1]:,.0f})"


def view_table(seconds=3, rounds=5, say=print):
    """Runs it all; returns (Markdown lines, whether the least was met)."""
    lines, met = [], True
    with Postgres(fsync=False) as pg, Redis() as cache, Redis() as geo:
        say("loading")
        data = load_store(pg)
        rows = read_features(pg)
        fill_geo(geo, rows)
        with Nginx(pg, cache, http="keepalive_requests 100000000;") as scc, \
                LuaNginx(geo) as lua:
            scc.write(SERVER="access_log off;")
            scc.reload()
            lines += [
                f"{len(rows):,} places of {data}; {VIEWS} views of a phone "
                "per row; one nginx worker each, wrk with "
                f"{CONNECTIONS} connections, {rounds} rounds of {seconds} s "
                "in turn; median (lowest-highest).", "",
                "| features | KB | ngx_scc_module, req/s | Lua, req/s | "
                "ratio | Lua with ready JSON, req/s | ratio | Redis CPU "
                "per request: module, Lua | ratio |",
                "|---|---|---|---|---|---|---|---|---|"]
            for about, low, high in GROUPS:
                views = choose_views(pg, rows, low, high)
                assert len(views) >= 20, f"only {len(views)} views"
                mean, size = same_answers(scc, lua, views)
                say(f"{len(views)} views of {mean:.0f} features on average, "
                    "answers equal")
                files = {}
                for name, prefix in ("scc", "/v1/"), ("ready", "/ready/"):
                    files[name] = os.path.join(scc.dir, name)
                    with open(files[name], "w") as f:
                        f.writelines(f"{prefix}places?bbox={b}\n"
                                     for b in views)
                a, b, c = [], [], []
                for i in range(rounds):
                    a.append(measure(scc, cache, files["scc"], seconds))
                    b.append(measure(lua, geo, files["scc"], seconds))
                    c.append(measure(lua, geo, files["ready"], seconds))
                    say(f"  round {i + 1}: {a[-1]['rps']:,.0f} / "
                        f"{b[-1]['rps']:,.0f} / {c[-1]['rps']:,.0f} req/s")
                ratio = median(a, "rps") / median(b, "rps")
                ready = median(a, "rps") / median(c, "rps")
                cpu = median(b, "cpu") / median(a, "cpu")
                lines.append(
                    f"| {mean:.0f} | {size / 1024:.0f} | "
                    f"{spread(a, 'rps')} | {spread(b, 'rps')} | "
                    f"**{ratio:.1f}×** (≥ {LEAST[about]:.0f}×) | "
                    f"{spread(c, 'rps')} | {ready:.1f}× | "
                    f"{median(a, 'cpu'):,.0f}, {median(b, 'cpu'):,.0f} µs | "
                    f"{cpu:.1f}× |")
                met = met and ratio >= LEAST[about]
    return lines, met
