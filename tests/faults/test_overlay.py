"""make run on an overlay file system, as in a container: it works because the
demonstration's configuration allows that, says so, and promises nothing."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest

from servers import MODULE, run, wait_until
from test_run import PLACES, Demo


@pytest.fixture
def overlay():
    if os.getuid() != 0:
        pytest.skip("only root can mount")
    base = tempfile.mkdtemp(prefix="scc-overlay-", dir="/var/tmp")
    os.chmod(base, 0o755)
    low, up, work, top = (os.path.join(base, x) for x in
                          ("low", "up", "work", "top"))
    for path in low, up, work, top:
        os.mkdir(path)
    p = subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={low},upperdir={up},workdir={work}", top],
                       capture_output=True, text=True)
    if p.returncode:
        shutil.rmtree(base)
        pytest.skip("cannot mount an overlay: " + p.stderr.strip())
    yield top
    run(["umount", "-l", top])
    shutil.rmtree(base)


def test_make_run(overlay):
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    sample = os.path.join(overlay, "places.csv")
    with open(sample, "w", encoding="utf-8") as f:
        f.write(PLACES)
    demo = Demo(os.path.join(overlay, "run"), sample=sample)
    lines = demo.run()
    try:
        assert [x for x in lines
                if x.startswith("note: ") and "overlayfs, NOT DURABLE" in x]
        assert len(demo.names()) == 2

        log = f"{demo.dir}/log/nginx-error.log"
        wait_until(lambda: "scc: the durability audit has" in
                   open(log, encoding="utf-8").read(), 30, "the audit")
        text = open(log, encoding="utf-8").read()
        assert re.search(r"scc: audit J1: the journal .* is on an overlay file "
                         r"system, as \"scc_journal_allow_fs\" permits: .* not "
                         r"durable", text)
        assert re.search(r"scc: audit R6: the files of the queue .* are on "
                         r"overlay", text)
        assert "what may be said is journal=0, queue=0" in text

        # neither at once nor after it waited does an answer claim anything
        # of journal or queue
        for prefer in "respond-async", "wait=10":
            r = urllib.request.Request(
                f"http://127.0.0.1:{demo.port}/v1/contributions",
                b'{"kind":"comment","placeId":"a","comment":"%s"}'
                % prefer.encode(),
                {"Content-Type": "application/json", "Prefer": prefer})
            with urllib.request.urlopen(r, timeout=30) as a:
                assert a.status in (201, 202)
                assert a.headers["SCC-Durability"].startswith(
                    "journal=0, queue=0"), a.headers
    finally:
        status, out = demo.end(signal.SIGINT)
    assert status == 0, out
    assert demo.left() == []
