"""The lease protocol holds in every interleaving, and each guard matters."""

import time

import pytest

from lease_model import GUARDS, LEASE, STALE, VAL, Protocol, check


def test_protocol_is_coherent(figure):
    began = time.monotonic()
    r = check(Protocol)
    took = time.monotonic() - began

    assert r.fault is None, "\n".join([r.fault, *r.trace])
    assert r.quiet > 0
    # a smaller walk would prove less than the design's own
    assert r.states > 4642
    assert took < 60
    figure("lease protocol", f"{r.states} states, {r.transitions} steps, "
           f"{r.quiet} final, coherent, {took:.1f} s")


def test_walk_reaches_what_it_must():
    """The world is not so small that the interesting never happens."""
    seen = set()

    def step(name, s, after):
        e = after.entry
        if e is None:
            return
        if e[0] == LEASE and e[2] > 0:
            seen.add("floor under a lease")
        if e[0] == LEASE and e[4] >= 0:
            seen.add("lease with a kept body")
        if e[0] == STALE:
            seen.add("stale")
        if e[0] == VAL and e[1] == 2:
            seen.add("filled after both writers")
        if s.entry is not None and s.entry[0] == LEASE and s.entry[5] \
                and e[0] == LEASE and not e[5]:
            seen.add("takeover")
        if "fills" in name and e[0] != VAL:
            seen.add("fill dropped")

    check(Protocol, seen_steps=step)
    assert seen == {"floor under a lease", "lease with a kept body", "stale",
                    "filled after both writers", "takeover", "fill dropped"}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda g: g.__name__)
def test_each_guard_is_needed(guard):
    r = check(guard)
    assert r.fault, f"no counterexample in {r.states} states: {guard.__doc__}"
    assert r.trace
    print(guard.__doc__, r.fault, *r.trace, sep="\n  ")
