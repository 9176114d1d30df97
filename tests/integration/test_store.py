"""The store by itself: what is written, and what follows from it."""

import itertools
import json
import random
import uuid

import psycopg2
import pytest

import places
from storedb import (APPLY, STAIRS, Event, Hand, access,      # noqa: F401
                     arguments, building_access, check_levels, cluster,
                     copy, db, documents, place)


# -- level and cell ----------------------------------------------------------


def test_level_is_the_brute_force_level(db):
    """All inputs, against SCC's published rule over every completion."""
    db.query("CREATE TABLE public.t AS SELECT r, f, s, sl, br, bs, be, en, el,"
             " scc.level(r, f, s, sl, br, bs, be, en, el) AS got FROM"
             " (VALUES (true), (false)) r(r), (VALUES (true), (false), (NULL))"
             " f(f), unnest(%(st)s) s(s), (VALUES (true), (false), (NULL))"
             " sl(sl), (VALUES (true), (false)) br(br), (VALUES (true),"
             " (false), (NULL)) bs(bs), (VALUES (true), (false), (NULL))"
             " be(be), unnest(%(st)s) en(en), unnest(%(st)s) el(el)",
             {"st": STAIRS})
    rows = db.query("SELECT * FROM public.t")
    assert len(rows) == 2 * 3 * 5 * 3 * 2 * 3 * 3 * 5 * 5

    for r, f, s, sl, br, bs, be, en, el, got in rows:
        p = {"first": f, "stair": s, "slope": sl} if r else None
        b = {"slope": bs, "elevator": be, "entrance": en,
             "elevator_stair": el} if br else None
        assert got == places.level(p, b), (r, f, s, sl, br, bs, be, en, el)


def test_level_of_unknown_stairs_is_that_of_undefined(db):
    assert db.value("SELECT count(*) FROM (VALUES (true), (false), (NULL))"
                    " f(f), (VALUES (true), (false), (NULL)) s(s) WHERE"
                    " scc.level(true, f, NULL, s, true, s, f, NULL, NULL)"
                    " IS DISTINCT FROM scc.level(true, f, 'UNDEFINED', s,"
                    " true, s, f, 'UNDEFINED', 'UNDEFINED')") == 0


def test_cells_lie_where_the_projection_says(db):
    """Corners of the world, tile edges and their neighbours, random points;
    the column, scc.cell_of() and Python agree, except that y may differ in
    the last bit of a logarithm right at an edge."""
    rnd = random.Random(1)
    points = list(itertools.product(
        [-1800000000, -1799999999, -1, 0, 1, 1799999999, 1800000000],
        [-900000000, -850511288, -850511287, -1, 0, 1, 850511287, 850511288,
         900000000]))

    for _ in range(300):
        x, y = rnd.randrange(65536), rnd.randrange(65536)
        lon = int(places.tile_lon(x, 16) * 10 ** 7)
        lat = int(places.tile_lat(y, 16) * 10 ** 7)
        points += [(max(-1800000000, lon + i), lat + j)
                   for i in (-1, 0, 1) for j in (-1, 0, 1)]

    points += [(rnd.randint(-1800000000, 1800000000),
                rnd.randint(-900000000, 900000000)) for _ in range(1000)]

    db.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7)"
             " SELECT 'p' || i, '', (%s::int[])[i], (%s::int[])[i]"
             " FROM generate_series(1, %s) i",
             ([p[0] for p in points], [p[1] for p in points], len(points)))

    edges = 0
    for lon, lat, got, func in db.query(
            "SELECT lon_e7, lat_e7, cell, scc.cell_of(lon_e7, lat_e7)"
            " FROM scc.place"):
        assert got == func
        want = places.cell(lon, lat)
        assert got >> 16 == want >> 16, (lon, lat)
        if got != want:
            edges += 1
            assert {got & 65535, want & 65535} <= {
                places.cell_y(lat + i) for i in (-1, 0, 1)}, (lon, lat)
    assert edges <= 5
    assert db.value("SELECT count(*) FROM scc.place WHERE geom IS DISTINCT"
                    " FROM ST_SetSRID(ST_MakePoint(lon_e7 / 1e7::float8,"
                    " lat_e7 / 1e7::float8), 4326)") == 0


def test_places_off_the_world_are_refused(db):
    for lon, lat in ((1800000001, 0), (-1800000001, 0), (0, 900000001),
                     (0, -900000001)):
        with pytest.raises(psycopg2.errors.CheckViolation):
            db.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7)"
                     " VALUES ('x', '', %s, %s)", (lon, lat))


# -- what follows from what --------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_written_all_that_follows_stays_right(cluster, seed):
    """After each of many random statements and batches: levels are those of
    the inputs, cells count what is there, every document that changed has a
    higher revision, every cell in which a feature or document changed has a
    higher version, and nothing that did not change has either."""
    db = copy(cluster)
    rnd = random.Random(seed)
    hand = Hand(rnd, 25)
    docs, cells = documents(db)
    versions = db.versions()
    kept = []

    for step in range(90):
        if rnd.random() < 0.5:
            what = hand.sql()
            try:
                db.query(what)
            except psycopg2.errors.UniqueViolation:
                assert "SET id" in what
        else:
            batch = [hand.events(rnd.randrange(1, 1 << 20))
                     for _ in range(rnd.choice([1, 2, 20]))]
            batch += rnd.sample(kept, min(len(kept), rnd.randrange(3)))
            rnd.shuffle(batch)
            kept += batch
            db.apply(*batch)
            what = [(e.kind, e.body, e.hlc) for e in batch]

        docs_was, cells_was, versions_was = docs, cells, versions
        docs, cells = documents(db)
        versions = db.versions()

        assert db.query("SELECT * FROM scc.cell_drift") == [], what
        check_levels(db)

        moved, revised = set(), set()
        for ident in docs.keys() | docs_was.keys():
            old, new = docs_was.get(ident), docs.get(ident)
            if old is None or new is None:
                moved.add((old or new)[0])
            elif old[2] != new[2] or old[0] != new[0]:
                assert new[1] > old[1], (ident, what)
                moved |= {old[0], new[0]}
            elif old[1] != new[1]:
                revised.add(new[0])

        for cell in cells.keys() | cells_was.keys():
            if cells.get(cell) != cells_was.get(cell):
                assert cell in moved

        for cell in versions.keys() | versions_was.keys():
            new, old = versions[cell], versions_was.get(cell, 0)
            if cell in moved:
                assert new > old, (cell, what)
            elif cell not in revised:
                assert new == old, (cell, what)

    assert len(versions) > 10 and max(versions.values()) > 10


def test_what_changes_nothing_is_not_written(db):
    db.apply(Event("place", place("a")), Event("place_accessibility",
                                               access("a", hasSlope=True)))
    before = db.place("a"), db.versions()
    db.query("UPDATE scc.place SET name = name, rev = rev, level = level,"
             " updated_at = now()")
    db.query("UPDATE scc.place_accessibility SET has_slope = true")
    db.query("UPDATE scc.contributor SET display_name = display_name")
    assert (db.place("a"), db.versions()) == before


def test_a_place_that_moves_leaves_its_old_cell(db):
    db.apply(Event("place", place("a", 127.0, 37.5)))
    old = db.place("a")[3]
    db.query("UPDATE scc.place SET lon_e7 = lon_e7 + 100000000")
    new = db.place("a")[3]
    assert old != new
    assert dict((c, (v, n)) for c, v, n in db.query(
        "SELECT cell, ver, n FROM scc.cell")) == {old: (2, 0), new: (1, 1)}


def test_level_whichever_comes_first(cluster):
    events = [Event("place", place("a", buildingId="b")),
              Event("place_accessibility", access("a", "ONE", hasSlope=False,
                                                  isFirstFloor=False)),
              Event("building_accessibility", building_access(
                  "b", hasElevator=True, hasSlope=False))]
    for order in itertools.permutations(events):
        db = copy(cluster)
        for e in order:
            db.apply(e)
        assert db.place("a")[1:3] == (2, True), [e.kind for e in order]

    db = copy(cluster)
    db.apply(*events)
    assert db.place("a")[:3] == (1, 2, True)    # known at once: one revision


# -- the fold ----------------------------------------------------------------


CONTENT = {
    "place": "id, name, category, address, source, extra::text, building_id,"
             " synthetic, is_closed, registered, level, lon_e7, lat_e7, hlc,"
             " event_id",
    "building": "id, name, address, lon_e7, lat_e7, contributor_id, hlc,"
                " event_id",
    "place_accessibility": "place_id, floors, is_first_floor,"
        " is_stair_only_option, stair_info, stair_height_level, has_slope,"
        " entrance_door_types, image_urls, contributor_id, as_of, hlc,"
        " event_id",
    "building_accessibility": "building_id, entrance_stair_info,"
        " entrance_stair_height_level, entrance_door_types, has_slope,"
        " has_elevator, elevator_stair_info, elevator_stair_height_level,"
        " image_urls, contributor_id, as_of, hlc, event_id",
    "contributor": "id, display_name, hlc",
    "contribution": "event_id, hlc, kind, target, contributor_id,"
        " contributor_name, idem_key, encode(body_sha256, 'hex'), body",
}


def content(db):
    return {t: db.query(f"SELECT {c} FROM scc.{t} ORDER BY 1")
            for t, c in CONTENT.items()}


def test_fold_does_not_depend_on_delivery(cluster):
    """The same events, in random orders, cut into random batches, with
    duplicates: one result, and it is the newest per target."""
    rnd = random.Random(3)
    hand = Hand(rnd, 8)
    events = [hand.events(rnd.randrange(1, 8)) for _ in range(250)]
    results = []

    for seed in range(6):
        rnd = random.Random(seed)
        db = copy(cluster)
        queue = events + rnd.choices(events, k=60)
        rnd.shuffle(queue)
        total = 0
        while queue:
            n = rnd.choice([1, 3, 40])
            batch, queue = queue[:n], queue[n:]
            new, old = db.apply(*batch)
            assert new + old == len(batch)
            total += new
        assert total == len(events)
        docs = {i: d[2] for i, d in documents(db)[0].items()}
        for doc in docs.values():           # numbers are given as they come
            (doc["accessibility"] or {}).pop("registeredUserOrder", None)
            for c in doc["contributors"]:
                del c["order"]
        results.append((content(db), docs))

    for r in results[1:]:
        assert r == results[0]

    newest = {}
    for e in events:
        if e.kind == "place":
            ident = json.loads(e.body)["placeId"]
            newest[ident] = max(newest.get(ident, (0,)),
                                (e.hlc, str(e.id)))
    assert {r[0]: (r[-2], r[-1]) for r in results[0][0]["place"]} == newest

    # the roster: everybody, in the order of their first contribution
    docs = results[0][1]
    for ident, doc in docs.items():
        who = {}
        for e in events:
            body = json.loads(e.body)
            b = doc["building"] or {}
            if e.kind == "place_accessibility" and body["placeId"] == ident \
                    or e.kind == "building_accessibility" and b \
                    and body["buildingId"] == b["id"]:
                who[e.by] = min(who.get(e.by, (1 << 62,)), (e.hlc, e.by))
        if doc["building"]:
            assert [c["id"] for c in doc["contributors"]] \
                == sorted(who, key=who.get), ident


def test_at_one_hlc_the_greater_event_wins(db):
    """In one batch and in two, whichever comes first."""
    kinds = [
        ("place", lambda t, v: place(t, name=v), "place", "id", "name"),
        ("building", lambda t, v: {"buildingId": t, "name": v}, "building",
         "id", "name"),
        ("place_accessibility", lambda t, v: access(t, imageUrls=[v]),
         "place_accessibility", "place_id", "image_urls[1]"),
        ("building_accessibility",
         lambda t, v: building_access(t, imageUrls=[v]),
         "building_accessibility", "building_id", "image_urls[1]")]

    for kind, body, table, key, shown in kinds:
        for order in itertools.permutations("abc"):
            for together in (True, False):
                target = f"{kind[:30]}{''.join(order)}{together}"
                events = [Event(kind, body(target, v), hlc=5,
                                event_id=uuid.uuid5(uuid.NAMESPACE_OID, v))
                          for v in order]
                for e, v in zip(events, order):
                    e.shown = v
                best = max(events, key=lambda e: str(e.id))
                for e in events:
                    e.id = uuid.UUID(str(e.id)[:23] + "-" + uuid.uuid5(
                        uuid.NAMESPACE_OID, target).hex[:12])
                if together:
                    db.apply(*events)
                else:
                    for e in events:
                        db.apply(e)
                assert db.value(f"SELECT {shown} FROM scc.{table} WHERE"
                                f" {key} = %s", (target,)) == best.shown


def test_same_event_or_same_key_is_old(db):
    e = Event("place", place("a"), idem="k1")
    assert db.apply(e) == (1, 0)
    assert db.apply(e, e) == (0, 2)
    other = Event("place", place("b"), idem="k1")
    assert db.apply(other) == (0, 1)                # the same person's key
    assert db.place("b") is None
    assert db.apply(Event("place", place("b"), idem="k1", by="u2")) == (1, 0)
    again = Event("place", place("a", name="anders"), hlc=9, event_id=e.id)
    assert db.apply(again) == (0, 1)
    assert db.page("a")["name"] == "이름 a"
    assert db.apply() == (0, 0)


def test_twice_in_one_batch(db):
    e = Event("place", place("a"), idem="k1")
    assert db.apply(e, e, Event("place", place("b"), idem="k1")) in \
        ((1, 2), (1, 2))
    assert db.value("SELECT count(*) FROM scc.contribution") == 1


def test_ledger_keeps_the_bytes(db):
    body = '{ "placeId":"a",\n "name" : "\\u0041 가 \\"q\\" \\\\",' \
           ' "location":{"lat":37.50,"lng":1.27e2}, "later": [1, {"x":null}]}'
    db.apply(Event("place", body))
    kept, ok, segment = db.query(
        "SELECT body, body_sha256 = sha256(convert_to(body, 'UTF8')),"
        " segment_id FROM scc.contribution")[0]
    assert kept == body and ok and segment is None
    assert db.page("a")["name"] == 'A 가 "q" \\'
    assert db.page("a")["location"] == {"lng": 127, "lat": 37.5}


def test_coordinates_round_half_away_from_zero(db):
    for i, (text, want) in enumerate([
            ("0.00000005", 1), ("-0.00000005", -1), ("0.00000004999999", 0),
            ("126.97801235", 1269780124), ("-179.99999995", -1800000000)]):
        db.apply(Event("place", '{"placeId":"p%d","name":"","location":'
                       '{"lng":%s,"lat":0}}' % (i, text)))
        assert db.value("SELECT lon_e7 FROM scc.place WHERE id = %s",
                        (f"p{i}",)) == want


def test_names_of_contributors(db):
    name = lambda who: db.value("SELECT display_name FROM scc.contributor"
                                " WHERE id = %s", (who,))
    db.apply(Event("place", place("a"), hlc=5, by="u1", name=None))
    assert name("u1") is None
    db.apply(Event("place", place("b"), hlc=3, by="u1", name="old"))
    assert name("u1") == "old"
    db.apply(Event("contributor", {"contributorId": "u1",
                                   "displayName": "new"}, hlc=9, by="u2"))
    assert (name("u1"), name("u2")) == ("new", "가")
    db.apply(Event("place", place("c"), hlc=7, by="u1", name="middle"),
             Event("place", place("d"), hlc=99, by="u1", name=None))
    assert name("u1") == "new"


# -- errors ------------------------------------------------------------------


BAD = [
    ("place", "not json", "not valid JSON"),
    ("place", '{"placeId":"a","name":"\\u0000"', "not valid JSON"),
    ("place", "[1]", "JSON object"),
    ("place", "null", "JSON object"),
    ("place", None, "JSON object"),
    ("plaice", place("a"), "kind"),
    (None, place("a"), "kind"),
    ("place", {"name": "x", "location": {"lng": 1, "lat": 1}}, "placeId"),
    ("place", place(""), "placeId"),
    ("place", place("가" * 22), "placeId"),
    ("place", {"placeId": "a", "location": {"lng": 1, "lat": 1}}, "name"),
    ("place", {"placeId": "a", "name": "x"}, "location"),
    ("place", {"placeId": "a", "name": "x", "location": [1, 2]}, "location"),
    ("place", place("a", lng=181), "location"),
    ("place", place("a", lat=-90.1), "location"),
    ("place", place("a", lng="x"), "location"),
    ("place", place("a", lng=1e300), "location"),
    ("place", place("a", isClosed="perhaps"), "isClosed"),
    ("place", place("a", extra=[1]), "extra"),
    ("place", place("a", buildingId="x" * 65), "buildingId"),
    ("building", {"name": "x"}, "buildingId"),
    ("place_accessibility", {"placeId": "a"}, "stairInfo"),
    ("place_accessibility", access("a", "MANY"), "stairInfo"),
    ("place_accessibility", access("a", stairHeightLevel="TALL"),
     "stairHeightLevel"),
    ("place_accessibility", access("a", entranceDoorTypes=["Trap"]),
     "entranceDoorTypes"),
    ("place_accessibility", access("a", entranceDoorTypes="Hinged"),
     "entranceDoorTypes"),
    ("place_accessibility", access("a", floors=["first"]), "floors"),
    ("place_accessibility", access("a", hasSlope="maybe"), "hasSlope"),
    ("building_accessibility", building_access("b", "FEW"),
     "entranceStairInfo"),
    ("building_accessibility", {"buildingId": "b",
                                "entranceStairInfo": "NONE"},
     "elevatorStairInfo"),
    ("contributor", {"contributorId": "", "displayName": "x"},
     "contributorId"),
    ("contributor", {"contributorId": "a", "displayName": "x" * 513},
     "displayName"),
    ("place", '{"extra":' + "[" * 50000 + "]" * 50000 + "}", "stack depth"),
]


@pytest.fixture(scope="module")
def shared(cluster):
    return copy(cluster)


@pytest.mark.parametrize("kind, body, field", BAD)
def test_a_bad_event_is_named(shared, kind, body, field):
    """Class 22 or 23, event and field in the message, nothing applied."""
    db = shared
    before = db.value("SELECT count(*) FROM scc.contribution")
    good = [Event("place", place(f"g{i}")) for i in range(20)]
    bad = Event(kind, body)
    with pytest.raises(psycopg2.Error) as e:
        db.apply(*good[:11], bad, *good[11:])
    assert e.value.pgcode[:2] in ("22", "23"), e.value
    first = e.value.diag.message_primary
    assert str(bad.id) in first and field in first
    assert e.value.diag.message_detail == str(bad.id)
    assert db.value("SELECT count(*) FROM scc.contribution") == before
    assert db.apply(*good) == (20, 0)


def test_other_bad_arguments(db):
    with pytest.raises(psycopg2.Error) as e:
        db.query(APPLY, arguments([Event("place", place("a"))])[:-1]
                 + ("{}",), "scc_app")
    assert e.value.pgcode == "22023" and "length" in str(e.value)

    for column, value in (("id", "NULL"), ("hlc", None), ("by", None),
                          ("by", ""), ("by", "x" * 65), ("name", "x" * 513),
                          ("idem", "x" * 3000)):
        bad = Event("place", place("a"))
        setattr(bad, column, value if value != "NULL" else None)
        with pytest.raises(psycopg2.Error) as e:
            db.apply(Event("place", place("g")), bad)
        assert e.value.pgcode[:2] in ("22", "23")
    assert db.value("SELECT count(*) FROM scc.contribution") == 0
