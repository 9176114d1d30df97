"""Verify and adopt: a store of a million contributions, compared with its
journals, and believed.

Makes a journal (journal_gen.c) and rebuilds a store from it; then "sccctl
verify" and "sccctl adopt", timed, with the peak of their memory: once with a
tenth of the records and once with all.

    bench_verify.py [--records 1000000]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

from bench_drill import BUILD, SCCCTL, STORE, build
from servers import Postgres, run, sccctl


def measured(*args, pg):
    """(s, peak in KiB, output)"""
    began = time.monotonic()
    p = subprocess.Popen([SCCCTL, *args, "--pg", pg.conninfo()], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        sys.exit(f"sccctl {' '.join(args)} ended with {p.returncode}:\n{out}")
    return time.monotonic() - began, usage.ru_maxrss, out


def turn(base, program, records):
    folder = tempfile.mkdtemp(prefix="verify-", dir=base)
    journal = os.path.join(folder, "j")
    run([SCCCTL, "journal", "init", journal, "--store", STORE])
    run([program, journal, STORE, str(records), "1"], timeout=600)
    with Postgres(max_wal_size="2GB") as pg:
        sccctl("init", "--store", STORE, "--epoch", 2, pg=pg)
        rows = {}
        rows["rebuild"] = measured("rebuild", "--journal", journal, pg=pg)
        pg.query("SELECT count(*) FROM scc.contribution")
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

    for name in "verify", "adopt":
        if large[name][1] > 1.25 * small[name][1] + 4096:
            sys.exit(f"{name}: memory grows with the number of records")


if __name__ == "__main__":
    main()
