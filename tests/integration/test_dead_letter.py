"""sccctl dead-letter: what could not be applied, and another try."""

import os
import uuid

import pytest

import journals
import sccj
from contribute import journal_dir, store_uuid
from servers import Postgres, new_dir, sccctl


@pytest.fixture
def store():
    """A store that refuses two of ten imported places."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        pg.query("ALTER TABLE scc.place ADD CONSTRAINT taste "
                 "CHECK (name NOT LIKE 'evil%')")
        yield pg


def load(pg, folder, code=3):
    path = os.path.join(new_dir("in"), "s.csv")
    with open(path, "w") as f:
        f.write("id,name,lng,lat\n" + "".join(
            f"s{i},{'evil' if i in (3, 7) else 'good'} {i},127,37\n"
            for i in range(10)))
    p = sccctl("import", "--journal", folder, "--rejects",
               os.path.join(new_dir("out"), "r.csv"), path, pg=pg,
               check=False)
    assert p.returncode == code, (p.stdout, p.stderr)
    return p


def dead(pg, *args, code=0):
    p = sccctl("dead-letter", *args, pg=pg, check=False)
    assert p.returncode == code, (p.stdout, p.stderr)
    return p.stdout + p.stderr


def test_refused_then_redriven(store):
    folder = journal_dir(store_uuid(store))
    assert "no dead letter" in dead(store, "ls")
    load(store, folder)

    out = dead(store, "ls")
    assert out.count("taste") == 2 and out.count("open") == 2, out
    (number, event, raw), = store.query(
        "SELECT id, event_id, raw FROM scc.dead_letter ORDER BY id LIMIT 1")
    assert raw.tobytes() in [r.raw for s in map(
        sccj.Segment, sccj.segments(folder)) for r in s.records]
    out = dead(store, "show", number)
    assert "evil 3" in out and event in out and "23514" in out
    assert dead(store, "show", event) == out

    # refused again, said so, nothing changed
    out = dead(store, "redrive", "--all", code=1)
    assert out.count("refused again") == 2 and "2 refused" in out
    load(store, folder)
    assert store.query("SELECT count(*) FROM scc.dead_letter") == [(2,)]

    store.query("ALTER TABLE scc.place DROP CONSTRAINT taste")
    assert "1 letters: 1 applied" in dead(store, "redrive", number)
    assert "1 letters: 1 applied" in dead(store, "redrive", "--all")
    assert "no dead letter" in dead(store, "ls")
    assert dead(store, "ls", "--all").count("resolved") == 2
    assert "resolved already" in dead(store, "redrive", number)
    assert store.query("SELECT count(*) FROM scc.place") == [(10,)]
    assert store.query("SELECT count(*) FROM scc.contribution "
                       "WHERE segment_id IS NULL") == [(0,)]


def test_imported_after_all_is_resolved(store):
    folder = journal_dir(store_uuid(store))
    load(store, folder)
    n = len(os.listdir(folder))
    store.query("ALTER TABLE scc.place DROP CONSTRAINT taste")
    p = load(store, folder, code=0)
    assert "2 new" in p.stdout and " 0 journaled" in p.stdout
    assert len(os.listdir(folder)) == n
    assert "no dead letter" in dead(store, "ls")


def test_other_bodies_and_garbage(store):
    """What cannot be applied stays, whatever is tried."""
    event = uuid.uuid4()
    for name in "a", "b":
        r = journals.Record("contributor", {"displayName": name},
                            event=event)
        store.query("SELECT scc.bury(%s, NULL, 'test', NULL, %s)",
                    (str(event), r.encode()))
    store.query("SELECT scc.bury(NULL, NULL, %s, NULL, %s)",
                ("a\x1b[31mb", b"garbage"))
    out = dead(store, "redrive", "--all", code=1)
    assert "another body" in out and "no record" in out, out
    assert "3 letters: 1 applied, 0 were in the ledger already, 2 refused" \
        in out
    out = dead(store, "show", event) + dead(store, "show", 3)
    assert "bytes that are no record" in out and "\x1b" not in out


@pytest.mark.parametrize("args, said", [
    ((), "say what to do"), (("lss",), 'no "lss"'),
    (("show",), "say which"), (("redrive",), "say which"),
    (("redrive", "1", "--all"), "say which"),
    (("show", "x"), "neither"), (("ls", "1"), "ls takes no id"),
])
def test_command_line(args, said):
    p = sccctl("dead-letter", *args, check=False)
    assert p.returncode == 2 and said in p.stderr


def test_no_such_letter(store):
    assert "no dead letter" in dead(store, "show", 99, code=1)
