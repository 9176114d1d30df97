"""The store is not what it should be, but nobody took anything from it: a
column renamed, a right revoked.

F22 of the list in README.md.
"""

import time

import psycopg2
import pytest

import check
from rig import Load, Stack
from servers import wait_until

pytestmark = pytest.mark.lost

BREAK = {
    "column renamed": (
        "ALTER TABLE scc.contribution RENAME COLUMN body TO body_old",
        "ALTER TABLE scc.contribution RENAME COLUMN body_old TO body"),
    "right revoked": (
        "REVOKE EXECUTE ON FUNCTION scc.contribute(uuid[], bigint[], text[],"
        " text[], text[], text[], timestamptz[], uuid[], text[])"
        " FROM scc_app",
        "GRANT EXECUTE ON FUNCTION scc.contribute(uuid[], bigint[], text[],"
        " text[], text[], text[], timestamptz[], uuid[], text[])"
        " TO scc_app"),
    "table renamed": (
        "ALTER TABLE scc.place_accessibility RENAME TO gone",
        "ALTER TABLE scc.gone RENAME TO place_accessibility"),
}


def alter(stack, sql):
    """Beside nginx's statements, as soon as they let it."""
    def try_it():
        try:
            stack.pg.query("SET lock_timeout = '500ms'; " + sql)
            return True
        except psycopg2.errors.LockNotAvailable:
            return False
    wait_until(try_it, 20, sql, 0.05)


@pytest.mark.parametrize("what", BREAK, ids=lambda x: x.replace(" ", "-"))
def test_f22_the_applier_stops(seed, what, figure):
    """It waits for a person; no contribution becomes a dead letter for it,
    and all are applied when it is mended."""
    broken, mended = BREAK[what]
    with Stack(seed, allow_log=[r"scc: "]) as stack:
        with Load(stack, clients=6) as load:
            load.more(40)
            alter(stack, broken)
            # or the guard closes the store first
            wait_until(lambda: "applying has stopped" in stack.nginx.log()
                       or "quarantine" in stack.nginx.log(), 20,
                       "the applier to stop")
            load.more(60)
            assert stack.pg.query(
                "SELECT count(*) FROM scc.dead_letter") == [(0,)]
            alter(stack, mended)
            began = time.monotonic()
            load.more(40, 30)
        stack.drain(60)
        figure(what, f"drained {time.monotonic() - began:.1f} s after it "
               "was mended")
        assert stack.pg.query(
            "SELECT count(*) FROM scc.dead_letter") == [(0,)]
        faults = check.check_reads(load.history,
                                   allow=lambda r: r.status == 503)
        stack.verify(load.history, faults)
