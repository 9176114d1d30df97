"""What the store says, as the map should show it: read from the tables."""

import json

from servers import sccctl
import places

COLUMNS = """
    SELECT p.cell, p.id, p.lon_e7, p.lat_e7, p.name, p.category, p.address,
           a.place_id IS NOT NULL, a.stair_info, a.stair_height_level,
           a.has_slope, a.is_first_floor,
           b.building_id IS NOT NULL, b.entrance_stair_info, b.has_slope,
           b.has_elevator, b.elevator_stair_info
      FROM scc.place p
      LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
      LEFT JOIN scc.building_accessibility b ON b.building_id = p.building_id
     WHERE NOT p.is_closed
"""


def feature(row):
    """A row of COLUMNS as the GeoJSON Feature the map must answer."""
    (_, ident, lon, lat, name, category, address, registered, stair, height,
     slope, first, b_registered, entrance, b_slope, elevator,
     e_stair) = row
    p = {"stair": stair, "slope": slope, "first": first} \
        if registered else None
    b = {"entrance": entrance, "slope": b_slope, "elevator": elevator,
         "elevator_stair": e_stair} if b_registered else None

    def known(stair):
        return None if stair == "UNDEFINED" else stair

    return {
        "type": "Feature", "id": ident,
        "geometry": {"type": "Point",
                     "coordinates": [lon / 1e7, lat / 1e7]},
        "properties": {
            "name": name, "category": category or None,
            "address": address or None, "level": places.level(p, b),
            "registered": registered, "stairInfo": known(stair),
            "stairHeightLevel": height, "hasSlope": slope,
            "isFirstFloor": first, "buildingRegistered": b_registered,
            "buildingEntranceStairInfo": known(entrance),
            "buildingHasSlope": b_slope, "buildingHasElevator": elevator,
            "buildingElevatorStairInfo": known(e_stair),
        },
    }


def snapshot(pg):
    """{cell: (version, [features by id])} in one snapshot of the store."""
    c = pg.connect()
    try:
        c.set_session("REPEATABLE READ", readonly=True)
        with c, c.cursor() as cur:
            cur.execute("SELECT cell, ver FROM scc.cell")
            out = {cell: (ver, []) for cell, ver in cur.fetchall()}
            cur.execute(COLUMNS + " ORDER BY p.cell, p.id")
            for row in cur.fetchall():
                out[row[0]][1].append(feature(row))
        return out
    finally:
        c.close()


def load_sample(pg, n, seed):
    """Imports n places of the generator, with accessibility records."""
    path = f"{pg.dir}/sample-{seed}.csv"
    with open(path, "w") as f:
        f.write(sccctl("sample", "--places", n, "--seed", seed).stdout)
    sccctl("import", path, pg=pg)


def redis_blobs(redis, check=True, generation=1):
    """{cell: Blob} of all cell entries in Redis."""
    keys = list(redis.r.scan_iter(f"scc:c:{generation}:*", count=1000))
    out = {}
    for key, data in zip(keys, redis.r.mget(keys) if keys else []):
        if data is None:
            continue
        x, y = map(int, key.decode().split(":")[3:])
        out[x << 16 | y] = places.read_blob(data, check)
    return out


def differences(pg, redis):
    """Fresh entries in Redis that are not what the store says."""
    truth = snapshot(pg)
    out = []
    for cell, blob in redis_blobs(redis).items():
        if blob.state != places.VAL:
            continue
        ver, features = truth.get(cell, (0, []))
        where = f"cell {cell >> 16}/{cell & 65535}"
        if blob.ver != ver:
            out.append(f"{where}: version {blob.ver}, the store's is {ver}")
            continue
        if [f.json for f in blob.features] != features:
            out.append(f"{where}: version {ver}, but the features differ: "
                       + json.dumps([f.json for f in blob.features])[:400]
                       + " / " + json.dumps(features)[:400])
        for f, want in zip(blob.features, features):
            lon, lat = want["geometry"]["coordinates"]
            p = want["properties"]
            flags = (7 if p["level"] is None else p["level"]) \
                | (8 if p["registered"] else 0) \
                | (0x10 if p["hasSlope"] is True else 0) \
                | (0x20 if p["hasSlope"] is False else 0)
            if (f.lon, f.lat, f.cat, f.flags) != (
                    round(lon * 1e7), round(lat * 1e7),
                    p["category"], flags):
                out.append(f"{where}: index entry of {f.id}: {f[:5]}, "
                           f"{want}")
    return out
