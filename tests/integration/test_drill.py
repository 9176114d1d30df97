"""sccctl drill: the store from the copies alone, somewhere else."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from contribute import journal_dir, store_uuid
from servers import SCCCTL, Postgres, new_dir, sccctl, wait_until


@pytest.fixture(scope="module")
def live():
    """A store with 400 places, its journal, and the copies of that."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        store = store_uuid(pg)
        folder, to = journal_dir(store), new_dir("to")
        path = os.path.join(new_dir("in"), "in.csv")
        sccctl("sample", "--places", 400, "--seed", 1, "--out", path)
        sccctl("import", "--journal", folder, path, pg=pg)
        sccctl("ship", folder, "--to", to, "--host", "web-1", "--once")
        yield pg, folder, to, os.path.join(to, str(store))


def drill(to, *args, code=0):
    p = sccctl("drill", "--from", to, "--temp", new_dir("d"), *args,
               check=False)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def test_drill(live):
    pg, folder, to, here = live
    report = os.path.join(new_dir("r"), "report.json")
    temp = new_dir("temp")
    p = sccctl("drill", "--from", to, "--temp", temp, "--pg", pg.conninfo(),
               "--journal", folder, "--report", report)
    assert os.listdir(temp) == []
    assert "ledger, places and roster are equal" in p.stdout
    with open(report) as f:
        r = json.load(f)
    n = pg.query("SELECT count(*) FROM scc.contribution")[0][0]
    assert r["events"] == r["records"] == r["liveEqual"] == n > 400
    assert r["findings"] == r["lost"] == r["missing"] == r["differ"] == 0
    assert r["peakKiB"] > 0 and r["restoringSeconds"] > 0
    for path in (os.path.join(here, "drill.json"),
                 os.path.join(folder, "drilled")):
        with open(path) as f:
            assert json.load(f) == r
    assert pg.query("SELECT kind, ok, began < finished FROM scc.stamp") \
        == [("drill", True, True)]

    # what came since is the loss there would be
    path = os.path.join(new_dir("in"), "more.csv")
    sccctl("sample", "--places", 5, "--seed", 2, "--out", path)
    sccctl("import", "--journal", folder, path, pg=pg)
    more = pg.query("SELECT count(*) FROM scc.contribution")[0][0] - n

    # without restoring anything: the copies are there and whole
    p = drill(to, "--dry-run")
    assert re.search(r"^dry run: 1 hosts, 1 segments, \d tails, \d+ bytes, "
                     "0 findings", p.stdout, re.M)

    # and an object that is not what was shipped is found, whatever it says
    copy = os.path.join(new_dir("copy"), "to")
    shutil.copytree(to, copy)
    seg = next(os.path.join(root, x) for root, _, names in os.walk(copy)
               for x in names if x.endswith(".seg"))
    with open(seg, "ab") as f:
        f.write(bytes(4096))
    p = drill(copy, "--dry-run", code=3)
    assert "not what was shipped" in p.stdout and "1 findings" in p.stdout
    assert pg.query("SELECT count(*) FROM scc.stamp") == [(1,)]
    p = drill(copy, "--pg", pg.conninfo(), code=3)
    assert "FOUND" in p.stdout and "not what was shipped" in p.stdout
    assert f"{more} only there (the loss, had it happened)" in p.stdout
    assert pg.query("SELECT ok FROM scc.stamp ORDER BY id") \
        == [(True,), (False,)]


def test_stopped(live):
    """Nothing is left of it."""
    temp = new_dir("temp")
    p = subprocess.Popen([SCCCTL, "drill", "--from", live[2], "--temp", temp],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    try:
        wait_until(lambda: any("s.PGSQL" in x for d in os.listdir(temp)
                               for x in os.listdir(os.path.join(temp, d))),
                   30, "the server")
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=20)
    finally:
        p.kill()
    assert p.returncode == 1 and "stopped" in err, (out, err)
    assert os.listdir(temp) == []


def test_command_line(live):
    p = sccctl("drill", check=False)
    assert p.returncode == 2 and "where are the copies" in p.stderr
    p = sccctl("drill", "--from", new_dir("x"), check=False)
    assert p.returncode == 1 and "has no copies" in p.stderr
    p = sccctl("drill", "--from", live[2], "--bindir", "/nowhere",
               check=False)
    assert p.returncode == 1 and "--bindir" in p.stderr
    assert re.search("copies", sccctl("help", "drill").stdout)
