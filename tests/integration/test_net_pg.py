"""The PostgreSQL client of ngx_scc_module/net, against a real one."""

import itertools
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from net import Load, Net, burst, pg_path
from servers import (SERVER_USER, Postgres, alive, fd_count, free_port,
                     wait_until)

# a test machine is busy: what may be added to a deadline
MARGIN = 1.5

STATEMENTS = {
    "echo": (1, "select $1::text"),
    "row": (2, "select $1::text, $2::int + 1, null, ''"),
    "rows": (1, "select g, 'r' || g from generate_series(1, $1::int) g"),
    "big": (1, "select repeat('x', $1::int)"),
    "size": (1, "select length($1::text)"),
    "sleep": (1, "select 'slept' from pg_sleep($1::float8)"),
    "pid": (0, "select pg_backend_pid()"),
    "discard": (0, "discard all"),
    "steal": (0, "prepare echo as select 'another'"),
    "star": (0, "select * from net_star order by 1"),
    "insert": (1, "insert into net_unique values ($1::int)"),
    "missing": (0, "select * from no_such_table"),
    "copy": (0, "copy (select 1) to stdout"),
    "notice": (0, "select net_notice()"),
    "settings": (0, "select current_setting('statement_timeout'), "
                 "current_setting('application_name'), "
                 "current_setting('client_encoding')"),
}

SETUP = """
CREATE TABLE net_star (a int);
INSERT INTO net_star VALUES (1);
CREATE TABLE net_unique (a int PRIMARY KEY);
CREATE FUNCTION net_notice() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN RAISE WARNING 'the floor is wet'; RETURN 7; END $$;
"""


_numbers = itertools.count(1)


def start_pg(**kw):
    return Postgres(fsync=False, **kw)


@pytest.fixture(scope="module")
def pg():
    with start_pg() as server:
        server.query(SETUP)
        yield server


def net(pg, tcp=False, **options):
    """An nginx whose connections bear a name of their own: .app"""
    app = f"net{next(_numbers)}"
    server = Net(pg=pg.conninfo(tcp=tcp) + f" application_name={app}",
                 statements=STATEMENTS, pg_options=options)
    server.app = app
    return server


@pytest.fixture(scope="module")
def nginx(pg):
    with net(pg, timeout=5000) as server:
        yield server


@pytest.fixture
def one(pg):
    """One connection, so that what a statement leaves is met again."""
    with net(pg, connections=1, timeout=5000) as server:
        yield server


def row(*values):
    """The text of one row; the test module prints sixteen columns."""
    cells = ["N" if v is None else f"{len(str(v).encode())}:{v}"
             for v in values]
    return "OK\n" + "".join(c + " " for c in cells + ["N"] *
                            (16 - len(cells))) + "\n"


def backends(pg, nginx):
    return [r[0] for r in pg.query(
        "select pid from pg_stat_activity where application_name = %s",
        (nginx.app,))]


def sleeping(pg, nginx):
    """How many of its statements sleep."""
    return pg.query(
        "select count(*) from pg_stat_activity where application_name = %s "
        "and state = 'active' and query like '%%pg_sleep%%'",
        (nginx.app,))[0][0]


# -- statements and results --------------------------------------------------


def test_values(nginx):
    assert nginx.pg("row", "a", 41) == row("a", 42, None, "")
    assert nginx.pg("row", None, None) == row(None, None, None, "")
    assert nginx.pg("row", "", -1) == row("", 0, None, "")
    assert nginx.pg("echo", "계단 'x' \"y\" \\ $1 %s") == \
        row("계단 'x' \"y\" \\ $1 %s")
    assert nginx.pg("rows", 0) == "OK\n"
    assert nginx.pg("rows", 3).count("\n") == 4
    assert nginx.pg("notice") == row(7)
    assert "the floor is wet" in nginx.log()


def test_settings_that_are_ours(nginx):
    assert nginx.pg("settings") == row("5s", nginx.app, "UTF8")


def test_large_result_and_parameter(nginx):
    assert nginx.pg("big", 3_000_000) == row("x" * 3_000_000)
    assert nginx.pg("size", "", fill=3_000_000) == row(3_000_000)
    assert nginx.pg("rows", 30000).count("\n") == 30001


def test_many_at_once(pg, figure):
    """1000 requests over two connections; each gets its own answer."""
    with net(pg, timeout=20000) as nginx:
        answers = burst(nginx, [pg_path("echo", f"v{i}")
                                for i in range(1000)])
        for i, (body, _) in enumerate(answers):
            assert body == row(f"v{i}")
        assert len(backends(pg, nginx)) == 2
        figure("1000 statements at once",
               f"{max(s for _, s in answers):.3f} s")


def test_statements_from_handlers(nginx):
    assert nginx.pg("echo", "x", repeat=500) == row("x")


def test_refused(nginx, pg):
    assert nginx.pg("row", "a", "zzz-secret") == "FAILED 22P02\n"
    assert nginx.pg("missing") == "FAILED 42P01\n"
    assert nginx.pg("insert", 4711) == "OK\n"
    assert nginx.pg("insert", 4711) == "FAILED 23505\n"
    assert nginx.pg("echo", "still") == row("still")
    log = nginx.log()
    assert "zzz-secret" not in log and "4711" not in log
    # quick repetitions are not logged; this one comes a second later
    wait_until(lambda: nginx.pg("missing") and
               '"missing": SQLSTATE 42P01 relation "no_such_table"'
               in nginx.log(), 30, "the refusal in the log")


def test_copy_is_refused(one):
    assert one.pg("echo", 1) == row(1)
    assert one.pg("copy") == "DOWN\n"
    assert one.pg("echo", 2) == row(2)


# -- prepared statements -----------------------------------------------------


def test_prepared_once(one, pg):
    for i in range(3):
        assert one.pg("echo", i) == row(i)
    assert one.pg("pid") == one.pg("pid")


def test_discard_all(one):
    first = one.pg("pid")
    assert one.pg("echo", 1) == row(1)
    for i in range(3):
        assert one.pg("discard") == "OK\n"
        assert one.pg("echo", i) == row(i)
    assert one.pg("pid") == first, "the same connection"


def test_name_taken(one):
    """Somebody's statement of our name is replaced, not believed."""
    first = one.pg("pid")
    assert one.pg("steal") == "OK\n"
    assert one.pg("echo", "ours") == row("ours")
    assert one.pg("pid") == first


def test_changed_result_type(one, pg):
    first = one.pg("pid")
    assert one.pg("star") == row(1)
    pg.query("ALTER TABLE net_star ADD COLUMN b text DEFAULT 'new'")
    assert one.pg("star") == row(1, "new")
    assert one.pg("star") == row(1, "new")
    assert one.pg("pid") == first
    pg.query("ALTER TABLE net_star DROP COLUMN b")
    assert one.pg("star") == row(1)


# -- limits ------------------------------------------------------------------


def test_queue_limit(pg):
    with net(pg, connections=1, queue=2, timeout=5000) as nginx:
        answers = burst(nginx, [pg_path("sleep", 0.4)] * 8)
        kinds = [b.split("\n")[0] for b, _ in answers]
        assert kinds.count("OK") == 3 and kinds.count("BUSY") == 5
        assert all(s < 0.4 for b, s in answers if b == "BUSY\n")
        assert nginx.pg("echo", 1) == row(1)


def test_connections_limit(pg):
    with net(pg, connections=3, timeout=5000) as nginx:
        with Load(nginx, pg_path("sleep", 0.01), threads=8) as load:
            load.more(100)
            assert len(backends(pg, nginx)) == 3
        assert load.kinds() == {"OK"}


def test_deadline(pg, figure):
    """The deadline covers waiting; what waited behind is not lost."""
    with net(pg, connections=1, timeout=600) as nginx:
        assert nginx.pg("echo", 1) == row(1)
        start = time.monotonic()
        answers = burst(nginx, [pg_path("sleep", 30)] + [
            pg_path("echo", i) for i in range(3)])
        took = time.monotonic() - start
        assert [b for b, _ in answers] == ["TIMEOUT\n"] * 4
        assert took < 0.6 + MARGIN
        figure("deadline of 600 ms", f"{took:.3f} s")
        assert nginx.pg("echo", 2) == row(2)
        # statement_timeout ends the orphan
        wait_until(lambda: not sleeping(pg, nginx), 30,
            "the end of the orphaned statement")


def test_cancelled_by_an_admin(pg):
    with net(pg, connections=1, timeout=9000) as nginx:
        nginx.pg("echo", 1)
        with Load(nginx, pg_path("sleep", 8), threads=1) as load:
            pid = backends(pg, nginx)[0]
            wait_until(lambda: sleeping(pg, nginx), 30, "a statement")
            pg.query("select pg_cancel_backend(%s)", (pid,))
            wait_until(lambda: load.count("TIMEOUT"), 30, "TIMEOUT")
            load.end.set()
            wait_until(lambda: pg.query(
                "select pg_cancel_backend(%s)", (pid,)) and
                not any(t.is_alive() for t in load.threads), 30, "the end")


def test_idle_connections_close(pg):
    with net(pg, idle=300) as nginx:
        assert nginx.pg("echo", 1) == row(1)
        assert len(backends(pg, nginx)) == 1
        wait_until(lambda: not backends(pg, nginx), 30, "its end")
        assert nginx.pg("echo", 2) == row(2)


def test_cancel(one, pg):
    first = one.pg("pid")
    for i in range(50):
        assert one.pg("echo", "gone", cancel=1) == "CANCELLED\n"
        assert one.pg("echo", i) == row(i)
    assert one.pg("pid") == first


def test_client_abort_of_a_running_statement(one, pg):
    first = one.pg("pid")
    with socket.create_connection(("127.0.0.1", one.port)) as s:
        s.sendall(f"GET /?{pg_path('sleep', 0.5)} HTTP/1.0\r\n\r\n".encode())
        wait_until(lambda: sleeping(pg, one), 30,
            "a statement")
    assert one.pg("echo", 1) == row(1)
    assert one.pg("pid") == first, "it was left to end and used again"


# -- trouble -----------------------------------------------------------------


def check_ends(load, seconds):
    assert not load.errors, load.errors[:5]
    assert load.kinds() <= {"OK", "DOWN", "NODOWN", "TIMEOUT"}
    assert load.slowest() < seconds + MARGIN


@pytest.mark.parametrize("tcp", [False, True])
def test_killed_and_restarted(tcp, figure):
    with start_pg(tcp=tcp) as pg, net(pg, tcp=tcp, timeout=1000) as nginx:
        assert nginx.pg("echo", 1) == row(1)
        fds = fd_count(nginx.worker())
        with Load(nginx, pg_path("echo", "x")) as load:
            load.more(100)
            for _ in range(2):
                pg.kill()
                load.more(20, "NODOWN")
                pg.start()
                start = time.monotonic()
                load.more(100)
            figure("back after a restart", f"{time.monotonic() - start:.2f}"
                   " s (100 statements)")
        check_ends(load, 1)
        # one connection more than at first
        wait_until(lambda: fd_count(nginx.worker()) <= fds + 1, 30,
                   "descriptors to be closed")
        assert "is up again" in nginx.log()
        assert 1 <= nginx.log().count("[error]") <= 12, nginx.log()


def test_fast_shutdown_and_restart():
    with start_pg() as pg, net(pg, timeout=2000) as nginx:
        with Load(nginx, pg_path("sleep", 0.02), threads=4) as load:
            load.more(20)
            pg.stop()
            load.more(5, "NODOWN")
            pg.start()
            load.more(20)
        check_ends(load, 2)


def test_stopped(figure):
    with start_pg() as pg, net(pg, timeout=500, connect_timeout=400) as nginx:
        with Load(nginx, pg_path("echo", "x")) as load:
            load.more(100)
            pg.sigstop()
            load.more(2, "TIMEOUT")
            load.more(10, "NODOWN")
            load.more(1, "DOWN")
            pg.sigcont()
            load.more(100, "OK")
        check_ends(load, 0.5)
        figure("slowest, with a deadline of 500 ms",
               f"{load.slowest():.3f} s")


def test_back_without_being_asked():
    """A worker that was asked once while the server was away, and then not
    any more, knows that it is back: nobody is refused then."""
    with start_pg() as pg, net(pg, timeout=5000) as nginx:
        assert nginx.pg("echo", 1) == row(1)
        pg.kill()
        wait_until(lambda: "closed an idle connection" in nginx.log(), 30,
                   "the end of the connection")
        assert nginx.pg("echo", 1) == "DOWN\n"
        pg.start()
        wait_until(lambda: backends(pg, nginx), 30,
                   "the worker to look for the server")
        wait_until(lambda: "is up again" in nginx.log(), 30, "a connection")
        answers = burst(nginx, [pg_path("echo", i) for i in range(20)])
        assert [body for body, _ in answers] == [row(i) for i in range(20)]


def test_terminated_backends(nginx, pg):
    """Idle ones are replaced unseen; a running statement is DOWN."""
    assert nginx.pg("echo", 1) == row(1)
    for _ in range(3):
        for pid in backends(pg, nginx):
            pg.query("select pg_terminate_backend(%s, 5000)", (pid,))
        wait_until(lambda: nginx.pg("echo", 1) == row(1), 30, "recovery")

    with Load(nginx, pg_path("sleep", 3), threads=2) as load:
        wait_until(lambda: sleeping(pg, nginx) == 2, 30, "two statements")
        load.end.set()
        for pid in backends(pg, nginx):
            pg.query("select pg_terminate_backend(%s)", (pid,))
    assert load.kinds() == {"DOWN"} and not load.errors
    assert nginx.pg("echo", 1) == row(1)


def test_reconnects_leak_nothing(nginx, pg):
    assert nginx.pg("echo", 1) == row(1)
    worker = nginx.worker()
    before = fd_count(worker)
    for _ in range(50):
        for pid in backends(pg, nginx):
            pg.query("select pg_terminate_backend(%s, 5000)", (pid,))
        wait_until(lambda: nginx.pg("echo", 1) == row(1), 30, "recovery")
    assert nginx.worker() == worker
    wait_until(lambda: fd_count(worker) <= before, 30,
               "no more descriptors than before")


def test_failed_connects_leak_nothing():
    port = free_port()
    with Net(pg=f"host=127.0.0.1 port={port} user=x dbname=x",
             statements=STATEMENTS,
             pg_options={"backoff_min": 1, "backoff_max": 2}) as nginx:
        fds = fd_count(nginx.worker())
        with Load(nginx, pg_path("echo", 1), threads=2) as load:
            load.more(100, "DOWN")
        assert load.kinds() <= {"DOWN", "NODOWN"}
        wait_until(lambda: fd_count(nginx.worker()) <= fds, 30,
                   "no more descriptors than before")
        assert nginx.log().count("Connection refused") == 1, \
            "one line for a burst"


def test_silent_server(figure):
    """One caller waits for the probe, the others are told at once."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server, Net(
            pg=f"host=127.0.0.1 port={server.getsockname()[1]} user=x "
            "dbname=x", statements=STATEMENTS,
            pg_options={"connect_timeout": 300, "timeout": 2000,
                        "backoff_min": 100}) as nginx:
        start = time.monotonic()
        assert nginx.pg("echo", 1) == "DOWN\n"
        assert time.monotonic() - start < 0.3 + MARGIN
        assert "connecting timed out" in nginx.log()
        with Load(nginx, pg_path("echo", 1), pause=0.01) as load:
            load.more(200, "NODOWN")
        waited = [s for b, s in load.answers if b == "DOWN\n"]
        told = sorted(s for b, s in load.answers if b == "NODOWN\n")
        assert len(waited) < len(told) / 5
        figure("refused while a server is silent",
               f"{told[len(told) // 2] * 1000:.1f} ms in the middle")


def test_not_postgres():
    for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"",
                   b"R\x00\x00\x00\x08\x00\x00\x00\x00", b"\0" * 100,
                   b"E\xff\xff\xff\xff"]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            port = server.getsockname()[1]
            with Net(pg=f"host=127.0.0.1 port={port} user=x dbname=x "
                     "sslmode=disable", statements=STATEMENTS,
                     pg_options={"connect_timeout": 400}) as nginx:
                with Load(nginx, pg_path("echo", 1), threads=1) as load:
                    s = server.accept()[0]
                    load.end.set()
                    s.recv(4096)
                    s.sendall(answer)
                    if not answer:
                        s.close()
                assert load.kinds() == {"DOWN"}
                s.close()


def test_too_many_connections():
    """What the server has no room for is served by what there is."""
    with start_pg(max_connections=8, superuser_reserved_connections=0) as pg:
        held = [pg.connect() for _ in range(6)]
        with net(pg, connections=6, timeout=5000) as nginx:
            wait_until(lambda: nginx.pg("echo", 1) == row(1), 30, "an answer")
            with Load(nginx, pg_path("sleep", 0.01), threads=6) as load:
                load.more(50)
            assert load.kinds() == {"OK"}
            assert "too many clients" in nginx.log()
        for c in held:
            c.close()


def test_password(pg):
    pg.query("CREATE ROLE net_pw LOGIN PASSWORD 'r1ght-word'")
    hba = os.path.join(pg.data, "pg_hba.conf")
    with open(hba) as f:
        old = f.read()
    with open(hba, "w") as f:
        f.write("local all net_pw scram-sha-256\n" + old)
    pg.query("SELECT pg_reload_conf()")
    try:
        for word, want in [("r1ght-word", row(1)), ("wr0ng-word", "DOWN\n")]:
            conninfo = pg.conninfo(user="net_pw") + f" password={word}"
            with Net(pg=conninfo, statements=STATEMENTS) as nginx:
                wait_until(lambda: nginx.pg("echo", 1) == want, 30, want)
                assert "r1ght" not in nginx.log()
                assert "wr0ng" not in nginx.log()
        assert "password authentication failed" in nginx.log()
    finally:
        with open(hba, "w") as f:
            f.write(old)
        pg.query("SELECT pg_reload_conf()")


def test_tls(figure):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pg = start_pg(tcp=True)
    key, crt = os.path.join(pg.data, "k.pem"), os.path.join(pg.data, "c.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", crt], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(key, 0o600)
    if SERVER_USER:
        shutil.chown(key, SERVER_USER)
    ca = os.path.join(pg.dir, "ca.pem")
    shutil.copy(crt, ca)
    pg.settings.update({"ssl": "on", "ssl_key_file": key,
                        "ssl_cert_file": crt})
    port = pg.settings["port"]
    with pg:
        for tls in ["sslmode=require", f"sslmode=verify-full sslrootcert={ca}"
                    ]:
            with Net(pg=f"host=localhost hostaddr=127.0.0.1 port={port} "
                     f"user=postgres dbname=scc {tls}",
                     statements=STATEMENTS) as nginx:
                assert nginx.pg("echo", 1) == row(1), nginx.log()
                assert pg.query("select bool_and(ssl) from pg_stat_ssl "
                                "join pg_stat_activity using (pid) where "
                                "application_name = 'ngx_scc_module'"
                                ) == [(True,)]
                for n in [3_000_000, 16384, 8192, 16385, 100_000]:
                    assert nginx.pg("big", n) == row("x" * n)
                assert nginx.pg("size", "", fill=3_000_000) == row(3000000)
                with Load(nginx, pg_path("big", 200_000)) as load:
                    load.more(100)
                assert load.kinds() == {"OK"}
        with Net(pg=f"host=wrong.name hostaddr=127.0.0.1 port={port} "
                 f"user=postgres dbname=scc sslmode=verify-full "
                 f"sslrootcert={ca}", statements=STATEMENTS) as nginx:
            assert nginx.pg("echo", 1) == "DOWN\n"
            assert "does not match host name" in nginx.log()


# -- life of the process -----------------------------------------------------


def test_starts_without_postgres():
    with start_pg() as pg:
        pg.kill()
        with net(pg) as nginx:
            assert nginx.pg("echo", 1) == "DOWN\n"
            pg.start()
            wait_until(lambda: nginx.pg("echo", 1) == row(1), 30, "an answer")


def test_reloads_under_load(figure):
    with start_pg() as pg, net(pg, timeout=5000) as nginx:
        with Load(nginx, pg_path("echo", 1)) as load, \
                Load(nginx, pg_path("sleep", 0.1), threads=2) as slow:
            for _ in range(10):
                nginx.reload()
                load.more(50)
        for x in load, slow:
            assert not x.errors, x.errors[:5]
            assert x.kinds() == {"OK"}
        figure("10 reloads", f"{load.count() + slow.count()} statements, "
               "none refused")
        wait_until(lambda: len(backends(pg, nginx)) <= 2, 30,
                   "the old workers' connections to end")


def test_quit_waits_for_statements(pg):
    nginx = net(pg, timeout=5000).start()
    worker = nginx.worker()
    with Load(nginx, pg_path("sleep", 0.6), threads=2) as load:
        wait_until(lambda: sleeping(pg, nginx), 30,
            "a statement")
        load.end.set()
        nginx.quit()
    assert load.kinds() == {"OK"} and not load.errors
    assert not alive(worker)


def test_quit_with_idle_connections(pg):
    nginx = net(pg, timeout=30000, idle=600000).start()
    assert nginx.pg("echo", 1) == row(1)
    start = time.monotonic()
    nginx.quit()
    assert time.monotonic() - start < 5


def test_fast_stop_with_statements_running(pg):
    nginx = net(pg, timeout=30000).start()
    with socket.create_connection(("127.0.0.1", nginx.port)) as s:
        s.sendall(f"GET /?{pg_path('sleep', 20)} HTTP/1.0\r\n\r\n".encode())
        wait_until(lambda: sleeping(pg, nginx), 30,
            "a statement")
        nginx.stop()
    for pid in backends(pg, nginx):
        pg.query("select pg_terminate_backend(%s)", (pid,))


# -- the connection string ---------------------------------------------------


@pytest.mark.parametrize("text,fault", [
    ("host=127.0.0.1 password=hush dbname", "is not a PostgreSQL connection"),
    ("nosuchword=hush", "is not a PostgreSQL connection"),
    ("host=127.0.0.1,127.0.0.2 user=x", 'several values of .*host'),
    ("host=127.0.0.1 port=1,2 user=x", 'several values of .*port'),
    ("host=127.0.0.1 port=70000", "from 1 to 65535"),
    ("host=127.0.0.1 port=x", "from 1 to 65535"),
    ("host=no-such-host.invalid user=x", "does not resolve"),
    ("hostaddr=localhost user=x", "give an IP address"),
    ("service=x", "service"),
    ("host=127.0.0.1 sslmode=maybe", "sslmode"),
])
def test_bad_conninfo(text, fault):
    p = Net(pg=text).test()
    assert p.returncode != 0
    assert re.search(fault, p.stdout), p.stdout
    assert "nginx.conf" in p.stdout
    assert "hush" not in p.stdout


@pytest.mark.parametrize("form", ["uri", "name", "options", "ipv6"])
def test_good_conninfo(form):
    with start_pg(tcp=True) as pg:
        port = pg.settings["port"]
        text = {
            "uri": f"postgresql://postgres@127.0.0.1:{port}/scc",
            "name": f"host=localhost hostaddr=127.0.0.1 port={port} "
                    "user=postgres dbname=scc",
            "options": f"host=127.0.0.1 port={port} user=postgres dbname=scc "
                       "options='-c work_mem=77MB -c statement_timeout=1' "
                       "application_name=mine connect_timeout=3",
            "ipv6": f"hostaddr=::1 port={port} user=postgres dbname=scc",
        }[form]
        if form == "ipv6":
            pg.kill()
            pg.settings["listen_addresses"] = "127.0.0.1,::1"
            try:
                socket.create_server(("::1", 0),
                                     family=socket.AF_INET6).close()
            except OSError:
                pytest.skip("no IPv6 on loopback")
            pg.start()
        statements = dict(STATEMENTS, memory=(
            0, "select current_setting('work_mem')"))
        with Net(pg=text, statements=statements,
                 pg_options={"timeout": 2500}) as nginx:
            assert nginx.pg("echo", 1) == row(1), nginx.log()
            name = "mine" if form == "options" else "ngx_scc_module"
            assert nginx.pg("settings") == row("2500ms", name, "UTF8")
            if form == "options":
                assert nginx.pg("memory") == row("77MB")
