"""An exhaustive checker of L1, the zone in shared memory.

The lease protocol (lease_model.py) keeps Redis coherent; this module walks
through every interleaving of what happens between the store, Redis, the
helper's feed and a zone: one cell, readers that note, ask Redis or the
store, and keep what they got; a helper that reads what has changed, tells
Redis, marks the zone's copy and vouches; a second helper, as during a
reload; helpers that are killed; a Redis that cannot be told, that dies and
comes back with what it held once; and a zone that evicts.

Redis is a stand-in for what the lease protocol guarantees: a copy is a
version, and while it is whole a change that it was told of is never undone
by a late fill.  A voucher is the run of the server that it was given to.

What must hold: a copy in the zone that is not marked has every change up to
the zone's horizon.  So what is vouched for is at most as old as the round
that vouches: how long that is, is the voucher's life.  And an answer that a
worker has kept, while the zone's moves are what they were, says what a lookup
would find, if it finds a copy.

Run it:  python3 zone_model.py
"""

import sys
import time
from collections import namedtuple

from lease_model import put

NONE = -1


class Zone:
    """The guards; a subclass with one removed must fail."""

    note_first = True       # the note is taken before anybody is asked
    check_gen = True        # kept only if no change was heard of since
    check_told = True       # from Redis only while it knows all changes
    redis_first = True      # Redis is told before the zone, or else ...
    silence_told = True     # ... the zone says that it was not
    run_vouches = True      # a voucher holds for one run of the server
    flip_checks = True      # told again only if nothing went past Redis
    horizon_last = True     # the horizon moves after the copies are marked
    gen_always = True       # a change is counted where there is no copy
    change_moves = True     # a change moves the zone, copy or not
    newer_moves = True      # so does a copy in place of one not marked
    lost_moves = True       # and one in place of one evicted since it moved


class NoteAfter(Zone):
    """(a) the reader notes after it has asked."""
    note_first = False


class NoGen(Zone):
    """(b) a change that was heard of meanwhile does not matter."""
    check_gen = False


class NoTold(Zone):
    """(c) what Redis says is kept though Redis cannot be told."""
    check_told = False


class ZoneFirst(Zone):
    """(d) the zone hears of a change before Redis."""
    redis_first = False


class ZoneAlone(Zone):
    """(e) the zone goes on alone and does not say so."""
    silence_told = False


class AnyRun(Zone):
    """(f) a voucher is believed whichever server it was given to."""
    run_vouches = False


class FlipBlindly(Zone):
    """(g) Redis is said to know all, whatever others did meanwhile."""
    flip_checks = False


class HorizonFirst(Zone):
    """(h) the horizon moves before the copies are marked."""
    horizon_last = False


class GenOfCopies(Zone):
    """(i) counters only count changes of copies that are there."""
    gen_always = False


class ChangeStill(Zone):
    """(j) a change does not move the zone."""
    change_moves = False


class NewerStill(Zone):
    """(k) a newer copy in place of one not marked does not move the zone."""
    newer_moves = False


class LostStill(Zone):
    """(l) a copy in place of an evicted one never moves the zone."""
    lost_moves = False


GUARDS = [NoteAfter, NoGen, NoTold, ZoneFirst, ZoneAlone, AnyRun, FlipBlindly,
          HorizonFirst, GenOfCopies, ChangeStill, NewerStill, LostStill]


# -- the world ---------------------------------------------------------------


World = namedtuple("World", "readers turns helpers writes deaths restarts "
                            "evictions troubles answers")

# each is small enough to be walked whole; together they have it all
WORLDS = [World(1, 2, 1, 2, 0, 0, 2, 0, 1), World(1, 2, 1, 2, 0, 0, 1, 1, 0),
          World(1, 1, 1, 2, 1, 1, 1, 1, 0), World(2, 1, 1, 1, 0, 1, 1, 1, 0),
          World(1, 1, 2, 1, 0, 1, 0, 1, 0)]

# a reader's place, and a helper's: what it does next
IDLE, NOTED, GOT, OVER = range(4)
AWAY, ASK, TELL, ALONE, MARK, MOVE, LATER = range(7)

NEW = (ASK, False, 0, 0, False, False, False)

# Counters only matter as far as they have changed since somebody noted
# them: so it is kept with each note whether they are still the same.

State = namedtuple("State", "db redis zone readers helpers deaths restarts "
                            "evictions troubles answer lost")
Redis = namedtuple("Redis", "held voucher saved")
Copy = namedtuple("Copy", "ver marked told since")
# redis.voucher: 0 none, 1 of a run before, 2 of this run
# readers: (place, turn, note, version got, from Redis); the note: gen is
#          the same, told
# answer: of these moves, the version that it was made of, or NONE; lost: a
#         copy that was not marked has been evicted since the last move
# helpers: (place, in step with this run, Redis's horizon, snapshot,
#           silence is the same, the round has changes, Redis is to be told)


def start(world):
    return State(0, Redis(0, 0, NONE), Copy(NONE, False, False, 0),
                 ((IDLE, 0, None, NONE, False),) * world.readers,
                 (NEW,) + ((AWAY, *NEW[1:]),) * (world.helpers - 1),
                 world.deaths, world.restarts, world.evictions,
                 world.troubles, NONE, False)


def move(s):
    """Answers that were kept are asked for anew."""
    return s._replace(answer=NONE, lost=False)


def mark(p, s, ver):
    """The zone hears of a change."""
    if p.change_moves:
        s = move(s)
    zone = s.zone
    if zone.ver == NONE and not p.gen_always:
        return s
    old = zone.ver != NONE and zone.ver < ver
    return s._replace(
        zone=zone._replace(marked=zone.marked or old),
        readers=tuple((*r[:2], r[2] and (False, r[2][1]), *r[3:])
                      for r in s.readers))


def silence(s, own=None):
    """A change went past Redis; helper "own" knows of it."""
    return s._replace(
        zone=s.zone._replace(told=False),
        helpers=tuple((*h[:4], h[4] and i == own, *h[5:])
                      for i, h in enumerate(s.helpers)))


def read(p, world, s, i):
    place, turn, note, ver, from_redis = s.readers[i]
    zone, redis = s.zone, s.redis

    def to(*r, **more):
        return s._replace(readers=put(s.readers, i, r), **more)

    now = True, zone.told

    if place == IDLE:
        yield f"reader {i} notes", to(NOTED, turn, now, NONE, False)

    elif place == NOTED:
        vouched = redis.voucher == 2 or (redis.voucher and not p.run_vouches)
        if redis.held != NONE and vouched:
            yield (f"reader {i} gets {redis.held} from Redis",
                   to(GOT, turn, note, redis.held, True))
        yield (f"reader {i} gets {s.db} from the store",
               to(GOT, turn, note, s.db, False))
        if redis.held == NONE and vouched:
            yield (f"reader {i} gets {s.db} from the store and fills Redis",
                   to(GOT, turn, note, s.db, False,
                      redis=redis._replace(held=s.db)))

    elif place == GOT:
        turn += 1
        after = (OVER if turn == world.turns else IDLE, turn, None, NONE,
                 False)
        gen, told = note if p.note_first else now
        keep = gen or not p.check_gen
        if from_redis:
            keep = keep and (told or not p.check_told)
        if zone.ver != NONE and not zone.marked and zone.ver >= ver:
            keep = False
        if keep:
            t = to(*after, zone=zone._replace(ver=ver, marked=False))
            newer = zone.ver != NONE and not zone.marked and p.newer_moves
            if newer or zone.ver == NONE and s.lost and p.lost_moves:
                t = move(t)
            yield f"reader {i} keeps {ver}", t
        else:
            yield f"reader {i} does not keep {ver}", to(*after)


def feed(p, world, s, i):
    place, in_step, known, snap, same, rows, tells = s.helpers[i]
    zone, redis = s.zone, s.redis

    def to(*h, s=s, **more):
        return s._replace(helpers=put(s.helpers, i, h), **more)

    if place == AWAY:
        yield f"helper {i} starts", to(*NEW)
        return

    if s.deaths:
        yield (f"helper {i} is killed, another starts",
               to(*NEW, deaths=s.deaths - 1))

    def told():                         # change(snap), then the voucher
        held = NONE if redis.held < snap else redis.held
        return redis._replace(held=held, voucher=2)

    if place == ASK:
        t = s
        if not in_step:                 # another Redis, or the first look
            t = silence(s)
            known = 0
        since = min(zone.since, known)
        if s.db > since or not t.zone.told or redis.voucher != 2:
            yield (f"helper {i} asks from {since} at {s.db}",
                   to(TELL if t.zone.told else ALONE, True, known, s.db,
                      True, s.db > since, True, s=t))
        if s.troubles and s.db > zone.since:
            yield (f"helper {i} asks at {s.db}, Redis is away",
                   to(ALONE, *s.helpers[i][1:3], s.db, True, True, False,
                      troubles=s.troubles - 1))

    elif place == TELL:                 # the zone waits
        if in_step:
            yield (f"helper {i} tells Redis {snap}",
                   to(MARK, True, snap, snap, same, rows, False,
                      redis=told()))
        if s.troubles or not in_step:
            yield (f"helper {i} cannot tell Redis {snap}",
                   to(ALONE, in_step, known, snap, same, rows, False,
                      troubles=s.troubles - in_step))
        if not p.redis_first and rows:
            t = mark(p, s, snap)
            t = t._replace(zone=t.zone._replace(since=snap))
            yield (f"helper {i} marks {snap} before Redis knows",
                   to(TELL, in_step, known, snap, same, False, tells, s=t))

    elif place == ALONE:                # the zone does not, and says so
        t = s
        if rows:
            t = mark(p, s, snap)
            if p.silence_told:
                t = silence(t, i)
        yield (f"helper {i} marks {snap}, Redis does not know",
               to(MOVE, in_step, known, snap, same, rows, tells, s=t))

    elif place == MARK:
        t = mark(p, s, snap) if rows else s
        yield (f"helper {i} marks {snap}",
               to(MOVE, in_step, known, snap, same, rows, tells, s=t))

    elif place == MOVE:
        after = (LATER, in_step, known, snap, same, rows, tells) if tells \
            else (ASK, in_step, known, 0, False, False, False)
        yield (f"helper {i} moves the horizon to {snap}",
               to(*after, zone=zone._replace(since=snap)))

    elif place == LATER:                # Redis after the zone
        if in_step:
            if same or not p.flip_checks:
                zone = zone._replace(told=True)
            yield (f"helper {i} tells Redis {snap} later",
                   to(ASK, True, snap, 0, False, False, False, zone=zone,
                      redis=told()))
        if s.troubles or not in_step:
            yield (f"helper {i} cannot tell Redis {snap}",
                   to(ASK, in_step, known, 0, False, False, False,
                      troubles=s.troubles - in_step))

    if not p.horizon_last and place in (ALONE, MARK) and zone.since < snap:
        yield (f"helper {i} moves the horizon to {snap} too early",
               s._replace(zone=zone._replace(since=snap)))


def world_itself(world, s):
    zone, redis = s.zone, s.redis
    fresh = zone.ver != NONE and not zone.marked

    if world.answers and fresh and s.answer != zone.ver:
        yield (f"a worker keeps an answer of {zone.ver}",
               s._replace(answer=zone.ver))

    if s.restarts:
        if redis.held != NONE and redis.held != redis.saved:
            yield (f"Redis saves {redis.held}",
                   s._replace(redis=redis._replace(saved=redis.held)))
        yield (f"Redis comes back with {redis.saved}",
               s._replace(redis=redis._replace(
                   held=redis.saved, voucher=min(redis.voucher, 1)),
                   helpers=tuple((h[0], False, *h[2:]) for h in s.helpers),
                   restarts=s.restarts - 1))

    if s.evictions:
        if zone.ver != NONE:
            yield ("the zone evicts",
                   s._replace(zone=zone._replace(ver=NONE, marked=False),
                              lost=s.lost or bool(world.answers and fresh),
                              evictions=s.evictions - 1))
        if redis.held != NONE:
            yield ("Redis evicts",
                   s._replace(redis=redis._replace(held=NONE),
                              evictions=s.evictions - 1))


def steps(p, world, s):
    """All (name, next state) of a state."""
    if s.db < world.writes:
        yield f"change {s.db + 1} is committed", s._replace(db=s.db + 1)
    for i in range(world.readers):
        yield from read(p, world, s, i)
    for i in range(world.helpers):
        yield from feed(p, world, s, i)
    yield from world_itself(world, s)


def wrong(s):
    """Why a state must not be, or None."""
    ver, marked = s.zone.ver, s.zone.marked
    if s.answer != NONE:
        if s.answer < s.zone.since:
            return (f"an answer of {s.answer} is given, vouched for as of "
                    f"{s.zone.since}")
        if ver != NONE and (marked or ver != s.answer):
            return f"an answer of {s.answer} is given beside a copy of {ver}"
    if ver == NONE or marked:
        return None
    if ver > s.db:
        return f"the zone has {ver}, the store is at {s.db}"
    if ver < s.zone.since:
        return (f"the zone's {ver} is vouched for as of {s.zone.since}")
    return None


Result = namedtuple("Result", "states transitions fault trace")


def check(p, world, seen_steps=None):
    """Walks through all states, breadth first."""
    first = start(world)
    parent = {first: None}
    todo = [first]
    transitions = 0

    while todo:
        next_todo = []
        for s in todo:
            for name, after in steps(p, world, s):
                transitions += 1
                if seen_steps is not None:
                    seen_steps(name, s, after)
                if after in parent:
                    continue
                parent[after] = (s, name)
                fault = wrong(after)
                if fault:
                    return Result(len(parent), transitions, fault,
                                  trace(parent, after))
                next_todo.append(after)
        todo = next_todo

    return Result(len(parent), transitions, None, [])


def check_all(p, seen_steps=None):
    """All worlds, until one has a fault."""
    states = transitions = 0
    for world in WORLDS:
        r = check(p, world, seen_steps)
        states += r.states
        transitions += r.transitions
        if r.fault:
            break
    return r._replace(states=states, transitions=transitions)


def trace(parent, s):
    out = []
    while parent[s] is not None:
        before, name = parent[s]
        out.append(f"{name:52} -> {tuple(s.zone)} {tuple(s.redis)}")
        s = before
    return out[::-1]


def main():
    failed = 0
    for p in [Zone, *GUARDS]:
        began = time.monotonic()
        r = check_all(p)
        print(f"{p.__doc__.splitlines()[0]}\n  after {r.states} states, "
              f"{r.transitions} steps, {time.monotonic() - began:.1f} s: "
              f"{r.fault or 'coherent'}")
        for line in r.trace:
            print("    " + line)
        failed += (r.fault is None) != (p is Zone)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
