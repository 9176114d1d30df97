"""L1's protocol holds in every interleaving, and each guard matters."""

import time

import pytest

from zone_model import GUARDS, Zone, check_all


def test_zone_is_coherent(figure):
    seen = set()

    def step(name, s, after):
        words = name.split()
        seen.add(" ".join(w for w in words if w.isalpha()))
        if after.zone.told and not s.zone.told:
            seen.add("told")

    began = time.monotonic()
    r = check_all(Zone, step)
    took = time.monotonic() - began

    assert r.fault is None, "\n".join([r.fault, *r.trace])
    assert took < 60
    # the world is not so small that the interesting never happens
    assert {"told", "reader keeps", "reader does not keep",
            "reader gets from Redis", "Redis comes back with",
            "the zone evicts", "helper is another starts",
            "helper cannot tell Redis", "a worker keeps an answer of"
            } <= seen, seen
    figure("zone", f"{r.states} states, {r.transitions} steps, coherent, "
           f"{took:.1f} s")


@pytest.mark.parametrize("guard", GUARDS, ids=lambda g: g.__name__)
def test_each_guard_is_needed(guard):
    r = check_all(guard)
    assert r.fault, f"no counterexample in {r.states} states: {guard.__doc__}"
    assert r.trace
    print(guard.__doc__, r.fault, *r.trace, sep="\n  ")
