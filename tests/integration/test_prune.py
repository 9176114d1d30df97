"""sccctl prune: by the rule only; each part of it is broken once."""

import os
import re
import shutil
import time
import uuid

import pytest

from contribute import journal_dir, store_uuid
from journals import Record, Segment, write_anchor
from servers import Postgres, new_dir, sccctl


class Kept:
    """A store, its journal of two segments, and the copies of that."""

    def __init__(self, pg):
        self.pg = pg
        self.store = store_uuid(pg)
        self.folder, self.to = journal_dir(self.store), new_dir("to")
        for seed in range(2):
            path = os.path.join(new_dir("in"), "in.csv")
            sccctl("sample", "--places", 20, "--seed", seed, "--out", path)
            sccctl("import", "--journal", self.folder, path, pg=pg)
        self.ship()
        self.events = pg.query("SELECT count(*) FROM scc.contribution")[0][0]

    def ship(self):
        sccctl("ship", self.folder, "--to", self.to, "--host", "h", "--once")

    def copy(self):
        k = object.__new__(Kept)
        k.pg, k.store, k.events = self.pg, self.store, self.events
        k.folder = os.path.join(new_dir("journal"), "j")
        k.to = os.path.join(new_dir("copy"), "to")
        shutil.copytree(self.folder, k.folder)
        shutil.copytree(self.to, k.to)
        write_anchor(k.folder, k.store, events=k.events)
        self.pg.query("DELETE FROM scc.stamp RETURNING 1")
        self.stamp("backup")
        return k

    def stamp(self, kind, began="clock_timestamp()", ok=True):
        self.pg.query(f"SELECT scc.stamp_add('{kind}', {began}, {ok}, '')")

    def prune(self, *args, code=0, keep="0s", **kw):
        p = sccctl("prune", self.folder, "--to", self.to, "--keep", keep,
                   *args, pg=self.pg, check=False, **kw)
        assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
        return p

    def named(self, suffix):
        return sorted(x for x in os.listdir(self.folder)
                      if re.search(suffix, x))

    def segment(self, i=0):
        return os.path.join(self.folder, self.named(r"\.seg$")[i])

    def object(self, i=0):
        return os.path.join(self.to, str(self.store), "h",
                            self.named(r"\.seg$")[i])


@pytest.fixture(scope="module")
def base():
    with Postgres() as pg:
        sccctl("init", pg=pg)
        yield Kept(pg)


@pytest.fixture
def kept(base):
    return base.copy()


def test_what_all_rules_allow(kept):
    here = os.path.join(kept.to, str(kept.store), "h")
    p = kept.prune("--dry-run")
    assert p.stdout.count("age=yes sealed=yes disk=yes applied=yes "
                          "offsite=yes backup=yes") == 2
    assert len(kept.named(r"\.seg$")) == 2

    p = kept.prune(keep="90d")
    assert "kept 2 because of their age" in p.stdout
    assert len(kept.named(r"\.seg$")) == 2

    assert "deleted 2," in kept.prune().stdout
    assert kept.named(r"\.seg$") == []
    assert len(kept.named(r"\.trash-\d+$")) == 2
    assert len(kept.named(r"\.pruned$")) == 2

    # a rebuild from here alone would lack them, and says so
    p = sccctl("rebuild", "--dry-run", "--journal", kept.folder, check=False)
    assert p.returncode == 1
    p = sccctl("rebuild", "--dry-run", "--journal", here, kept.folder)
    assert f"records {kept.events}," in p.stdout
    path = os.path.join(new_dir("in"), "in.csv")
    sccctl("sample", "--places", 2, "--seed", 9, "--out", path)
    sccctl("import", "--journal", kept.folder, path, pg=kept.pg)
    p = sccctl("rebuild", "--dry-run", "--journal", kept.folder, check=False)
    assert p.returncode == 1 and "2 segments" in p.stderr
    assert "deleted by prune" in p.stderr and "/h" in p.stderr
    p = sccctl("rebuild", "--dry-run", "--journal", kept.folder, here)

    # seven days later; but for what has no copy any more
    old = int(time.time()) - 8 * 86400
    for name in kept.named(r"\.trash-\d+$"):
        os.rename(os.path.join(kept.folder, name),
                  os.path.join(kept.folder, name.split(".")[0]
                               + f".trash-{old}"))
    lost = kept.named(r"\.trash-\d+$")[0].split(".")[0]
    os.unlink(os.path.join(here, lost + ".seg"))
    p = kept.prune(keep="90d", code=4)
    assert "emptied from the trash 1" in p.stdout
    assert "the copy is not there" in p.stdout
    assert kept.named(r"\.trash-\d+$") == [f"{lost}.trash-{old}"]


def alter(path, at=5000, data=b"\xff"):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def unapplied(k):
    """A record that the ledger does not have, off-site as it should be."""
    s = Segment(uuid.UUID(str(k.store)), created=1)
    s.batch(Record("place", {"placeId": "new"})).seal().write(k.folder)
    k.ship()


def letter(k):
    with open(k.segment(), "rb") as f:
        segment = str(uuid.UUID(bytes=f.read(32)[16:]))
    k.pg.query("INSERT INTO scc.dead_letter (segment_id, reason, raw) VALUES "
               "(%s, 'test', '') RETURNING 1", (segment,))


def rewrite(k):
    with open(k.segment(), "ab") as f:
        f.write(bytes(4096))


@pytest.mark.parametrize("breaks,said", [
    (lambda k: alter(k.segment()), "it is damaged"),
    (unapplied, "are not in the ledger"),
    (letter, "dead letters are not resolved"),
    (lambda k: os.unlink(k.segment()[:-4] + ".shipped"),
     "it was never shipped"),
    (rewrite, "it is not what was shipped"),
    (lambda k: os.truncate(k.object(), 8192), "another SHA-256"),
    (lambda k: alter(k.object()), "another SHA-256"),
    (lambda k: os.unlink(k.object()), "the copy is not there"),
], ids=["damaged", "unapplied", "dead-letter", "unshipped", "rewritten",
        "truncated", "altered", "removed"])
def test_one_rule_broken_for_one_segment(kept, breaks, said):
    breaks(kept)
    before = len(kept.named(r"\.seg$"))
    try:
        p = kept.prune(code=4)
    finally:
        kept.pg.query("DELETE FROM scc.dead_letter RETURNING 1")
    assert said in p.stdout, p.stdout
    assert len(kept.named(r"\.seg$")) == 1, p.stdout
    assert f"deleted {before - 1}," in p.stdout


@pytest.mark.parametrize("stamps", [
    [], [("backup", "now() - interval '1 hour'")],
    [("backup", "clock_timestamp()", False)],
    [("drill", "to_timestamp(1)")],
    [("backup", "clock_timestamp() + interval '30 minutes'")],
], ids=["none", "before", "failed", "drill-before", "future"])
def test_no_backup(kept, stamps):
    kept.pg.query("DELETE FROM scc.stamp RETURNING 1")
    for s in stamps:
        kept.stamp(*s)
    p = kept.prune(code=4)
    assert p.stdout.count("backup=no") == 2
    assert len(kept.named(r"\.seg$")) == 2


def test_a_drill_will_do(kept):
    kept.pg.query("DELETE FROM scc.stamp RETURNING 1")
    time.sleep(1.1)                     # marks count seconds
    kept.stamp("drill")
    kept.prune()
    assert kept.named(r"\.seg$") == []


@pytest.mark.parametrize("anchor,said", [
    (None, "is not there or damaged"),
    ("damaged", "is not there or damaged"),
    ({"state": "quarantine", "reason": "empty"}, "says \"quarantine\""),
    ({"state": "rewound", "reason": "behind"}, "says \"rewound\""),
    ({"state": "stale", "reason": "silent"}, "says \"stale\""),
    ({"epoch": 2}, "another store or epoch"),
    ({"store": str(uuid.uuid4())}, "another store or epoch"),
    ({"writtenMs": 1764000000000}, "does nginx run"),
    ({"events": 10**6}, "it has lost some"),
], ids=["none", "damaged", "quarantine", "rewound", "stale", "epoch",
        "store", "old", "lost"])
def test_the_guard_does_not_say_healthy(kept, anchor, said):
    path = os.path.join(kept.folder, "anchor")
    if anchor is None:
        os.unlink(path)
    elif anchor == "damaged":
        alter(path, 20, b"x")
    else:
        write_anchor(kept.folder, **{"store": kept.store,
                                     "events": kept.events, **anchor})
    p = kept.prune(code=4)
    assert "refused" in p.stderr and said in p.stderr
    assert len(kept.named(r"\.seg$")) == 2


def test_other_refusals(kept, base):
    with Postgres(fsync=False) as pg:
        sccctl("init", pg=pg)
        p = sccctl("prune", kept.folder, pg=pg, check=False)
        assert p.returncode == 4 and "without fsync" in p.stderr
        p = sccctl("prune", journal_dir(uuid.uuid4()), pg=base.pg,
                   check=False)
        assert p.returncode == 4 and "another store" in p.stderr
    assert sccctl("prune", kept.folder, "--keep", "90", pg=base.pg,
                  check=False).returncode == 2
