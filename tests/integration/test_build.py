"""The build: config, the module's symbols, both compilers, other trees."""

import concurrent.futures
import os
import re
import shutil
import subprocess

import pytest

from servers import BUILD, MODULE, NGINX, REPO, run

NGINX_DEV = "/usr/share/nginx/src"

FOUR = {"ngx_scc_module", "ngx_modules", "ngx_module_names",
        "ngx_module_order"}


def make(*args, check=True, timeout=600, **env):
    e = {k: v for k, v in os.environ.items()
         if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SCC_MODULE",
                      "RUN_DIR", "PORT", "SAMPLE")}
    e.update(env)
    return run(["make", "-C", REPO, *args], check=check, env=e,
               timeout=timeout)


def need(path, how):
    if not os.path.exists(path):
        pytest.skip(f"{path} is not here: {how}")
    return path


def exported(path):
    out = run(["nm", "-D", "--defined-only", path]).stdout
    return {line.split()[-1] for line in out.splitlines()}


def needed(path):
    out = run(["readelf", "-d", path]).stdout
    return re.findall(r"NEEDED.*\[(.*)\]", out)


# -- what was built ----------------------------------------------------------


def test_config_lists_every_file():
    run([os.path.join(REPO, "tests/lint/sources.py")])


def test_module_exports_its_own_four():
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    assert exported(need(MODULE, "run make")) == FOUR


def test_hiredis_is_inside():
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    libs = needed(need(MODULE, "run make"))
    assert not [x for x in libs if "hiredis" in x]
    assert [x for x in libs if x.startswith("libpq.")]
    undefined = run(["nm", "-D", "--undefined-only", MODULE]).stdout
    assert " redis" not in undefined


def test_core_stands_alone():
    archive = need(os.path.join(BUILD, "core", "libscc.a"), "run make")
    assert "ngx_" not in run(["nm", "-u", archive]).stdout
    run([os.path.join(REPO, "tests/lint/calls.py"), archive])


@pytest.mark.parametrize("order", ["before", "after"])
def test_loads_beside_nchan(order, tmp_path):
    nchan = need("/usr/lib/nginx/modules/ngx_nchan_module.so",
                 "run make deps-test")
    if not MODULE:
        pytest.skip("the module is linked into nginx")
    modules = [MODULE, nchan] if order == "before" else [nchan, MODULE]
    conf = tmp_path / "nginx.conf"
    conf.write_text("".join(f"load_module {m};\n" for m in modules)
                    + f"pid {tmp_path}/pid; events {{ }} http {{ }}\n")
    p = run([NGINX, "-t", "-p", str(tmp_path), "-c", str(conf),
             "-e", "stderr"], check=False)
    assert p.returncode == 0, p.stdout


def test_second_make_does_nothing():
    first = make("all", f"BUILD={BUILD}")
    second = make("all", f"BUILD={BUILD}")
    assert not re.search(r"^(gcc|cc|clang|ar) ", second.stdout, re.M), \
        f"{second.stdout}\nafter\n{first.stdout}"


def test_header_rebuilds(tmp_path):
    """A header of core is known to every object that includes it."""
    make("-j2", "core", f"BUILD={tmp_path}")
    core = os.path.join(REPO, "ngx_scc_module/core")
    now = max(os.path.getmtime(path) for path in
              [os.path.join(REPO, "Makefile")]
              + [os.path.join(core, x) for x in os.listdir(core)])
    for path in tmp_path.rglob("*.[oa]"):
        os.utime(path, (now + 5, now + 5))
    # -W: as if the header had just changed
    p = make("-n", "-W", "ngx_scc_module/core/scc_csv.h", "core",
             f"BUILD={tmp_path}")
    compiled = re.findall(r"-o \S*/(\w+)\.o ", p.stdout)
    assert "scc_csv" in compiled and "scc_geo" not in compiled


def test_install(tmp_path):
    for name in "README.md", "nginx.conf.example":
        need(os.path.join(REPO, name), "not written yet")
    make("install", f"BUILD={BUILD}", f"DESTDIR={tmp_path}")
    have = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")
            if p.is_file()}
    doc = "usr/local/share/doc/ngx_scc_module/"
    assert {"usr/lib/nginx/modules/ngx_scc_module.so",
            "usr/local/bin/sccctl", "usr/local/share/man/man1/sccctl.1",
            doc + "LICENSE", doc + "README.md",
            doc + "nginx.conf.example"} <= have
    p = run([str(tmp_path / "usr/local/bin/sccctl"), "version"])
    assert p.stdout


def test_packages_are_left_alone_when_there(tmp_path):
    """Nothing to install: no apt-get, no sudo, no network, no word."""
    for name in "apt-get", "sudo":
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho called; exit 1\n")
        tool.chmod(0o755)
    script = os.path.join(REPO, "docker/run/deps.sh")
    for what in "run", "test":
        names = run([script, "--list", what]).stdout.split()
        p = subprocess.run(["dpkg-query", "-W", *names],
                           capture_output=True)
        if p.returncode != 0:
            pytest.skip("not all Debian packages are installed")
        path = f"{tmp_path}:{os.environ['PATH']}"
        assert run([script, what],
                   env={**os.environ, "PATH": path}).stdout == ""


# -- configure ---------------------------------------------------------------


# configure asks the compiler a hundred questions, in every tree the same: an
# answer that was once given is given again.  And a machine without a package:
# its header cannot be included.

CC = """#!/bin/sh
for arg; do
    case $arg in
    *.c) source=$arg ;;
    esac
done

case $source in
*/autotest.c) ;;
*) exec gcc "$@" ;;
esac

if [ -n "$HIDE" ] && grep -q "$HIDE" "$source"; then
    exit 1
fi

program=${source%.c}
known=$KNOWN/$({ echo "$@" | sed "s|$PWD||g"; cat "$source"; } | sha1sum \\
    | cut -d ' ' -f 1)

if [ -e "$known" ]; then
    cp "$known" "$program"
    exit
fi

gcc "$@" || exit
cp "$program" "$known.$$" && mv "$known.$$" "$known"
"""


def configure(tmp_path, name, hide="", threads=True, **env):
    """Debian's tree, configured with the module; (exit status, output)."""
    tree = tmp_path / name
    shutil.copytree(need(NGINX_DEV, "run make deps"), tree, symlinks=False)
    known = tmp_path / "known"
    known.mkdir(exist_ok=True)
    cc = tmp_path / f"{name}-cc"
    cc.write_text(CC)
    cc.chmod(0o755)

    e = {k: v for k, v in os.environ.items() if not k.startswith("SCC_")}
    e.update(env, HIDE=hide, KNOWN=str(known))
    p = run(["./configure", "--with-compat",
             *(["--with-threads"] if threads else []),
             f"--with-cc={cc}", "--with-cc-opt=-O0 -fPIC",
             f"--builddir={tree}/objs", f"--add-dynamic-module={REPO}"],
            check=False, cwd=tree, env=e)
    return tree, p.returncode, p.stdout


MISSING = {
    "hiredis": (dict(hide="hiredis/"), "libhiredis-dev"),
    "libpq": (dict(hide="libpq-fe.h"), "libpq-dev"),
    "yajl": (dict(hide="yajl/"), "libyajl-dev"),
    "zlib": (dict(hide="crc32_combine"), "zlib1g-dev"),
    "curl": (dict(hide="curl/"), "libcurl4-openssl-dev"),
    "threads": (dict(threads=False), "--with-threads"),
    "archive": (dict(SCC_HIREDIS="/nowhere/libhiredis.a"), "SCC_HIREDIS"),
    "word": (dict(SCC_HIREDIS="maybe"), '"maybe"'),
}


def test_missing_packages_are_named(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {name: pool.submit(configure, tmp_path, name, **how)
                for name, (how, _) in MISSING.items()}
    for name, (_, word) in MISSING.items():
        _, status, output = jobs[name].result()
        error = output[output.rfind("error:"):]
        assert status == 1, f"{name}: {output[-2000:]}"
        assert word in error, f"{name}: {output[-2000:]}"
        if word.endswith("-dev"):
            assert set(re.findall(r"\b(?:lib|zlib)[\w-]+-dev\b",
                                  error)) == {word}


def archive():
    out = run(["gcc", "-print-file-name=libhiredis.a"]).stdout.strip()
    return os.path.realpath(need(out, "run make deps"))


def test_hiredis_of_ones_choice(tmp_path):
    """shared: a dependency; a path: that archive, hidden like Debian's.
    They differ in how they are linked only: compiled once."""
    builds = {"shared": "shared", "path": archive()}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {name: pool.submit(configure, tmp_path, name,
                                  SCC_HIREDIS=value)
                for name, value in builds.items()}
    compiled = None
    for name, job in jobs.items():
        tree, status, output = job.result()
        assert status == 0, output[-2000:]
        objects = tree / "objs" / "addon"
        if compiled is None:
            compiled = objects
        else:
            for path in compiled.rglob("*.o"):
                shutil.copy(path, objects / path.relative_to(compiled))
        run(["make", "-s", "-j2", "-f", "objs/Makefile", "modules"],
            cwd=tree, env={k: v for k, v in os.environ.items()
                           if not k.startswith("MAKE")})
        module = f"{tree}/objs/ngx_scc_module.so"
        assert exported(module) == FOUR
        linked = [x for x in needed(module) if "hiredis" in x]
        assert bool(linked) == (name == "shared")


# -- other compilers, other trees --------------------------------------------
#
# -O0: what is built is not used; -Wno-cpp: glibc would like it optimized

def test_clang_has_no_warning(tmp_path):
    p = make("-j2", "all", "CC=clang", "CFLAGS=-O0 -Wno-cpp",
             f"BUILD={tmp_path}")
    assert not re.search(r"\bwarning:", p.stdout), p.stdout
    assert exported(str(tmp_path / "nginx-debian/ngx_scc_module.so")) == FOUR


def test_source_tree_of_ones_own(tmp_path):
    """NGINX_SRC, laid out as nginx's repository is; it is not written to."""
    source = need(os.path.join(BUILD, "nginx-source", "nginx"),
                  "run make asan-nginx")
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    os.rename(tree / "configure", tree / "auto" / "configure")
    before = sorted(str(p) for p in tree.rglob("*"))

    build = tmp_path / "build"
    p = make("module", f"NGINX_SRC={tree}", f"BUILD={build}",
             "CFLAGS=-O0 -Wno-cpp")
    assert not re.search(r"\bwarning:", p.stdout), p.stdout
    assert sorted(str(p) for p in tree.rglob("*")) == before

    module = build / "nginx-src" / "ngx_scc_module.so"
    assert exported(str(module)) == FOUR
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"load_module {module};\nevents {{ }} http {{ }}\n"
                    f"pid {tmp_path}/pid;\n")
    os.makedirs(build / "nginx-src" / "prefix" / "logs")
    p = run([str(build / "nginx-src" / "nginx"), "-t", "-c", str(conf),
             "-e", "stderr"], check=False)
    assert p.returncode == 0, p.stdout


def test_unknown_tree_is_refused(tmp_path):
    """A failed configure is an error, and is tried again next time."""
    source = tmp_path / "tree"
    source.mkdir()
    (source / "configure").write_text("#!/bin/sh\necho 'no tree'; exit 1\n")
    (source / "configure").chmod(0o755)
    for _ in range(2):
        p = make("module", f"NGINX_SRC={source}", f"BUILD={tmp_path}/b",
                 check=False)
        assert p.returncode != 0
        assert "no tree" in p.stdout
