"""The scripts that run in Redis do what the checked model does.

Every entry that the model checker reaches is put into a real Redis; every
step of the protocol is run on it by the module's own script, and the entry
that is left must be the model's.
"""

import os
import re
import struct
import sys
import time

import pytest

from places import LEASE, STALE, VAL, crc32c, read_blob
from servers import REPO, Redis

sys.path.insert(0, os.path.join(REPO, "tests", "model"))

import lease_model as model                         # noqa: E402

SOURCE = os.path.join(REPO, "ngx_scc_module", "cache", "ngx_scc_lease.c")
KEY = "scc:c:1:55000:25000"
NAMES = {VAL: model.VAL, LEASE: model.LEASE, STALE: model.STALE}
STATES = {v: k for k, v in NAMES.items()}
LEASE_MS = 5000


def c_strings(text):
    """The bytes of adjacent C string literals."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    out = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
    escapes = {"n": "\n", "t": "\t", "\\": "\\", '"': '"'}
    return re.sub(r"\\(.)", lambda m: escapes[m.group(1)], out)


def read_scripts():
    with open(SOURCE) as f:
        source = f.read()
    m = re.search(r"#define NGX_SCC_LEASE_HEADER((?:.*\\\n)+.*)\n", source)
    header = c_strings(m.group(1))
    out = {}
    for name, body in re.findall(
            r"static const char\s+ngx_scc_lease_(\w+)_lua\[\] =(.*?);\n\n",
            source, flags=re.S):
        assert "NGX_SCC_LEASE_HEADER" in body
        out[name] = header + c_strings(body)
    return out


def blob(state, flags, ver, floor=0, token=0, end=0):
    head = struct.pack("<4sBBBB4Q5I", b"SCCC", 1, state, flags, 0, ver,
                       floor, token, end, 0, 0, 0, 0, 0)
    return head + struct.pack("<I", crc32c(head[40:60] + bytes(4)))


def to_bytes(entry, now):
    state, ver, floor, token, body, over = entry
    return blob(STATES[state], int(body != model.NONE), ver, floor, token,
                now - 1000 if over else now + 60000)


def to_entry(data, now):
    if data is None:
        return None
    b = read_blob(data)
    return (NAMES[b.state], b.ver, b.floor, b.lease,
            b.ver if b.body else model.NONE,
            b.state == LEASE and b.lease_end <= now)


def same(entry):
    """What the protocol looks at: a VAL's floor and the token of what is
    no lease are left overs."""
    if entry is None:
        return None
    state, ver, floor, token, body, over = entry
    if state == model.VAL:
        return (state, ver, body)
    if state == model.STALE:
        return (state, ver, floor, body)
    return entry


@pytest.fixture(scope="module")
def redis():
    with Redis() as r:
        yield r


@pytest.fixture(scope="module")
def entries():
    found = {None}
    model.check(model.Protocol,
                seen_steps=lambda name, s, after: found.add(after.entry))
    return found


def test_scripts_equal_model(redis, entries, figure):
    scripts = read_scripts()
    assert set(scripts) == {"acquire", "fill", "change", "release"}
    run = {k: redis.r.register_script(v) for k, v in scripts.items()}
    blank = blob(LEASE, 0, 0)
    tokens = sorted({e[3] for e in entries if e} | {99} - {0})
    p = model.Protocol
    steps = 0

    def token(n):
        return struct.pack("<Q", n)

    def step(entry, expect, what, script, *args):
        nonlocal steps
        now = int(time.time() * 1000)
        redis.r.delete(KEY)
        if entry is not None:
            redis.r.set(KEY, to_bytes(entry, now), px=60000)
        answer = run[script](keys=[KEY], args=args)
        left = to_entry(redis.r.get(KEY), now)
        assert same(left) == same(expect), (what, entry)
        if left is not None:
            # nothing of ours lives for ever
            assert 0 < redis.r.pttl(KEY) <= 60000, (what, entry)
        steps += 1
        return answer

    for entry in sorted(entries, key=repr):
        for t in tokens:
            after, granted, _ = p.lease(entry, t)
            answer = step(entry, after, f"lease {t}", "acquire", token(t),
                          LEASE_MS, blank)
            filled = entry is not None and entry[0] == model.VAL
            assert answer == (1 if granted else 2 if filled else 0)
            step(entry, p.release(entry, t), f"release {t}", "release",
                 token(t))
            for ver in (0, 1, 2):
                step(entry, p.fill(entry, t, ver), f"fill {t} {ver}",
                     "fill", token(t), blob(VAL, 1, ver, ver), 60000)
        for ver in (1, 2):
            step(entry, p.change(entry, ver), f"change {ver}", "change",
                 ver)

    figure("scripts against model",
           f"{len(entries)} entries, {steps} steps equal")


@pytest.mark.parametrize("junk", [
    b"x", b"SCCC", b"SCCD" + bytes(60), b"SCCC\2" + bytes(59), b"{" * 200,
    "list", "hash"])
@pytest.mark.parametrize("script", ["acquire", "fill", "change", "release"])
def test_what_is_no_entry_is_removed(redis, script, junk):
    code = redis.r.register_script(read_scripts()[script])
    redis.r.delete(KEY)
    if junk == "list":
        redis.r.lpush(KEY, "x")
    elif junk == "hash":
        redis.r.hset(KEY, "a", "b")
    else:
        redis.r.set(KEY, junk)
    t = struct.pack("<Q", 7)
    args = {"acquire": [t, LEASE_MS, blob(LEASE, 0, 0)],
            "fill": [t, blob(VAL, 1, 3), 60000], "change": [3],
            "release": [t]}[script]
    answer = code(keys=[KEY], args=args)
    if script == "acquire":
        assert answer == 1
        assert read_blob(redis.r.get(KEY)).state == LEASE
        return
    assert answer == 0
    assert redis.r.exists(KEY) == 0


def test_versions_beyond_32_bits(redis):
    """Lua's numbers are doubles: exact up to 2^53."""
    scripts = {k: redis.r.register_script(v)
               for k, v in read_scripts().items()}
    for ver in (2 ** 32 - 1, 2 ** 32, 2 ** 40 + 1, 2 ** 53 - 1):
        redis.r.set(KEY, blob(VAL, 1, ver - 1, ver - 1))
        assert scripts["change"](keys=[KEY], args=[ver]) == 1
        b = read_blob(redis.r.get(KEY))
        assert (b.state, b.ver, b.floor) == (STALE, ver - 1, ver)
        t = struct.pack("<Q", 2 ** 64 - 1)
        assert scripts["acquire"](keys=[KEY],
                                  args=[t, LEASE_MS, blob(LEASE, 0, 0)]) == 1
        assert scripts["fill"](keys=[KEY], args=[t, blob(VAL, 1, ver - 1),
                                                 60000]) == 0
        assert scripts["acquire"](keys=[KEY],
                                  args=[t, LEASE_MS, blob(LEASE, 0, 0)]) == 1
        assert scripts["fill"](keys=[KEY], args=[t, blob(VAL, 1, ver),
                                                 60000]) == 1
        assert read_blob(redis.r.get(KEY)).ver == ver
