"""POST contributions and GET contributions/{id}, as a client sees them."""

import json
import os
import time
import uuid

import pytest

import sccj
from contribute import (JSON, PATH, Applier, Writer, accepted, apply, body,
                        durability, head, large_body, new_body,
                        post_together, problem, queue_redis, request,
                        store_uuid)
from servers import Nginx, Postgres, free_port, run, sccctl, wait_until


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        sccctl("init", pg=server)
        yield server


@pytest.fixture(scope="module")
def store(pg):
    return store_uuid(pg)


@pytest.fixture(scope="module")
def queue():
    with queue_redis() as server:
        yield server


def params():
    asan = os.environ.get("SCC_NGINX_ASAN", "")
    out = [pytest.param(None, id="nginx")]
    if asan and os.path.exists(asan):
        out.append(pytest.param(asan, id="asan"))
    return out


@pytest.fixture(scope="module", params=params())
def nginx(request, pg, queue):
    with Writer(pg, queue=queue, workers=2, binary=request.param,
                scc={"scc_contribution_max": "16k"}) as server:
        yield server


@pytest.fixture(scope="module")
def one(pg, queue):
    """A single worker, so that what one knows the other need not tell."""
    with Writer(pg, queue=queue, scc={
            "log_format": "w '$status $scc_event_id [$scc_durability] "
                          "$scc_contribution_status $scc_route'"},
            server="access_log w.log w;") as server:
        yield server


def find(nginx, ident, i=0):
    got = [r for r in nginx.records(i) if str(r.event_id) == str(ident)]
    assert got, f"{ident} is not in the journal"
    return got[0]


# -- accepted ----------------------------------------------------------------


def test_accepted(nginx, queue):
    """What was sent is in the journal and in the queue, byte for byte."""
    data = body("길/1", comment="한글 ☃ 🦽") + b" \n"
    before = time.time_ns()
    a = nginx.post(data, user="사용자", headers={"X-Name": "김 정복자"})
    doc = accepted(a)
    assert doc["status"] in ("journaled", "queued")
    assert durability(a)["journal"] == 1 and not durability(a)["applied"]
    assert uuid.UUID(doc["id"]).version == 7
    r = find(nginx, doc["id"])
    assert r.body == data
    assert (r.kind, r.target, r.contributor, r.name, r.key) == \
        ("place_accessibility", "길/1", "사용자", "김 정복자", "")
    assert str(r.hlc) == doc["hlc"]
    assert before - 10**9 < r.received < time.time_ns()
    assert abs((r.hlc >> 16) - time.time() * 1000) < 5000

    def queued():
        return [f for _, f in queue.r.xrange("scc:queue")
                if sccj.record(f[b"r"])[0].event_id == r.event_id]

    f, = wait_until(queued, 30, "the record in the queue")
    assert f[b"r"] == r.raw
    assert uuid.UUID(bytes=f[b"s"]) in [
        sccj.Segment(p).id for p in sccj.segments(nginx.dirs[0])]


def test_every_kind(nginx):
    event = "01890a5d-ac96-774b-bcce-b302099a8057"
    for doc in [
            {"kind": "place", "placeId": "x1", "name": "집",
             "location": {"lng": 127.1, "lat": 37.5}},
            {"kind": "building", "buildingId": "b1"},
            {"kind": "building_accessibility", "buildingId": "b1",
             "entranceStairInfo": "NONE", "hasElevator": True,
             "hasSlope": True, "entranceDoorTypes": ["None"],
             "elevatorStairInfo": "NONE"},
            {"kind": "comment", "placeId": "x1", "comment": "좋아요"},
            {"kind": "report", "placeId": "x1", "reason": "CLOSED"},
            {"kind": "retract", "eventId": event},
            {"kind": "restore", "eventId": event},
            {"kind": "contributor", "displayName": "새 이름"},
            {"kind": "erase"}]:
        a = nginx.post(json.dumps(doc).encode())
        r = find(nginx, accepted(a)["id"])
        assert r.kind == doc["kind"] and json.loads(r.body) == doc


def test_hlc_rises(nginx):
    """Over all workers of a host, however fast they are asked."""
    with nginx.client() as c:
        hlcs = [int(accepted(c.get(PATH, head(), "POST", new_body()))["hlc"])
                for _ in range(50)]
    assert hlcs == sorted(set(hlcs))
    seen = [r.hlc for r in nginx.records()]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("value", [
    "application/json", "Application/JSON", "application/json; charset=utf-8",
    "application/json;charset=UTF-8", "application/json ;x=y"])
def test_content_types(nginx, value):
    accepted(nginx.post(headers={"Content-Type": value}))


def raw(nginx, *parts, pause=0.0, method="POST"):
    """Sends bytes as they are and reads one answer."""
    with nginx.client() as c:
        c.connect()
        for p in parts:
            c.sock.sendall(p)
            time.sleep(pause)
        return c.read(PATH, method)


def head_bytes(**more):
    h = {"Host": "localhost", **head(), **{k.replace("_", "-"): v
                                          for k, v in more.items()}}
    return (f"POST {PATH} HTTP/1.1\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in h.items()) + "\r\n").encode()


def test_chunked_body(nginx):
    data = new_body()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(x), x) for x in
                      (data[:7], data[7:8], data[8:])) + b"0\r\n\r\n"
    a = raw(nginx, head_bytes(Transfer_Encoding="chunked"), chunks)
    assert find(nginx, accepted(a)["id"]).body == data


def test_body_in_pieces(nginx):
    data = large_body(9000)
    parts = [data[i:i + 1000] for i in range(0, len(data), 1000)]
    a = raw(nginx, head_bytes(Content_Length=len(data)), *parts, pause=0.01)
    assert find(nginx, accepted(a)["id"]).body == data


def test_expect_100(nginx):
    data = new_body()
    with nginx.client() as c:
        c.connect()
        c.sock.sendall(head_bytes(Content_Length=len(data),
                                  Expect="100-continue"))
        assert c.sock.recv(100).startswith(b"HTTP/1.1 100 ")
        c.sock.sendall(data)
        assert find(nginx, accepted(c.read(PATH))["id"]).body == data


def test_expect_100_is_not_asked_for_what_is_refused(nginx):
    a = raw(nginx, head_bytes(Content_Length=100, Expect="100-continue",
                              X_User=""))
    problem(a, 401)
    assert a.headers["connection"] == "close"


def test_pipelined(nginx):
    bodies = [new_body(i) for i in range(20)]
    with nginx.client() as c:
        c.connect()
        c.sock.sendall(b"".join(head_bytes(Content_Length=len(x)) + x
                                for x in bodies))
        ids = [accepted(c.read(PATH))["id"] for _ in bodies]
    assert [find(nginx, x).body for x in ids] == bodies


@pytest.mark.parametrize("directive", [
    "client_body_in_file_only on;", "client_body_buffer_size 1k;",
    "client_body_in_single_buffer off; client_body_buffer_size 2k;"])
def test_body_in_a_file(pg, directive):
    data = large_body(9000)
    with Writer(pg, location=directive, allow_log=[
            "a client request body is buffered"]) as nginx:
        assert find(nginx, accepted(nginx.post(data))["id"]).body == data


def test_2000_together(pg, queue, figure):
    """Each of 2,000 connections is told the truth."""
    bodies = [new_body(i) for i in range(2000)]
    with Writer(pg, queue=queue, workers=2) as nginx:
        began = time.monotonic()
        answers = post_together(nginx, bodies)
        took = time.monotonic() - began
        kept = {str(r.event_id): r.body for r in nginx.records()}
    assert [a[0] for a in answers] == [202] * len(bodies)
    for data, (_, _, answer) in zip(bodies, answers):
        assert kept.pop(json.loads(answer)["id"]) == data
    assert not kept
    figure("2,000 POSTs together", f"{took:.2f} s")


def test_http2(pg):
    """With and without a Content-Length."""
    if "HTTP2" not in run(["curl", "--version"]).stdout:
        pytest.skip("curl without HTTP/2")
    port = free_port()
    data = large_body(9000)
    with Writer(pg, server=f"listen 127.0.0.1:{port} http2;") as nginx:
        argv = ["curl", "-s", "-i", "--http2-prior-knowledge", "-H",
                "Content-Type: application/json", "-H", "X-User: u",
                f"http://127.0.0.1:{port}{PATH}"]
        for more in (["--data-binary", "@-"],
                     ["-X", "POST", "-T", "-"]):
            out = run([*argv, *more], input=data.decode(), stdin=None).stdout
            assert out.startswith("HTTP/2 202"), out
            assert "scc-durability: journal=1" in out
        out = run([*argv, "-X", "POST"]).stdout
        assert out.startswith("HTTP/2 4"), out
        assert [r.body for r in nginx.records()] == [data, data]


# -- refused -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_only_post(nginx, method):
    a = nginx.get(PATH, method=method)
    assert a.status == 405 and a.headers["allow"] == "POST, OPTIONS"
    if method != "HEAD":
        problem(a, 405)


def test_only_get_of_one(nginx):
    a = nginx.get(f"{PATH}/{uuid.uuid4()}", JSON, "POST", b"{}")
    problem(a, 405)
    assert a.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("value", [
    None, "", "text/plain", "application/jsonx", "application/json-seq",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/geo+json", "application/json x"])
def test_415(nginx, value):
    h = {} if value is None else {"Content-Type": value}
    a = nginx.get(PATH, {"X-User": "u", **h}, "POST", new_body())
    problem(a, 415)
    assert a.headers["accept-post"] == "application/json"


def test_415_compressed(nginx):
    a = nginx.post(headers={"Content-Encoding": "gzip"})
    assert problem(a, 415)["parameter"] == "Content-Encoding"
    assert a.headers["accept-encoding"] == "identity"
    accepted(nginx.post(headers={"Content-Encoding": "identity"}))


@pytest.mark.parametrize("user", [None, ""])
def test_401(nginx, user):
    a = nginx.post(user=user)
    problem(a, 401)
    assert a.headers["www-authenticate"]


@pytest.mark.parametrize("h", [
    {"X-User": "x" * 65}, {"X-User": "\udcff"}, {"X-Name": "\udcff"},
    {"X-Name": "x" * 513}])
def test_who(nginx, h):
    lines = {**head(), **h}
    data = new_body()
    text = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in lines.items())
    text += f"Content-Length: {len(data)}\r\n\r\n"
    a = raw(nginx, text.encode("utf-8", "surrogateescape"), data)
    assert problem(a, 400)["parameter"].startswith("contributor")


def test_who_at_its_limits(nginx):
    a = nginx.post(user="한" * 21 + "x", headers={"X-Name": "가" * 170})
    r = find(nginx, accepted(a)["id"])
    assert r.contributor == "한" * 21 + "x" and r.name == "가" * 170


def test_411(nginx):
    problem(raw(nginx, head_bytes()), 411)


def test_413(nginx):
    """By its length before it is read, in chunks while it is."""
    for size in 16 * 1024 + 1, 900 * 1024:
        problem(raw(nginx, head_bytes(Content_Length=size)), 413)
    data = large_body(16 * 1024 + 1)
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
    problem(raw(nginx, head_bytes(Transfer_Encoding="chunked"), chunk), 413)
    big = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
    a = raw(nginx, head_bytes(Transfer_Encoding="chunked"),
            b"%x\r\n" % (2 << 20), big[8:8 + 4096])
    assert a.status == 413


def test_largest(nginx):
    data = large_body(16 * 1024)
    assert find(nginx, accepted(nginx.post(data))["id"]).body == data


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_empty(nginx, how):
    if how == "length":
        a = raw(nginx, head_bytes(Content_Length=0))
    else:
        a = raw(nginx, head_bytes(Transfer_Encoding="chunked"),
                b"0\r\n\r\n")
    problem(a, 400)


@pytest.mark.parametrize("data", [
    b"x", b"[]", b"null", b"1", b'"x"', b"{", b"{}", b"{}x", b"\xff\xfe",
    b'{"kind":"place_accessibility",}', b'{"kind":"nothing"}', b"[" * 5000,
    b'{"a":' * 40 + b"1" + b"}" * 40, b'{"kind":"erase","id":"x"}',
    b'{"kind":"erase","kind":"erase"}', b'{"kind":"erase","name":"\\ud800"}'])
def test_what_is_no_contribution(nginx, data):
    doc = problem(nginx.post(data), 400)
    assert doc["errors"] and all(e["detail"] for e in doc["errors"])
    assert all(isinstance(e["field"], str) for e in doc["errors"])


def test_all_faults_at_once(nginx):
    a = nginx.post(json.dumps({
        "kind": "place_accessibility", "placeId": "", "stairInfo": "MANY",
        "hasSlope": "yes", "floors": [1, "x"],
        "entranceDoorTypes": ["Magic"], "colour": 1}).encode())
    fields = [e["field"] for e in problem(a, 400)["errors"]]
    for want in ("placeId", "stairInfo", "hasSlope", "floors[1]",
                 "entranceDoorTypes[0]", "colour"):
        assert want in fields, fields


@pytest.mark.parametrize("args", ["?x=1", "?bbox=1,2,3,4", "?limit=1"])
def test_no_parameters(nginx, args):
    a = nginx.get(PATH + args, head(), "POST", new_body())
    assert problem(a, 400)["parameter"]


def test_nothing_of_what_was_refused_is_kept(nginx):
    before = len(nginx.records())
    for a in (nginx.post(b"{}"), nginx.post(user=""),
              nginx.post(headers={"Content-Type": "text/plain"}),
              nginx.post(key="x" * 256)):
        assert a.status in (400, 401, 415)
    assert len(nginx.records()) == before


def test_not_taken_without_a_journal(pg):
    with Nginx(pg, location="scc_contributor $http_x_user;") as nginx:
        problem(nginx.get(PATH, head(), "POST", new_body()), 404)
        wait_until(lambda: nginx.get(f"{PATH}/{uuid.uuid4()}").status == 404,
                   30, "the helper to know the store")
        problem(nginx.get(f"{PATH}/{uuid.uuid4()}"), 404)


def test_not_by_a_subrequest(pg):
    server = ("location /page { mirror /v1/contributions; root @DIR@; }\n"
              "location /ok { add_header X a; return 200; }")
    with Writer(pg, server=server, location="mirror off;") as nginx:
        nginx.get("/page", head(), "POST", new_body())
        wait_until(lambda: len(nginx.access()) >= 1, 30, "the access log")
        assert nginx.records() == []


def test_who_is_asked_elsewhere(pg):
    """As in nginx.conf.example: auth_request, for contributions only."""
    server = """
        location = /v1/contributions {
            scc_api  /v1/;
            auth_request          /auth;
            auth_request_set      $who   $upstream_http_x_id;
            auth_request_set      $name  $upstream_http_x_name;
            scc_contributor       $who;
            scc_contributor_name  $name;
        }
        location = /auth {
            internal;
            proxy_pass  http://$server_addr:$server_port/session;
            proxy_pass_request_body  off;
            proxy_set_header  Content-Length "";
        }
        location = /session {
            if ($http_cookie = "s=none") { return 401; }
            add_header  X-Id    "id-of-$http_cookie";
            add_header  X-Name  "이름";
            return 204;
        }"""
    with Writer(pg, server=server) as nginx:
        doc = accepted(nginx.post(user="nobody", headers={"Cookie": "s=1"}))
        r, = nginx.records()
        assert (r.contributor, r.name) == ("id-of-s=1", "이름")
        assert nginx.state(doc["id"]) == "journaled"
        a = nginx.post(headers={"Cookie": "s=none"})
        assert a.status == 401
        assert nginx.get("/v1/places?bbox=0,0,1,1").status == 200
        assert nginx.get(PATH).headers["allow"] == "POST, OPTIONS"


# -- ids and keys ------------------------------------------------------------


def test_key_makes_the_id(nginx, store):
    for key, text in [("k-1", '"k-1"'), ("bare-2", "bare-2"),
                      ('a "q" \\', '"a \\"q\\" \\\\"'), ("x" * 255,
                                                        f'"{"x" * 255}"'),
                      (" blank ", '" blank "'), ("8e03978e", "8e03978e")]:
        doc = accepted(nginx.post(key=text))
        want = sccj.event_id_of_key(store, "u1", key)
        assert uuid.UUID(doc["id"]) == want
        assert find(nginx, want).key == key
    other = accepted(nginx.post(user="u2", key='"k-1"'))["id"]
    assert uuid.UUID(other) == sccj.event_id_of_key(store, "u2", "k-1")


@pytest.mark.parametrize("key", [
    "", '""', '"', '"a', 'a"', "a b", "a,b", '"a" "b"', '"\\x"', "x" * 256,
    f'"{"x" * 256}"', "k\u00e9y", '"a\tb"', '"a";b=1', "\\"])
def test_invalid_key(nginx, key):
    a = nginx.post(key=key)
    assert problem(a, 400)["parameter"] == "Idempotency-Key"


def test_two_keys(nginx):
    data = new_body()
    text = head_bytes(Content_Length=len(data), Idempotency_Key="a")[:-2]
    a = raw(nginx, text + b"Idempotency-Key: b\r\n\r\n", data)
    assert problem(a, 400)["parameter"] == "Idempotency-Key"


def test_same_key_same_body(nginx):
    """The first answer again, from any worker, without a second record."""
    data, key = new_body(), f'"{uuid.uuid4()}"'
    first = accepted(nginx.post(data, key=key))
    wait_until(lambda: nginx.state(first["id"]) == "queued", 30, "the queue")
    for _ in range(8):
        again = accepted(nginx.post(data, key=key))
        assert (again["id"], again["hlc"]) == (first["id"], first["hlc"])
    assert [str(x) for x in nginx.ids()].count(first["id"]) == 1


def test_same_key_other_body(nginx):
    key = f'"{uuid.uuid4()}"'
    first = accepted(nginx.post(key=key))
    before = len(nginx.records())
    for _ in range(4):
        assert problem(nginx.post(key=key), 422)["parameter"] == \
            "Idempotency-Key"
    assert len(nginx.records()) == before
    assert nginx.state(first["id"]) in ("journaled", "queued")


def test_same_key_together(nginx):
    """Many at the same moment: one id for all, none lost, none refused."""
    data, key = new_body(), f'"{uuid.uuid4()}"'
    lines = head_bytes(Content_Length=len(data), Idempotency_Key=key)
    clients = [nginx.client() for _ in range(16)]
    for c in clients:
        c.connect()
    for c in clients:
        c.sock.sendall(lines + data)
    docs = [accepted(c.read(PATH)) for c in clients]
    for c in clients:
        c.close()
    ident, = {d["id"] for d in docs}
    assert ident in [str(x) for x in nginx.ids()]


def v7():
    n = uuid.uuid4().int & ~(0xf000 << 64) | 0x7000 << 64
    return str(uuid.UUID(int=n))


def test_id_in_the_body(nginx):
    ident = v7()
    data = body("with-id", id=ident)
    first = accepted(nginx.post(data))
    assert first["id"] == ident
    assert accepted(nginx.post(data))["hlc"] == first["hlc"]
    problem(nginx.post(body("other", id=ident)), 422)
    problem(nginx.post(data, user="somebody else"), 422)
    accepted(nginx.post(data, key=f'"{ident}"'))
    assert problem(nginx.post(data, key='"other"'), 400)["parameter"] == \
        "Idempotency-Key"


def test_id_of_another_version(nginx):
    doc = problem(nginx.post(body(id=str(uuid.uuid4()))), 400)
    assert [e["field"] for e in doc["errors"]] == ["id"]


def test_key_on_another_host(pg, store):
    """No cache is shared; the id is the same all the same."""
    data, key = new_body(), f'"{uuid.uuid4()}"'
    ids = []
    for _ in range(2):
        with Writer(pg) as nginx:
            ids.append(accepted(nginx.post(data, key=key))["id"])
            assert nginx.ids() == [uuid.UUID(ids[-1])]
    assert ids[0] == ids[1]


# -- how far: queue, applied -------------------------------------------------


def test_wait_until_applied(one, pg, queue):
    with Applier(queue, pg):
        for prefer in ("wait=5", "respond-async, wait=5", 'WAIT="5"',
                       "wait = 5", "wait=5; x=y", "wait=x, wait=99"):
            began = time.monotonic()
            a = one.post(headers={"Prefer": prefer})
            doc = accepted(a, 201)
            assert doc["status"] == "applied"
            assert durability(a)["applied"] == durability(a)["journal"] == 1
            assert a.headers["preference-applied"].startswith("wait=")
            assert time.monotonic() - began < 4
            assert pg.query("SELECT hlc FROM scc.contribution WHERE event_id"
                            " = %s", (doc["id"],)) == [(int(doc["hlc"]),)]


def test_the_helper_applies(pg, figure):
    """The whole way, with nothing done by hand."""
    with queue_redis() as queue, Writer(pg, queue=queue, workers=2,
                                        helper=True) as nginx:
        took = []
        for i in range(30):
            began = time.monotonic()
            a = nginx.post(key=f'"k{i}"' if i % 2 else None,
                           headers={"Prefer": "wait=10"})
            took.append(time.monotonic() - began)
            assert durability(a)["applied"] == 1
            doc = accepted(a, 201)
            assert nginx.state(doc["id"]) == "applied"
        took.sort()
        figure("contribution applied, p50 and worst",
               f"{took[15] * 1000:.0f} ms, {took[-1] * 1000:.0f} ms")


def test_wait_in_vain(one):
    began = time.monotonic()
    a = one.post(headers={"Prefer": "wait=1"})
    accepted(a)
    assert 0.9 < time.monotonic() - began < 3
    assert "preference-applied" not in a.headers
    assert not durability(a)["applied"]


@pytest.mark.parametrize("prefer", ["wait=0", "wait=-1", "wait", "wait=x",
                                    "wait=1x", "waiting=5", "return=minimal",
                                    "", "wait=\"5"])
def test_prefer_nothing_to_wait_for(one, prefer):
    began = time.monotonic()
    a = one.post(headers={"Prefer": prefer})
    accepted(a)
    assert time.monotonic() - began < (6 if prefer == 'wait="5' else 1)


def test_applied_for_everybody(pg, queue):
    with Writer(pg, queue=queue, location="scc_ack applied;"
                "scc_ack_timeout 3s;") as nginx, Applier(queue, pg):
        a = nginx.post()
        accepted(a, 201)
        assert "preference-applied" not in a.headers


@pytest.mark.parametrize("fallback", ["on", "off"])
def test_applied_in_vain(pg, queue, fallback):
    with Writer(pg, queue=queue, location="scc_ack applied; scc_ack_timeout "
                f"300ms; scc_ack_fallback {fallback};") as nginx:
        a = nginx.post(key="k")
        if fallback == "on":
            assert durability(a)["applied"] == 0
            accepted(a)
        else:
            assert "Idempotency-Key" in problem(a, 503)["detail"]
            assert a.headers["retry-after"] == "2"
        assert len(nginx.records()) == 1


def test_the_ledger_knows_the_key(pg, queue):
    """Another host has had it: nothing is written again, and another body
    under the same key is refused, if the client waits."""
    data, key = new_body(), f'"{uuid.uuid4()}"'
    wait = {"Prefer": "wait=5"}
    with Writer(pg, queue=queue) as nginx, Applier(queue, pg):
        first = accepted(nginx.post(data, key=key, headers=wait), 201)
    with Writer(pg, queue=queue) as nginx:
        again = accepted(nginx.post(data, key=key, headers=wait), 201)
        assert (again["id"], again["hlc"]) == (first["id"], first["hlc"])
        assert nginx.records() == []
        problem(nginx.post(key=key, headers=wait), 422)
        assert nginx.records() == []
        # known here now, also without waiting
        accepted(nginx.post(data, key=key))


def test_the_ledger_has_another_body(pg, queue):
    """Found only when it is applied elsewhere meanwhile: still a 422."""
    key = f'"{uuid.uuid4()}"'
    store = store_uuid(pg)
    ident = sccj.event_id_of_key(store, "u1", key.strip('"'))
    with Writer(pg, queue=queue) as nginx:
        nginx.post(key=key)             # known as journaled, other body
    with Writer(pg, queue=queue) as nginx:
        data = new_body()
        accepted(nginx.post(data, key=key))
        db = pg.connect(user="scc_app")
        other = find(nginx, ident)._replace(body=new_body())
        apply(db, other)
        db.close()
        problem(nginx.post(data, key=key, headers={"Prefer": "wait=5"}), 422)


def test_queue_synced(pg):
    with queue_redis() as queue, Writer(
            pg, queue=queue, location="scc_ack queue;") as nginx:
        wait_until(lambda: durability(nginx.post())["queue"] == 1, 30,
                   "a queue known to sync")
        for _ in range(20):
            a = nginx.post()
            assert durability(a)["queue"] == 1
            assert accepted(a)["status"] == "queued"
        assert queue.r.xlen("scc:queue") >= 21


@pytest.mark.parametrize("settings", [
    {"appendonly": "no"}, {"appendfsync": "everysec"},
    {"no_appendfsync_on_rewrite": "yes"},
    {"maxmemory": "64mb", "maxmemory_policy": "allkeys-lru"},
    {"maxmemory": "64mb", "maxmemory_policy": "volatile-ttl"},
    {}], ids=str)
@pytest.mark.parametrize("fallback", ["on", "off"])
def test_queue_that_may_forget(pg, settings, fallback):
    """It takes the record, but nobody is told that it keeps it."""
    with queue_redis(**settings) as queue, Writer(
            pg, queue=queue, location="scc_ack queue; scc_ack_fallback "
            f"{fallback};") as nginx:
        if not settings:                # not allowed to look
            queue.r.execute_command("ACL", "SETUSER", "default", "-config")
            nginx.reload()
        for i in range(5):
            a = nginx.post()
            if fallback == "on":
                accepted(a)
                assert durability(a) == {"journal": 1, "queue": 0,
                                         "applied": 0}
            else:
                problem(a, 503)
        assert len(nginx.records()) == 5
        wait_until(lambda: queue.r.xlen("scc:queue") == 5, 30, "the queue")
        wait_until(lambda: "queue=1 will not be said" in nginx.log()
                   if settings else True, 30, "the log")
        if "maxmemory" in settings:     # it says what to change, and only it
            assert "maxmemory-policy noeviction" in nginx.log()
            assert "appendfsync" not in nginx.log()


def test_queue_that_never_evicts(pg):
    """Whatever the policy says, without a limit it never acts."""
    with queue_redis(maxmemory_policy="allkeys-lru") as queue, Writer(
            pg, queue=queue, location="scc_ack queue;") as nginx:
        wait_until(lambda: durability(nginx.post())["queue"] == 1, 30,
                   "a queue known to keep what it has")


def test_queue_turns_bad_and_good(pg):
    with queue_redis() as queue:
        with Writer(pg, queue=queue, location="scc_ack queue;") as nginx:
            def said():
                return durability(nginx.post())["queue"]
            wait_until(lambda: said() == 1, 30, "a queue that syncs")
            queue.kill()
            assert said() == 0
            queue.settings["appendfsync"] = "everysec"
            queue.start()
            before = queue.r.xlen("scc:queue")
            for _ in range(10):
                assert said() == 0
            wait_until(lambda: said() == 0 and
                       queue.r.xlen("scc:queue") > before, 30,
                       "the queue to be used again")
            queue.kill()
            queue.settings["appendfsync"] = "always"
            queue.start()
            wait_until(lambda: said() == 1, 30, "a queue that syncs again")


@pytest.mark.alone
def test_no_queue(pg):
    """At the level "journal" nobody waits for it."""
    with Writer(pg, queue="unix:/nonexistent/q.sock") as nginx:
        began = time.monotonic()
        for _ in range(10):
            a = nginx.post()
            accepted(a)
            assert durability(a)["queue"] == 0
        assert time.monotonic() - began < 1
        assert len(nginx.records()) == 10


def test_queue_comes_up_a_moment_later(pg):
    """What came before is sent then, without the helper."""
    queue = queue_redis()
    with Writer(pg, queue=queue) as nginx:
        a = nginx.post()
        accepted(a)
        with queue:
            wait_until(lambda: queue.r.xlen("scc:queue") == 1, 30,
                       "the record in the queue")


def test_queue_of_another_type(pg):
    with queue_redis() as queue:
        queue.r.set("scc:queue", "not a stream")
        with Writer(pg, queue=queue) as nginx:
            accepted(nginx.post())
            wait_until(lambda: "WRONGTYPE" in nginx.log(), 30, "the log")
            assert len(nginx.records()) == 1


# -- reading it back ---------------------------------------------------------


def test_states(one, pg, queue):
    a = one.post()
    ident = a.json()["id"]
    wait_until(lambda: one.state(ident) == "queued", 30, "the queue")
    doc = one.get(f"{PATH}/{ident}").json()
    assert doc["id"] == ident and doc["hlc"] == a.json()["hlc"]
    assert one.get(f"{PATH}/{ident}", method="HEAD").status == 200
    assert one.get(f"{PATH}/{ident.upper()}").json() == doc

    db = pg.connect(user="scc_app")
    apply(db, find(one, ident))
    db.close()
    b = one.get(f"{PATH}/{ident}")
    assert b.headers["cache-control"] == "no-store"
    doc = b.json()
    assert doc["status"] == "applied" and doc["hlc"] == a.json()["hlc"]
    assert doc["kind"] == "place_accessibility" and doc["target"]
    assert doc["receivedAt"] <= doc["appliedAt"]


def test_dead_letter(one, pg):
    ident = one.post().json()["id"]
    pg.query("INSERT INTO scc.dead_letter (event_id, reason, sqlstate, raw) "
             "VALUES (%s, 'it does not fit', '22000', '')", (ident,))
    doc = one.get(f"{PATH}/{ident}").json()
    assert doc["status"] == "dead-letter"
    assert doc["reason"] == "it does not fit"


def test_journaled_without_a_queue(pg):
    with Writer(pg) as nginx:
        ident = accepted(nginx.post())["id"]
        assert nginx.state(ident) == "journaled"


def test_no_such_contribution(pg, queue):
    """Said once the journal, as it was when nginx started, is in the
    store."""
    with Writer(pg, queue=queue, helper=True) as nginx:
        wait_until(lambda: nginx.state(uuid.uuid4()) == 404, 30, "a 404")
        problem(nginx.get(f"{PATH}/{uuid.uuid4()}"), 404)


def test_not_read_yet(pg, queue):
    """It is in the journal, nginx was started again, and the store does not
    have it: that is not "there is none"."""
    with Writer(pg) as nginx:
        ident = accepted(nginx.post())["id"]
    db = pg.connect()
    db.cursor().execute("SELECT scc.write_lock()")
    with Writer(pg, queue=queue, dirs=nginx.dirs, helper=True) as nginx:
        a = nginx.get(f"{PATH}/{ident}")
        problem(a, 503)
        assert a.headers["retry-after"] == "2"
        problem(nginx.get(f"{PATH}/{uuid.uuid4()}"), 503)
        db.close()                      # until now nothing was applied

        def state():
            s = nginx.state(ident)
            assert s in (503, "applied")
            return s
        wait_until(lambda: state() == "applied", 30, "the applier")
        wait_until(lambda: nginx.state(uuid.uuid4()) == 404, 30, "a 404")


def example(name):
    """A location of nginx.conf.example, as it is written there."""
    path = os.path.join(os.path.dirname(__file__), "..", "..",
                        "nginx.conf.example")
    with open(path, encoding="utf-8") as f:
        text = "".join(line[1:] for line in f)
    begin = text.index(f"location {name} {{")
    return text[begin:text.index("\n        }", begin)] + "\n}\n"


def test_nginx_cuts_it_off(pg):
    """Above client_max_body_size, in chunks, and not at once."""
    with Writer(pg, server=example("@too_large"), location="""
                client_max_body_size 16k; error_page 413 @too_large;
                """) as nginx:
        c = nginx.client()
        c.connect()
        c.sock.sendall(request(b"", more={"Transfer-Encoding": "chunked"}))
        for _ in range(5):
            c.sock.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
            time.sleep(0.05)
        problem(c.read(PATH), 413)
        c.close()


@pytest.mark.parametrize("text", [
    "x", "1", "", "8e03978e-40d5-43e8-bc93-6894a57f932",
    "8e03978e-40d5-43e8-bc93-6894a57f93240", "%20"])
def test_no_id(one, text):
    doc = problem(one.get(f"{PATH}/{text}"), 400)
    assert doc["parameter"] == "id"


def test_store_is_silent():
    """What is not known here is not said to be nowhere."""
    with Postgres() as pg:
        sccctl("init", pg=pg)
        with Writer(pg) as nginx:
            ident = accepted(nginx.post())["id"]
            assert nginx.state(ident) == "journaled"
            pg.kill()
            assert nginx.state(ident) == "journaled"
            a = nginx.get(f"{PATH}/{uuid.uuid4()}")
            problem(a, 503)
            assert a.headers["retry-after"] == "2"
            accepted(nginx.post())      # and contributions are taken
            began = time.monotonic()
            accepted(nginx.post(key="a", headers={"Prefer": "wait=1"}))
            assert time.monotonic() - began < 3


# -- variables ---------------------------------------------------------------


def test_variables(one):
    a = one.post()
    one.post(b"{}")
    one.get(f"{PATH}/{a.json()['id']}")
    one.get("/v1/places?bbox=0,0,1,1")

    def lines():
        with open(os.path.join(one.dir, "w.log")) as f:
            got = f.read().splitlines()
        mine = [i for i, x in enumerate(got) if a.json()["id"] in x]
        got = got[mine[0]:] if mine else []
        return got[:4] if len(got) >= 4 else None

    got = wait_until(lines, 30, "the log")
    assert got[0] == (f"202 {a.json()['id']} [{a.headers['scc-durability']}]"
                      f" {a.json()['status']} contributions")
    assert got[1] == "400 - [-] rejected contributions"
    assert got[2] == "200 - [-] - contribution"
    assert got[3] == "200 - [-] - places"


def test_reads_are_not_disturbed(nginx):
    for path in "/v1/places?bbox=0,0,1,1", "/v1/tiles.json":
        a = nginx.get(path)
        assert a.status == 200 and "scc-durability" not in a.headers
