"""Contributions of every kind in the store: corrections, reports, erasure,
whatever the order they come in.
"""

import datetime
import hashlib
import json
import os
import random
import uuid

import psycopg2
import pytest

import sccj_write
from servers import Postgres, run
from storedb import (APPLY, SQL, STAIRS, Event, access,     # noqa: F401
                     arguments, array, building_access, check_levels, copy,
                     db, place)

CONTRIBUTE = ("SELECT events_new, events_old, mismatched FROM scc.contribute("
              "%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
              " %s::text[], %s::timestamptz[], %s::uuid[], %s::text[])")

CONTENT = {
    "place": "id, name, category, address, source, extra::text, building_id,"
             " synthetic, is_closed, registered, level, lon_e7, lat_e7, hlc,"
             " event_id",
    "building": "id, name, address, lon_e7, lat_e7, contributor_id, hlc,"
                " event_id",
    "place_accessibility": "place_id, floors, is_first_floor,"
        " is_stair_only_option, stair_info, stair_height_level, has_slope,"
        " entrance_door_types, image_urls, recovered_from, confidence,"
        " recoverer, original_time, contributor_id, as_of, hlc, event_id",
    "building_accessibility": "building_id, entrance_stair_info,"
        " entrance_stair_height_level, entrance_door_types, has_slope,"
        " has_elevator, elevator_stair_info, elevator_stair_height_level,"
        " image_urls, recovered_from, confidence, recoverer, original_time,"
        " contributor_id, as_of, hlc, event_id",
    "photo": "id, object_key, size, sha256, taken_at, lon_e7, lat_e7,"
        " place_id, building_id, image_type, uploader, contributor_id, hlc,"
        " event_id",
    "comment": "event_id, place_id, building_id, comment, contributor_id,"
               " hlc",
    "report": "event_id, place_id, reason, detail, contributor_id, hlc",
    "retraction": "event_id, said_by, retracted, hlc, by_event",
    "contributor": "id, display_name, hlc, erased_hlc",
    "contribution": "event_id, hlc, kind, target, contributor_id,"
        " contributor_name, idem_key, encode(body_sha256, 'hex'), body",
}


@pytest.fixture(scope="module")
def cluster():
    """Nothing here is about durability, and there are many databases."""
    with Postgres(fsync=False) as pg:
        pg.create_database("empty")
        for path in SQL:
            run(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1",
                 "-o", os.devnull, "-f", path, pg.conninfo(dbname="empty")])
        yield pg


def contribute(db, *events):
    a = list(arguments(events))
    a[7] = array([None] * len(events))
    return db.query(CONTRIBUTE, a, "scc_app")[0]


def content(db):
    return {t: db.query(f"SELECT {c} FROM scc.{t} ORDER BY 1, 2")
            for t, c in CONTENT.items()}


def retract(event, hlc, by=None, kind="retract", **more):
    """By the event's own contributor."""
    ident = event.id if isinstance(event, Event) else event
    by = by or getattr(event, "by", "u9")
    return Event(kind, {"eventId": str(ident)}, hlc=hlc, by=by, **more)


def restore(event, hlc, by=None):
    return retract(event, hlc, by, "restore")


def report(ident, hlc, reason="CLOSED", **more):
    return Event("report", {"placeId": ident, "reason": reason, **more},
                 hlc=hlc)


def pages(db):
    """Every page, without the numbers that depend on delivery."""
    out = {}
    for ident, in db.query("SELECT id FROM scc.place ORDER BY 1"):
        p = db.page(ident)
        for key in ("rev", "updatedAt"):
            p.pop(key)
        for part in ("accessibility", "buildingAccessibility"):
            if p[part]:
                p[part].pop("updatedAt")
                p[part].pop("registeredUserOrder", None)
        for c in p["contributors"]:
            c.pop("order")
        out[ident] = p
    return out


def picture(key, **more):
    return {"objectKey": key, "size": 5, "sha256": "ab" * 32,
            "takenAt": "2023-05-01T00:00:00Z", **more}


# -- any order, any number of times ------------------------------------------


class Mix:
    """Random events of every kind, about few targets and each other."""

    def __init__(self, rnd):
        self.rnd = rnd
        self.made = []

    def event(self):
        rnd = self.rnd
        hlc = rnd.randrange(1, 60) << 16
        by = rnd.choice(["u1", "u2", "u3"])
        name = rnd.choice([None, f"name {rnd.randrange(9)}"])
        where = f"p{rnd.randrange(4)}"
        house = f"b{rnd.randrange(2)}"
        kind = rnd.choice(["place", "place", "place_accessibility",
                           "place_accessibility", "building",
                           "building_accessibility", "comment", "report",
                           "contributor", "erase", "retract", "retract",
                           "retract", "retract", "restore", "restore",
                           "remove", "reinstate", "photo"])
        if kind == "place":
            body = place(where, lng=127 + rnd.randrange(3) / 100,
                         buildingId=rnd.choice([None, house]),
                         isClosed=rnd.choice([None, False, True]))
        elif kind == "place_accessibility":
            body = access(where, rnd.choice(STAIRS),
                          hasSlope=rnd.choice([None, True, False]),
                          **self.recovered(by))
        elif kind == "building":
            body = {"buildingId": house, "name": f"house {hlc}"}
        elif kind == "building_accessibility":
            body = building_access(house, rnd.choice(STAIRS),
                                   **self.recovered(by))
        elif kind == "comment":
            body = rnd.choice([{"placeId": where}, {"buildingId": house}])
            body["comment"] = f"said {hlc}"
        elif kind == "report":
            body = {"placeId": where,
                    "reason": rnd.choice(["CLOSED", "CLOSED", "BAD_USER"])}
        elif kind == "photo":
            body = picture(f"k{rnd.randrange(3)}", placeId=where,
                           size=1 + rnd.randrange(9))
        elif kind == "contributor":
            body = {"displayName": f"called {rnd.randrange(9)}"}
        elif kind == "erase":
            body = {}
        else:
            body = {"eventId": str(rnd.choice(self.made).id
                                   if self.made and rnd.random() < .95
                                   else uuid.uuid4())}
        e = Event(kind, body, hlc=hlc, by=by, name=name,
                  event_id=uuid.UUID(int=rnd.getrandbits(128)))
        self.made.append(e)
        return e

    def recovered(self, by):
        """Half of the records; times of hlc are milliseconds of 1970."""
        rnd = self.rnd
        if rnd.random() < .5:
            return {}
        return {"recoveredFrom": rnd.choice(["photo", "photo", "sheet",
                                             "revisit"]),
                "confidence": rnd.choice([None, 0, .25, 1]),
                "recoverer": rnd.choice([None, by, "u9"]),
                "originalTime": rnd.choice([
                    None, "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z",
                    "1970-01-01T09:00:00.%03d+09:00" % rnd.randrange(60)])}


def as_of(event):
    """What was re-entered indoors is as old as what was lost; unknown, it is
    older than all else.
    """
    body = json.loads(event.body)
    if body.get("recoveredFrom") not in ("photo", "sheet"):
        return event.hlc
    if not body.get("originalTime"):
        return 0
    t = datetime.datetime.fromisoformat(
        body["originalTime"].replace("Z", "+00:00"))
    return min(max(int(t.timestamp() * 1000) << 16, 0), event.hlc)


def model(events):
    """What must be shown, by the rules said in words."""
    order = lambda e: (e.hlc, str(e.id))
    said = {}
    for e in events:
        if e.kind in ("retract", "restore", "remove", "reinstate"):
            about = (json.loads(e.body)["eventId"],
                     e.by if e.kind in ("retract", "restore") else "")
            if about not in said or order(said[about]) < order(e):
                said[about] = e
    gone = {str(e.id) for e in events for by in ("", e.by)
            if (str(e.id), by) in said
            and said[str(e.id), by].kind in ("retract", "remove")}
    live = [e for e in events if str(e.id) not in gone]

    def newest(kind, key, order=order):
        out = {}
        for e in live:
            if e.kind == kind:
                k = json.loads(e.body)[key]
                if k not in out or order(out[k]) < order(e):
                    out[k] = e
        return out

    told = lambda e: (as_of(e), *order(e))

    places = newest("place", "placeId")
    closed = {}
    for k, e in places.items():
        closed[k] = bool(json.loads(e.body).get("isClosed")) or any(
            r.kind == "report" and json.loads(r.body) ==
            {"placeId": k, "reason": "CLOSED"} and order(r) > order(e)
            for r in live)
    erased = {}
    for e in events:
        if e.kind == "erase":
            erased[e.by] = max(erased.get(e.by, 0), e.hlc)
    names = {}
    for e in events:
        names.setdefault(e.by, [])
        if e.hlc <= erased.get(e.by, 0) or e.kind == "contributor" \
                and str(e.id) in gone:
            continue
        given = [e.name] if e.name is not None else []
        if e.kind == "contributor":
            given.append(json.loads(e.body)["displayName"])
        names[e.by] += [(e.hlc, n) for n in given]
    return {
        "place": {k: (str(e.id), closed[k]) for k, e in places.items()},
        "place_accessibility": {
            k: str(e.id) for k, e in
            newest("place_accessibility", "placeId", told).items()},
        "building": {k: str(e.id) for k, e in
                     newest("building", "buildingId").items()},
        "building_accessibility": {
            k: str(e.id) for k, e in
            newest("building_accessibility", "buildingId", told).items()},
        "photo": {k: str(e.id) for k, e in
                  newest("photo", "objectKey").items()},
        "comment": {str(e.id) for e in live if e.kind == "comment"},
        "report": {str(e.id) for e in live if e.kind == "report"},
        "contributor": {k: max(v)[1] if v else None
                        for k, v in names.items()},
    }


def shown(db):
    out = {"place": {i: (e, c) for i, e, c in db.query(
        "SELECT id, event_id::text, is_closed FROM scc.place")}}
    for t, key in (("place_accessibility", "place_id"), ("building", "id"),
                   ("building_accessibility", "building_id"),
                   ("photo", "object_key")):
        out[t] = dict(db.query(f"SELECT {key}, event_id::text FROM scc.{t}"))
    for t in ("comment", "report"):
        out[t] = {r[0] for r in
                  db.query(f"SELECT event_id::text FROM scc.{t}")}
    out["contributor"] = dict(db.query(
        "SELECT id, display_name FROM scc.contributor"))
    return out


@pytest.mark.parametrize("seed", range(8))
def test_any_order_shows_the_same(cluster, seed):
    rnd = random.Random(seed)
    mix = Mix(rnd)
    events = [mix.event() for _ in range(60)]
    want = model(events)
    seen = []

    for turn in range(4):
        rnd = random.Random(1000 * seed + turn)
        db = copy(cluster)
        queue = list(events)
        if turn:
            queue += rnd.choices(events, k=30)
            rnd.shuffle(queue)
        versions = db.versions()
        while queue:
            n = rnd.choice([1, 2, 25])
            batch, queue = queue[:n], queue[n:]
            before = pages(db)
            new, old, mismatched = contribute(db, *batch)
            assert new + old == len(batch) and mismatched == []
            # what shows another page has another version
            after, now = pages(db), db.versions()
            cells = dict(db.query("SELECT id, cell FROM scc.place"))
            for ident, page in after.items():
                if ident in before and page != before[ident]:
                    cell = cells[ident]
                    assert now[cell] > versions.get(cell, 0), ident
            versions = now
        assert shown(db) == want, f"seed {seed}, turn {turn}"
        assert db.query("SELECT * FROM scc.cell_drift") == []
        check_levels(db)
        seen.append((content(db), pages(db)))

    for s in seen[1:]:
        for t in s[0]:
            assert s[0][t] == seen[0][0][t], (seed, t)
        assert s[1] == seen[0][1]


# -- corrections -------------------------------------------------------------


def test_retract_shows_what_was_before(db):
    a = Event("place_accessibility", access("a", "ONE"), hlc=5, by="u1")
    b = Event("place_accessibility", access("a", "NONE"), hlc=7, by="u2")
    db.apply(Event("place", place("a")), a, b)
    rev, = db.query("SELECT rev FROM scc.place")[0]
    page = db.page("a")
    assert page["accessibility"]["stairInfo"] == "NONE"
    assert [c["id"] for c in page["contributors"]] == ["u1", "u2"]

    assert db.apply(retract(b, 8)) == (1, 0)
    page = db.page("a")
    assert page["accessibility"]["stairInfo"] == "ONE"
    assert page["accessibility"]["contributor"]["id"] == "u1"
    assert [c["id"] for c in page["contributors"]] == ["u1"]
    assert page["rev"] > rev

    db.apply(retract(a, 9))
    page = db.page("a")
    assert page["accessibility"] is None and page["level"] is None
    assert page["contributors"] == []
    assert db.place("a")[1:3] == (None, False)

    db.apply(restore(a, 10))
    assert db.page("a")["accessibility"]["stairInfo"] == "ONE"
    db.apply(restore(b, 11))
    assert db.page("a")["accessibility"]["stairInfo"] == "NONE"
    # an older retract comes late
    db.apply(retract(b, 10))
    assert db.page("a")["accessibility"]["stairInfo"] == "NONE"
    assert db.value("SELECT count(*) FROM scc.contribution") == 8


def test_whose_word_counts(db):
    """One's own, and moderators': of strangers nothing, be it first or
    last; neither undoes the other's."""
    e = Event("place_accessibility", access("a"), hlc=5, by="u1")
    said = Event("comment", {"placeId": "a", "comment": "c"}, hlc=5, by="u1")
    shut = report("a", 6)
    db.apply(retract(e, 9, by="u2"))
    db.apply(Event("place", place("a")), e, said, shut)
    there = lambda: (db.page("a")["accessibility"] is not None,
                     db.value("SELECT count(*) FROM scc.comment"),
                     db.page("a")["isClosed"])
    assert there() == (True, 1, True)
    rev = db.page("a")["rev"]
    db.apply(*[retract(x, 10, by="u2") for x in (e, said)],
             retract(shut, 10, by="u7"))
    assert there() == (True, 1, True) and db.page("a")["rev"] == rev

    remove = lambda x, hlc: retract(x, hlc, "m1", "remove")
    reinstate = lambda x, hlc: retract(x, hlc, "m2", "reinstate")
    db.apply(remove(e, 11), remove(said, 11), remove(shut, 11))
    assert there() == (False, 0, False)
    db.apply(restore(e, 12), restore(said, 12), restore(shut, 12))
    assert there() == (False, 0, False)
    db.apply(retract(e, 13))
    db.apply(reinstate(e, 14), reinstate(said, 14), reinstate(shut, 14))
    assert there() == (False, 1, True)
    db.apply(restore(e, 15))
    assert there() == (True, 1, True)
    # a moderator's word that comes late is older
    db.apply(remove(e, 13))
    assert there() == (True, 1, True)


def test_retract_comes_first(db):
    e = Event("place", place("a"), hlc=3)
    db.apply(retract(e, 5))
    assert db.apply(e) == (1, 0)
    assert db.place("a") is None and db.page("a") is None
    db.apply(restore(e, 6))
    assert db.page("a")["name"] == "이름 a"


def test_a_place_that_returns_goes_on_counting(db):
    e = Event("place", place("a"), hlc=3)
    db.apply(e, Event("place_accessibility", access("a"), hlc=3))
    db.apply(Event("place_accessibility", access("a", "ONE"), hlc=4))
    before = db.page("a")
    db.apply(retract(e, 5))
    assert db.page("a") is None
    db.apply(restore(e, 6))
    after = db.page("a")
    assert after["rev"] > before["rev"]
    number = after["accessibility"]["registeredUserOrder"]
    assert number == before["accessibility"]["registeredUserOrder"]


def test_what_is_bad_is_bad_though_retracted(db):
    bad = Event("place_accessibility", access("a", "MANY"), hlc=3)
    db.apply(retract(bad, 5))
    with pytest.raises(psycopg2.Error) as e:
        db.apply(bad)
    assert e.value.pgcode[:2] in ("22", "23")
    assert e.value.diag.message_detail == str(bad.id)


def test_bad_ones_that_lost_are_passed_over(db):
    good = Event("building", {"buildingId": "b", "name": "g"}, hlc=1)
    lost = Event("building", {"buildingId": "b", "name": "x" * 600}, hlc=2)
    won = Event("building", {"buildingId": "b", "name": "w"}, hlc=3)
    db.apply(good)
    assert db.apply(lost, won) == (2, 0)
    db.apply(retract(won, 4))
    assert db.query("SELECT name FROM scc.building") == [("g",)]


def test_a_renaming_is_retracted(db):
    name = lambda: db.value("SELECT display_name FROM scc.contributor"
                            " WHERE id = 'u1'")
    db.apply(Event("place", place("a"), hlc=2, by="u1", name="first"))
    e = Event("contributor", {"displayName": "second"}, hlc=4, by="u1",
              name="first")
    db.apply(e)
    assert name() == "second"
    db.apply(retract(e, 5, by="u1", name=None))
    assert name() == "first"
    db.apply(retract(e, 6, kind="restore", name=None))
    assert name() == "second"


# -- reports -----------------------------------------------------------------


def test_a_report_closes_until_it_is_undone(db):
    e = Event("place", place("a"), hlc=5)
    db.apply(e)
    cell = db.place("a")[3]
    n = lambda: db.value("SELECT n FROM scc.cell WHERE cell = %s", (cell,))
    closed = lambda: db.page("a")["isClosed"]
    ver = db.versions()[cell]

    r = report("a", 7, detail="gone since May")
    db.apply(r)
    assert closed() and n() == 0 and db.versions()[cell] > ver
    db.apply(retract(r, 8))
    assert not closed() and n() == 1
    db.apply(restore(r, 9))
    assert closed()
    # an older word about the place does not open it, a newer one does
    db.apply(Event("place", place("a", name="old"), hlc=6))
    assert closed() and db.page("a")["name"] == "old"
    db.apply(Event("place", place("a", name="new"), hlc=10))
    assert not closed()
    assert db.value("SELECT count(*) FROM scc.report") == 1
    for reason in ("INACCURATE_INFO", "BAD_USER"):
        db.apply(report("a", 11, reason))
        assert not closed()


def test_a_report_before_its_place(db):
    db.apply(report("a", 7))
    db.apply(Event("place", place("a"), hlc=5))
    assert db.page("a")["isClosed"]
    db.apply(report("b", 4), Event("place", place("b"), hlc=5))
    assert not db.page("b")["isClosed"]


@pytest.mark.parametrize("kind, body, field", [
    ("comment", {"placeId": "a"}, "comment"),
    ("comment", {"comment": "x"}, "placeId"),
    ("comment", {"placeId": "a", "buildingId": "b", "comment": "x"},
     "placeId"),
    ("report", {"placeId": "a", "reason": "NICE"}, "reason"),
    ("report", {"reason": "CLOSED"}, "placeId"),
    ("retract", {}, "eventId"),
    ("remove", {"eventId": "1"}, "eventId"),
    ("restore", {"eventId": "x"}, "eventId"),
])
def test_bad_ones_of_the_new_kinds(db, kind, body, field):
    good = [Event("place", place(f"g{i}")) for i in range(5)]
    bad = Event(kind, body)
    with pytest.raises(psycopg2.Error) as e:
        db.apply(*good[:3], bad, *good[3:])
    assert e.value.pgcode[:2] in ("22", "23"), e.value
    first = e.value.diag.message_primary
    assert str(bad.id) in first and field in first
    assert e.value.diag.message_detail == str(bad.id)
    assert db.apply(*good) == (5, 0)


# -- erasure -----------------------------------------------------------------


def everything(db):
    """All that the store holds, as text."""
    tables = [r[0] for r in db.query(
        "SELECT relname FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'scc'::regnamespace")]
    return "\n".join(str(db.query(f"SELECT t::text FROM scc.{t} t"))
                     for t in tables)


def test_erasure(db):
    who = dict(by="u1", name="홍길동")
    db.apply(Event("place", place("a", buildingId="b"), hlc=1, by="u2",
                   name="other"),
             Event("place", place("z", lng=10), hlc=1, by="u2", name=None),
             Event("place_accessibility", access("a"), hlc=2, idem="key-1",
                   **who),
             Event("contributor", {"displayName": "홍길동 2"}, hlc=3, **who),
             Event("contributor", {"contributorId": "u1",
                                   "displayName": "홍길동 3"}, hlc=4,
                   by="u2", name="other"))
    assert db.page("a")["contributors"][0]["name"] == "홍길동 3"
    sums = db.query("SELECT event_id, body_sha256 FROM scc.contribution"
                    " WHERE kind <> 'contributor' ORDER BY 1")
    named = db.query("SELECT array_agg(event_id::text), array_agg("
                     "body_sha256) FROM scc.contribution"
                     " WHERE kind = 'contributor'")[0]
    ver = db.versions()
    assert "홍길동" in everything(db) and "key-1" in everything(db)

    e = Event("erase", {}, hlc=8, by="u1", name="홍길동")
    assert db.apply(e) == (1, 0)
    text = everything(db)
    assert "홍길동" not in text and "key-1" not in text
    assert "other" in text
    page = db.page("a")
    assert page["contributors"] == [{"id": "u1", "name": None, "order": 1}]
    assert page["accessibility"]["stairInfo"] == "NONE"
    changed = {c for c in ver if db.versions()[c] > ver[c]}
    assert changed == {db.place("a")[3]}
    assert sums == [r for r in db.query(
        "SELECT event_id, body_sha256 FROM scc.contribution"
        " WHERE kind <> 'contributor' ORDER BY 1")
        if str(r[0]) != str(e.id)]
    # the digest is of what is left; journals may have the other one
    assert db.value("SELECT count(*) FROM scc.contribution WHERE body_sha256"
                    " <> sha256(convert_to(body, 'UTF8'))") == 0
    assert db.query("SELECT * FROM scc.missing(%s::uuid[], %s::bytea[])",
                    (named[0], list(named[1]))) == []

    # what comes late is forgotten too, what is said later is not
    late = Event("contributor", {"displayName": "홍길동 0"}, hlc=7,
                 idem="key-2", **who)
    db.apply(late, Event("comment", {"placeId": "a", "comment": "c"}, hlc=5,
                         **who))
    assert "홍길동" not in everything(db) and "key-2" not in everything(db)
    assert contribute(db, late) == (0, 1, [])       # its sum is kept
    db.apply(Event("comment", {"placeId": "a", "comment": "c"}, hlc=9,
                   by="u1", name="again"))
    assert db.page("a")["contributors"][0]["name"] == "again"


def test_the_ledger_only_forgets(db):
    db.apply(Event("contributor", {"displayName": "n"}, name="n", idem="k"))
    for change in ("contributor_name = 'm'", "idem_key = 'm'",
                   "body = '[]'", "hlc = 7, contributor_name = NULL",
                   "body = body", "contributor_id = 'u2'",
                   "body_sha256 = sha256('x'), contributor_name = NULL"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege) as e:
            db.query(f"UPDATE scc.contribution SET {change}")
        assert "refused" in str(e.value)
    for sql in ("SELECT scc.erase('u1', 99)",
                "SELECT scc.refold('place', 'a')",
                "UPDATE scc.contribution SET contributor_name = NULL",
                "UPDATE scc.counter SET value = 1",
                "DELETE FROM scc.retraction"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            db.query(sql, user="scc_app")


# -- what an applier asks ----------------------------------------------------


def test_mismatches_are_told(db):
    e = Event("place", place("a"), idem="k")
    other = Event("place", place("b"), event_id=e.id)
    key = Event("place", place("c"), idem="k",
                event_id=uuid.UUID(int=(1 << 128) - 1))
    assert contribute(db, e, other, key) == (1, 2, [2, 3])
    assert contribute(db, Event("place", place("d")), e, other) \
        == (1, 2, [3])
    assert contribute(db, key) == (0, 1, [1])
    assert {r[0] for r in db.query("SELECT id FROM scc.place")} == {"a", "d"}
    # the same key and body under two ids is still two contributions told
    same = Event("place", place("a"), idem="k")
    assert contribute(db, same) == (0, 1, [1])


def missing(db, *events):
    sums = array(
        "\\x" + hashlib.sha256(e.body.encode()).hexdigest() for e in events)
    return [i if not dead else -i for i, dead in db.query(
        "SELECT * FROM scc.missing(%s::uuid[], %s::bytea[])",
        (array(e.id for e in events), sums), "scc_app")]


def bury(db, event_id, raw, reason="r"):
    return db.query("SELECT scc.bury(%s, NULL, %s, '22023', %s)",
                    (str(event_id), reason, raw), "scc_app")[0][0]


def test_missing(db):
    events = [Event("place", place(f"p{i}")) for i in range(6)]
    db.apply(*events[:2])
    assert missing(db, *events) == [3, 4, 5, 6]
    bury(db, events[3].id, b"x")
    assert missing(db, *events) == [3, -4, 5, 6]
    other = Event("place", place("q"), event_id=events[0].id)
    assert missing(db, other, events[0]) == [1]
    assert missing(db) == []


def test_erasure_of_dead_letters(db):
    """Those of before; a letter that is told again stays empty."""
    letter = lambda hlc, by="u1": sccj_write.record(
        "comment", b"{}", hlc=hlc, by=by, name="홍길동")
    letters = {h: letter(h) for h in (3, 4, 1 << 60)}
    ids = {h: uuid.UUID(bytes=r[40:56]) for h, r in letters.items()}
    for h in (3, 1 << 60):
        bury(db, ids[h], letters[h])
    other = letter(3, "u2")
    bury(db, uuid.uuid4(), other)
    bury(db, uuid.uuid4(), b"rubbish")
    bury(db, uuid.uuid4(), b"\xff" * 200)
    db.apply(Event("erase", {}, hlc=8, by="u1", name=None))
    assert bury(db, ids[4], letters[4]) is True
    for _ in range(2):
        assert bury(db, ids[3], letters[3]) is False
        assert bury(db, ids[4], letters[4]) is False
    rows = db.query("SELECT reason, raw FROM scc.dead_letter ORDER BY id")
    assert [(r, bytes(raw)) for r, raw in rows] == [
        ("erased", b""), ("r", letters[1 << 60]), ("r", other),
        ("r", b"rubbish"), ("r", b"\xff" * 200), ("erased", b"")]


def test_bury_once(db):
    e = uuid.uuid4()
    assert bury(db, e, b"x") is True
    assert bury(db, e, b"x") is False
    assert bury(db, e, b"y") is True
    assert bury(db, uuid.uuid4(), b"x") is True
    assert db.value("SELECT count(*) FROM scc.dead_letter") == 3


def test_segments_are_kept_by_event(db):
    events = [Event("place", place(f"p{i}")) for i in range(3)]
    a = list(arguments(events))
    segments = [str(uuid.uuid4()), None, str(uuid.uuid4())]
    a[7] = array(segments)
    db.query(CONTRIBUTE, a, "scc_app")
    rows = dict(db.query("SELECT event_id::text, segment_id::text"
                         " FROM scc.contribution"))
    assert [rows[str(e.id)] for e in events] == segments


def test_new_lookups_use_indexes(db):
    """What retract, restore and erase ask of a large ledger."""
    db.apply(*[Event("place", place(f"p{i}"), by=f"u{i % 500}")
               for i in range(3000)])
    target = Event("place", place("p7"), hlc=9, by="u7")
    db.apply(target)
    c = db.connect()
    with c, c.cursor() as cur:
        cur.execute("SELECT seq_scan FROM pg_stat_user_tables"
                    " WHERE relname = 'contribution'")
        for e in (retract(target, 10), Event("erase", {}, hlc=11, by="u7"),
                  restore(target, 12)):
            cur.execute(APPLY, arguments([e]))
    c.close()
    db.query("SELECT pg_stat_clear_snapshot()")
    c = db.connect()
    with c, c.cursor() as cur:
        for sql in ("SELECT * FROM scc.contribution c WHERE c.target = 'p7'"
                    " AND c.kind = 'place'"
                    " AND c.kind IN ('place', 'building', 'contributor')",
                    "SELECT * FROM scc.contribution l WHERE"
                    " l.contributor_id = 'u7' AND l.hlc <= 4"
                    " AND l.contributor_name IS NOT NULL",
                    "SELECT * FROM scc.contribution l WHERE l.target = 'u7'"
                    " AND l.kind = 'contributor' AND l.hlc <= 4"):
            cur.execute("EXPLAIN " + sql)
            plan = "\n".join(r[0] for r in cur.fetchall())
            assert "Index" in plan and "Seq Scan" not in plan, plan
    c.close()
