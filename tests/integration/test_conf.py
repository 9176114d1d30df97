"""Every directive: right values are taken, wrong ones refused by nginx -t,
with the file and the line, before any backend is touched."""

import os
import re

import pytest

from servers import REPO, Nginx, run

SOURCE = os.path.join(REPO, "ngx_scc_module", "http", "ngx_scc_module.c")

PG = '"host=/nonexistent user=u dbname=d"'

# directive -> (right values, wrong values)
MAIN = {
    "scc_redis": (
        ["127.0.0.1", "127.0.0.1:6380", "unix:/tmp/none.sock",
         "127.0.0.1:6379 db=3", "[::1]:6379", "localhost:6379",
         "unix:/tmp/none.sock user=scc password_file=@SECRET@"],
        ["", "127.0.0.1:99999", "127.0.0.1:0x1", "unix:", "a b c",
         "no.such.host.invalid:1", "127.0.0.1 db=x", "127.0.0.1 db=-1",
         "127.0.0.1 db=", "127.0.0.1 user=x", "127.0.0.1 colour=red",
         "127.0.0.1 password_file=/nonexistent",
         "127.0.0.1 password_file=", "127.0.0.1 password_file=@EMPTY@"]),
    "scc_redis_connections": (["1", "8"], ["0", "-1", "x", "", "1 2",
                                           "1001"]),
    "scc_redis_pending": (["1", "4096"], ["0", "x", "", "1000001"]),
    "scc_redis_connect_timeout": (["1ms", "3s", "500"], ["0", "x", "",
                                                         "-1s"]),
    "scc_redis_timeout": (["1ms", "3s"], ["0", "x", "", "1 2"]),
    "scc_postgres": (
        [PG, '"host=127.0.0.1 port=5433 dbname=d user=u"',
         '"hostaddr=127.0.0.1 dbname=d"',
         "postgresql://u@127.0.0.1:5432/d"],
        ["", '""', '"host=/x unknown_word=1"', '"host"', '"=x"',
         '"host=no.such.host.invalid dbname=d"', "a b",
         '"host=127.0.0.1 port=x dbname=d"']),
    "scc_postgres_connections": (["1", "16"], ["0", "-1", "x", "", "1001"]),
    "scc_postgres_queue": (["0", "1000"], ["-1", "x", "", "1000001"]),
    "scc_postgres_connect_timeout": (["1s"], ["0", "x", ""]),
    "scc_postgres_timeout": (["1s", "2999ms"], ["0", "x", "", "3s"]),
    "scc_postgres_idle": (["1s", "1h"], ["0", "x", ""]),
    "scc_export_limit": (["1", "1000"], ["0", "-1", "x", "", "1001"]),
    "scc_state_path": (["@DIR@/s"], ["", "a b"]),
    "scc_feed_interval": (["100ms", "1s"], ["0", "x", ""]),
    "scc_store_guard": (["on", "off"], ["yes", "1", ""]),
    "scc_rollup_interval": (["100ms", "10s"], ["0", "x", ""]),
    "scc_aggregates_valid": (["1s", "1m"], ["0", "x", "", "-1"]),
    "scc_purge": (["http://127.0.0.1:6081/scc-purge", "https://e.invalid/p?a",
                   "http://a/ key_file=@SECRET@"],
                  ["", "x", "ftp://a/p", "http://u:p@a/", "//a/p",
                   "http://a/ b", "http://a/ key_file=",
                   "http://a/ key_file=/no/such",
                   "http://a/ key_file=@EMPTY@", "http://a/p b c"]),
    "scc_lease_time": (["4s", "1m"], ["0", "x", "", "2s", "1500ms"]),
    "scc_lease_wait": (["0", "50ms", "1s"], ["x", ""]),
    "scc_cache_ttl": (["1s", "1d"], ["0", "x", "", "-1", "1d 2"]),
    "scc_cache_generation": (["0", "7"], ["-1", "x", "", "2147483648"]),
    "scc_zone": (["scc:256k", "cells:1m", "x:64m"],
                 ["", "scc", ":1m", "scc:", "scc:255k", "scc:x", "scc:-1",
                  "scc:65g", "scc:1m 2", "scc:1m:2"]),
    "scc_journal": (
        ["@DIR@/j", "@DIR@/j @DIR@/k", "@DIR@/j/", "relative"],
        ["", "a b c", '""', "@DIR@/j @DIR@/j", "@DIR@/j @DIR@/j/"]),
    "scc_journal_segment": (["16m", "1g", "8500k"],
                            ["0", "x", "", "-1", "8m", "2g", "1m 2"]),
    "scc_journal_thread_pool": (["scc", "default"], ["", '""', "a b",
                                                     "none"]),
    "scc_journal_pending": (["8m", "300k"], ["0", "x", "", "-1", "100k",
                                             "16m", "17m"]),
    "scc_audit": (["strict", "warn"], ["", "x", "on", "strict 1"]),
    "scc_audit_interval": (["100ms", "30s", "5m"], ["0", "x", "", "-1"]),
    "scc_offsite": (["off", "required", "required 10m", "required 1s"],
                    ["", "on", "off 1h", "required 0", "required x",
                     "required -1", "required 1h 2h"]),
    "scc_journal_allow_fs": (["overlay", "nfs cifs fuse 9p"],
                             ["", "tmpfs", "ext4", "overlay;x"]),
    "scc_queue": (
        ["127.0.0.1", "unix:/tmp/none.sock db=1", "127.0.0.1:6380",
         "unix:/tmp/none.sock user=scc password_file=@SECRET@"],
        ["", "127.0.0.1:99999", "unix:", "a b", "no.such.host.invalid:1",
         "127.0.0.1 db=x", "127.0.0.1 user=x", "127.0.0.1 colour=red",
         "127.0.0.1 password_file=/nonexistent"]),
    "scc_answer_cache": (["0", "8m", "64k"], ["x", "", "-1", "1m 2"]),
    "scc_contribution_max": (["1", "64k", "1020k"], ["0", "x", "", "-1",
                                                     "1021k", "2m"]),
}

LOCATION = {
    "scc_api": (["", "/v1/", "/v1", "/"],
                ["on", "x y", '""', "/v2/", "/v1/x", "/v1//"]),
    "scc_ogc": (["", "/v1/", "/"], ["on", "x y", '""', "/v2/", "/v1//"]),
    "scc_limit": (["1 1", "100 1000", "100000 100000"],
                  ["", "1", "0 1", "2 1", "1 100001", "a b", "-1 1",
                   "1 2 3"]),
    "scc_cells_max": (["1", "4096"], ["0", "4097", "x", "", "1 2"]),
    "scc_base_url": (["https://example.org/v1", "$scheme://$host/v1", '""'],
                     ["", "a b"]),
    "scc_attribution": (['"© someone"', '""'], ["", "a b"]),
    "scc_empty_tile": (["200", "204"], ["201", "404", "0", "on", ""]),
    "scc_license": (["https://example.org/l", "http://a/?b=1"],
                    ["", "x", "ODbL", '"https://a b"', "https://a<",
                     "https://한글/"]),
    "scc_gzip": (["on", "off"], ["", "yes", "on off"]),
    "scc_gzip_level": (["1", "9"], ["0", "10", "x", "", "1 2"]),
    "scc_cache_control": (
        ["tile max_age=30", "place off", "meta max_age=1h cdn_max_age=1d",
         "nearby max_age=5 swr=10 sie=1m cdn_max_age=1 cdn_swr=2 cdn_sie=3",
         "missing cdn_max_age=0", "invalid max_age=0", "aggregate sie=0"],
        ["", "tile", "off", "tile on", "view max_age=1", "tile max_age=x",
         "tile max_age=", "tile max_age", "tile max_age=-1", "tile age=1",
         "tile off off", "tile off max_age=1"]),
    "scc_bounds": (["124,33,132,39", "-180,-85,180,85"],
                   ["", "1,2,3", "a,b,c,d", "3,2,1,0", "170,1,-170,2",
                    "1 2 3 4", "1,2,3,nan"]),
    "scc_contributor": (["$remote_user", '"$http_x-$arg_y"', "all"],
                        ["", "a b"]),
    "scc_contributor_name": (["$http_x", '""'], ["", "a b"]),
    "scc_moderator": (["$http_x", '""', "1"], ["", "a b"]),
    "scc_ack": (["journal", "queue", "applied"], ["", "none", "off",
                                                  "journal queue"]),
    "scc_ack_timeout": (["1ms", "2s"], ["0", "x", "", "1 2"]),
    "scc_ack_fallback": (["on", "off"], ["", "yes", "on off"]),
}

TEMPLATE = """\
@MAIN@
worker_processes 1;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log;
events { }
http {
    access_log off;
    client_body_temp_path @DIR@/t1;
    proxy_temp_path @DIR@/t2;
    fastcgi_temp_path @DIR@/t3;
    uwsgi_temp_path @DIR@/t4;
    scgi_temp_path @DIR@/t5;
    @STATE@
    @HTTP@
    server {
        listen unix:@DIR@/h.sock;
        location /v1/ {
@LOCATION@
        }
    }
}
"""


@pytest.fixture(scope="module")
def nginx():
    n = Nginx(template=TEMPLATE, main="thread_pool scc threads=1;\n")
    n.write(STATE=f"scc_state_path {n.dir}/state;")
    if not os.path.exists(n.values["MAIN"].split()[1].rstrip(";")):
        pytest.skip("the module is not built: run make first")
    for name, text in ("secret", "s3cret-word\n"), ("empty", ""):
        with open(os.path.join(n.dir, name), "w") as f:
            f.write(text)
    return n


def fill(nginx, text):
    for word, name in ("@SECRET@", "secret"), ("@EMPTY@", "empty"):
        text = text.replace(word, os.path.join(nginx.dir, name))
    return text.replace("@DIR@", nginx.dir)


def write(nginx, name, value, http=None):
    value = fill(nginx, value)
    line = f"{name} {value};".replace(" ;", ";")
    base = [] if name == "scc_postgres" else [f"scc_postgres {PG};"]
    if name == "scc_state_path":        # the template's is in its way
        nginx.write(STATE="")
    else:
        nginx.write(STATE=f"scc_state_path {nginx.dir}/state;")
    if name in MAIN:
        nginx.write(HTTP=" ".join(base) + "\n" + line, LOCATION="scc_api;")
    elif name in ("scc_api", "scc_ogc"):
        nginx.write(HTTP=" ".join(base), LOCATION=line)
    else:
        nginx.write(HTTP=" ".join(base), LOCATION="scc_api;\n" + line)
    with open(nginx.conf) as f:
        lines = f.read().split("\n")
    last = line.split("\n")[-1]
    return 1 + max(i for i, x in enumerate(lines) if last in x)


def cases(which):
    for table in MAIN, LOCATION:
        for name, values in table.items():
            for value in values[which]:
                yield pytest.param(name, value, id=f"{name} {value}")


def test_every_directive_is_in_the_tables():
    with open(SOURCE) as f:
        have = set(re.findall(r'ngx_string\("(scc_\w+)"\),\s+NGX_HTTP',
                              f.read()))
    assert have == set(MAIN) | set(LOCATION)


@pytest.mark.parametrize("name, value", cases(0))
def test_right_value(nginx, name, value):
    write(nginx, name, value)
    p = nginx.test()
    assert p.returncode == 0, p.stdout


@pytest.mark.parametrize("name, value", cases(1))
def test_wrong_value(nginx, name, value):
    line = write(nginx, name, value)
    p = nginx.test()
    assert p.returncode != 0, f"{name} {value} was taken"
    errors = [x for x in p.stdout.splitlines() if "[emerg]" in x]
    assert len(errors) == 1, p.stdout
    text = errors[0]
    assert re.search(re.escape(nginx.conf) + r":\d+$", text), text
    at = int(text.rsplit(":", 1)[1])
    # what only the whole block shows to be wrong is named at its end
    assert at == line or f'"{name}"' in text, text


@pytest.mark.parametrize("name", sorted({*MAIN, *LOCATION}))
def test_twice(nginx, name):
    value = (MAIN.get(name) or LOCATION[name])[0][0]
    line = write(nginx, name, f"{value};\n{name} {value}".replace(" ;", ";"))
    p = nginx.test()
    assert p.returncode != 0 and "is duplicate" in p.stdout, p.stdout
    assert f":{line}" in p.stdout, p.stdout


@pytest.mark.parametrize("name", sorted(MAIN))
def test_main_directives_only_in_http(nginx, name):
    value = fill(nginx, MAIN[name][0][0])
    nginx.write(HTTP=f"scc_postgres {PG};",
                LOCATION=f"scc_api;\n{name} {value};")
    p = nginx.test()
    assert p.returncode != 0
    assert f'"{name}" directive is not allowed here' in p.stdout, p.stdout


def test_api_only_in_locations(nginx):
    nginx.write(HTTP=f"scc_postgres {PG}; scc_api;", LOCATION="")
    p = nginx.test()
    assert p.returncode != 0 and "not allowed here" in p.stdout, p.stdout


@pytest.mark.parametrize("location", [
    "location ~ ^/x { scc_api; }", "location @name { scc_api; }",
    "location ~ ^/x { scc_ogc; }"])
def test_api_needs_a_prefix(nginx, location):
    nginx.write(HTTP=f"scc_postgres {PG};", LOCATION="")
    text = open(nginx.conf).read().replace("location /v1/ {\n\n        }",
                                           location)
    with open(nginx.conf, "w") as f:
        f.write(text)
    p = nginx.test()
    assert p.returncode != 0, p.stdout
    assert "cannot be used in a named location" in p.stdout, p.stdout


def test_api_needs_the_store(nginx):
    nginx.write(HTTP="", LOCATION="scc_api;")
    p = nginx.test()
    assert p.returncode != 0 and "scc_postgres" in p.stdout, p.stdout


def test_without_the_api_nothing_is_needed(nginx):
    nginx.write(HTTP="", LOCATION="return 204;")
    assert nginx.test().returncode == 0


def test_secrets_are_not_shown(nginx):
    """Neither -t nor -T's messages hold a password."""
    nginx.write(
        HTTP='scc_postgres "host=/x dbname=d user=u password=s3cret-word '
             'bad_word=1";', LOCATION="scc_api;")
    p = nginx.test()
    assert p.returncode != 0 and "s3cret-word" not in p.stdout, p.stdout
    nginx.write(HTTP=f"scc_postgres {PG};\n" + fill(
        nginx, "scc_redis 127.0.0.1 db=x password_file=@SECRET@;"),
        LOCATION="scc_api;")
    assert "s3cret-word" not in nginx.test().stdout


def test_test_touches_no_backend(nginx, tmp_path):
    """nginx -t succeeds with every backend down, and connects to none."""
    import socket
    heard = []
    for _ in range(2):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen(5)
        s.setblocking(False)
        heard.append(s)
    nginx.write(
        HTTP=f'scc_redis 127.0.0.1:{heard[0].getsockname()[1]};\n'
             f'scc_postgres "host=127.0.0.1 port={heard[1].getsockname()[1]}'
             ' dbname=d user=u";', LOCATION="scc_api;")
    assert nginx.test().returncode == 0
    for s in heard:
        with pytest.raises(BlockingIOError):
            s.accept()
        s.close()


def test_shipped_example(nginx, tmp_path):
    """nginx.conf.example is a configuration, with every directive in it."""
    path = os.path.join(REPO, "nginx.conf.example")
    if not os.path.exists(path):
        pytest.skip("nginx.conf.example is not written yet")
    with open(path) as f:
        text = f.read()
    for name in {*MAIN, *LOCATION}:
        assert name in text, f"{name} is not in nginx.conf.example"


def test_exported_symbols():
    """The module shows its own four symbols and no other."""
    from servers import MODULE
    if not MODULE or not os.path.exists(MODULE):
        pytest.skip("the module is not built: run make first")
    out = run(["nm", "-D", "--defined-only", MODULE]).stdout
    names = {x.split()[-1] for x in out.splitlines()}
    names -= {"_init", "_fini", "__bss_start", "_edata", "_end"}
    assert {"ngx_modules", "ngx_module_names", "ngx_module_order"} <= names
    assert names <= {"ngx_modules", "ngx_module_names", "ngx_module_order",
                     "ngx_scc_module"}, names
    needed = run(["readelf", "-d", MODULE]).stdout
    assert "hiredis" not in needed
