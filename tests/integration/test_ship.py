"""sccctl ship: copies of journals somewhere else, believed when read back."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

import pytest

from journals import BLOCK, Record, Segment
from servers import SCCCTL, new_dir, sccctl, wait_until

STORE = uuid.UUID("0190b3c4-0000-4000-8000-000000000001")
HOST = f"{STORE}/web-1"
MADE = 1764000000000


def place(n, **kw):
    kw.setdefault("counter", n)
    return Record("place", {"placeId": f"p{n}", "name": f"곳 {n}",
                            "location": {"lng": 127, "lat": 37}},
                  target=f"p{n}", **kw)


def journal():
    path = os.path.join(new_dir("journal"), "j")
    sccctl("journal", "init", path, "--store", STORE)
    return path


def sealed(folder, n=1, created=MADE):
    s = Segment(STORE, created=created)
    s.batch(*(place(i) for i in range(n))).seal()
    return s, s.write(folder)


def ship(*args, to=None, code=0, once=True, **kw):
    args = [*args, "--host", "web-1", *(["--once"] if once else [])]
    if to:
        args += ["--to", to]
    p = sccctl("ship", *args, check=False, **kw)
    assert p.returncode == code, (p.returncode, p.stdout, p.stderr)
    return p


def says(text, *args, stop=False):
    """Runs until it has said that; stop: is told to end, not killed."""
    p = subprocess.Popen(
        [SCCCTL, "ship", *args, "--host", "web-1", "--interval", "1s"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    try:
        while not any(text in x for x in lines):
            lines.append(p.stderr.readline())
            assert lines[-1], lines
        if stop:
            p.send_signal(signal.SIGTERM)
            p.communicate(timeout=20)
    finally:
        p.kill()
        p.communicate(timeout=20)
    return p.returncode


def content(path):
    with open(path, "rb") as f:
        return f.read()


def files(folder):
    return {os.path.relpath(os.path.join(root, name), folder)
            for root, _, names in os.walk(folder) for name in names}


def mark(folder, segment):
    with open(os.path.join(folder, segment.name + ".shipped")) as f:
        return json.load(f)


def marked(folder):
    return sorted(x for x in os.listdir(folder) if x.endswith(".shipped"))


# -- to a directory ----------------------------------------------------------


def test_a_directory():
    folder, to = journal(), new_dir("to")
    s, path = sealed(folder, 3)
    t = Segment(STORE, created=MADE + 1, previous=s).batch(place(9)).zeros(3)
    t.write(folder)
    for name in ("7.numbers", "roster-20261123.json", "anchor"):
        with open(os.path.join(folder, name), "w") as f:
            f.write(name)
    for name in ("reserve", s.name + ".applied", s.name + ".broken", "x.seg",
                 "anchor.tmp"):
        open(os.path.join(folder, name), "w").close()

    p = sccctl("ship", folder, "--to", to, "--host", "web-1", "--dry-run")
    assert p.stdout.count("would ship") == 6 and not os.listdir(to)
    assert "shipped" not in os.listdir(folder)

    p = ship(folder, to=to)
    assert "on one device" in p.stderr
    here = os.path.join(to, HOST)
    assert files(here) == {
        s.name + ".seg", s.name + ".seg.sha256", t.name + ".open", "store",
        "anchor", "7.numbers", "roster-20261123.json"}
    assert content(os.path.join(here, s.name + ".seg")) == content(path)
    # to the last valid batch, not what was preallocated
    assert content(os.path.join(here, t.name + ".open")) \
        == bytes(t.data[:2 * BLOCK])
    subprocess.run(["sha256sum", "--quiet", "-c", s.name + ".seg.sha256"],
                   cwd=here, check=True)
    m = mark(folder, s)
    assert m["sha256"] == hashlib.sha256(s.data).hexdigest()
    assert m["object"] == f"{HOST}/{s.name}.seg" and m["records"] == 3
    assert m["to"] == os.path.realpath(to)
    with open(os.path.join(folder, "shipped")) as f:
        status = json.load(f)
    assert status["pending"] == status["failing"] == 0
    assert status["sameDevice"] is True and status["lagMs"] == 0

    # what is there is a journal
    p = sccctl("rebuild", "--dry-run", "--journal", here)
    assert "records 4," in p.stdout

    # nothing to do; then the tail is sealed, and its copy with it
    assert "segments 0," in ship(folder, to=to).stdout
    os.unlink(os.path.join(folder, t.name + ".open"))
    del t.data[2 * BLOCK:]
    t.seal().write(folder)
    assert "segments 1," in ship(folder, to=to).stdout
    assert t.name + ".seg" in files(here)
    assert t.name + ".open" not in files(here)


def test_what_was_rewritten_is_shipped_again():
    """As journal erase does: another file under the same name."""
    folder, to = journal(), new_dir("to")
    s, path = sealed(folder)
    ship(folder, to=to)
    before = mark(folder, s)

    t = Segment(STORE)
    t.name = s.name
    t.batch(place(1, name="")).seal()
    os.rename(t.write(new_dir("other")), path)
    ship(folder, to=to)
    assert mark(folder, s)["sha256"] != before["sha256"]
    assert content(os.path.join(to, HOST, s.name + ".seg")) == t.data
    subprocess.run(["sha256sum", "--quiet", "-c", s.name + ".seg.sha256"],
                   cwd=os.path.join(to, HOST), check=True)


def test_old_snapshots_of_the_roster_leave():
    """But not when a host comes back with nothing."""
    folder, to = journal(), new_dir("to")
    old, new = "roster-20260901.json", f"roster-{time.strftime('%Y%m%d')}"
    for name in (old, new + ".json"):
        with open(os.path.join(folder, name), "w") as f:
            f.write(name)
    sealed(folder)
    ship(folder, to=to)
    here = os.path.join(to, HOST)
    shutil.copy(os.path.join(folder, old), here)
    for name in (old, new + ".json"):
        os.unlink(os.path.join(folder, name))
    ship(folder, to=to)
    assert {old, new + ".json"} <= files(here)
    with open(os.path.join(folder, new + ".json"), "w") as f:
        f.write("again")
    ship(folder, to=to)
    assert new + ".json" in files(here) and old not in files(here)


def test_two_directories():
    """A copy of a segment in the journal's second directory counts once."""
    folder, second, to = journal(), journal(), new_dir("to")
    s, path = sealed(folder)
    shutil.copy(path, second)
    t, _ = sealed(second, created=MADE + 5)
    # the same name, and other bytes
    u = Segment(STORE, created=MADE + 7)
    u.batch(place(1)).seal().write(folder)
    v = Segment(STORE, created=MADE + 7)
    v.batch(place(2)).seal().write(second)

    p = ship(folder, second, to=to)
    assert "segments 4," in p.stdout
    assert {x for x in files(to) if x.endswith(".seg")} == {
        f"{HOST}/{s.name}.seg", f"{HOST}/{t.name}.seg",
        f"{HOST}/{u.name}.seg", f"{HOST}.2/{v.name}.seg"}
    assert mark(folder, s)["sha256"] == mark(second, s)["sha256"]
    assert mark(second, v)["object"] == f"{HOST}.2/{v.name}.seg"
    assert len(marked(second)) == 3


def test_not_mounted():
    folder, to = journal(), new_dir("to")
    sealed(folder)
    ship(folder, to=to)
    sealed(folder, created=MADE + 1)
    shutil.rmtree(os.path.join(to, str(STORE)))
    says("is it mounted?", folder, "--to", to)
    assert not os.listdir(to)
    assert len(marked(folder)) == 1
    p = ship(folder, to=to + "/none", code=1)
    assert "no directory" in p.stderr


def test_damage_is_no_success():
    folder, to = journal(), new_dir("to")
    s, path = sealed(folder, 2)
    with open(path, "r+b") as f:
        f.seek(BLOCK + 100)
        f.write(b"\xff")
    assert says("is damaged", folder, "--to", to, stop=True) == 3
    assert not marked(folder)
    assert "shipped" not in os.listdir(folder)
    assert content(os.path.join(to, HOST, s.name + ".damaged")) \
        == content(path)


def test_goes_on_until_it_is_told_to_stop():
    """Seconds behind what nginx writes; the last word when it is told."""
    folder, to = journal(), new_dir("to")
    s = Segment(STORE)
    p = subprocess.Popen(
        [SCCCTL, "ship", folder, "--to", to, "--host", "web-1",
         "--interval", "1s"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    tail = os.path.join(to, HOST, s.name + ".open")
    try:
        def there():
            return os.path.exists(tail) and content(tail) == s.data

        path = s.batch(place(1)).write(folder)
        with open(path, "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            wait_until(there, 10, "the tail")
            s.batch(place(2)).write(folder)
            wait_until(there, 10, "the tail")
            first = os.stat(os.path.join(folder, "shipped")).st_mtime_ns
            wait_until(lambda: os.stat(os.path.join(
                folder, "shipped")).st_mtime_ns > first, 10, "a round")
            s.batch(place(3)).write(folder)
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=20)
    finally:
        p.kill()
    assert p.returncode == 0, (out, err)
    assert there() and "lag 0.0 s" in out


# -- by commands -------------------------------------------------------------


@pytest.fixture
def far():
    """A place that only commands can reach."""
    return new_dir("far")


def put(far, to="$SCC_OBJECT"):
    return (f'mkdir -p "{far}/$(dirname $SCC_OBJECT)" && '
            f'cat > "{far}/{to}"')


def test_commands(far):
    folder = journal()
    s, path = sealed(folder)
    ship(folder, "--command", put(far), "--get", f'cat "{far}/$SCC_OBJECT"')
    assert content(os.path.join(far, HOST, s.name + ".seg")) == content(path)
    assert mark(folder, s)["to"] == ""

    t, path = sealed(folder, created=MADE + 1)
    ship(folder, "--command", put(far),
         "--sum", f'sha256sum "{far}/$SCC_OBJECT"')
    assert mark(folder, t)["sha256"] == hashlib.sha256(t.data).hexdigest()


@pytest.mark.parametrize("command,get,said", [
    ("exit 1", "cat {}/$SCC_OBJECT", "--command ended with 1"),
    ("cat > /dev/null", "cat {}/$SCC_OBJECT", "--get ended with 1"),
    ("mkdir -p {0}/$(dirname $SCC_OBJECT) && "
     "head -c 5000 > {0}/$SCC_OBJECT", "cat {}/$SCC_OBJECT", "cut off"),
    ("cat > /dev/null", "head -c $SCC_SIZE /dev/zero", "something else"),
    ("cat > /dev/null; exec sleep 60", "true", "took more than 1 s"),
    ("kill -9 $$", "true", "ended with 137"),
], ids=["exit", "nothing", "truncated", "wrong", "hang",
        "killed"])
def test_nothing_is_believed(far, command, get, said):
    folder = journal()
    sealed(folder)
    code = says(said, folder, "--timeout", "1s", "--command",
                command.format(far), "--get", get.format(far),
                stop=command == "exit 1")
    assert code == 3 if command == "exit 1" else code < 0
    assert not marked(folder) and "shipped" not in os.listdir(folder)


def test_tried_again_until_it_works(far):
    folder = journal()
    s, _ = sealed(folder)
    gate = os.path.join(far, "open")
    p = ship(folder, "--command", f"test -e {gate} || {{ touch {gate}; "
             "exit 1; }; " + put(far), "--get", f'cat "{far}/$SCC_OBJECT"')
    assert "ended with 1" in p.stderr and mark(folder, s)


@pytest.mark.parametrize("args,said", [
    ([], "where the copies are"),
    (["--to", "x", "--command", "y"], "not both"),
    (["--command", "x"], "give one of --get"),
    (["--get", "x"], "how is a copy sent"),
    (["--to", "x", "--interval", "0s"], "is no interval"),
    (["--to", "x", "--timeout", "5"], "is no time"),
    (["--to", "x", "--host", "../x"], "cannot be a folder's name"),
])
def test_command_line(args, said):
    p = sccctl("ship", new_dir("x"), *args, check=False)
    assert p.returncode == 2 and said in p.stderr, p.stderr
