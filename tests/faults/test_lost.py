"""1 May 2023 again: the store is emptied, dropped, or another one stands in
its place, under load.

F29-F31 of the list in README.md.  Each with its negative control: without
the guard the readers must see what they must never see.
"""

import hashlib
import random
import time

import pytest

import check
import lost
from lost import AUDIT, LostStack, Watch
from rig import Load
from servers import sccctl, wait_until

pytestmark = pytest.mark.lost

WAYS = {
    "truncate": lost.truncate,
    "truncate rows": lost.truncate_rows,
    "drop schema": lost.drop_schema,
    "drop database": lost.drop_database,
    "initdb": lambda stack: stack.fresh_cluster(False),
    "initdb and init": lambda stack: stack.fresh_cluster(True),
}

# what a worker may take: the audit, a question, and a busy machine
LIMIT = AUDIT + 2


@pytest.mark.parametrize("way", WAYS, ids=lambda x: x.replace(" ", "-"))
def test_f29_the_first_of_may(seed, way, figure):
    with LostStack(seed) as stack:
        with Load(stack, clients=4, readers=0, pause=0.02) as load, \
                Watch(stack) as watch:
            load.more(60)
            before = stack.snapshot()
            kept = WAYS[way](stack)
            seconds = stack.wait_state("quarantine", 15)
            figure(way, f"quarantine after {seconds:.2f} s, "
                   + " ".join(stack.state()[:2]))
            load.more(80, 30)
            first = stack.snapshot()
            less = lost.no_less(before, first)
            assert not less, f"seed {seed}: {less[:5]}"
            watch.more(600, 40)
            load.more(40, 30)
            differs = lost.same(first, stack.snapshot())
            assert not differs, f"seed {seed}: {differs[:5]}"
            assert stack.state()[0] == "quarantine"
            assert "quarantine" in watch.states

            began = time.monotonic()
            if kept:
                stack.old_cluster(kept)
            else:
                stack.rebuild()
            stack.wait_state("healthy", 30)
            figure(way, "the old one" if kept else "rebuilt, adopted"
                   + f" and healthy after {time.monotonic() - began:.1f} s")
            load.more(40, 30)
            watch.whole()
        assert seconds < LIMIT, seconds
        stack.drain(60)
        stack.verify(load.history, watch.faults)
        stack.sccctl_verify()


@pytest.mark.quick
def test_f29_in_short(seed, figure):
    """What "make test" sees of it: one way, no edge, no way back."""
    with LostStack(seed, edge=False) as stack:
        with Load(stack, clients=3, readers=0, pause=0.02) as load, \
                Watch(stack) as watch:
            load.more(20, 30)
            lost.truncate(stack)
            seconds = stack.wait_state("quarantine", 30)
            load.more(20, 30)
            watch.more(100, 40)
            assert stack.state()[0] == "quarantine"
        figure("truncate", f"quarantine after {seconds:.2f} s")
        assert not watch.faults, f"seed {seed}: {watch.faults}"
        faults = check.Faults()
        kept, _ = check.check_journal(load.history, stack.dirs, faults)
        assert not faults, f"seed {seed}: {faults}"
        assert kept == len(load.history.acked())


def test_f29_rebuilt_on_another_cluster(seed):
    """The old one never comes back: a new system identifier."""
    with LostStack(seed) as stack:
        with Load(stack, clients=4, readers=0, pause=0.02) as load, \
                Watch(stack) as watch:
            load.more(60)
            stack.fresh_cluster(True)
            stack.wait_state("quarantine")
            load.more(40, 30)
            # half a rebuild is not believed, nor a whole one, before
            # somebody says so
            stack.rebuild(adopt=False)
            watch.more(300, 30)
            assert stack.state()[0] == "quarantine", stack.state()
            sccctl("adopt", "--store", stack.store_uuid(), "--epoch",
                   stack.epoch() + 1, "--journal", *stack.journals(),
                   pg=stack.pg)
            stack.wait_state("healthy", 30)
            load.more(40, 30)
            watch.whole()
        stack.drain(60)
        stack.verify(load.history, watch.faults)
        stack.sccctl_verify()


@pytest.mark.parametrize("way", ["truncate", "truncate rows",
                                 "initdb and init"],
                         ids=lambda x: x.replace(" ", "-"))
def test_f29_control(seed, way):
    """With the guard switched off readers are told that there is nothing:
    the test above can fail."""
    with LostStack(seed, guard=False, edge=False) as stack:
        with Watch(stack) as watch:
            watch.more(50)
            WAYS[way](stack)
            wait_until(lambda: watch.faults.found.get("I6"), 20,
                       "a false empty, without the guard", 0.05)
        assert watch.faults.found["I6"]


# -- it went back --------------------------------------------------------------


def go_back(stack, copy):
    """An older copy of the same cluster, as a restore leaves it."""
    stack.pg.stop()
    lost.run(["rm", "-rf", stack.pg.data])
    lost.run(["cp", "-a", copy, stack.pg.data])
    stack.pg.start()


def cold_copy(stack):
    stack.pg.stop()
    copy = stack.pg.data + ".copy"
    lost.run(["cp", "-a", stack.pg.data, copy])
    stack.pg.start()
    return copy


def say(stack, history, who, n, body):
    """One contribution by hand, remembered as the clients' are; its id."""
    t0 = time.monotonic()
    a = stack.nginx.get("/v1/contributions", {
        "Content-Type": "application/json", "X-Contributor": who,
        "X-Name": "떠나는 사람"}, "POST", body)
    assert a.status in (201, 202), a
    history.lines.append({
        "client": 900, "n": n, "try": 0, "kind": "?", "target": "?",
        "contributor": who, "key": None, "own": None, "hlc": None,
        "event_id": a.json()["id"], "status": a.status, "outcome": "ok",
        "durability": a.headers.get("scc-durability"), "t0": t0,
        "t1": time.monotonic(), "sha256": hashlib.sha256(body).hexdigest()})
    return a.json()["id"]


def names_of(stack, who):
    return stack.pg.query(
        "SELECT (SELECT count(*) FROM scc.contribution WHERE contributor_id "
        "= %s AND contributor_name IS NOT NULL AND hlc <= (SELECT "
        "erased_hlc FROM scc.contributor WHERE id = %s)), (SELECT count(*) "
        "FROM scc.contributor WHERE id = %s AND erased_hlc IS NOT NULL)",
        (who, who, who))[0]


def numbers_of(stack):
    """{(kind, id): number}: the order people know themselves and places by."""
    return {(kind, who): n for kind, who, n in stack.pg.query(
        "SELECT kind, id, number FROM scc.number")}


def kept_numbers(stack):
    """Those that the journal has, which nobody may get another of."""
    return {(kind, who): n for kind, who, n in stack.pg.query(
        "SELECT n.kind, n.id, n.number FROM scc.number n JOIN scc.counter c"
        " ON c.kind = n.kind WHERE n.number <= c.kept")}


def rewound(stack, seed, figure=None):
    """A store that lost what was applied since its copy; the history."""
    rng = random.Random(seed)
    with Watch(stack) as watch:
        with Load(stack, clients=4, readers=0, pause=0.01) as load:
            load.more(60)
        stack.drain()
        copy = cold_copy(stack)
        wait_until(lambda: stack.nginx.get("/v1/places/" + load.stack.sample[
            50]).status == 200, 20, "the store")
        with Load(stack, clients=4, readers=0, pause=0.01, turn=1) as more:
            more.more(rng.randrange(80, 160), 30)
            # segments that are sealed, and marked as applied
            stack.nginx.reload()
            more.more(40, 30)
        stack.drain()
        who = f"leaver-{seed}"
        for n in range(3):
            say(stack, more.history, who, n, b'{"kind":"comment","placeId":'
                b'"%s","comment":"%d"}' % (stack.sample[3].encode(), n))
        event = say(stack, more.history, who, 9, b'{"kind":"erase"}')
        wait_until(lambda: event in stack.known(), 20, "the erasure")
        assert names_of(stack, who) == (0, 1)
        stack.settle()
        have = len(stack.known())
        wait_until(lambda: stack.pg.query(
            "SELECT count(*) FROM scc.counter WHERE kept < value")[0][0] == 0,
            20, "the numbers in the journals' directories")
        stack.numbers = numbers_of(stack)
        go_back(stack, copy)
        missing = have - len(stack.known())
        assert missing > 50
        lost_numbers = len(stack.numbers) - len(numbers_of(stack))
        assert lost_numbers > 5, lost_numbers
        yield watch, load, more, who, have, missing


def test_f30_an_older_copy(seed, figure):
    """REWOUND: what is missing comes back from the journal by itself, the
    number is told, and who was erased stays erased."""
    with LostStack(seed, edge=False) as stack:
        for watch, load, more, who, have, missing in rewound(stack, seed):
            began = time.monotonic()
            wait_until(lambda: len(stack.known()) >= have, 40,
                       "what was missing", 0.1)
            stack.wait_state("healthy", 30)
            figure("replayed", f"{missing} in "
                   f"{time.monotonic() - began:.1f} s, told "
                   f"{stack.state()[2]}")
            told = int(stack.state()[2])
            assert told >= missing, (told, missing)
            wait_until(lambda: names_of(stack, who) == (0, 1), 20,
                       "the erasure")
            watch.whole()
            watch.more(100)
        assert not watch.faults, f"seed {seed}: {watch.faults}"
        stack.verify(lost.joined(load.history, more.history))


def test_f30_numbers(seed):
    """Everybody's number is what it was before the store went back."""
    with LostStack(seed, edge=False) as stack:
        for watch, load, more, who, have, missing in rewound(stack, seed):
            wait_until(lambda: len(stack.known()) >= have, 40,
                       "what was missing", 0.1)
            stack.wait_state("healthy", 30)
            now = numbers_of(stack)
            others = {k: (n, now.get(k)) for k, n in stack.numbers.items()
                      if now.get(k) != n}
            assert not others, (seed, len(others), len(stack.numbers),
                                sorted(others.items())[:5])


def test_f30_numbers_under_load(seed, figure):
    """The same, twice, while people contribute: what the helper has at hand
    when an older store comes up gets no number before the old ones are back,
    noticed or not."""
    rng = random.Random(seed)
    with LostStack(seed, edge=False) as stack:
        with Load(stack, clients=4, readers=0, pause=0.01) as load:
            load.more(60)
        stack.drain()
        copy = cold_copy(stack)
        with Load(stack, clients=4, readers=0, pause=0.01, turn=1) as more:
            for _ in range(2):
                more.more(rng.randrange(80, 160), 30)
                wait_until(lambda: len(kept_numbers(stack)) > 30, 20,
                           "numbers in the journal's directory")
                before, have = kept_numbers(stack), stack.known()
                go_back(stack, copy)
                wait_until(lambda: have <= stack.known(), 60,
                           "what was missing", 0.1)
                stack.wait_state("healthy", 30)
                now = numbers_of(stack)
                others = {k: (n, now.get(k)) for k, n in before.items()
                          if now.get(k) != n}
                assert not others, (seed, len(others), len(before),
                                    sorted(others.items())[:5])
                figure("numbers", f"{len(before)}, then {len(now)}")
        stack.drain(60)
        assert stack.pg.query("SELECT * FROM scc.number_doubt") == []
        stack.verify(lost.joined(load.history, more.history))


def test_f30_control(seed):
    """Without the guard nobody reads again what was marked as applied."""
    with LostStack(seed, edge=False, guard=False) as stack:
        for watch, load, more, who, have, missing in rewound(stack, seed):
            with pytest.raises(AssertionError):
                wait_until(lambda: len(stack.known()) >= have, 8,
                           "what was missing", 0.1)


# -- it is thinned -------------------------------------------------------------


def thin(stack, what, rng):
    """5 % of it: events or places, with the triggers off; or places, with
    the triggers on, so that the store itself holds it for right."""
    table, key = ("contribution", "event_id") if what == "events" \
        else ("place", "id")
    c = stack.pg.connect()
    with c, c.cursor() as cur:
        if what != "places by hand":
            cur.execute("SET session_replication_role = replica")
        cur.execute(f"SELECT {key}::text FROM scc.{table} ORDER BY 1")
        all_of = [x[0] for x in cur.fetchall()]
        some = rng.sample(all_of, max(1, len(all_of) // 20))
        cur.execute(f"DELETE FROM scc.{table} WHERE {key}::text = ANY(%s)",
                    (some,))
    c.close()


@pytest.mark.parametrize("what", ["events", "places", "places by hand"],
                         ids=lambda x: x.replace(" ", "-"))
def test_f31_a_part_is_lost(seed, what, figure):
    """Found by looking, within twenty looks (ten minutes of an interval of
    30 s); until then no place is said not to be there."""
    rng = random.Random(seed)
    with LostStack(seed, edge=False) as stack:
        with Load(stack, clients=4, readers=0, pause=0.01) as load:
            load.more(200, 30)
        stack.drain()
        stack.settle()
        with Watch(stack) as watch:
            watch.more(50)
            thin(stack, what, rng)
            seconds = stack.wait_state("quarantine", 20 * AUDIT + 2,
                                       ["partial"])
            figure(what, f"5 % lost, quarantine after {seconds:.1f} s")
            watch.more(300, 30)
        assert not watch.faults, f"seed {seed}: {watch.faults}"


def test_f31_control(seed):
    with LostStack(seed, edge=False, guard=False) as stack:
        with Watch(stack) as watch:
            watch.more(50)
            thin(stack, "places by hand", random.Random(seed))
            wait_until(lambda: watch.faults.found.get("I6"), 30,
                       "a false 404, without the guard", 0.05)
