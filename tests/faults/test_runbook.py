"""docker/RUNBOOK.md: each page's commands, run in order against a system
that is damaged in that way, until the page says that it is over."""

import os
import re
import subprocess

import pytest

import lost
import runbook
from lost import LostStack
from rig import Load
from servers import REPO, new_dir, wait_until
from test_disk import small_disk, stop_writes

pytestmark = pytest.mark.lost

PAGES = {p.title: p for p in runbook.pages(runbook.ENGLISH)}


class Duty:
    """A damaged system, and somebody with the runbook."""

    def __init__(self, stack, place="", finding="", **actions):
        self.stack = stack
        self.env = os.path.join(new_dir("duty"), "runbook.env")
        verbs = {("start", "postgresql"): stack.pg.start,
                 ("stop", "postgresql"): stack.pg.stop,
                 ("restart", "queue"): lambda: restart(stack.queue),
                 ("restart", "cache"): lambda: restart(stack.cache),
                 ("reload", "nginx"): stack.nginx.reload}
        verbs.update({tuple(k.split("_")): f for k, f in actions.items()})
        self.service = runbook.Service(verbs)
        self.values = runbook.environment(self.env, stack, self.service,
                                          PLACE=place, FINDING=finding)
        for name in ("OFFSITE", "SPARE"):
            os.mkdir(self.values[name])
            lost.own(self.values[name])
        self.out = ""

    def __enter__(self):
        self.service.__enter__()
        return self

    def __exit__(self, *exc):
        self.service.__exit__(*exc)
        if exc[0] is None:
            assert not self.service.errors, self.service.errors

    def steps(self, title, upto=None):
        self.out += runbook.shell("\n".join(PAGES[title].steps[:upto]),
                                  self.env).stdout
        return self.out

    def over(self, title, limit=60):
        return runbook.over(PAGES[title], self.env, limit)

    def page(self, title, limit=60):
        self.steps(title)
        return self.over(title, limit)


def restart(server):
    if server.running():
        server.stop()
    elif server.process is not None:
        server.gone()
    server.start()


def worked(stack, n=60):
    """Some contributions; their history."""
    with Load(stack, clients=3, readers=0, pause=0.01) as load:
        load.more(n, 30)
    return load.history


# -- the text ----------------------------------------------------------------


@pytest.mark.quick
def test_both_languages_say_the_same():
    """The same pages in the same order, with the same commands; every page
    has all its parts."""
    english, korean = (runbook.pages(p) for p in (runbook.ENGLISH,
                                                  runbook.KOREAN))
    assert len(english) == len(korean)
    for e, k in zip(english, korean):
        assert [re.sub(r"#.*", "", b) for b in e.blocks] == \
            [re.sub(r"#.*", "", b) for b in k.blocks], (e.title, k.title)
        assert e.end == k.end, (e.title, k.title)
    for e, k in zip(english[1:], korean[1:]):
        assert "**Do not**" in e.text, e.title
        assert "**하지 마세요**" in k.text, k.title
        if e.title not in ("Bring the old store back", "Rebuild the store"):
            for part in ("**You see**", "**It means**", "**Users see**"):
                if "machine" not in e.title or part != "**Users see**":
                    assert part in e.text, (e.title, part)
            for part in ("**보이는 것**", "**뜻**"):
                assert part in k.text, (k.title, part)


@pytest.mark.quick
def test_links_lead_somewhere():
    for path in (runbook.ENGLISH, runbook.KOREAN):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        heads = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-")
                 for t in re.findall(r"^## (.*)$", text, re.M)}
        links = set(re.findall(r"\]\(#([^)]*)\)", text))
        assert links <= heads, links - heads


@pytest.mark.quick
def test_the_file_names_every_variable():
    """What the steps use is in the file that is written once."""
    first = runbook.pages(runbook.ENGLISH)[0].blocks[0]
    known = set(re.findall(r"^(?:export )?([A-Z_]+)=", first, re.M))
    for page in PAGES.values():
        text = "\n".join(page.blocks)
        set_here = set(re.findall(r"^([A-Z_]+)=", text, re.M))
        used = set(re.findall(r"\$\{?([A-Z_]+)", text)) - {"RUNBOOK_ENV"}
        assert used <= known | set_here, (page.title,
                                          used - known - set_here)


@pytest.mark.quick
@pytest.mark.parametrize("path", [runbook.ENGLISH, runbook.KOREAN],
                         ids=["english", "korean"])
def test_every_finding_has_a_page(path):
    """What the audit and the guard can say, in the code's own words, is in a
    row of the doctor's page that says what to do."""
    rows = {}
    for line in runbook.pages(path)[1].text.splitlines():
        cells = line.split("|")
        if line.startswith("| `"):
            for name in re.findall(r"`(\w+)`", cells[1]):
                rows.setdefault(name, cells[-2].strip())

    def source(name):
        with open(os.path.join(REPO, "ngx_scc_module", "core", name)) as f:
            return f.read()
    ids = set(re.findall(r'^    \{ "([A-Z]\d+)",', source("scc_audit.c"),
                         re.M))
    words = set(re.findall(r'^    scc_string\("(\w+)"\),?$',
                           source("scc_guard.c"), re.M))
    assert len(ids) == 25 and len(words) == 13, (ids, words)
    assert set(rows) == ids | words
    assert all(rows.values()), rows


def test_what_the_doctor_says(seed):
    """A line of its advice, followed."""
    with LostStack(seed, edge=False) as stack:
        r = stack.queue.r
        r.config_set("appendfsync", "everysec")
        with Duty(stack, finding="R2") as duty:
            out = duty.steps("What the doctor says")
            assert re.search(r"^R2 .*appendfsync everysec", out, re.M), out
            with pytest.raises(AssertionError):
                duty.over("What the doctor says", 2)
            changes = re.findall(r"^R2 [^\n]*\n(?: +[^\n]*\n)*? +change: "
                                 r"CONFIG SET ([\w-]+) (\w+),", out, re.M)
            assert ("appendfsync", "always") in changes, out
            for name, value in changes:
                r.config_set(name, value)
            duty.over("What the doctor says")


# -- the store ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["truncate", "drop database"],
                         ids=lambda x: x.replace(" ", "-"))
def test_the_store_is_lost_and_rebuilt(seed, way, figure):
    with LostStack(seed) as stack:
        history = worked(stack)
        stack.drain()
        {"truncate": lost.truncate,
         "drop database": lost.drop_database}[way](stack)
        stack.wait_state("quarantine")
        with Duty(stack) as duty:
            out = duty.steps("The store is lost")
            assert stack.store_uuid() in out
            seconds, _ = duty.page("Rebuild the store")
            figure(way, f"healthy {seconds:.1f} s after adopt")
        stack.drain()
        stack.verify(history)
        stack.sccctl_verify()


def test_the_old_store_is_brought_back(seed):
    with LostStack(seed) as stack:
        history = worked(stack)
        stack.drain()
        kept = stack.fresh_cluster(True)
        stack.wait_state("quarantine")

        def start():
            os.rename(stack.pg.data, stack.pg.data + ".wrong")
            os.rename(kept, stack.pg.data)
            stack.pg.start()
        with Duty(stack, start_postgresql=start) as duty:
            duty.page("Bring the old store back")
        stack.verify(history)


def test_the_store_went_back(seed):
    with LostStack(seed, edge=False) as stack:
        first = worked(stack)
        stack.drain()
        stack.pg.stop()
        copy = stack.pg.data + ".copy"
        lost.run(["cp", "-a", stack.pg.data, copy])
        stack.pg.start()
        with Load(stack, clients=3, readers=0, pause=0.01, turn=1) as load:
            load.more(60, 30)
        stack.nginx.reload()
        stack.drain()
        stack.pg.stop()
        lost.run(["rm", "-rf", stack.pg.data])
        lost.run(["mv", copy, stack.pg.data])
        stack.pg.start()
        with Duty(stack) as duty:
            duty.page("The store went back")
        stack.drain()
        stack.verify(lost.joined(first, load.history))


def test_the_store_is_down(seed):
    with LostStack(seed) as stack:
        history = worked(stack)
        stack.pg.stop()
        stack.wait_state("stale")
        with Duty(stack) as duty:
            duty.page("The store is down")
        stack.drain()
        stack.verify(history)


def test_the_applier_stopped(seed):
    with LostStack(seed, edge=False) as stack:
        stack.pg.query("ALTER TABLE scc.contribution RENAME body TO b")
        history = worked(stack)
        wait_until(lambda: "applying has stopped" in stack.nginx.log(), 20,
                   "the applier to stop")
        with Duty(stack) as duty:
            out = duty.steps("The applier stopped")
            assert "SQLSTATE" in out
            stack.pg.query("ALTER TABLE scc.contribution RENAME b TO body")
            duty.over("The applier stopped", 90)
        stack.drain(60)
        stack.verify(history)


def test_the_roster_is_lost(seed):
    with LostStack(seed, edge=False) as stack:
        worked(stack)
        stack.drain()
        stack.pg.query("SET session_replication_role = replica; "
                       "DELETE FROM scc.contributor WHERE id LIKE "
                       "'volunteer%'; DELETE FROM scc.number WHERE kind = "
                       "'contributor' AND id LIKE 'volunteer%'")
        with Duty(stack) as duty:
            out = duty.steps("The roster is lost")
            assert "DIFFERS contributor volunteer" in out
            os.unlink("/var/tmp/roster.csv")
            duty.steps("Rebuild the store")
            duty.over("The roster is lost")


# -- Redis, the edge ---------------------------------------------------------


def test_the_queue_is_lost(seed):
    with LostStack(seed, edge=False) as stack:
        history = worked(stack)
        stack.queue.kill()
        os.system(f"rm -rf {stack.queue.dir}/append*")
        with Load(stack, clients=2, readers=0, turn=1) as load:
            load.more(20, 30)
        with Duty(stack) as duty:
            duty.page("The queue is lost")
        stack.drain()
        stack.verify(lost.joined(history, load.history))


def test_the_cache_is_lost(seed):
    with LostStack(seed, edge=False) as stack:
        worked(stack)
        stack.drain()
        stack.cache.kill()
        with Duty(stack) as duty:
            duty.page("The cache is lost")


def test_the_edge_is_stale(seed):
    with LostStack(seed) as stack:
        worked(stack, 20)
        stack.drain()
        place = "/v1/places/" + stack.sample[2]
        old = stack.edge.get(place).body
        stack.pg.query("UPDATE scc.place SET name = 'another' WHERE id = %s",
                       (stack.sample[2],))
        wait_until(lambda: b"another" in stack.nginx.get(place).body, 10,
                   "the change")
        assert stack.edge.get(place).body == old
        with Duty(stack, place=stack.sample[2]) as duty:
            duty.page("The edge is stale")
        wait_until(lambda: b"another" in stack.edge.get(place).body, 10,
                   "the edge")


# -- the journal -------------------------------------------------------------


def test_the_journals_disk_is_full(seed):
    with small_disk(48 << 20) as path, \
            LostStack(seed, edge=False, dirs=[path]) as stack:
        ballast = os.path.join(os.path.dirname(path), "old-backup")
        with Load(stack, clients=3, readers=0) as load:
            load.more(20, 30)
            subprocess.run(["dd", "if=/dev/zero", "bs=1M", "of=" + ballast],
                           stderr=subprocess.DEVNULL, check=False)
            wait_until(lambda: "disk is full" in stack.nginx.log()
                       or "cannot be written" in stack.nginx.log(), 60,
                       "the journal to be full", 0.1)
            with Duty(stack) as duty:
                out = duty.steps("The journal's disk is full")
                assert re.search(r"(9[0-9]|100)%", out), out
                os.unlink(ballast)
                duty.over("The journal's disk is full")
            load.more(20, 30)
        stack.drain()
        stack.verify(load.history)


def test_the_journal_cannot_be_written(seed):
    with small_disk(64 << 20) as path, \
            LostStack(seed, edge=False, dirs=[path]) as stack:
        history = worked(stack, 30)
        stack.drain()
        with Duty(stack, reload_nginx=lambda: reload(stack, duty)) as duty:
            stop_writes(os.path.dirname(path))
            with Load(stack, clients=2, readers=0, turn=1, tries=1):
                wait_until(lambda: "cannot be written" in stack.nginx.log(),
                           30, "the disk's error", 0.1)
            title = "The journal cannot be written"
            duty.steps(title)
            with Load(stack, clients=2, readers=0, turn=2) as load:
                duty.over(title)
                load.more(20, 30)
            stack.drain(orphans=False)
            out = runbook.shell('. "$RUNBOOK_ENV"\n' + PAGES[title].after[0],
                                duty.env)
            assert "no difference" in out.stdout
        acked = {x["event_id"] for x in history.acked() + load.history.acked()}
        assert acked <= stack.known()


def reload(stack, duty):
    """A person has put the new directory into the configuration."""
    stack.dirs.append(os.path.join(duty.values["SPARE"], "journal"))
    stack.nginx.write(SCC=re.sub(r"scc_journal [^;]*;",
                                 f"scc_journal {stack.dirs[1]};",
                                 stack.nginx.values["SCC"]))
    stack.nginx.reload()


def test_dead_letters(seed):
    """A letter that was refused for a fault of ours, since mended."""
    with LostStack(seed, edge=False) as stack:
        stack.pg.query("ALTER TABLE scc.comment ADD CONSTRAINT ours "
                       "CHECK (comment <> 'x') NOT VALID")
        a = stack.nginx.get("/v1/contributions", {
            "Content-Type": "application/json", "X-Contributor": "u1",
            "X-Name": "n"}, "POST", b'{"kind":"comment","placeId":"p",'
            b'"comment":"x"}')
        assert a.status == 202, a
        wait_until(lambda: stack.pg.query(
            "SELECT count(*) FROM scc.dead_letter") == [(1,)], 20,
            "the letter")
        stack.pg.query("ALTER TABLE scc.comment DROP CONSTRAINT ours")
        with Duty(stack) as duty:
            out = duty.steps("Dead letters")
            assert "open" in out
            _, out = duty.over("Dead letters")
            assert "no dead letter" in out


def test_the_clock_is_wrong(seed):
    with LostStack(seed, edge=False) as stack:
        with Duty(stack) as duty:
            out = duty.steps("The clock is wrong")
            assert "date:" in out.lower()
            duty.over("The clock is wrong")


def test_the_off_site_copy(seed):
    """Late, then there; then the machine is lost, and it is all there is."""
    with LostStack(seed, edge=False) as stack:
        history = worked(stack)
        stack.drain()
        with Duty(stack) as duty:
            duty.page("The off-site copy is late")
            page = PAGES["The off-site copy is late"]
            out = runbook.shell('. "$RUNBOOK_ENV"\n' + page.after[0],
                                duty.env).stdout
            assert "sha256" in out or "equal" in out, out
            stack.nginx.quit()
            duty.steps("The machine is lost")
        back = os.path.join(duty.values["SPARE"], "back")
        # (sealed, when nginx ended)
        names = {f.split(".")[0] for _, _, files in os.walk(back)
                 for f in files}
        assert {f.split(".")[0] for f in os.listdir(stack.dirs[0])
                if f.endswith(".seg")} <= names
        assert history.acked()
