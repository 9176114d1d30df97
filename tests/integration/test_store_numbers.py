"""Order numbers in the store: given once, and put back into one that was lost
or went back."""

import random

import psycopg2
import pytest

from storedb import (Event, access, array, building_access,     # noqa: F401
                     copy, db, place)
from test_store_write import (Mix, cluster, contribute,         # noqa: F401
                              restore, retract)


def test_order_numbers(db):
    order = lambda: {i: n for i, n in db.query(
        "SELECT c.id, n.number FROM scc.contributor c LEFT JOIN scc.number n"
        " ON n.kind = 'contributor' AND n.id = c.id")}
    db.apply(Event("place", place("a", buildingId="b"), by="u0"))
    assert order() == {"u0": None}
    db.apply(*[Event("place_accessibility", access("a"), hlc=9 - i,
                     by=f"u{i}") for i in (3, 1, 2)])
    assert order() == {"u0": None, "u3": 1, "u2": 2, "u1": 3}
    e = Event("building_accessibility", building_access("b"), by="u0")
    db.apply(e)
    assert order()["u0"] == 4
    db.apply(retract(e, 20), e)
    db.apply(Event("place_accessibility", access("z"), hlc=1, by="u5"))
    assert order() == {"u0": 4, "u3": 1, "u2": 2, "u1": 3, "u5": 5}
    page = db.page("a")
    assert {c["id"]: c["order"] for c in page["contributors"]} \
        == {"u3": 1, "u2": 2, "u1": 3}


def test_registration_numbers(db):
    number = lambda: dict(db.query(
        "SELECT a.place_id, n.number FROM scc.place_accessibility a"
        " LEFT JOIN scc.number n ON n.kind = 'place' AND n.id = a.place_id"))
    first = Event("place_accessibility", access("a"), hlc=5)
    db.apply(first)
    db.apply(Event("place_accessibility", access("c"), hlc=8),
             Event("place_accessibility", access("b"), hlc=7),
             Event("place_accessibility", access("a"), hlc=6))
    assert number() == {"a": 1, "b": 2, "c": 3}
    e = Event("place_accessibility", access("d"), hlc=9)
    db.apply(e)
    db.apply(retract(e, 10))
    db.apply(Event("place_accessibility", access("e"), hlc=9))
    db.query("INSERT INTO scc.place_accessibility (place_id, stair_info)"
             " VALUES ('h', 'NONE')")
    db.apply(Event("place_accessibility", access("h"), hlc=9),
             Event("place_accessibility", access("i"), hlc=10))
    db.apply(restore(e, 11))
    assert number() == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "h": 6,
                        "i": 7}


NUMBERS = "SELECT kind, number, id FROM scc.number ORDER BY 1, 2"
RESTORE = ("SELECT * FROM scc.numbers_restore(%s::text[], %s::bigint[],"
           " %s::text[])")


def in_batches(db, events, rnd):
    events = list(events)
    while events:
        n = rnd.choice([1, 2, 7, 40])
        contribute(db, *events[:n])
        events = events[n:]


def restore_numbers(db, numbers):
    """How many were put in, and how many contradict the store."""
    return db.query(RESTORE, [array(c) for c in zip(*numbers)],
                    "scc_app")[0]


@pytest.mark.parametrize("seed", range(4))
def test_numbers_whatever_the_batches(cluster, seed):
    """What comes by time is numbered the same however it is cut."""
    mix = Mix(random.Random(100 + seed))
    events = sorted((mix.event() for _ in range(80)),
                    key=lambda e: (e.hlc, str(e.id)))
    seen = []
    for turn in range(4):
        db = copy(cluster)
        in_batches(db, events, random.Random(turn))
        seen.append(db.query(NUMBERS))
        assert db.query("SELECT kind, max(number) FROM scc.number GROUP BY 1"
                        " ORDER BY 1") \
            == db.query("SELECT kind, value FROM scc.counter ORDER BY 1")
    assert seen[0] and seen[1:] == seen[:1] * 3


@pytest.mark.parametrize("seed", range(4))
def test_numbers_of_a_lost_store(cluster, seed):
    """Given in any order; restored, they are what they were."""
    rnd = random.Random(200 + seed)
    mix = Mix(rnd)
    events = [mix.event() for _ in range(80)]
    lost = copy(cluster)
    in_batches(lost, events, rnd)
    given = lost.query(NUMBERS)
    assert lost.query("SELECT * FROM scc.numbers_due(1000)") == given

    by_time = sorted(events, key=lambda e: (e.hlc, str(e.id)))
    again = copy(cluster)
    assert restore_numbers(again, given) == (len(given), 0)
    in_batches(again, by_time, rnd)
    assert again.query(NUMBERS) == given
    assert again.query("SELECT * FROM scc.numbers_due(1000)") == []

    # what no journal had comes after what one had
    part = [n for n in given if n[1] <= 2]
    again = copy(cluster)
    restore_numbers(again, part)
    in_batches(again, by_time, rnd)
    now = again.query(NUMBERS)
    assert set(part) <= set(now) and len(now) == len(given)
    assert {n[::2] for n in now} == {n[::2] for n in given}
    assert again.query("SELECT * FROM scc.numbers_due(1000)") \
        == [n for n in now if n not in part]


def test_numbers_are_kept_in_order(db):
    access_of = lambda i: Event("place_accessibility", access(f"p{i}"),
                                hlc=i, by=f"u{i}")
    db.apply(*[access_of(i) for i in range(1, 6)])
    due = db.query("SELECT * FROM scc.numbers_due(2)", user="scc_app")
    assert due == [("contributor", 1, "u1"), ("contributor", 2, "u2"),
                   ("place", 1, "p1"), ("place", 2, "p2")]
    db.query("SELECT scc.numbers_kept('{contributor,place}', '{3,9}')",
             user="scc_app")
    assert db.query("SELECT * FROM scc.numbers_due(9)") \
        == [("contributor", 4, "u4"), ("contributor", 5, "u5")]
    # never back
    db.query("SELECT scc.numbers_kept('{contributor}', '{1}')")
    assert len(db.query("SELECT * FROM scc.numbers_due(9)")) == 2
    # who has fewer than others gets more, who has more what nobody has
    due = lambda *has: db.query(
        "SELECT kind, number FROM scc.numbers_due(2, '{place,contributor}',"
        " %s::bigint[])", [list(has)], "scc_app")
    assert due(4, 2) == [("contributor", 3), ("contributor", 4), ("place", 5)]
    assert due(9, 9) == [("contributor", 4), ("contributor", 5)]


DOUBTS = "SELECT kind, number, id FROM scc.number_doubt ORDER BY 1, 2, 3"
COUNTERS = "SELECT kind, value, kept FROM scc.counter ORDER BY 1"


@pytest.mark.parametrize("seed", range(4))
def test_numbers_of_a_store_that_went_back(cluster, seed):
    """A part of the events is lost, and comes again in any order and with
    new ones between: every number is what it was, new ones are new."""
    rnd = random.Random(300 + seed)
    mix = Mix(rnd)
    events = [mix.event() for _ in range(120)]
    lost, again = copy(cluster), copy(cluster)
    until = rnd.randrange(20, 60)
    for i in range(0, 80, 8):
        for db in (lost, again) if i < until else (lost,):
            contribute(db, *events[i:i + 8])
    given = lost.query(NUMBERS)
    have = again.query(NUMBERS)
    again.query("UPDATE scc.counter SET kept = least(value, 1)")
    kept = {k: n for k, _, n in again.query(COUNTERS)}
    lines = given * 2                   # two directories, in any order
    rnd.shuffle(lines)
    assert restore_numbers(again, lines) == (len(given) - len(have), 0)
    assert restore_numbers(again, lines) == (0, 0)
    assert again.query(NUMBERS) == given
    counters = again.query(COUNTERS)
    assert {k: n for k, n, _ in counters} \
        == {k: n for k, n, _ in lost.query(COUNTERS)}
    # what the journal has is told once more, rather than left out
    assert {k: n for k, _, n in counters} == kept

    replay = list(events)
    rnd.shuffle(replay)
    in_batches(again, replay, rnd)
    now = again.query(NUMBERS)
    assert set(given) <= set(now)
    assert len({n[:2] for n in now}) == len({n[::2] for n in now}) == len(now)
    assert again.query(DOUBTS) == []


def test_numbers_that_contradict_the_store(db):
    """The store's word counts; the journal's is kept, and nobody ever gets
    such a number."""
    access_of = lambda i: Event("place_accessibility", access(f"p{i}"),
                                hlc=i, by=f"u{i}")
    db.apply(*[access_of(i) for i in (1, 2)])
    told = [("place", 2, "p9"),         # another's
            ("place", 7, "p1"),         # he has another
            ("place", 5, "p5"), ("place", 5, "p6"), ("place", 6, "p5"),
            ("place", 1, "p1"), ("contributor", 3, "e\u0308\\\""),
            ("contributor", 9, "u2")]
    doubts = [("contributor", 9, "u2"), ("place", 2, "p9"),
              ("place", 5, "p6"), ("place", 6, "p5"), ("place", 7, "p1")]
    assert restore_numbers(db, told) == (2, 5)
    assert db.query(DOUBTS) == doubts
    assert restore_numbers(db, told) == (0, 0)
    numbers = [("contributor", 1, "u1"), ("contributor", 2, "u2"),
               ("contributor", 3, "e\u0308\\\""),
               ("place", 1, "p1"), ("place", 2, "p2"), ("place", 5, "p5")]
    assert db.query(NUMBERS) == numbers
    assert db.query(COUNTERS) == [("contributor", 9, 0), ("place", 7, 0)]
    db.apply(*[access_of(i) for i in (9, 5, 6)])
    assert db.query(NUMBERS) == sorted(
        numbers + [("place", 8, "p6"), ("place", 9, "p9"),
                   ("contributor", 10, "u5"), ("contributor", 11, "u6"),
                   ("contributor", 12, "u9")])
    assert db.query(DOUBTS) == doubts
    with pytest.raises(psycopg2.errors.CheckViolation):
        restore_numbers(db, [("place", 0, "p0")])
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        db.query("INSERT INTO scc.number_doubt VALUES ('place', 1, 'x')",
                 user="scc_app")
