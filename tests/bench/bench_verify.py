"""Verify and adopt: a store of a million contributions, compared with its
journals, and believed.

Makes a journal (journal_gen.c) and rebuilds a store from it; then "sccctl
verify" and "sccctl adopt", timed, with the peak of their memory: once with a
tenth of the records and once with all.

    bench_verify.py [--records 1000000]
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import results
from bench_drill import BUILD, SCCCTL, STORE, build
from servers import Postgres, run, sccctl


def peak(pid):
    """KiB, of the program alone: what wait4() tells is this one's, too."""
    try:
        with open(f"/proc/{pid}/status") as f:
            m = re.search(r"VmHWM:\s+(\d+)", f.read())
        return int(m[1]) if m else 0
    except OSError:
        return 0


def measured(*args, pg):
    """(s, peak in KiB, output)"""
    began, most = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as f:
        p = subprocess.Popen([SCCCTL, *args, "--pg", pg.conninfo()],
                             stdout=f, stderr=subprocess.STDOUT)
        while p.poll() is None:
            most = max(most, peak(p.pid))
            time.sleep(0.02)
        seconds = time.monotonic() - began
        f.seek(0)
        out = f.read()
    if p.returncode:
        sys.exit(f"sccctl {' '.join(args)} ended with {p.returncode}:\n{out}")
    return seconds, most, out


def turn(base, program, records):
    folder = tempfile.mkdtemp(prefix="verify-", dir=base)
    journal = os.path.join(folder, "j")
    run([SCCCTL, "journal", "init", journal, "--store", STORE])
    run([program, journal, STORE, str(records), "1"], timeout=600)
    with Postgres(max_wal_size="2GB") as pg:
        sccctl("init", "--store", STORE, "--epoch", 2, pg=pg)
        rows = {}
        rows["rebuild"] = measured("rebuild", "--journal", journal, pg=pg)
        rows["verify"] = measured("verify", "--journal", journal, pg=pg)
        assert "no difference" in rows["verify"][2], rows["verify"][2]
        rows["adopt"] = measured("adopt", "--store", STORE, "--epoch", "2",
                                 "--journal", journal, pg=pg)
    shutil.rmtree(folder)
    for name, (seconds, peak, _) in rows.items():
        print(f"{records:,} records: {name} {seconds:.1f} s "
              f"({records / seconds:,.0f} records/s), {peak:,} KiB",
              flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000000)
    args = parser.parse_args()

    assert os.path.exists(os.path.join(BUILD, "sccctl")), "run make first"
    base = tempfile.mkdtemp(prefix="scc-verify-", dir="/var/tmp")
    try:
        program = build(base)
        small = turn(base, program, args.records // 10)
        large = turn(base, program, args.records)
    finally:
        shutil.rmtree(base, ignore_errors=True)

    results.write("verify", [
        "A journal (journal_gen.c: 20,000 places, 2,000 contributors), a store "
        "rebuilt from it; one run. Memory is sccctl's, at most.",
        "",
        "| records | | s | records/s | KiB |", "|---|---|---|---|---|",
        *(f"| {n:,} | {name} | {s:.1f} | {n / s:,.0f} | {kib:,} |"
          for n, rows in ((args.records // 10, small), (args.records, large))
          for name, (s, kib, _) in rows.items())])

    for name in "verify", "adopt":
        if large[name][1] > 1.25 * small[name][1] + 4096:
            sys.exit(f"{name}: memory grows with the number of records")


if __name__ == "__main__":
    main()
