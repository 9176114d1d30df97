"""The drill: a store of a million contributions from its copies alone.

Makes a journal (journal_gen.c), ships it, and drills: once with a tenth of
the records and once with all, so that what memory does with them is seen.
The numbers of places and contributors are the same in both.

    bench_drill.py [--records 1000000]
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import results                                                # noqa: E402
from servers import BUILD, SCCCTL, run                        # noqa: E402

STORE = "0190b3c4-0000-4000-8000-000000000001"


def build(folder):
    core = os.path.join(REPO, "ngx_scc_module", "core")
    program = os.path.join(folder, "journal_gen")
    run([os.environ.get("CC", "cc"), "-O2", "-I" + core, "-o", program,
         os.path.join(HERE, "journal_gen.c"),
         os.path.join(BUILD, "core", "libscc.a"), "-lyajl", "-lcrypto",
         "-lz", "-lm"])
    return program


def timed(argv, **kw):
    began = time.monotonic()
    p = run(argv, timeout=3600, **kw)
    return time.monotonic() - began, p.stdout


def turn(base, program, records):
    folder = tempfile.mkdtemp(prefix="drill-", dir=base)
    journal, to = os.path.join(folder, "j"), os.path.join(folder, "to")
    report = os.path.join(folder, "report.json")
    os.mkdir(to)
    run([SCCCTL, "journal", "init", journal, "--store", STORE])
    made, _ = timed([program, journal, STORE, str(records), "1"])
    size = sum(os.path.getsize(os.path.join(journal, x))
               for x in os.listdir(journal))
    shipped, _ = timed([SCCCTL, "ship", journal, "--to", to, "--once"])
    shutil.rmtree(journal)                  # from the copies alone
    _, out = timed([SCCCTL, "drill", "--from", to, "--temp", base,
                    "--report", report])
    with open(report, encoding="utf-8") as f:
        r = json.load(f)
    shutil.rmtree(folder)
    print(f"{records:,} records, {size / 1e6:.0f} MB in {r['segments']} "
          f"segments (made in {made:.1f} s), shipped in {shipped:.1f} s "
          f"({size / 1e6 / shipped:.0f} MB/s)")
    print("\n".join("    " + line for line in out.splitlines()
                    if line.split(" ")[0] in (
                        "restored", "compared", "time", "memory", "findings",
                        "FOUND")), flush=True)
    assert r["events"] == r["records"] == records and not r["findings"], out
    return r


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1000000)
    args = parser.parse_args()

    base = tempfile.mkdtemp(prefix="scc-drill-", dir="/var/tmp")
    os.chmod(base, 0o755)
    try:
        program = build(base)
        small = turn(base, program, args.records // 10)
        large = turn(base, program, args.records)
    finally:
        shutil.rmtree(base, ignore_errors=True)

    results.write("drill", [
        "A journal (journal_gen.c: 20,000 places, 2,000 contributors), "
        "shipped, and restored from the copies; one run. Memory is sccctl's, "
        "at most.",
        "",
        "| records | in all, s | restoring, s | records/s | KiB |",
        "|---|---|---|---|---|",
        *(f"| {r['records']:,} | {r['totalSeconds']:.0f} | "
          f"{r['restoringSeconds']:.1f} | "
          f"{r['records'] / r['restoringSeconds']:,.0f} | {r['peakKiB']:,} |"
          for r in (small, large))])

    rate = large["records"] / large["restoringSeconds"]
    print(f"restored {rate:,.0f} records/s; a million in "
          f"{1e6 / rate:.0f} s; memory {small['peakKiB']:,} KiB -> "
          f"{large['peakKiB']:,} KiB")
    if large["peakKiB"] > 1.25 * small["peakKiB"] + 4096:
        sys.exit("memory grows with the number of records")


if __name__ == "__main__":
    main()
