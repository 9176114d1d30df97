"""What is entered again after a loss, and photos: in the store."""

import json

import psycopg2
import pytest

from storedb import Event, access, building_access, db, place   # noqa: F401
from test_store_write import cluster, picture, retract          # noqa: F401

# -- what is re-entered after a loss -----------------------------------------


MAY = 1682899200000 << 16           # 2023-05-01T00:00:00Z


def photo(hlc, original=None, by="u2", source="photo", stair="ONE"):
    return Event("place_accessibility", access(
        "a", stair, recoveredFrom=source, confidence=.75, recoverer="u7",
        originalTime=original), hlc=hlc, by=by)


def test_recovered_never_overwrites_newer(db):
    field = Event("place_accessibility", access("a", "NONE"), hlc=MAY)
    shown = lambda: db.page("a")["accessibility"]
    db.apply(Event("place", place("a")))

    # nobody knows when: it is shown while there is nothing else
    db.apply(photo(MAY + 10))
    assert shown()["stairInfo"] == "ONE"
    assert shown()["recovered"] == {"from": "photo", "confidence": .75,
                                    "recoverer": "u7", "originalTime": None}
    rev = db.page("a")["rev"]
    db.apply(field)
    assert shown()["stairInfo"] == "NONE" and shown()["recovered"] is None
    assert db.page("a")["rev"] > rev

    # of before: no
    for source in ("photo", "sheet"):
        db.apply(photo(MAY + 20, "2023-04-30T23:59:59.999Z", source=source))
        db.apply(photo(MAY + 30, None, source=source))
        assert shown()["stairInfo"] == "NONE"
    # the future does not count beyond now; of after: yes
    db.apply(photo(MAY - (2 << 16), "2999-01-01T00:00:00Z"))
    assert shown()["stairInfo"] == "NONE"
    late = photo(MAY + (2 << 16), "2023-05-01T09:00:00.001+09:00",
                 stair="OVER_SIX")
    db.apply(late)
    assert shown()["stairInfo"] == "OVER_SIX"
    assert shown()["recovered"]["originalTime"] == "2023-05-01T00:00:00.001Z"
    # who went there again knows better
    db.apply(photo(MAY + (3 << 16), "2020-01-01T00:00:00Z", by="u5",
                   source="revisit", stair="TWO_TO_FIVE"))
    assert shown()["stairInfo"] == "TWO_TO_FIVE"
    # taken back: what is next in order, not the youngest
    db.apply(*[retract(i, MAY + (4 << 16), by) for i, by in db.query(
        "SELECT event_id, contributor_id FROM scc.contribution"
        " WHERE contributor_id = 'u5' OR event_id = %s", (str(late.id),))])
    assert shown()["stairInfo"] == "NONE"
    db.apply(retract(field, MAY + (4 << 16)))
    assert shown()["recovered"]["originalTime"] == "2023-04-30T23:59:59.999Z"


def test_a_name_may_be_written_otherwise(db):
    db.apply(Event("place", place("a")),
             Event("place_accessibility", access("a", "NONE"), hlc=MAY))
    rev = db.page("a")["rev"]
    e = photo(MAY + 1)
    e.body = e.body.replace("recoveredFrom", "\\u0072ecoveredFrom")
    assert json.loads(e.body)["recoveredFrom"] == "photo"
    db.apply(e)
    page = db.page("a")
    assert page["accessibility"]["stairInfo"] == "NONE"
    assert page["rev"] > rev            # it tells of another contributor


def test_building_is_recovered_too(db):
    db.apply(Event("place", place("a", buildingId="b")),
             Event("building_accessibility", building_access(
                 "b", recoveredFrom="sheet"), hlc=9, by="u3"))
    assert db.page("a")["buildingAccessibility"]["recovered"] == {
        "from": "sheet", "confidence": None, "recoverer": "u3",
        "originalTime": None}
    db.apply(Event("building_accessibility", building_access("b", "ONE"),
                   hlc=8))
    page = db.page("a")["buildingAccessibility"]
    assert page["entranceStairInfo"] == "ONE" and page["recovered"] is None


@pytest.mark.parametrize("more, field", [
    ({"recoveredFrom": "memory"}, "recoveredFrom"),
    ({"recoveredFrom": "photo", "confidence": 1.5}, "confidence"),
    ({"recoveredFrom": "photo", "confidence": "x"}, "confidence"),
    ({"recoveredFrom": "photo", "recoverer": ""}, "recoverer"),
    ({"recoveredFrom": "photo", "originalTime": "infinity"},
     "originalTime"),
    ({"recoveredFrom": "photo", "originalTime": "2023-13-01T00:00:00Z"},
     "originalTime"),
    ({"recoveredFrom": "photo", "originalTime": 5}, "originalTime")])
@pytest.mark.parametrize("hidden", [False, True])
def test_bad_recoveries_are_refused(db, more, field, hidden):
    e = Event("place_accessibility", access("a", **more), hlc=3)
    if hidden:
        db.apply(retract(e, 4))
    with pytest.raises(psycopg2.Error) as err:
        db.apply(e)
    assert err.value.pgcode[:2] in ("22", "23") and field in str(err.value)


# -- photos ------------------------------------------------------------------


def test_photos(db):
    key = "accessibility/" + "긴" * 300 + ".jpg"
    said = Event("photo", picture(key, location={"lng": 127.01, "lat": 37.5},
                                  placeId="a", imageType="Entrance",
                                  uploader="u7"), hlc=5)
    db.apply(said, Event("photo", picture("k"), hlc=6, by="u2"))
    assert db.query("SELECT object_key, lon_e7, place_id, image_type, uploader"
                    " FROM scc.photo ORDER BY hlc") == [
        (key, 1270100000, "a", "Entrance", "u7"),
        ("k", None, None, None, "u2")]
    # a correction is a whole document; taken back, the one before counts
    later = Event("photo", picture(key, buildingId="b"), hlc=7)
    db.apply(later)
    row = lambda: db.query("SELECT place_id, building_id FROM scc.photo"
                           " WHERE object_key = %s", (key,))
    assert row() == [(None, "b")]
    db.apply(retract(later, 8))
    assert row() == [("a", None)]
    db.apply(retract(said, 9))
    assert row() == []
    assert db.query("SELECT * FROM scc.fold_drift") == []
    # nobody conquers with it
    assert db.value("SELECT count(*) FROM scc.number") == 0


@pytest.mark.parametrize("more, field", [
    ({"objectKey": ""}, "objectKey"), ({"objectKey": "x" * 1025},
                                       "objectKey"),
    ({"objectKey": None}, "objectKey"), ({"size": 0}, "size"),
    ({"size": 1.5}, "size"), ({"sha256": "AB" * 32}, "sha256"),
    ({"sha256": None}, "sha256"), ({"takenAt": "infinity"}, "takenAt"),
    ({"takenAt": "x"}, "takenAt"), ({"imageType": "Toilet"}, "imageType"),
    ({"placeId": ""}, "placeId"), ({"uploader": ""}, "uploader"),
    ({"location": {"lng": 181, "lat": 0}}, "location")])
def test_bad_photos(db, more, field):
    with pytest.raises(psycopg2.Error) as err:
        db.apply(Event("photo", picture("k") | more))
    assert err.value.pgcode[:2] in ("22", "23"), err.value.pgcode
    assert field in str(err.value) or "photo_" + field in str(err.value)
