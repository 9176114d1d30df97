"""The store by itself: rights, guards, reading, several at once, speed."""

import json
import random
import re
import threading
import time
import uuid

import psycopg2
import pytest

import places
from storedb import (APPLY, FILL, STAIRS, TRI, Event, Hand,   # noqa: F401
                     access, arguments, building_access, check_levels,
                     cluster, crowd, db, place)
from servers import wait_until


# -- rights and guards -------------------------------------------------------


def test_what_the_application_may_do(db):
    db.apply(Event("place", place("a")))
    db.query("INSERT INTO scc.identity (store_uuid) VALUES (%s)",
             (str(uuid.uuid4()),))
    tables = [r[0] for r in db.query(
        "SELECT relname FROM pg_class WHERE relnamespace = 'scc'::regnamespace"
        " AND relkind IN ('r', 'v')")]
    assert {"contribution", "place", "cell", "feature"} <= set(tables)

    for t in tables:
        db.query(f"SELECT * FROM scc.{t}", user="scc_app")

    db.query("INSERT INTO scc.dead_letter (event_id, reason, sqlstate, raw)"
             " VALUES (%s, 'r', '22023', 'x')", (str(uuid.uuid4()),),
             "scc_app")

    for sql in (
            "INSERT INTO scc.contribution SELECT * FROM scc.contribution",
            "UPDATE scc.contribution SET body = body",
            "DELETE FROM scc.contribution", "TRUNCATE scc.contribution",
            "UPDATE scc.place SET name = 'x'", "DELETE FROM scc.place",
            "TRUNCATE scc.place", "UPDATE scc.cell SET ver = ver + 1",
            "DELETE FROM scc.dead_letter", "DELETE FROM scc.identity",
            "UPDATE scc.identity SET epoch = 2",
            "DELETE FROM scc.migration", "DROP TABLE scc.place",
            "ALTER TABLE scc.contribution DISABLE TRIGGER ALL",
            "CREATE TABLE scc.t (i int)", "DROP SCHEMA scc CASCADE",
            "SELECT scc.fold(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
            " NULL)", "SELECT scc.place_touch('{a}')", "SET ROLE scc_owner",
            "CREATE OR REPLACE FUNCTION scc.level_part(text, bool) RETURNS"
            " int LANGUAGE sql AS 'SELECT 0'"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            db.query(sql, user="scc_app")


def test_guards_stop_the_superuser_too(db):
    db.apply(Event("place", place("a")))
    db.query("INSERT INTO scc.identity (store_uuid) VALUES (%s)",
             (str(uuid.uuid4()),))

    for sql in ["UPDATE scc.contribution SET body = body",
                "DELETE FROM scc.contribution WHERE false",
                "TRUNCATE scc.contribution", "DELETE FROM scc.identity",
                "DELETE FROM scc.cell", "UPDATE scc.cell SET ver = ver - 1",
                "UPDATE scc.cell SET cell = cell + 1"] + [
            f"TRUNCATE scc.{t}" for t in (
                "place", "building", "place_accessibility", "cell",
                "building_accessibility", "contributor", "dead_letter",
                "identity", "migration")]:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege) as e:
            db.query(sql)
        assert "refused" in str(e.value)

    with pytest.raises(psycopg2.errors.UniqueViolation):
        db.query("INSERT INTO scc.identity (store_uuid) VALUES (%s)",
                 (str(uuid.uuid4()),))

    db.query("ALTER TABLE scc.cell DISABLE TRIGGER refuse")
    db.query("DELETE FROM scc.cell")                # who means it, may


def test_a_helper_with_few_rights_keeps_cells_right(db):
    """Triggers work with the owner's rights, not with those of who typed."""
    db.query("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname ="
             " 'helper') THEN CREATE ROLE helper LOGIN; END IF; END $$")
    db.query("GRANT USAGE ON SCHEMA scc TO helper;"
             "GRANT SELECT, INSERT, UPDATE ON scc.place,"
             " scc.place_accessibility TO helper")
    db.query("INSERT INTO scc.place (id, name, lon_e7, lat_e7)"
             " VALUES ('a', 'a', 1270000000, 375000000)", user="helper")
    db.query("INSERT INTO scc.place_accessibility (place_id, stair_info,"
             " is_first_floor, has_slope) VALUES ('a', 'ONE', true, false)",
             user="helper")
    assert db.place("a")[1:3] == (2, True)
    assert db.query("SELECT n, n_registered, n_level2 FROM scc.cell") \
        == [(1, 1, 1)]


def test_writing_needs_read_committed(db):
    c = db.connect("postgres")
    c.set_session("REPEATABLE READ")
    with pytest.raises(psycopg2.Error) as e, c.cursor() as cur:
        cur.execute("INSERT INTO scc.place (id, name, lon_e7, lat_e7)"
                    " VALUES ('a', '', 0, 0)")
    assert e.value.pgcode == "25000" and "READ COMMITTED" in str(e.value)
    c.close()


# -- reading -----------------------------------------------------------------


def test_page(db):
    b = "aGVsbG8/+b29="
    db.apply(
        Event("place", place("a/가", 126.9780123, 37.0, category="CAFE",
                             address="서울 1", buildingId=b, source="s",
                             extra={"t": "<&>\"'"}), by="i1", name="임포트"),
        Event("building", {"buildingId": b, "name": "B", "address": "서울",
                           "location": {"lng": 127, "lat": 37.00000005}}),
        Event("place_accessibility", access(
            "a/가", "ONE", isFirstFloor=False, floors=[1, 2],
            stairHeightLevel="THUMB", entranceDoorTypes=["Hinged"],
            imageUrls=["https://x/1.jpg"]), hlc=7, by="u2", name="나"),
        Event("place_accessibility", access("a/가"), hlc=3, by="u3",
              name=None),
        Event("building_accessibility", building_access(
            b, "UNDEFINED", hasElevator=False), hlc=5, by="u1"))
    page = db.page("a/가")
    updated = [page.pop("updatedAt"), page["accessibility"].pop("updatedAt"),
               page["buildingAccessibility"].pop("updatedAt")]
    for t in updated:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t)
    rev = page.pop("rev")
    assert rev >= 1
    assert page == {
        "id": "a/가", "name": "이름 a/가", "category": "CAFE",
        "address": "서울 1", "location": {"lng": 126.9780123, "lat": 37},
        "level": 5, "levelVersion": 1, "isClosed": False, "synthetic": False,
        "source": "s", "extra": {"t": "<&>\"'"},
        "accessibility": {
            "isFirstFloor": False, "stairInfo": "ONE",
            "stairHeightLevel": "THUMB", "hasSlope": None, "floors": [1, 2],
            "isStairOnlyOption": None, "entranceDoorTypes": ["Hinged"],
            "imageUrls": ["https://x/1.jpg"], "recovered": None,
            "registeredUserOrder": 1,
            "contributor": {"id": "u2", "name": "나"}},
        "building": {"id": b, "name": "B", "address": "서울",
                     "location": {"lng": 127, "lat": 37.0000001}},
        "buildingAccessibility": {
            "entranceStairInfo": None, "entranceStairHeightLevel": None,
            "entranceDoorTypes": None, "hasSlope": None,
            "hasElevator": False, "elevatorStairInfo": "NONE",
            "elevatorStairHeightLevel": None, "imageUrls": None,
            "recovered": None,
            "contributor": {"id": "u1", "name": "가"}},
        "contributors": [{"id": "u3", "name": None, "order": 1},
                         {"id": "u1", "name": "가", "order": 2},
                         {"id": "u2", "name": "나", "order": 3}]}
    raw = db.value("SELECT scc.place_page('a/가')")
    assert '"lng":126.9780123,"lat":37}' in raw


@pytest.mark.parametrize("planned", ("empty", "filled", "analyzed"))
def test_page_asks_once_for_each_contributor(db, planned):
    """However much each of them has said of the place, and whenever the
    statement was planned."""
    said = [Event("place_accessibility", access(
        "a" if i % 8 else f"a{i % 400}", STAIRS[i % 3]), hlc=i,
        by=f"u{i % 3}") for i in range(1, 16001)]
    c = db.connect()
    with c, c.cursor() as cur:
        if planned == "empty":
            cur.execute("SELECT scc.place_page('a')")
        db.apply(Event("place", place("a", buildingId="b")),
                 Event("building_accessibility", building_access("b"),
                       hlc=20000, by="u9"))
        for k in range(0, len(said), 4000):
            db.apply(*said[k:k + 4000])
        if planned == "analyzed":
            db.query("ANALYZE scc.contribution")
    with c, c.cursor() as cur:
        cur.execute("SELECT scc.place_page('a')")
        page = json.loads(cur.fetchone()[0])
        cur.execute("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables"
                    " WHERE relid = 'scc.contribution'::regclass")
        fetched = cur.fetchone()[0]
    c.close()
    assert [x["id"] for x in page["contributors"]] == ["u1", "u2", "u0", "u9"]
    assert fetched < 20


FIRSTS = """
SELECT p.id, coalesce((
    SELECT json_agg(o.id ORDER BY o.hlc, o.id)
    FROM (SELECT l.contributor_id AS id, min(l.hlc) AS hlc
          FROM scc.contribution l
          WHERE (l.kind, l.target) IN (('place_accessibility', p.id),
                  ('building_accessibility', p.building_id))
              AND NOT scc.hidden(l.event_id, l.contributor_id)
          GROUP BY l.contributor_id) o), '[]')
FROM scc.place p
"""


@pytest.mark.parametrize("seed", range(3))
def test_contributors_of_pages(db, seed):
    """Those of the place and of its building, without what was retracted,
    the first of them first."""
    chance = random.Random(seed)
    said = [Event("place", place(f"p{i}", **(
        {"buildingId": f"b{i % 3}"} if i % 4 else {})), hlc=1)
        for i in range(8)]
    for hlc in range(2, 300):
        hlc, by = hlc // 2, f"u{chance.randrange(9)}"
        if chance.random() < .6:
            said.append(Event("place_accessibility",
                              access(f"p{chance.randrange(8)}"), hlc, by))
        elif chance.random() < .6:
            said.append(Event("building_accessibility", building_access(
                f"b{chance.randrange(3)}"), hlc, by))
        else:
            said.append(Event("comment", {
                "placeId": f"p{chance.randrange(8)}", "comment": "x"}, hlc, by))
    for e in list(said):
        if e.kind.endswith("accessibility") and chance.random() < .4:
            said.append(Event(
                chance.choice(("retract", "retract", "restore")),
                {"eventId": str(e.id)}, 300, chance.choice((e.by, "u0"))))
    db.apply(*said)
    want = dict(db.query(FIRSTS))
    assert len(want) == 8 and any(want.values())
    for ident, ids in want.items():
        assert [x["id"] for x in db.page(ident)["contributors"]] == ids


def test_page_of_little(db):
    assert db.page("a") is None
    db.apply(Event("place", place("a", isClosed=True)))
    page = db.page("a")
    assert page["isClosed"] is True
    assert page["contributors"] == []
    for key in ("category", "address", "level", "source", "extra",
                "accessibility", "building", "buildingAccessibility"):
        assert page[key] is None
    assert db.query("SELECT * FROM scc.feature") == []


def test_columns_of_a_feature(db):
    c = db.connect()
    with c.cursor() as cur:
        cur.execute("SELECT * FROM scc.feature")
        assert [d[0] for d in cur.description][:17] == [
            "cell", "id", "name", "category", "address", "lon_e7", "lat_e7",
            "registered", "is_first_floor", "stair_info",
            "stair_height_level", "has_slope", "building_registered",
            "building_has_slope", "building_has_elevator",
            "building_entrance_stair_info", "building_elevator_stair_info"]
    c.close()


def test_a_fresh_store_is_read_by_key(db):
    """Without statistics too, no table is read as a whole."""
    for t in ("place", "cell", "place_accessibility"):
        db.query(f"ALTER TABLE scc.{t} SET (autovacuum_enabled = off)")
    events = crowd(6000)
    c = db.connect()
    with c, c.cursor() as cur:
        for i in range(0, len(events), 2000):
            batch = events[i:i + 2000]
            cur.execute(APPLY, arguments(batch))
            cur.execute(APPLY, arguments(
                [Event("place_accessibility", access(f"q{i + k:06d}"))
                 for k in range(2000)]))
        cells = list(range(3663000000, 3663000060))
        for _ in range(2):
            cur.execute("EXPLAIN " + FILL, (cells,))
            plan = "\n".join(r[0] for r in cur.fetchall())
            assert "Seq Scan" not in plan and "Hash" not in plan, plan
            cur.execute("SET plan_cache_mode = force_generic_plan")
    c.close()


def test_wide_pages_are_those_of_one_plain_statement(db):
    db.apply(*crowd(3000))
    rnd = random.Random(5)
    db.apply(*[Event("place_accessibility", access(
        f"q{i:06d}", rnd.choice(STAIRS), hasSlope=rnd.choice(TRI),
        isFirstFloor=rnd.choice(TRI))) for i in range(0, 3000, 2)])

    for _ in range(60):
        w, e = sorted(int(rnd.gauss(127e7, 3e6)) for _ in range(2))
        s, n = sorted(int(rnd.gauss(37.5e7, 3e6)) for _ in range(2))
        if rnd.random() < .2:
            w, e, s, n = -1800000000, 1800000000, -900000000, 900000000
        boxes = [(w, e), (1, 0)]
        if rnd.random() < .3:
            m = rnd.randint(w, e)                # as if cut in two
            boxes = [(w, m), (min(m + 4000, e), e)]
        level = rnd.choice([None, None, 0, 2, 5])
        registered, slope = rnd.choice(TRI), rnd.choice(TRI)
        category = rnd.choice([None, "CAFE", "NONE"])
        x = [(places.cell_x(a), places.cell_x(b)) if a <= b else (1, 0)
             for a, b in boxes]

        want = db.query(
            "SELECT cell, id FROM scc.feature WHERE (lon_e7 BETWEEN %s AND %s"
            " OR lon_e7 BETWEEN %s AND %s) AND lat_e7 BETWEEN %s AND %s"
            " AND (%s::int IS NULL OR level <= %s) AND (%s::bool IS NULL OR"
            " registered = %s) AND (%s::bool IS NULL OR has_slope = %s) AND"
            " (%s::text IS NULL OR category = %s) ORDER BY cell, id",
            (*boxes[0], *boxes[1], s, n, level, level, registered,
             registered, slope, slope, category, category))

        got, after, limit = [], (0, ""), rnd.choice([1, 7, 100, 5000])
        limit = max(limit, len(want) // 20)
        while True:
            page = db.query(
                "SELECT cell, id FROM scc.wide_page(%s, %s, %s, %s, %s, %s,"
                " %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (*x[0], *x[1], places.cell_y(n), places.cell_y(s),
                 *boxes[0], *boxes[1], s, n, *after, level, registered,
                 slope, category, limit), "scc_app")
            got += page
            if len(page) < limit:
                break
            assert len(page) == limit
            after = page[-1]
        assert got == want


# -- several at once ---------------------------------------------------------


def test_two_appliers_and_readers(db):
    """Two appliers with the same events in other orders, a person with a
    slow transaction, readers: no reader sees one version with two contents
    or a version fall; who follows changed_xid misses nothing."""
    rnd = random.Random(11)
    hand = Hand(rnd, 30)
    events = [hand.events(i + 1) for i in range(400)]
    stop, quiet = threading.Event(), threading.Event()
    failures = []
    seen = {}
    followed = {}

    def guarded(f):
        def body():
            try:
                f()
            except Exception as e:               # shown by the main thread
                failures.append(repr(e))
        return threading.Thread(target=body)

    def applier(seed):
        def body():
            r = random.Random(seed)
            mine = events[:]
            r.shuffle(mine)
            c = db.connect()
            while mine:
                batch, mine = mine[:7], mine[7:]
                with c, c.cursor() as cur:
                    cur.execute(APPLY, arguments(batch))
            c.close()
        return body

    def person():
        c = db.connect("postgres")
        r = random.Random(5)
        while not stop.is_set():
            with c, c.cursor() as cur:
                cur.execute("SELECT pg_current_xact_id()")
                cur.execute("UPDATE scc.place SET name = name || '.'"
                            " WHERE id = %s", (f"p{r.randrange(30)}",))
                cur.execute("SELECT pg_sleep(0.005)")
        c.close()

    def reader():
        c = db.connect()
        last = {}
        with c, c.cursor() as cur:
            cur.execute("SELECT array_agg(x::bigint << 16 | y) FROM"
                        " generate_series(55887, 55892) x,"
                        " generate_series(25380, 25400) y")
            cells = cur.fetchone()[0]
        while not stop.is_set():
            with c, c.cursor() as cur:
                cur.execute(FILL, (cells,))
                state = {}
                for row in cur.fetchall():
                    state.setdefault((row[0], row[1]), []).append(row[2:])
            for (cell, ver), rows in state.items():
                assert ver >= last.get(cell, 0), "a version fell"
                last[cell] = ver
                assert seen.setdefault((cell, ver), rows) == rows, \
                    "one version, two contents"
        c.close()

    def poll(cur, since):
        cur.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text,"
                    " c.cell, c.ver FROM (SELECT) one LEFT JOIN scc.cell c"
                    " ON c.changed_xid >= %s::xid8", (since,))
        for since, cell, ver in cur.fetchall():
            followed[cell] = ver
        return since

    def follower():
        c = db.connect()
        c.autocommit = True
        since = "0"
        with c.cursor() as cur:
            while not quiet.is_set():
                since = poll(cur, since)
            poll(cur, since)
        c.close()

    writers = [guarded(applier(1)), guarded(applier(2))]
    slow = guarded(person)
    readers = [guarded(reader), guarded(reader)]
    for t in writers + readers + [slow]:
        t.start()
    follow = guarded(follower)
    follow.start()
    for t in writers:
        t.join()
    stop.set()
    for t in readers + [slow]:
        t.join()
    quiet.set()
    follow.join()

    assert failures == []
    followed.pop(None, None)
    assert followed == db.versions()
    assert len(seen) > 50
    assert db.query("SELECT * FROM scc.cell_drift") == []
    check_levels(db)
    assert db.value("SELECT count(*) FROM scc.contribution") == len(events)


def test_a_place_meets_the_accessibility_of_an_open_transaction(db):
    """Neither session can see the other's row; the level is right all the
    same, because writers take turns."""
    c = db.connect("postgres")
    cur = c.cursor()
    cur.execute("INSERT INTO scc.place_accessibility (place_id, stair_info,"
                " is_first_floor, has_slope) VALUES ('a', 'ONE', true, true)")
    done = []
    t = threading.Thread(target=lambda: done.append(
        db.apply(Event("place", place("a")))))
    t.start()
    wait_until(lambda: db.value("SELECT count(*) FROM pg_locks WHERE locktype"
                                " = 'advisory' AND NOT granted") == 1,
               what="the applier to wait its turn")
    c.commit()
    t.join()
    c.close()
    assert done == [(1, 0)]
    assert db.place("a")[1:3] == (1, True)


# -- speed -------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["places", "accessibilities", "both"])
def test_apply_is_fast(db, kind, record_property):
    """Default fsync, batches of 5,000.  The bound is far below what is
    wanted (25,000/s on two idle cores): this must not fail by chance."""
    n = 20000
    events = crowd(n)
    doors = ["Hinged", "Automatic"]
    more = [Event("place_accessibility", access(
        f"q{i:06d}", STAIRS[i % 5], isFirstFloor=i % 3 > 0, floors=[1],
        hasSlope=i % 2 > 0, entranceDoorTypes=doors,
        imageUrls=[f"https://example.org/images/{i}.jpg"])) for i in range(n)]
    c = db.connect()
    cur = c.cursor()

    def pump(events):
        batches = [arguments(events[i:i + 5000])
                   for i in range(0, len(events), 5000)]
        start = time.monotonic()
        for b in batches:
            cur.execute("SET LOCAL synchronous_commit = on")
            cur.execute(APPLY, b)
            assert cur.fetchone() == (5000, 0)
            c.commit()
        return len(events) / (time.monotonic() - start)

    if kind == "both":
        events = [e for pair in zip(events, more) for e in pair]
    rate = pump(events)
    if kind == "accessibilities":
        rate = pump(more)
    c.close()
    record_property("events_per_second", round(rate))
    print(f"\napply, {kind}: {rate:,.0f} events/s")
    assert rate > 5000
    assert db.query("SELECT * FROM scc.cell_drift") == []
