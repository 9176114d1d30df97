"""An exhaustive checker of the cache's lease protocol ("LV").

The protocol keeps one cell's entry in the cache coherent with the store:
readers fill it, writers' changes reach it late, repeated and out of order,
and the cache may evict it at any moment.  This module walks through every
interleaving of a small world and looks at every state it can reach.

A page goes by the version that an entry tells, VAL or not (told()).

The world: one cell; readers that each read several times; writers that
each commit one change and announce it later, perhaps twice; a number of
evictions; a number of leases whose time passes; a store that fails readers.

An entry is absent (None) or a tuple
    (state, ver, floor, token, body, over)
state VAL, LEASE or STALE; ver and floor versions; token of the filler, 0 if
none; body the version whose features the entry holds, -1 if none; over
True when the time of the lease has passed.

Run it:  python3 lease_model.py
"""

import sys
import time
from collections import namedtuple

VAL, LEASE, STALE = "VAL", "LEASE", "STALE"
NONE = -1


# -- the protocol: four functions of one entry, as the scripts are -----------


class Protocol:
    """What the cache does.  A subclass with a guard removed must fail."""

    lease_first = True      # the store is read under a lease, not before

    @staticmethod
    def token(reader, turn):
        """Never the same twice."""
        return 10 * (reader + 1) + turn

    @staticmethod
    def lease(entry, token):
        """-> (entry, granted, the body's version to show or NONE)."""
        if entry is None:
            return (LEASE, 0, 0, token, NONE, False), True, NONE
        state, ver, floor, _, body, over = entry
        if state == VAL:
            return entry, False, body
        if state == LEASE and not over:
            return entry, False, body
        return (LEASE, ver, floor, token, body, False), True, body

    @staticmethod
    def fill(entry, token, ver):
        if entry is None or entry[0] != LEASE or entry[3] != token:
            return entry
        if ver < entry[2]:                      # read too early: the next
            return (STALE, *entry[1:3], 0, entry[4], False)  # may fill
        return (VAL, ver, ver, 0, ver, False)

    @staticmethod
    def release(entry, token):
        """The filler gives up: the store did not answer."""
        if entry is None or entry[0] != LEASE or entry[3] != token:
            return entry
        state, ver, floor, _, body, _ = entry
        if body == NONE:
            return None
        return (STALE, ver, floor, 0, body, False)

    @staticmethod
    def change(entry, ver):
        if entry is None:
            return None
        state, have, floor, token, body, over = entry
        if state == VAL:
            if have >= ver:
                return entry
            return (STALE, have, ver, 0, body, False)
        return (state, have, max(floor, ver), token, body, over)

    @staticmethod
    def told(entry):
        """The newest version that the entry knows of, or NONE."""
        state, ver, floor, _, body, _ = entry
        if state == VAL:
            return ver
        return NONE if body == NONE else floor


class NoTokenCheck(Protocol):
    """(a) fill takes anybody's body."""

    @staticmethod
    def fill(entry, token, ver):
        if entry is None or entry[0] != LEASE or ver < entry[2]:
            return entry
        return (VAL, ver, ver, 0, ver, False)


class NoFloorCheck(Protocol):
    """(b) fill takes a body of any version."""

    @staticmethod
    def fill(entry, token, ver):
        if entry is None or entry[0] != LEASE or entry[3] != token:
            return entry
        return (VAL, ver, ver, 0, ver, False)


class ChangeCreates(Protocol):
    """(c) a change with its body makes an entry where there is none."""

    @staticmethod
    def change(entry, ver):
        if entry is None:
            return (VAL, ver, ver, 0, ver, False)
        return Protocol.change(entry, ver)


class ChangeOverwritesLease(Protocol):
    """(d) a change with its body ends a lease."""

    @staticmethod
    def change(entry, ver):
        if entry is not None and entry[0] == LEASE and ver >= entry[2]:
            return (VAL, ver, ver, 0, ver, False)
        return Protocol.change(entry, ver)


class DeleteOnWrite(Protocol):
    """(e) plain cache-aside: readers set, changes delete."""

    @staticmethod
    def lease(entry, token):
        return entry, entry is None, NONE

    @staticmethod
    def fill(entry, token, ver):
        return (VAL, ver, ver, 0, ver, False)

    @staticmethod
    def release(entry, token):
        return entry

    @staticmethod
    def change(entry, ver):
        return None


class SetIfNewer(DeleteOnWrite):
    """(f) versions are compared, but an absent entry remembers nothing."""

    @staticmethod
    def fill(entry, token, ver):
        if entry is not None and entry[1] >= ver:
            return entry
        return (VAL, ver, ver, 0, ver, False)

    @staticmethod
    def change(entry, ver):
        if entry is None or entry[1] >= ver:
            return entry
        return None


class TokensRepeat(Protocol):
    """(g) a token is not fresh for every lease."""

    @staticmethod
    def token(reader, turn):
        return 1


class ReadBeforeLease(Protocol):
    """(h) the store is read first and the lease taken after."""

    lease_first = False


class ChangeSparesVal(Protocol):
    """(i) a change leaves an older VAL as it is."""

    @staticmethod
    def change(entry, ver):
        if entry is not None and entry[0] == VAL:
            return entry
        return Protocol.change(entry, ver)


class TellsWithoutBody(Protocol):
    """(j) an entry tells a floor though it has never been a VAL."""

    @staticmethod
    def told(entry):
        return entry[1] if entry[0] == VAL else entry[2] or NONE


GUARDS = [NoTokenCheck, NoFloorCheck, ChangeCreates, ChangeOverwritesLease,
          DeleteOnWrite, SetIfNewer, TokensRepeat, ReadBeforeLease,
          ChangeSparesVal, TellsWithoutBody]


# -- the world ---------------------------------------------------------------


World = namedtuple("World", "readers turns writers repeats evictions expiries")

# Two readers, two writers, two evictions, as the design says, and more:
# each reader reads twice, each change may come twice, two leases run out.
WORLD = World(readers=2, turns=2, writers=2, repeats=1, evictions=2,
              expiries=2)

# a reader's place in its program
IDLE, MISSED, LEASED, READ, DONE = range(5)

State = namedtuple("State", "db entry readers writers evictions expiries")
# readers: (place, turn, token, version read)
# writers: (version committed or 0, deliveries so far)


def start(world):
    return State(0, None, ((IDLE, 0, 0, NONE),) * world.readers,
                 ((0, 0),) * world.writers, world.evictions, world.expiries)


def put(items, i, item):
    return items[:i] + (item,) + items[i + 1:]


def steps(p, world, s):
    """All (name, next state) of a state."""
    db, entry, readers, writers, evictions, expiries = s

    for i, (place, turn, token, seen) in enumerate(readers):
        if place == DONE:
            continue

        def to(entry, place, token=0, seen=NONE, i=i, turn=turn):
            if place == IDLE:               # this read is over
                turn += 1
                if turn == world.turns:
                    place = DONE
            return State(db, entry, put(readers, i,
                                        (place, turn, token, seen)),
                         writers, evictions, expiries)

        if place == IDLE:                   # MGET
            if entry is not None and entry[0] == VAL:
                yield f"reader {i} hits {entry[1]}", to(entry, IDLE)
            elif p.lease_first:
                yield f"reader {i} misses", to(entry, MISSED)
            else:
                yield (f"reader {i} misses and reads {db}",
                       to(entry, MISSED, 0, db))

        elif place == MISSED:               # the lease script
            mine = p.token(i, turn)
            after, granted, body = p.lease(entry, mine)
            if granted:
                yield (f"reader {i} leases {mine}",
                       to(after, LEASED if p.lease_first else READ, mine,
                          seen))
            else:                           # shows a body, or reads the
                yield (f"reader {i} gets no lease",      # store, unfilled
                       to(after, IDLE))

        elif place == LEASED:               # the one statement
            yield f"reader {i} reads {db}", to(entry, READ, token, db)
            yield (f"reader {i} cannot read and releases {token}",
                   to(p.release(entry, token), IDLE))
            yield f"reader {i} dies", to(entry, IDLE)

        elif place == READ:
            yield (f"reader {i} fills {seen} by {token}",
                   to(p.fill(entry, token, seen), IDLE))
            yield f"reader {i} dies", to(entry, IDLE)

    for i, (ver, sent) in enumerate(writers):
        if ver == 0:
            yield (f"writer {i} commits {db + 1}",
                   State(db + 1, entry, readers,
                         put(writers, i, (db + 1, 0)), evictions, expiries))
        elif sent <= world.repeats:
            yield (f"change {ver} arrives",
                   State(db, p.change(entry, ver), readers,
                         put(writers, i, (ver, sent + 1)), evictions,
                         expiries))

    if entry is not None:
        if evictions:
            yield ("the entry is evicted",
                   State(db, None, readers, writers, evictions - 1,
                         expiries))
        if entry[0] == LEASE and not entry[5] and expiries:
            yield (f"the time of lease {entry[3]} passes",
                   State(db, entry[:5] + (True,), readers, writers,
                         evictions, expiries - 1))


def wrong(p, s):
    """Why a state must not be, or None.

    What an entry tells, of a VAL its version, may be behind the store only
    while a change that will end it is still on its way; then, when all is
    quiet, none is behind.
    """
    if s.entry is None:
        return None
    state, ver, floor, token, body, _ = s.entry
    if state == VAL:
        if body != ver:
            return f"a VAL of version {ver} holds the body of {body}"
        if ver > s.db:
            return f"a VAL of version {ver}, the store is at {s.db}"
    told = p.told(s.entry)
    if told != NONE and told < s.db and not any(
            v > told and sent == 0 for v, sent in s.writers):
        return (f"a {state} that tells {told} is taken for fresh for ever, "
                f"the store is at {s.db}")
    if state == LEASE and token == 0:
        return "a LEASE that nobody may fill"
    return None


Result = namedtuple("Result", "states quiet transitions fault trace")


def check(p, world=WORLD, seen_steps=None):
    """Walks through all states, breadth first.

    seen_steps(name, state, next state) is told of every step, for tests
    that compare a real cache with the model.
    """
    first = start(world)
    parent = {first: None}
    todo = [first]
    quiet = transitions = 0

    while todo:
        next_todo = []
        for s in todo:
            final = True
            for name, after in steps(p, world, s):
                final = False
                transitions += 1
                if seen_steps is not None:
                    seen_steps(name, s, after)
                if after in parent:
                    continue
                parent[after] = (s, name)
                fault = wrong(p, after)
                if fault:
                    return Result(len(parent), quiet, transitions, fault,
                                  trace(parent, after))
                next_todo.append(after)
            quiet += final
        todo = next_todo

    return Result(len(parent), quiet, transitions, None, [])


def trace(parent, s):
    out = []
    while parent[s] is not None:
        before, name = parent[s]
        out.append(f"{name:44} -> {s.entry}")
        s = before
    return out[::-1]


def main():
    failed = 0
    began = time.monotonic()
    r = check(Protocol)
    print(f"LV: {r.states} states, {r.transitions} steps, "
          f"{r.quiet} of them final, {time.monotonic() - began:.1f} s: "
          f"{r.fault or 'coherent'}")
    failed += bool(r.fault)
    for guard in GUARDS:
        r = check(guard)
        print(f"\n{guard.__doc__}\n  after {r.states} states: "
              f"{r.fault or 'NOT FOUND TO FAIL'}")
        for line in r.trace:
            print("    " + line)
        failed += not r.fault
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
