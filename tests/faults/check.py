"""Histories: what clients sent and were told, and whether it is true.

Each request is one line of JSON: client, n (the client's operation), try,
kind, target, contributor, key, own (the id in the body), sha256 (of the
body), t0, t1, status, outcome (ok, fail, unknown), and of an answer event_id,
hlc, durability.  When all faults are healed and the queue is empty, check()
compares them with the journal, the store and the dead letters:

I1  what was acknowledged is in the journal and exactly once in the store
I2  nothing is there that nobody sent
I3  projections are the fold of the ledger; a client's acknowledged order is
    the order of the clock
I4  every name that was acknowledged is kept; every contributor is known
I5  what was not acknowledged is there once or not at all; a repeated request
    is answered with the same id
I6  no read denied a place that was there
I7  journaled = applied + dead
I8  SCC-Durability never claimed more than was so
I9  reads were served

    check.py HISTORY JOURNAL-DIR... --pg CONNINFO
"""

import argparse
import json
import sys
import threading
from collections import Counter, defaultdict, namedtuple

import journal

Read = namedtuple("Read", "t0 t1 path status n")

SHOWN = 5               # of each kind of violation


class History:
    """Requests and reads of many threads, kept in a file line by line."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.lines, self.reads = [], []
        self.lost_reads = 0             # connections that ended
        self.file = open(path, "w", encoding="utf-8")

    def add(self, line):
        with self.lock:
            self.lines.append(line)
            self.file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def add_read(self, read):
        with self.lock:
            self.reads.append(read)

    def close(self):
        self.file.close()

    def outcomes(self):
        return Counter(x["outcome"] for x in self.lines)

    def acked(self):
        return [x for x in self.lines if x["outcome"] == "ok"]

    @classmethod
    def load(cls, path):
        h = cls("/dev/null")
        with open(path, encoding="utf-8") as f:
            h.lines = [json.loads(line) for line in f]
        h.path = path
        return h


class Store:
    """What PostgreSQL holds."""

    EVENTS = """SELECT event_id::text, hlc, kind, target, contributor_id,
                       encode(body_sha256, 'hex'), body, idem_key,
                       encode(segment_id::text::bytea, 'escape')
                  FROM scc.contribution"""

    def __init__(self, query):
        self.events = query(self.EVENTS)
        self.dead = {x[0]: x[1] for x in query(
            "SELECT event_id::text, reason FROM scc.dead_letter "
            "WHERE event_id IS NOT NULL")}
        self.places = {x[0]: x[1:] for x in query(
            "SELECT id, hlc, event_id::text, name FROM scc.place")}
        self.place_accessibility = {x[0]: x[1:] for x in query(
            "SELECT place_id, hlc, event_id::text, stair_info, "
            "contributor_id FROM scc.place_accessibility")}
        self.building_accessibility = {x[0]: x[1:] for x in query(
            "SELECT building_id, hlc, event_id::text, entrance_stair_info, "
            "contributor_id FROM scc.building_accessibility")}
        self.contributors = dict(query(
            "SELECT id, display_name FROM scc.contributor"))


class Faults:
    """Violations by invariant, not more of one than a person reads."""

    def __init__(self):
        self.found = defaultdict(list)

    def add(self, invariant, text):
        self.found[invariant].append(text)

    def __bool__(self):
        return bool(self.found)

    def __str__(self):
        out = []
        for i, texts in sorted(self.found.items()):
            out.append(f"{i}: {len(texts)} violations")
            out += ["    " + t for t in texts[:SHOWN]]
        return "\n".join(out)


def seen_in_journal(dirs):
    """{event id: record}, and the segments; equal records of two
    directories count once, unequal ones are a fault of the format."""
    found, segments = {}, journal.segments(*dirs)
    for s in segments:
        for r in s.records:
            found.setdefault(str(r.event_id), []).append(r)
    return found, segments


def check_journal(history, dirs, faults, expect=("sealed", "clean", "torn")):
    """I1 of the journal alone, as after a power cut; how many were kept."""
    found, segments = seen_in_journal(dirs)
    for s in segments:
        if s.end not in expect:
            faults.add("journal", f"{s.path} is {s.end}: {s.why}")
    kept = 0
    for x in history.acked():
        rs = found.get(x["event_id"])
        if not rs:
            faults.add("I1", "acknowledged, not in the journal: " + brief(x))
        elif any(r.sha256 != x["sha256"] for r in rs):
            faults.add("I1", "another body in the journal: " + brief(x))
        else:
            kept += 1
    check_phantoms(history, ((str(r.event_id), r.sha256, r.contributor,
                              "journal")
                             for rs in found.values() for r in rs), faults)
    return kept, found


def check_phantoms(history, found, faults):
    sent = {x["sha256"]: x for x in history.lines}
    for ident, sha, contributor, where in found:
        x = sent.get(sha)
        if x is None:
            faults.add("I2", f"{ident} in the {where} was never sent")
        elif x["contributor"] != contributor:
            faults.add("I2", f"{ident} in the {where} is {contributor}'s, "
                       "sent was " + brief(x))


def brief(x):
    return (f"client {x['client']} n {x['n']}.{x['try']} {x['kind']} of "
            f"{x['target']} id {x.get('event_id')} key {x['key']} "
            f"t {x['t0']:.3f}-{x['t1']:.3f} status {x['status']}")


def check(history, dirs, store, before=(), poison=(), durability=None,
          damaged=()):
    """All of it; Faults, empty where all is well.

    before: event ids of the store before the test.  poison: bodies' sha256
    that must become dead letters.  durability(line): what SCC-Durability
    may have claimed at most (a dict), asked for each acknowledged line.
    damaged: paths of segments that the test damaged itself.
    """
    faults = Faults()
    before = set(before)
    found, segments = seen_in_journal(dirs)
    for s in segments:
        if s.end not in ("sealed", "clean") and s.path not in damaged:
            faults.add("journal", f"{s.path} is {s.end}: {s.why}")

    events = defaultdict(list)
    for e in store.events:
        if e[0] not in before:
            events[e[0]].append(e)

    lines = history.lines
    acked = history.acked()
    acked_ids = {x["event_id"] for x in acked}

    # I1
    for x in acked:
        rows = events.get(x["event_id"], [])
        dead = x["event_id"] in store.dead
        if len(rows) + dead == 0:
            faults.add("I1", ("in the journal, not in the store: "
                              if x["event_id"] in found else
                              "acknowledged and LOST: ") + brief(x))
        elif len(rows) > 1:
            faults.add("I1", f"{len(rows)} times in the store: " + brief(x))
        elif rows and rows[0][5] != x["sha256"]:
            faults.add("I1", "another body in the store: " + brief(x))
        if dead and x["sha256"] not in poison:
            faults.add("I7", f"a dead letter ({store.dead[x['event_id']]}): "
                       + brief(x))
        if x["event_id"] not in found and not damaged:
            faults.add("I1", "acknowledged, not in the journal: " + brief(x))

    # I2
    check_phantoms(history, [(i, e[5], e[4], "store")
                             for i, es in events.items() for e in es]
                   + [(str(r.event_id), r.sha256, r.contributor, "journal")
                      for rs in found.values() for r in rs], faults)

    check_fold(store, acked, faults)
    check_roster(store, acked, events, faults)

    # I5
    by_op, by_sha = defaultdict(list), defaultdict(set)
    for x in lines:
        by_op[x["client"], x["n"]].append(x)
    for i, es in events.items():
        for e in es:
            by_sha[e[5]].add(i)
    for xs in by_op.values():
        ids = {x["event_id"] for x in xs if x["outcome"] == "ok"}
        keyed = xs[0]["key"] or xs[0]["own"]
        if keyed and len(ids) > 1:
            faults.add("I5", f"repeated, answered with {sorted(ids)}: "
                       + brief(xs[0]))
        if xs[0]["own"] and ids - {xs[0]["own"]}:
            faults.add("I5", f"own id {xs[0]['own']}, answered {ids}: "
                       + brief(xs[0]))
        there = by_sha[xs[0]["sha256"]]
        limit = 1 if keyed else len(xs)
        if len(there) > limit:
            faults.add("I5", f"{len(there)} events of one request, "
                       f"{sorted(there)}: " + brief(xs[0]))
        if there and all(x["outcome"] == "fail" for x in xs):
            faults.add("I5", "refused, yet there: " + brief(xs[0]))

    # I7
    for i in found:
        if i not in events and i not in store.dead:
            faults.add("I7", f"{i} is in the journal, neither applied nor "
                       "dead" + (" (acknowledged)" if i in acked_ids
                                 else ""))
        if i in events and i in store.dead:
            faults.add("I7", f"{i} is both applied and dead")
    by_id = {x["event_id"]: x for x in acked}
    for sha in poison:
        ids = [i for i, rs in found.items() if rs[0].sha256 == sha]
        if not any(i in store.dead for i in ids):
            faults.add("I7", f"poison {ids} has no dead letter")

    # I8
    if durability is not None:
        for x in by_id.values():
            claimed = parse_durability(x["durability"])
            allowed = durability(x)
            for k, v in claimed.items():
                if k in allowed and v > allowed[k]:
                    faults.add("I8", f"{x['durability']!r}, but {k} was at "
                               f"most {allowed[k]}: " + brief(x))
            if not claimed.get("journal"):
                faults.add("I8", f"acknowledged with durability "
                           f"{x['durability']!r}: " + brief(x))

    return faults


def parse_durability(text):
    """"journal=1, queue=0" -> {"journal": 1, "queue": 0}"""
    out = {}
    for part in (text or "").replace(";", ",").split(","):
        k, _, v = part.strip().partition("=")
        if k:
            out[k.strip()] = int(v) if v.strip().isdigit() else 1
    return out


def check_fold(store, acked, faults):
    """I3: the newest of each target, by clock and event id."""
    newest = {}
    for e in store.events:
        key = (e[2], e[3])
        order = (e[1], e[0])
        if key not in newest or newest[key][0] < order:
            newest[key] = (order, e)
    tables = {"place": (store.places, lambda b: b["name"]),
              "place_accessibility": (store.place_accessibility,
                                      lambda b: b["stairInfo"]),
              "building_accessibility": (store.building_accessibility,
                                         lambda b: b["entranceStairInfo"])}
    for (kind, target), (order, e) in newest.items():
        if kind not in tables:
            continue
        rows, field = tables[kind]
        row = rows.get(target)
        if row is None:
            faults.add("I3", f"{kind} of {target} has no row")
        elif (row[0], row[1]) != order:
            faults.add("I3", f"{kind} of {target} is folded from "
                       f"{row[:2]}, the newest is {order}")
        elif row[2] != field(json.loads(e[6])):
            faults.add("I3", f"{kind} of {target} says {row[2]!r}, its "
                       f"newest contribution {field(json.loads(e[6]))!r}")
    hlc_of = {e[0]: e[1] for e in store.events}
    last = {}
    for x in sorted(acked, key=lambda x: (x["client"], x["t1"])):
        if x["hlc"] is not None and x["event_id"] in hlc_of \
                and hlc_of[x["event_id"]] != x["hlc"]:
            # the answer to a repeated request may tell either's
            if x["try"] == 0:
                faults.add("I3", f"answered hlc {x['hlc']}, the ledger has "
                           f"{hlc_of[x['event_id']]}: " + brief(x))
        if x["try"]:
            continue
        hlc = hlc_of.get(x["event_id"])
        if hlc is None:
            continue
        before = last.get(x["client"])
        if before is not None and hlc <= before[0] \
                and x["t0"] >= before[1]["t1"]:
            faults.add("I3", f"hlc {hlc} after {before[0]} ("
                       + brief(before[1]) + "): " + brief(x))
        last[x["client"]] = (hlc, x)


def check_roster(store, acked, events, faults):
    """I4"""
    for es in events.values():
        for e in es:
            if e[4] not in store.contributors:
                faults.add("I4", f"contributor {e[4]!r} of {e[0]} unknown")
    newest = {}
    for e in store.events:
        if e[2] == "contributor":
            order = (e[1], e[0])
            if e[4] not in newest or newest[e[4]][0] < order:
                newest[e[4]] = (order, json.loads(e[6])["displayName"])
    for x in acked:
        if x["kind"] == "contributor" and x["event_id"] in events:
            name = json.loads(events[x["event_id"]][0][6])["displayName"]
            if name != x.get("name"):
                faults.add("I4", f"kept as {name!r}, sent was "
                           f"{x.get('name')!r}: " + brief(x))


def check_reads(history, faults=None, allow=(), slowest=None,
                whole=None):
    """I6 and I9.  allow(read): an answer that is no fault here."""
    faults = faults or Faults()
    for r in history.reads:
        if r.status == 200:
            if whole is not None and r.n is not None and r.n < whole:
                faults.add("I6", f"{r.path} had {r.n} places, not {whole}, "
                           f"at {r.t0:.3f}")
        elif allow and allow(r):
            continue
        elif r.status == 404:
            faults.add("I6", f"404 for {r.path} at {r.t0:.3f}")
        else:
            faults.add("I9", f"{r.status} for {r.path} at {r.t0:.3f}")
        if slowest is not None and r.t1 - r.t0 > slowest:
            faults.add("I9", f"{r.path} took {r.t1 - r.t0:.3f} s at "
                       f"{r.t0:.3f}")
    return faults


def main():
    import psycopg2
    p = argparse.ArgumentParser()
    p.add_argument("history")
    p.add_argument("dirs", nargs="+")
    p.add_argument("--pg", required=True)
    args = p.parse_args()
    c = psycopg2.connect(args.pg)
    cur = c.cursor()

    def query(sql):
        cur.execute(sql)
        return cur.fetchall()

    faults = check(History.load(args.history), args.dirs, Store(query))
    print(faults or "all invariants hold")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
