"""sccctl adopt: a store that was rebuilt is believed because a person says
so, and not before it has everything."""

import os
import time
import uuid

import pytest

import anchor
import journals
from contribute import journal_dir
from servers import Postgres, run, sccctl

NOW = int(time.time() * 1000)


def access(i, msec):
    return journals.Record(
        "place_accessibility",
        {"placeId": f"p{i}", "stairInfo": "NONE", "floors": [1],
         "isFirstFloor": True, "hasSlope": False,
         "entranceDoorTypes": ["Hinged"],
         "imageUrls": ["https://example.org/1.jpg"]},
        msec=msec, counter=i, target=f"p{i}")


class Lost:
    """A store that was lost an hour ago: its journal, and an empty cluster
    with its name.  Ten contributions are older, five came since."""

    def __init__(self, pg, epoch=1):
        self.pg, self.store = pg, uuid.uuid4()
        run(["psql", "-X", "-q", "-c", f'DROP DATABASE IF EXISTS "{pg.dbname}"',
             "-c", f'CREATE DATABASE "{pg.dbname}"',
             pg.conninfo(dbname="postgres")])
        sccctl("init", "--store", self.store, "--epoch", 2, pg=pg)
        self.dirs = [journal_dir(str(self.store), n) for n in ("a", "b")]
        hour = NOW - 3600 * 1000
        self.segment = journals.Segment(self.store).batch(
            *[access(i, hour - 10000) for i in range(10)]).write(
                self.dirs[0])
        for d in self.dirs:
            anchor.write(d, self.store, epoch=epoch, events=10,
                         system="7", state="quarantine", reason="empty",
                         sinceMs=hour, writtenMs=NOW)
        self.late = [access(i, hour + 10000) for i in range(10, 15)]

    def rebuild(self):
        sccctl("rebuild", "--journal", *self.dirs, pg=self.pg)

    def more(self):
        """What is written after the loss, and after the rebuild."""
        self.after = journals.Segment(self.store, number=1).batch(
            *self.late).write(self.dirs[0])

    def adopt(self, code, *more, epoch=2, store=None, dirs=None):
        p = sccctl("adopt", "--store", store or self.store, "--epoch", epoch,
                   "--journal", *(dirs or self.dirs), *more, pg=self.pg,
                   check=False)
        assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
        return p.stdout + p.stderr

    def state(self):
        return (self.pg.query("SELECT store_uuid::text, epoch FROM "
                              "scc.identity"),
                self.pg.query("SELECT host, body FROM scc.anchor"),
                [anchor.read(d) for d in self.dirs])


@pytest.fixture(scope="module")
def pg():
    with Postgres(fsync=False) as server:
        yield server


@pytest.fixture
def lost(pg):
    return Lost(pg)


def test_a_rebuilt_store(lost):
    """On another cluster; what came after the loss is nginx's to apply."""
    lost.rebuild()
    lost.more()
    before = lost.state()
    text = lost.adopt(0, "--dry-run")
    assert "dry run" in text and "written since the store was lost 5" in text
    assert lost.state() == before

    text = lost.adopt(0)
    assert f"store {lost.store} is adopted, epoch 2" in text
    identity, kept, files = lost.state()
    assert identity == [(str(lost.store), 2)]
    assert [h for h, _ in kept] == ["adopt"]
    system = lost.pg.query("SELECT system_identifier::text "
                           "FROM pg_control_system()")[0][0]
    for a in [anchor.parse(kept[0][1]), *files]:
        assert a["store"] == str(lost.store) and a["epoch"] == 2
        assert a["system"] == system and a["state"] == "healthy"
        assert a["events"] == 10, a
    for d in lost.dirs:
        st, folder = os.stat(os.path.join(d, "anchor")), os.stat(d)
        assert st.st_mode & 0o777 == 0o600 and st.st_uid == folder.st_uid

    # interrupted before the last file, and run again
    done = lost.state()
    os.unlink(os.path.join(lost.dirs[1], "anchor"))
    lost.adopt(0)
    assert lost.state() == done

    # another epoch is another adoption
    assert "lacks 5 contributions" in lost.adopt(4, epoch=3)
    lost.adopt(0, "--incomplete", 5, epoch=3)
    assert {a["epoch"] for a in lost.state()[2]} == {3}
    assert "used up" in lost.adopt(4, epoch=2)


def test_what_is_not_whole(lost):
    """Empty, half full, or without what came after all was applied."""
    before = lost.state()
    text = lost.adopt(4)
    assert "lacks 10 contributions" in text and "--incomplete 10" in text
    assert text.count("MISSING") == 10
    assert "10 contributions are missing, not 9" in lost.adopt(
        4, "--incomplete", 9)
    lost.rebuild()
    lost.more()
    # of a segment that nginx has finished with nothing may be missing
    mark = lost.after.rsplit(".", 1)[0] + ".applied"
    open(mark, "w").close()
    assert "lacks 5 contributions" in lost.adopt(4)
    assert lost.state() == before
    lost.adopt(0, "--incomplete", 5)
    assert lost.state()[0] == [(str(lost.store), 2)]


def test_when_it_was_lost_is_not_known(lost):
    """Without an anchor nothing may be missing."""
    for d in lost.dirs:
        os.unlink(os.path.join(d, "anchor"))
    lost.rebuild()
    lost.more()
    assert "lacks 5 contributions" in lost.adopt(4)
    with open(os.path.join(lost.dirs[1], "anchor"), "w") as f:
        f.write("{}")
    assert "is damaged or of another store" in lost.adopt(4)


def test_not_this_store(lost):
    lost.rebuild()
    other = uuid.uuid4()
    assert "no journal of store" in lost.adopt(4, store=other)
    strange = journal_dir(str(other))
    assert "no journal of store" in lost.adopt(4, dirs=[strange])
    journals.Segment(other).batch(access(1, NOW)).write(strange)
    assert "another one than" in lost.adopt(4, store=other, dirs=[strange])
    for d in lost.dirs:
        os.unlink(os.path.join(d, "anchor"))
    assert "has epoch 2 already" in lost.adopt(4, epoch=1)
    assert lost.pg.query("SELECT epoch FROM scc.identity") == [(2,)]


def test_usage(lost):
    for args, said in (
            ([], "--store UUID --epoch N"),
            (["--store", "x", "--epoch", "2"], "is not a UUID"),
            (["--store", lost.store, "--epoch", "0"], "from 1 on"),
            (["--store", lost.store, "--epoch", "2"], "--journal DIR"),
            (["--store", lost.store, "--epoch", "2", "--journal", "x",
              "--incomplete", "0"], "how many")):
        p = sccctl("adopt", *args, pg=lost.pg, check=False)
        assert p.returncode == 2 and said in p.stderr, (args, p.stderr)


def test_a_journal_that_cannot_be_written(lost):
    """Half of it is done; the second try does the rest."""
    lost.rebuild()
    path = os.path.join(lost.dirs[1], "anchor")
    os.unlink(path)
    os.mkdir(path)
    text = lost.adopt(1)
    assert path in text
    os.rmdir(path)
    lost.adopt(0)
    assert {a["epoch"] for a in lost.state()[2]} == {2}
