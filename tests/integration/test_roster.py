"""sccctl roster: who contributed, from a store and from journals alone."""

import csv
import datetime
import hashlib
import io
import json
import os
import random
import shutil
import unicodedata
import uuid

import pytest

import journals
from contribute import (PATH, Writer, body, head, journal_dir, queue_redis,
                        store_uuid)
from servers import Postgres, new_dir, sccctl
from storedb import Event, access, building_access, copy, place
from test_rebuild import kept, whole
from test_store_write import Mix, contribute, report, retract

STORE = uuid.UUID("7e0f2b1c-5d6a-4c3b-9f21-0a1b2c3d4e5f")
KST = datetime.timezone(datetime.timedelta(hours=9))


@pytest.fixture(scope="module")
def cluster():
    with Postgres(fsync=False) as pg:
        pg.create_database("empty")
        sccctl("init", "--pg", pg.conninfo(dbname="empty"), "--store",
               str(STORE))
        yield pg


@pytest.fixture
def db(cluster):
    return copy(cluster)


@pytest.fixture
def box():
    return new_dir("roster")


def hlc(text, counter=0):
    """Of a time in Korea."""
    t = datetime.datetime.fromisoformat(text).replace(tzinfo=KST)
    return int(t.timestamp() * 1000) << 16 | counter


def utc(msec):
    t = datetime.datetime.fromtimestamp(msec / 1000, datetime.timezone.utc)
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (msec % 1000)


def journal(folder, events, rnd=None, numbers=()):
    """Journals of two writers, with some events in both."""
    rnd = rnd or random.Random(1)
    events = list(events) + rnd.choices(list(events), k=len(events) // 4)
    rnd.shuffle(events)
    for n, part in enumerate((events[::2], events[1::2])):
        s = journals.Segment(STORE, number=n, created=1764000000000 + n)
        part.sort(key=lambda e: (e.hlc, e.id.bytes))
        for i in range(0, len(part), 7):
            s.batch(*[journals.Record(
                e.kind, e.body.encode(), e.hlc >> 16, e.hlc & 65535, e.by,
                e.name or "", "", e.idem or "", e.id)
                for e in part[i:i + 7]])
        s.seal().write(folder)
    lines = [f"numbers {STORE}"] + [f"contributor {n} {i}"
                                    for i, n in numbers]
    with open(os.path.join(folder, "x.numbers"), "w") as f:
        for line in lines:
            f.write(f"{line} {journals.crc32c(line.encode()):08x}\n")
    return folder


def given(db):
    return db.query("SELECT id, number FROM scc.number"
                    " WHERE kind = 'contributor' ORDER BY 2")


def roster(*args, db=None, code=0, text=True):
    more = ("--pg", db.pg.conninfo(dbname=db.name)) if db else ()
    p = sccctl("roster", *args, *more, check=False)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p.stdout


def rows(text):
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline=""),
                               strict=True))


def people(text):
    doc = json.loads(text)
    lines = text.split("\n")[1:-2]
    bare = "".join(json.dumps({k: v for k, v in json.loads(
        l.rstrip(",")).items() if k != "seasons"}, ensure_ascii=False,
        separators=(",", ":")) + "\n" for l in lines)
    assert doc["sha256"] == hashlib.sha256(bare.encode()).hexdigest()
    assert doc["contributors"] == len(doc["roster"])
    assert doc["store"] == str(STORE)
    return {p["id"]: p for p in doc["roster"]}


def seasons(folder, *lines):
    path = os.path.join(folder, "seasons.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write("season,chapter,from,to,area,contributors\n"
                + "".join(line + "\n" for line in lines))
    return path


# -- the same from both ------------------------------------------------------


def said_when(e):
    body = json.loads(e.body)
    for key in ("originalTime", "observedAt"):
        if body.get(key):
            t = datetime.datetime.fromisoformat(
                body[key].replace("Z", "+00:00"))
            return int(t.timestamp() * 1000)
    return e.hlc >> 16


def model(events, numbers):
    """The roster, by its rules said in words."""
    order = lambda e: (e.hlc, str(e.id))
    erased = {}
    for e in events:
        if e.kind == "erase":
            erased[e.by] = max(erased.get(e.by, 0), e.hlc)
    said = {}
    for e in sorted(events, key=order):
        if e.kind in ("retract", "restore", "remove", "reinstate"):
            by = e.by if e.kind in ("retract", "restore") else ""
            said[json.loads(e.body)["eventId"], by] = e.kind
    gone = {str(e.id) for e in events
            if said.get((str(e.id), e.by)) == "retract"
            or said.get((str(e.id), "")) == "remove"}
    out = {}
    for e in events:
        if e.hlc <= erased.get(e.by, -1):
            continue
        p = out.setdefault(e.by, {"names": {}, "all": [], "made": [0] * 5})
        p["all"].append(e.hlc >> 16)
        given = [e.name] if e.name else []
        if e.kind == "contributor":
            given.append(json.loads(e.body)["displayName"])
            if str(e.id) in gone:
                given = []
        for n in given:
            p["names"].setdefault(n, []).append(e.hlc)
        kinds = ("place_accessibility", "building_accessibility", "comment",
                 "report", "photo")
        if e.kind in kinds and str(e.id) not in gone:
            p["made"][kinds.index(e.kind)] += 1
    numbers = dict(numbers)
    return {by: {
        "order": numbers.get(by), "id": by,
        "name": max(((max(h), n) for n, h in p["names"].items()),
                    default=(0, ""))[1],
        "names": [{"name": n, "first": utc(min(h) >> 16),
                   "last": utc(max(h) >> 16)}
                  for n, h in sorted(p["names"].items(),
                                     key=lambda i: i[0].encode())],
        "first": utc(min(p["all"])), "last": utc(max(p["all"])),
        **dict(zip(("places", "buildings", "comments", "reports", "photos"),
                   p["made"]))} for by, p in out.items()}


@pytest.mark.parametrize("seed", range(4))
def test_store_and_journals_agree(db, box, seed):
    """Bytes are the same, whatever the order; and what the rules say."""
    rnd = random.Random(seed)
    mix = Mix(rnd)
    events = [mix.event() for _ in range(90)]
    queue = events + rnd.choices(events, k=20)
    rnd.shuffle(queue)
    while queue:
        contribute(db, *queue[:9])
        queue = queue[9:]

    numbers = given(db)
    journal(box, events, rnd, numbers)
    now = roster("export", "--format", "json", db=db)
    assert people(now) == model(events, numbers), f"seed {seed}"
    assert json.loads(now)["order"] == len(numbers)

    by = seasons(box, "첫,북,1970-01-01,1970-01-01,\"126,37,127.005,38\",",
                 "첫,둘,,,126/37;128/37;128/38;126/38,u1;u2",
                 "첫,,,,,u2;u3")
    for more in (("--format", "json"), (), ("--names",),
                 ("--format", "json", "--seasons", by),
                 ("--seasons", by, "--season", "첫", "--chapter", "북")):
        assert roster("export", *more, db=db) == \
            roster("export", *more, "--journal", box), more
    assert roster("digest", db=db) == roster("digest", "--journal", box)

    # what was counted by season adds up to all
    for p in people(roster("export", "--format", "json", "--seasons", by,
                           "--journal", box)).values():
        for k in ("places", "buildings", "comments", "reports", "photos"):
            assert sum(s[k] for s in p["seasons"]) == p[k]


def test_numbers_nobody_kept(db, box):
    """They are those that a rebuild gives."""
    rnd = random.Random(7)
    mix = Mix(rnd)
    events = [mix.event() for _ in range(60)]
    for by, n in (("u8", 3), ("u9", 1)):
        events.append(Event("building_accessibility", building_access("b"),
                            hlc=n, by=by))
    journal(box, events, rnd, [("u9", 4)])
    before = people(roster("export", "--format", "json", "--journal", box))
    assert before["u9"]["order"] == 4 and before["u8"]["order"] > 4

    sccctl("rebuild", "--pg", db.pg.conninfo(dbname=db.name), "--journal",
           box)
    assert roster("export", "--format", "json", db=db) == \
        roster("export", "--format", "json", "--journal", box)


# -- seasons -----------------------------------------------------------------


def test_seasons_and_chapters(db, box):
    """2023's: chapters by area, days of Korea, accounts that stand for a
    chapter, and what was recovered counts when it was made."""
    def conquest(ident, when, by, **more):
        return Event("place_accessibility", access(ident, **more),
                     hlc=hlc(when), by=by, name=by)

    events = [
        Event("place", place("gangnam", 127.03, 37.50, buildingId="b")),
        Event("place", place("gwanak", 126.95, 37.47)),
        Event("place", place("busan", 129.07, 35.18)),
        conquest("gangnam", "2023-03-04T00:00:00.000", "u1"),
        conquest("gwanak", "2023-05-28T23:59:59.999", "u1"),
        conquest("gwanak", "2023-05-29T00:00:00.000", "u1"),
        conquest("busan", "2023-04-01T10:00:00", "u2"),
        conquest("nowhere", "2023-04-01T10:00:00", "u2"),
        conquest("busan", "2023-06-17T10:00:00", "23봄시즌_강남지부"),
        conquest("gangnam", "2026-11-23T10:00:00", "u3",
                 recoveredFrom="photo", originalTime="2023-05-28T14:59:59Z"),
        # nobody said where the building is, but a place in it is known
        Event("building_accessibility", building_access("b"), by="u4",
              hlc=hlc("2023-04-02T00:00:00")),
        Event("comment", {"placeId": "gangnam", "comment": "!"}, by="u4",
              hlc=hlc("2023-04-02T00:00:00")),
        conquest("gangnam", "2023-04-02T00:00:00", "u4"),
    ]
    contribute(db, *events)
    by = seasons(
        box, "23봄시즌,강남지부,,,,23봄시즌_강남지부;23봄시즌",
        "23봄시즌,강남지부,2023-03-04,2023-05-28,\"127,37.45,127.1,37.55\",",
        "23봄시즌,관악지부,2023-03-04,2023-05-28,"
        "126.9/37.4;127.0/37.4;127.0/37.5;126.9/37.5,",
        "23봄시즌,,2023-03-04,2023-05-28,,")
    got = [(r["id"], r["season"], r["chapter"], r["places"], r["buildings"],
            r["comments"]) for r in rows(roster("export", "--seasons", by,
                                                db=db))]
    spring = "23봄시즌"
    assert sorted(got) == sorted([
        ("u1", spring, "강남지부", "1", "0", "0"),
        ("u1", spring, "관악지부", "1", "0", "0"),
        ("u1", "", "", "1", "0", "0"),
        ("u2", spring, "", "2", "0", "0"),
        ("23봄시즌_강남지부", spring, "강남지부", "1", "0", "0"),
        ("u3", spring, "강남지부", "1", "0", "0"),
        ("u4", spring, "강남지부", "1", "1", "1")])
    assert len(rows(roster("export", "--seasons", by, "--chapter",
                           "관악지부", db=db))) == 3        # all of u1
    # in another zone the first minutes are of the day before
    p = people(roster("export", "--format", "json", "--seasons", by,
                      "--utc-offset", "Z", db=db))["u1"]
    assert [(s["chapter"], s["places"]) for s in p["seasons"]] == [
        ("관악지부", 2), ("", 1)]


@pytest.mark.parametrize("line, says", [
    (",x,,,,", '"season" must have 1 to 512 bytes'),
    ("s,x,2023-02-29,,,", '"from" must be a day'),
    ("s,x,,1.5.2023,,", '"to" must be a day'),
    ("s,x,2023-05-02,2023-05-01,,", '"to" is before "from"'),
    ("s,x,,,\"1,2,3\",", '"area" must be west,south'),
    ("s,x,,,1/2;3/4,", "at least three"),
    ("s,x,,,1/2;3/4;x/5,", "corners"),
    ("s,\"x", "quote")])
def test_bad_seasons(box, line, says):
    p = sccctl("roster", "digest", "--pg", "host=/nowhere", "--seasons",
               seasons(box, "a,b,,,,", line), check=False)
    assert p.returncode == 1 and says in p.stderr and "line 3" in p.stderr


def test_wrong_usage(box):
    for args, says in [
            ((), "say what to do"), (("list",), "say what to do"),
            (("reconcile",), "name the sign-up list"),
            (("snapshot", "--pg", "x=y"), "--to DIR"),
            (("export", "--format", "xml"), "neither csv nor json"),
            (("export", "--season", "s"), "--seasons FILE"),
            (("export", "--utc-offset", "9"), "as +09:00"),
            (("export", "dir", "--pg", "dbname=x"), "follow --journal"),
            (("export", "--journal", box, "--pg", "dbname=x"), "not both"),
            (("export", "--seasons", seasons(box, "a,b,,,,"), "--season",
              "c", "--pg", "dbname=x"), "no row of season")]:
        p = sccctl("roster", *args, check=False)
        assert p.returncode == 2 and says in p.stderr, (args, p.stderr)
    p = sccctl("roster", "digest", "--journal", box, check=False)
    assert p.returncode == 1 and "no segment" in p.stderr


# -- names -------------------------------------------------------------------


def test_names_as_typed(db, box):
    """Every spelling stays, byte for byte; no cell is a formula."""
    nfd = unicodedata.normalize("NFD", "한글")
    typed = ["한글", nfd, " 한글", "=HYPERLINK(\"http://x\",\"y\")",
             "+82", "-1", "@me", "a,b\"c", "줄\u2028", "ａｂ", "\tx"]
    events = [Event("comment", {"placeId": "p", "comment": "c"},
                    hlc=(i + 1) << 16, by="u1", name=n)
              for i, n in enumerate(typed)]
    contribute(db, *events)
    p = people(roster("export", "--format", "json", db=db))["u1"]
    assert sorted(n["name"] for n in p["names"]) == sorted(typed)
    assert p["name"] == "\tx"
    got = [r["spelling"] for r in rows(roster("export", "--names", db=db))]
    want = [("'" + n if n[0] in "=+-@\t\r" else n)
            for n in sorted(typed, key=str.encode)]
    assert got == want
    journal(box, events)
    assert roster("export", "--names", db=db) == \
        roster("export", "--names", "--journal", box)


def test_who_was_erased_is_not_in_it(db, box):
    def conquest(n, by, name):
        return Event("place_accessibility", access("p%d" % n),
                     hlc=n << 16, by=by, name=name)

    events = [conquest(1, "u1", "secret one"), conquest(2, "u2", "stays"),
              Event("contributor", {"displayName": "secret two"},
                    hlc=3 << 16, by="u1", name="secret three"),
              conquest(4, "u3", "secret four"),
              Event("erase", {}, hlc=5 << 16, by="u1", name="secret five"),
              Event("erase", {}, hlc=6 << 16, by="u3", name="secret six"),
              conquest(7, "u3", "back again")]
    contribute(db, *events)
    journal(box, events, numbers=given(db))
    for text in (roster("export", "--format", "json", db=db),
                 roster("export", "--format", "json", "--journal", box)):
        assert "secret" not in text and json.loads(text)["erased"] == 1
        p = people(text)
        assert sorted(p) == ["u2", "u3"]
        assert p["u3"]["places"] == 1 and p["u3"]["order"] == 3
        assert [n["name"] for n in p["u3"]["names"]] == ["back again"]


# -- sign-up lists -----------------------------------------------------------


def test_reconcile(db, box):
    nfd = unicodedata.normalize("NFD", "박수빈")
    events = [Event("place_accessibility", access(f"p{i}"),
                    hlc=hlc("2023-04-01T10:00:00", i), by=f"u{i}", name=n)
              for i, n in enumerate(["김하나", nfd, "Lee Doe", "같은이름",
                                     "같은이름", "아무도모름", "=1+1"])]
    events.append(Event("comment", {"placeId": "p0", "comment": "c"},
                        hlc=hlc("2023-04-01T10:00:00"), by="u8",
                        name="말만"))
    contribute(db, *events)
    sheet = os.path.join(box, "sheet.csv")
    with open(sheet, "w", encoding="utf-8-sig") as f:
        f.write("번호,이름,지부,아이디\n1, 김하나 ,강남,\n2,박수빈,관악,\n"
                "3,ｌｅｅ　ＤＯＥ,,\n4,같은이름,,\n5,없는사람,,\n6,말만,,\n"
                "7,누구,,u6\n,,,\n")
    text = roster("reconcile", sheet, db=db, code=3)
    got = {(r["status"], r["name"], r["id"], r["alike"]) for r in rows(text)}
    assert got == {
        ("both", " 김하나 ", "u0", ""), ("both", "박수빈", "u1", ""),
        ("no_record", "ｌｅｅ　ＤＯＥ", "", "Lee Doe (u2)"),
        ("both", "같은이름", "u3", ""), ("both", "같은이름", "u4", ""),
        ("no_record", "없는사람", "", ""), ("no_record", "말만", "u8", ""),
        ("both", "누구", "u6", ""),
        ("not_signed_up", "", "u2", ""), ("not_signed_up", "", "u5", "")}
    assert [r["roster_name"] for r in rows(text) if r["id"] == "u6"] == [
        "'=1+1"]
    assert [r["line"] for r in rows(text) if r["name"] == "누구"] == ["8"]
    doc = json.loads(roster("reconcile", sheet, "--format", "json", db=db,
                            code=3))
    assert len(doc) == len(got)
    assert [r["alike"] for r in doc if r["alike"]] == [
        [{"id": "u2", "name": "Lee Doe"}]]

    # of a season that nobody conquered in
    by = seasons(box, "가을,,2023-09-01,2023-11-30,,")
    text = roster("reconcile", sheet, "--seasons", by, "--season", "가을",
                  "--journal", journal(new_dir("roster"), events), code=3)
    assert {r["status"] for r in rows(text)} == {"no_record"}

    with open(sheet, "w") as f:
        f.write("who\nme\n")
    p = sccctl("roster", "reconcile", sheet, "--journal", box, check=False)
    assert p.returncode == 1


# -- snapshots ---------------------------------------------------------------


def test_snapshots(db, box):
    today = datetime.datetime.now(KST).date()
    day = lambda n: (today - datetime.timedelta(days=n)).strftime("%Y%m%d")
    contribute(db, *[Event("place_accessibility", access(f"p{i}"),
                           hlc=(i + 1) << 16, by=f"u{i}") for i in range(3)])
    snap = lambda *more, code=0: roster("snapshot", "--to", box, *more,
                                        db=db, code=code)
    names = lambda: sorted(os.listdir(box))
    mine = f"roster-{day(0)}.json"

    assert "dry run" in snap("--dry-run") and names() == []
    snap()
    assert names() == [mine]
    with open(os.path.join(box, mine), encoding="utf-8") as f:
        text = f.read()
    assert text == roster("export", "--format", "json", db=db)

    # 35 days are kept; what has another name is not ours
    others = ["notes.txt", "roster-20230501.json.bak", "roster-2023051.json",
              "roster-20230231.json", "x-roster-20230501.json"]
    ours = [f"roster-{day(n)}.json" for n in (1, 34, 35, 36, 400)]
    for name in others + ours:
        with open(os.path.join(box, name), "w") as f:
            f.write(text)
    assert ", 2 older snapshots deleted" in snap("--dry-run")
    assert set(ours) < set(names())
    snap()
    assert names() == sorted([mine] + others + ours[:3])

    # the next night the store is empty: it is not believed; what is too old
    # goes all the same, but never the newest there is
    lost = copy(db.pg)
    old = os.path.join(box, f"roster-{day(36)}.json")
    with open(old, "w") as f:
        f.write(text)
    refused = lambda to, *more: sccctl(
        "roster", "snapshot", "--to", to, *more, "--pg",
        db.pg.conninfo(dbname=lost.name), check=False)
    p = refused(box, "--dry-run")
    assert p.returncode == 4 and "refused" in p.stderr
    assert os.path.exists(old)
    p = refused(box)
    assert p.returncode == 4 and "1 snapshots older than 35" in p.stderr
    assert not os.path.exists(old)
    with open(os.path.join(box, mine), encoding="utf-8") as f:
        assert f.read() == text

    late = os.path.join(box, "late")
    os.mkdir(late)
    for n in 40, 41, 80:
        with open(os.path.join(late, f"roster-{day(n)}.json"), "w") as f:
            f.write(text)
    for _ in range(2):
        p = refused(late)
        assert p.returncode == 4 and "is 40 days old" in p.stderr, p.stderr
        assert os.listdir(late) == [f"roster-{day(40)}.json"]
    shutil.rmtree(late)

    with open(old, "w") as f:
        f.write(text)
    # who was erased is counted, and does not stand in the way
    db.apply(Event("erase", {}, hlc=9 << 16, by="u1"))
    snap()
    assert not os.path.exists(old)
    with open(os.path.join(box, mine), encoding="utf-8") as f:
        doc = json.load(f)
    assert doc["erased"] == 1 and [p["id"] for p in doc["roster"]] == [
        "u0", "u2"]
    p = sccctl("roster", "snapshot", "--to", box, "--believe-fewer", "--pg",
               db.pg.conninfo(dbname=lost.name))
    with open(os.path.join(box, mine), encoding="utf-8") as f:
        assert json.load(f)["roster"] == []

    with open(os.path.join(box, mine), "w") as f:
        f.write("{}\n")
    p = sccctl("roster", "snapshot", "--to", box, "--pg",
               db.pg.conninfo(dbname=db.name), check=False)
    assert p.returncode == 1 and "is no snapshot" in p.stderr


def test_damage_is_said(box):
    events = [Event("place_accessibility", access(f"p{i}"),
                    hlc=(i + 1) << 16, by=f"u{i}", name="n" * 400)
              for i in range(60)]
    journal(box, events)
    path = os.path.join(box, sorted(n for n in os.listdir(box)
                                    if n.endswith(".seg"))[0])
    with open(path, "r+b") as f:
        f.seek(2 * 4096 + 100)
        f.write(b"\xff" * 50)
    p = sccctl("roster", "digest", "--journal", box, check=False)
    assert p.returncode == 1 and "--salvage" in p.stderr and path in p.stderr
    assert "contributors" in roster("digest", "--journal", box, "--salvage")


# -- photos ------------------------------------------------------------------


def manifest(folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    return path


def load(db, *args, code=0):
    p = sccctl("photos", "import", "--pg", db.pg.conninfo(dbname=db.name),
               *args, check=False)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p.stdout


SHA = "ab" * 32


def test_photos_import(db, box):
    """CSV and JSON lines; again it changes nothing; what is journaled
    rebuilds the same."""
    folder = journal_dir(STORE)
    key = "prod/" + "깊은/" * 60 + "20230430150001_0123456789ABCDEF.jpeg"
    a = manifest(box, "a.csv", [
        "objectKey,size,SHA256,takenAt,lng,lat,placeId,imageType,uploader",
        f'"{key}",12345,{SHA.upper()},,127.01,37.5,p1,Entrance,u7',
        f'"with, comma",1,{SHA},2023-05-01T00:00:00.5+09:00,,,,,'])
    b = manifest(box, "b.jsonl", [
        '{"key":"j1","size":7,"sha256":"%s","time":"2023-05-01T00:00:00Z",'
        '"buildingId":"b1","imageType":"Elevator","etag":"x"}' % SHA, ""])
    out = load(db, "--journal", folder, a, b)
    assert "rows 3, rejected 0" in out and "3 new, 0 unchanged" in out
    out = load(db, "--journal", folder, b, a)
    assert "0 new, 3 unchanged (already there), 0 journaled" in out
    assert db.query(
        "SELECT object_key, size, sha256, scc.json_time(taken_at), lon_e7,"
        " lat_e7, place_id, building_id, image_type, uploader FROM scc.photo"
        " ORDER BY object_key") == [
        ("j1", 7, SHA, "2023-05-01T00:00:00.000Z", None, None, None, "b1",
         "Elevator", "import"),
        (key, 12345, SHA, "2023-04-30T15:00:01.000Z", 1270100000, 375000000,
         "p1", None, "Entrance", "u7"),
        ("with, comma", 1, SHA, "2023-04-30T15:00:00.500Z", None, None, None,
         None, None, "import")]
    # somebody found out what it shows: the newer row counts
    load(db, "--journal", folder, manifest(box, "c.csv", [
        "key,size,sha256,time,place", f"j1,7,{SHA},2023-05-01T00:00:00Z,p2"]))
    assert db.query("SELECT place_id, building_id FROM scc.photo"
                    " WHERE object_key = 'j1'") == [("p2", None)]

    again = copy(db.pg)
    out = sccctl("rebuild", "--pg", db.pg.conninfo(dbname=again.name),
                 "--journal", folder).stdout
    assert "photo                   4" in out and "dead letters 0" in out
    assert db.query("SELECT * FROM scc.photo ORDER BY id") == \
        again.query("SELECT * FROM scc.photo ORDER BY id")
    assert again.query("SELECT * FROM scc.fold_drift") == []


def test_photos_that_are_refused(db, box):
    good = f"{SHA},2023-05-01T00:00:00Z"
    path = manifest(box, "bad.csv", [
        "key,size,sha256,time,lng,lat,type,uploader",
        f"ok,1,{good},,,,", f",1,{good},,,,", f"k,,{good},,,,",
        f"k,1.5,{good},,,,", "k,1,abc,2023-05-01T00:00:00Z,,,,",
        f"k,1,{SHA},,,,,", f"k,1,{SHA},2023-05-01,,,,",
        f"20231301000000_x,1,{SHA},,,,,", f"k,1,{good},127,,,",
        f"k,1,{good},37.5,127,,", f"k,1,{good},x,37,,",
        f"k,1,{good},181,37,,", f"k,1,{good},,,Toilet,",
        f"k,1,{good},,,,{'u' * 65}", f"=cmd(),x,{good},,,,"])
    rejects = os.path.join(box, "rejects.csv")
    out = load(db, "--no-journal", "--rejects", rejects, path, code=3)
    assert "rows 15, rejected 14" in out and "1 new" in out
    with open(rejects, encoding="utf-8", newline="") as f:
        got = [(r["line"], r["field"], r["reason"])
               for r in csv.DictReader(f)]
    assert got == [
        ("3", "objectKey", "missing"), ("4", "size", "missing"),
        ("5", "size", "not_a_number"), ("6", "sha256", "bad_value"),
        ("7", "takenAt", "missing"), ("8", "takenAt", "bad_value"),
        ("9", "takenAt", "missing"), ("10", "lat", "missing"),
        ("11", "lat", "swapped"), ("12", "lng", "not_a_number"),
        ("13", "lng", "out_of_range"), ("14", "imageType", "bad_value"),
        ("15", "uploader", "bad_value"), ("16", "size", "not_a_number")]
    with open(rejects, encoding="utf-8") as f:
        assert "\n16,'=cmd(),size," in f.read()
    lines = manifest(box, "bad.jsonl", [
        '{"key":"k"', "[]", "{" + " " * 70000 + "}", '{"key":"\\u0000"}',
        '{"key":"j","size":2,"sha256":"%s","time":"2023-05-01T00:00:00Z"}'
        % SHA])
    out = load(db, "--dry-run", "--rejects", rejects, lines, code=3)
    assert "rows 5, rejected 4" in out and "too_large 1" in out
    assert "bad_json 3" in out and "dry run" in out
    assert db.query("SELECT object_key FROM scc.photo") == [("ok",)]
    for args, says in [((), "say what to do"), (("export",), "say what"),
                       (("import",), "no manifest named"),
                       (("import", path, "--pg", "dbname=x"),
                        "no journal named")]:
        p = sccctl("photos", *args, check=False)
        assert p.returncode == 2 and says in p.stderr
    p = sccctl("photos", "import", "--dry-run", manifest(
        box, "no.csv", ["a,b", "1,2"]), check=False)
    assert p.returncode == 1 and '"objectkey" is no column' in p.stderr


# -- numbers never fall ------------------------------------------------------


def test_numbers_survive_every_loss():
    """Of Redis, of PostgreSQL, of both: whoever had a number has it still,
    and who is new gets a greater one.  By their clocks they would be
    others."""
    def session(pg, folder, *people, helper=True):
        with Writer(pg, queue=queue, dirs=[folder], helper=helper) as nginx:
            with nginx.client() as c:
                for who in people:
                    a = c.get(PATH, head(who, None, {"X-Name": f"이름 {who}"}),
                              "POST", body(f"place of {who}"))
                    assert a.status == 202, a
            if helper:
                whole(pg, len(had) + len(people) + waiting)
                kept(pg)

    def orders(pg=None, *folders):
        more = ("--journal", *folders) if folders else ()
        p = sccctl("roster", "export", "--format", "json", *more, pg=pg)
        return {p["id"]: p["order"] for p in json.loads(p.stdout)["roster"]}

    had, waiting = {}, 0
    with queue_redis() as queue:
        with Postgres() as pg:
            sccctl("init", pg=pg)
            store = store_uuid(pg)
            a, b = journal_dir(store), journal_dir(store, "other")
            session(pg, a, "early", helper=False)
            queue.r.flushall()
            session(pg, b, "u2", "u3")
            had = orders(pg)
            assert sorted(had.values()) == [1, 2] and "early" not in had

            # Redis was lost: what was in it comes from the journal
            waiting = 1
            session(pg, a, "u4")
            now = orders(pg)
            assert now.items() >= had.items()
            assert sorted(now.values()) == [1, 2, 3, 4]
            assert orders(None, a, b) == now
            had, waiting = now, 0

        # both are lost
        queue.r.flushall()
        with Postgres() as pg:
            sccctl("init", "--store", store, "--epoch", 2, pg=pg)
            sccctl("rebuild", "--journal", a, b, pg=pg)
            assert orders(pg) == had
            sccctl("adopt", "--store", store, "--epoch", 2, "--journal", a, b,
                   pg=pg)
            session(pg, b, "u5")
            assert orders(pg) == had | {"u5": 5} == orders(None, a, b)
