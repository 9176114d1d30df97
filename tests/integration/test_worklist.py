"""sccctl worklist: what is left to record, indoors and in the field."""

import csv
import html.parser
import io
import json
import math
import os
import random
import shutil
import subprocess
import uuid

import pytest

from servers import Postgres, need_data, new_dir, open_data, sccctl
from storedb import Event, access, building_access, copy, place
from test_store_write import contribute, picture

T = "2023-04-01T10:%02d:00+09:00"


@pytest.fixture(scope="module")
def cluster():
    with Postgres(fsync=False) as pg:
        pg.create_database("empty")
        sccctl("init", "--pg", pg.conninfo(dbname="empty"), "--store",
               str(uuid.uuid4()))
        yield pg


@pytest.fixture
def db(cluster):
    return copy(cluster)


def worklist(db, *args, code=0):
    p = sccctl("worklist", "--pg", db.pg.conninfo(dbname=db.name), *args,
               check=False)
    assert p.returncode == code, (p.stdout, p.stderr)
    return p.stdout


def rows(db, *args):
    text = worklist(db, "--format", "csv", *args)
    assert text[0] == "\ufeff"
    return list(csv.DictReader(io.StringIO(text[1:], newline=""),
                               strict=True))


def full(ident, **more):
    """Nothing is missing of it."""
    return access(ident, **{"isFirstFloor": True, "hasSlope": False,
                            "imageUrls": ["https://x/" + ident + ".jpg"],
                            **more})


def record(body, by="u1", hlc=5 << 16):
    kind = "building_accessibility" if "buildingId" in body \
        and "placeId" not in body else "place_accessibility"
    return Event(kind, body, by=by, hlc=hlc)


def test_what_is_missing(db):
    lost = record(access("lost"))
    contribute(
        db, *[Event("place", place(i, buildingId=b), hlc=1) for i, b in [
            ("whole", None), ("lost", None), ("floor", None),
            ("house", "b1"), ("stairs", None), ("low", None),
            ("maybe", None), ("again", None), ("bare", None),
            ("housed", "b2"), ("never", None)]],
        record(full("whole")), lost,
        Event("remove", {"eventId": str(lost.id)}, by="m", hlc=9 << 16),
        record(full("floor", isFirstFloor=None, stairInfo="ONE")),
        record(full("house", isFirstFloor=False)),
        record(full("stairs", stairInfo="UNDEFINED", imageUrls=[])),
        record(full("low", recoveredFrom="photo", confidence=.69)),
        record(full("maybe", recoveredFrom="sheet", imageUrls=None)),
        record(full("again", recoveredFrom="revisit")),
        record(full("bare", imageUrls=[])),
        record(full("housed", isFirstFloor=False)),
        record(building_access("b2", hasElevator=True, hasSlope=False,
                               recoveredFrom="sheet", confidence=.2)))
    got = {r["id"]: (r["work"], r["reasons"]) for r in rows(db)}
    assert got == {
        "lost": ("field", "record_missing"),
        "floor": ("indoor",
                  "first_floor_unknown,building_missing,level_unknown"),
        "house": ("indoor", "building_missing,level_unknown"),
        "stairs": ("field", "stairs_unknown,level_unknown,photo_missing"),
        "low": ("indoor", "confidence_low"),
        "maybe": ("field", "confidence_unknown,photo_missing"),
        "housed": ("indoor", "building_confidence_low")}
    ids = lambda *a: {r["id"] for r in rows(db, *a)}
    assert ids("--kind", "partial") == {"lost", "floor", "house", "stairs"}
    assert ids("--kind", "low-confidence") == {"low", "maybe", "housed"}
    assert ids("--kind", "low-confidence", "--below", "0.3") == {
        "maybe", "housed"}
    assert ids("--kind", "records-without-photo") == {"stairs", "maybe",
                                                      "bare"}
    assert ids("--kind", "field") == {"lost", "stairs", "maybe"}
    assert ids("--kind", "photos-without-record") == set()
    # a photo of it makes it indoor work
    db.apply(Event("photo", picture("k", placeId="lost"), hlc=2))
    assert [(r["work"], r["photos"]) for r in rows(db, "--kind", "partial")
            if r["id"] == "lost"] == [("indoor", "k")]
    # the original, perhaps with faces on it, is for those who recover only
    db.apply(Event("photo", picture("private/original.jpg", placeId="low"),
                   hlc=2))
    assert "private/original.jpg" in worklist(db, "--format", "csv")
    shown = db.value("SELECT (SELECT string_agg(scc.place_page(id), '') FROM "
                   "scc.place) || (SELECT string_agg(e::text, '') FROM "
                   "scc.export e)")
    assert "low" in shown and "private" not in shown


def test_photos_without_a_record(db):
    def photo(key, minute=0, by="u7", **more):
        return Event("photo", picture(key, takenAt=T % minute, uploader=by,
                                      **more), hlc=2)

    near = {"lng": 127.0, "lat": 37.5}
    contribute(
        db, Event("place", place("a", 127.0005, 37.5)),
        Event("place", place("b", 127.0, 37.5009, buildingId="h")),
        Event("place", place("c", 127.0, 37.5)),
        Event("place", place("d", 127.0001, 37.5)),
        Event("place", place("far", 127.002, 37.5)),
        Event("place", place("shut", 127.0, 37.5, isClosed=True)),
        record(full("a", imageUrls=["https://cdn/x/named.jpg"])),
        photo("x/named.jpg"), photo("of-a", placeId="a"),
        photo("first", 1, location=near), photo("second", 11, placeId="b"),
        photo("third", 22, location=near), photo("door", 0, by="u8",
                                                 placeId="a",
                                                 imageType="Entrance"),
        photo("lift", 1, by="u8", buildingId="h", imageType="Elevator"),
        photo("nobody", 0, by="u9"))
    got = {r["photos"]: r for r in rows(db)}
    assert list(got) == ["first", "second", "third", "door", "lift",
                         "nobody"]
    assert got["first"]["near"] == \
        "이름 c (c, 0 m); 이름 d (d, 9 m); 이름 a (a, 44 m)"
    # together: ten minutes, not more
    assert got["first"]["together"] == "이름 a (a); 이름 b (b)"
    assert got["third"]["together"] == ""
    assert got["first"]["cluster"] == got["second"]["cluster"] \
        != got["third"]["cluster"]
    assert got["second"]["name"] == "이름 b" and got["second"]["lng"] == "127"
    assert {r["work"] for r in got.values()} == {"indoor"}
    doc = json.loads(worklist(db, "--format", "geojson"))
    f = doc["features"][0]
    assert f["geometry"]["coordinates"] == [127, 37.5]
    assert f["properties"]["near"][1] == {"id": "d", "name": "이름 d",
                                          "metres": 9}
    assert doc["features"][-1]["geometry"] is None

    # with a record of the building, its door and lift have one
    db.apply(record(building_access("h", hasElevator=True)))
    assert "lift" not in {r["photos"] for r in rows(db)}


class Html(html.parser.HTMLParser):
    """Tags that are open, and the text."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {k for k, v in attrs} <= {"class", "lang", "charset", "name",
                                         "content"}, attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p",
        "table", "thead", "tbody", "tr", "th", "td", "br", "b", "span",
        "section"}


def real_places(n):
    with open_data("seoul_places_A.csv.gz") as f:
        out = list(csv.DictReader(f))
    random.Random(5).shuffle(out)
    return out[:n]


@pytest.fixture(scope="module")
def seoul(cluster):
    """Real places of Seoul, all of them partial; and nasty names."""
    need_data("seoul_places_A.csv.gz")
    db = copy(cluster)
    nasty = ["<script>alert(1)</script>", "a&b'\"<i>", "=1+1",
             "</td></table>", "\u202eabc", "ＷＩＤＥ"]
    events = []
    real = real_places(1000)
    for i, r in enumerate(real):
        name = nasty[i] if i < len(nasty) else r["name"] or "?"
        events += [
            Event("place", place(r["id"], float(r["lng"]), float(r["lat"]),
                                 address=r["address"]) | {"name": name}),
            record(full(r["id"], stairInfo="UNDEFINED",
                        imageUrls=["https://x/%d.jpg?a=<b>" % i]
                        if i % 10 == 9 else [],
                        isFirstFloor=True if i % 3 else None))]
    events += [Event("photo", picture(f"<b>{i}</b>.jpg", takenAt=T % i,
                                      location={
                                          "lng": float(real[i]["lng"]),
                                          "lat": float(real[i]["lat"])}))
               for i in range(40)]
    contribute(db, *events)
    return db, nasty


def test_field_list_is_a_walk(seoul):
    """Neighbours in the list are neighbours on the ground, in quests of
    30."""
    db, _ = seoul
    field = [r for r in rows(db) if r["work"] == "field"]
    assert len(field) == 900
    assert [(int(r["quest"]), int(r["nr"])) for r in field] == [
        (i // 30 + 1, i % 30 + 1) for i in range(900)]

    def walk(points):
        return sum(math.hypot((a[0] - b[0]) * .79, a[1] - b[1]) * 111320
                   for a, b in zip(points, points[1:]))

    points = [(float(r["lng"]), float(r["lat"])) for r in field]
    mixed = points[:]
    random.Random(1).shuffle(mixed)
    assert walk(points) < walk(mixed) / 10
    # and each quest by itself is a part of town
    spread = sorted(walk(points[i:i + 30]) for i in range(0, 900, 30))
    assert spread[15] < 20000, spread


def test_html_for_paper(seoul):
    db, nasty = seoul
    path = os.path.join(new_dir("work"), "list.html")
    out = worklist(db, "--format", "html", "--output", path)
    assert out == "indoors 140, in the field 900 in 30 quests\n"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    doc = Html(text)
    assert doc.tags <= TAGS
    words = "".join(doc.words)
    for name in nasty:
        assert name.replace("\u202e", "\ufffd") in words
    assert "\u202e" not in text
    for w in ("현장 방문 퀘스트 30 / 30", "가까운 곳: ", "1층 여부 모름",
              "엘리베이터", "<b>39</b>.jpg", "?a=<b>"):
        assert w in words, w
    assert words.count("정복자 ") == 30
    for bad in ("http://", "src=", "url(", "<script", "@import"):
        assert bad not in text.replace("https://x/", "")

    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("install chromium")
    pdf = path.replace(".html", ".pdf")
    subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu",
                    "--user-data-dir=" + new_dir("chromium"),
                    "--print-to-pdf=" + pdf, "--no-pdf-header-footer",
                    "file://" + path], check=True, timeout=120,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(pdf, "rb") as f:
        pages = f.read().count(b"/Type /Page\n")
    # a quest is three or four pages of A4, and begins on one of its own
    assert 60 <= pages <= 130, pages


def test_wrong_usage():
    for args, says in [((), "--format csv"),
                       (("--format", "pdf"), "--format csv"),
                       (("--format", "csv", "--kind", "all-of-it"),
                        "is none of"),
                       (("--format", "csv", "--below", "2"), "from 0 to 1")]:
        p = sccctl("worklist", *args, "--pg", "dbname=x", check=False)
        assert p.returncode == 2 and says in p.stderr, (args, p.stderr)
