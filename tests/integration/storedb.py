"""A store by itself, without module and sccctl, for the tests of the store.

Databases are made by running store/sql/*.sql as sccctl does, one
transaction per file, and are copied from a template for tests that need an
empty one.
"""

import glob
import itertools
import json
import os
import random
import uuid

import pytest

from servers import REPO, Postgres, run

SQL = sorted(glob.glob(os.path.join(REPO, "ngx_scc_module", "store", "sql",
                                    "*.sql")))
STAIRS = ["UNDEFINED", "NONE", "ONE", "TWO_TO_FIVE", "OVER_SIX"]
HEIGHTS = [None, "HALF_THUMB", "THUMB", "OVER_THUMB"]
TRI = [None, False, True]

APPLY = ("SELECT events_new, events_old FROM scc.apply(%s::uuid[],"
         " %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],"
         " %s::timestamptz[], %s::uuid, %s::text[])")

FILL = ("SELECT k.cell, coalesce(c.ver, 0), f.* FROM unnest(%s::bigint[])"
        " AS k(cell) LEFT JOIN scc.cell c ON c.cell = k.cell"
        " LEFT JOIN scc.feature f ON f.cell = k.cell ORDER BY k.cell, f.id")


# -- events ------------------------------------------------------------------


class Event:
    def __init__(self, kind, body, hlc=1, by="u1", name="가", idem=None,
                 event_id=None):
        self.id = event_id or uuid.uuid4()
        self.kind = kind
        self.hlc = hlc
        self.by = by
        self.name = name
        self.idem = idem
        self.body = body if isinstance(body, str) or body is None \
            else json.dumps(body, ensure_ascii=False)


def array(values):
    """An array literal: much cheaper to parse than ARRAY[...]."""
    return "{" + ",".join(
        "NULL" if v is None else
        '"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"'
        for v in values) + "}"


def arguments(events):
    return (array(e.id for e in events), array(e.hlc for e in events),
            array(e.kind for e in events), array(e.by for e in events),
            array(e.name for e in events), array(e.idem for e in events),
            array("2026-11-23 00:00:00+00" for _ in events), None,
            array(e.body for e in events))


def place(ident, lng=127.0, lat=37.5, **more):
    return {"placeId": ident, "name": "이름 " + ident,
            "location": {"lng": lng, "lat": lat}, **more}


def access(ident, stair="NONE", **more):
    return {"placeId": ident, "stairInfo": stair, **more}


def building_access(ident, entrance="NONE", elevator="NONE", **more):
    return {"buildingId": ident, "entranceStairInfo": entrance,
            "elevatorStairInfo": elevator, **more}


# -- databases ---------------------------------------------------------------


class Db:
    def __init__(self, pg, name):
        self.pg = pg
        self.name = name

    def connect(self, user="scc_app"):
        return self.pg.connect(user, self.name)

    def query(self, sql, args=None, user="postgres"):
        return self.pg.query(sql, args, user, self.name)

    def value(self, sql, args=None, user="postgres"):
        return self.query(sql, args, user)[0][0]

    def apply(self, *events, user="scc_app"):
        return self.query(APPLY, arguments(events), user)[0]

    def page(self, ident):
        text = self.value("SELECT scc.place_page(%s)", (ident,), "scc_app")
        return None if text is None else json.loads(text)

    def place(self, ident):
        rows = self.query("SELECT rev, level, registered, cell"
                          " FROM scc.place WHERE id = %s", (ident,))
        return rows[0] if rows else None

    def versions(self):
        return dict(self.query("SELECT cell, ver FROM scc.cell"))


@pytest.fixture(scope="module")
def cluster():
    with Postgres() as pg:
        pg.create_database("empty")
        for path in SQL:
            run(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1",
                 "-o", os.devnull, "-f", path,
                 pg.conninfo(dbname="empty")])
        yield pg


@pytest.fixture
def db(cluster):
    return copy(cluster)


numbers = itertools.count()


def copy(cluster):
    name = f"t{next(numbers)}"
    c = cluster.connect(dbname="postgres")
    c.autocommit = True
    with c.cursor() as cur:
        cur.execute(f"CREATE DATABASE {name} TEMPLATE empty")
        # settings "IN DATABASE" are not copied with the template
        cur.execute(
            "SELECT unnest(setconfig) FROM pg_db_role_setting s"
            " JOIN pg_database d ON d.oid = s.setdatabase"
            " WHERE d.datname = 'empty' AND s.setrole = 'scc_app'::regrole")
        for setting, in cur.fetchall():
            key, value = setting.split("=")
            cur.execute(f"ALTER ROLE scc_app IN DATABASE {name}"
                        f" SET {key} = {value}")
    c.close()
    return Db(cluster, name)


# -- what is in a store ------------------------------------------------------


def documents(db):
    """{place id: (cell, rev, page without what moves by itself)} and
    {cell: features}."""
    docs = {}
    for ident, cell, rev, text in db.query(
            "SELECT id, cell, rev, scc.place_page(id) FROM scc.place"):
        doc = json.loads(text)
        assert doc.pop("rev") == rev
        doc.pop("updatedAt")
        for part in ("accessibility", "buildingAccessibility"):
            if doc[part]:
                doc[part].pop("updatedAt")
        docs[ident] = (cell, rev, doc)

    cells = {}
    for row in db.query("SELECT * FROM scc.feature ORDER BY cell, id"):
        cells.setdefault(row[0], []).append(row)
    return docs, cells


def check_levels(db):
    wrong = db.query("""
        SELECT p.id, p.level, p.registered FROM scc.place p
        LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
        LEFT JOIN scc.building_accessibility b
            ON b.building_id = p.building_id
        WHERE p.registered <> (a.place_id IS NOT NULL)
            OR p.level IS DISTINCT FROM scc.level(a.place_id IS NOT NULL,
                a.is_first_floor, a.stair_info, a.has_slope,
                b.building_id IS NOT NULL, b.has_slope, b.has_elevator,
                b.entrance_stair_info, b.elevator_stair_info)""")
    assert wrong == []


class Hand:
    """Random statements as a person might type them."""

    def __init__(self, rnd, n):
        self.rnd = rnd
        self.ids = [f"p{i}" for i in range(n)]
        self.buildings = [f"b/+{i}=" for i in range(max(2, n // 5))]

    def where(self, column="id"):
        ids = self.rnd.sample(self.ids, self.rnd.randint(1, 4))
        return f"{column} IN ({', '.join(repr(i) for i in ids)})"

    def point(self):
        return (self.rnd.randrange(1270000000, 1270200000, 40000),
                self.rnd.randrange(375000000, 375200000, 40000))

    def sql(self):
        r = self.rnd
        lon, lat = self.point()
        ident, b = r.choice(self.ids), r.choice(self.buildings)
        tri = r.choice(["NULL", "true", "false"])
        stair = r.choice(STAIRS)
        return r.choice([
            lambda: "INSERT INTO scc.place (id, name, lon_e7, lat_e7,"
                    " building_id, is_closed, level, registered)"
                    f" SELECT i, 'n', {lon}, {lat}, '{b}', random() < 0.2,"
                    " 3, true FROM unnest(ARRAY"
                    f"{r.sample(self.ids, r.randint(1, 6))}) i"
                    " ON CONFLICT (id) DO UPDATE SET lon_e7 ="
                    " excluded.lon_e7, name = place.name || 'x'",
            lambda: f"UPDATE scc.place SET lon_e7 = {lon}, lat_e7 = {lat}"
                    f" WHERE {self.where()}",
            lambda: "UPDATE scc.place SET is_closed = NOT is_closed"
                    f" WHERE {self.where()}",
            lambda: f"UPDATE scc.place SET building_id = '{b}', level = 0"
                    f" WHERE {self.where()}",
            lambda: f"UPDATE scc.place SET rev = 900, name = '{lat}'"
                    f" WHERE {self.where()}",
            lambda: f"UPDATE scc.place SET id = id || 'y' WHERE id ="
                    f" '{ident}' AND length(id) < 30",
            lambda: f"DELETE FROM scc.place WHERE {self.where()}",
            lambda: "INSERT INTO scc.place_accessibility (place_id,"
                    " stair_info, is_first_floor, has_slope) SELECT i,"
                    f" '{stair}', {tri}::bool, random() < 0.5 FROM"
                    f" unnest(ARRAY{r.sample(self.ids, 3)}) i ON CONFLICT"
                    " (place_id) DO UPDATE SET stair_info ="
                    " excluded.stair_info",
            lambda: f"UPDATE scc.place_accessibility SET has_slope = {tri},"
                    f" floors = '{{1,2}}' WHERE {self.where('place_id')}",
            lambda: "DELETE FROM scc.place_accessibility WHERE"
                    f" {self.where('place_id')}",
            lambda: "INSERT INTO scc.building_accessibility (building_id,"
                    " entrance_stair_info, elevator_stair_info, has_elevator)"
                    f" VALUES ('{b}', '{stair}', 'NONE', {tri}) ON CONFLICT"
                    " (building_id) DO UPDATE SET entrance_stair_info ="
                    " excluded.entrance_stair_info",
            lambda: "DELETE FROM scc.building_accessibility WHERE"
                    f" building_id = '{b}'",
            lambda: "INSERT INTO scc.building (id, name) VALUES"
                    f" ('{b}', '{stair}') ON CONFLICT (id) DO UPDATE SET"
                    " name = excluded.name",
            lambda: f"DELETE FROM scc.building WHERE id = '{b}'",
            lambda: f"UPDATE scc.contributor SET display_name = '{lat}'"
                    f" WHERE id = 'u{r.randint(1, 3)}'",
            lambda: "UPDATE scc.place SET name = name, level = level",
            lambda: "UPDATE scc.place_accessibility SET stair_info ="
                    " stair_info",
        ])()

    def events(self, hlc):
        r = self.rnd
        lon, lat = self.point()
        ident, b = r.choice(self.ids), r.choice(self.buildings)
        body = r.choice([
            ("place", place(ident, lon / 1e7, lat / 1e7, buildingId=b,
                            isClosed=r.random() < 0.2)),
            ("place_accessibility", access(
                ident, r.choice(STAIRS), isFirstFloor=r.choice(TRI),
                hasSlope=r.choice(TRI))),
            ("place_accessibility", access(
                ident, "ONE", stairHeightLevel=r.choice(HEIGHTS),
                floors=[1, 2], entranceDoorTypes=["Hinged", "ETC"],
                isFirstFloor=True, hasSlope=False)),
            ("building_accessibility", building_access(
                b, r.choice(STAIRS), r.choice(STAIRS),
                hasElevator=r.choice(TRI), hasSlope=r.choice(TRI))),
            ("building", {"buildingId": b, "name": f"건물 {lat}"}),
            ("contributor", {"contributorId": f"u{r.randint(1, 3)}",
                             "displayName": f"이름 {hlc % 4}"}),
        ])
        by = r.randint(1, 3)
        return Event(*body, hlc=hlc, by=f"u{by}",
                     name=r.choice([None, f"이름 {hlc % 3}"]))


def crowd(n, seed=1, **more):
    rnd = random.Random(seed)
    out = []
    for i in range(n):
        out.append(Event("place", place(
            f"q{i:06d}", round(rnd.gauss(127, .2), 7),
            round(rnd.gauss(37.5, .2), 7),
            category=rnd.choice(["CAFE", "BANK", None]),
            address=f"서울특별시 강남구 테헤란로 {i % 100}길 {i % 37}",
            buildingId=f"b{i // 3}", source="sample", synthetic=True,
            extra={"floor": i % 9, "tel": f"02-000-{i % 10000:04d}"},
            isClosed=rnd.random() < .05, **more), hlc=i, by="i1"))
    return out
