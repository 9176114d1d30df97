"""The runbook as a program: its pages, their commands, and what they are run
with."""

import os
import re
import subprocess
import threading
import time

from servers import BUILD, REPO, new_dir

ENGLISH = os.path.join(REPO, "docker", "RUNBOOK.md")
KOREAN = os.path.join(REPO, "docker", "RUNBOOK.ko.md")


class Page:
    def __init__(self, title, text):
        self.title, self.text = title, text
        parts = re.split(r"^```[a-z]*\n(.*?)^```\n", text, flags=re.M | re.S)
        self.blocks = parts[1::2]
        self.prose = parts[0::2]
        mark = [i for i, p in enumerate(self.prose)
                if re.search(r"\*\*(It is over when|이렇게 되면 끝)", p)]
        self.end = mark[0] if mark else len(self.blocks)

    @property
    def steps(self):
        return self.blocks[:self.end]

    @property
    def over(self):
        return self.blocks[self.end] if self.end < len(self.blocks) else None

    @property
    def after(self):
        return self.blocks[self.end + 1:]


def pages(path):
    with open(path, encoding="utf-8") as f:
        parts = re.split(r"^## (.*)\n", f.read(), flags=re.M)
    return [Page(t, text) for t, text in zip(parts[1::2], parts[2::2])]


class Service:
    """systemctl for the test's servers: a script that a person's commands
    call, and a thread that does it."""

    def __init__(self, actions):
        self.actions = actions          # {(verb, name): function}
        self.dir = new_dir("service")
        self.done, self.errors = [], []
        self.path = os.path.join(self.dir, "service")
        with open(self.path, "w") as f:
            f.write(f"""#!/bin/sh
echo "$1 $2" > {self.dir}/tmp.$$
mv {self.dir}/tmp.$$ {self.dir}/ask.$$
while [ -e {self.dir}/ask.$$ ]; do sleep 0.05; done
""")
        os.chmod(self.path, 0o755)
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        self.thread.join(10)

    def loop(self):
        while not self.end.wait(0.05):
            for name in os.listdir(self.dir):
                if name.startswith("ask."):
                    path = os.path.join(self.dir, name)
                    with open(path) as f:
                        verb, service = f.read().split()
                    try:
                        self.actions[verb, service]()
                        self.done.append((verb, service))
                    except Exception as e:      # noqa: BLE001
                        self.errors.append(repr(e))
                    os.unlink(path)


def environment(path, stack, service, **more):
    """The file that a person has written once."""
    values = {
        "JOURNAL": stack.dirs[0],
        "JOURNALS": " ".join(stack.journals()),
        "PG_ADMIN": stack.pg.conninfo(dbname="postgres"),
        "PG_NEW": stack.pg.conninfo(dbname="scc_new"),
        "CACHE": stack.cache.address, "QUEUE": stack.queue.address,
        "MAP": f"http://127.0.0.1:{stack.nginx.port}/v1",
        "EDGE": f"http://127.0.0.1:{stack.edge.port}" if stack.edge else "",
        "OFFSITE": os.path.join(os.path.dirname(path), "offsite"),
        "SPARE": os.path.join(os.path.dirname(path), "spare"),
        "NGINX_LOG": stack.nginx.error_log,
        "SERVICE": service.path, "PG_SERVICE": "postgresql",
        "CACHE_SERVICE": "cache", "QUEUE_SERVICE": "queue",
        "NGINX_SERVICE": "nginx", **more}
    with open(path, "w", encoding="utf-8") as f:
        for k, v in values.items():
            f.write(f"{k}='{v}'\n")
        f.write(f"export SCC_PG='{stack.pg.conninfo()}'\n")
    return values


def shell(script, env, check=True, limit=120):
    """In one shell that stops at the first command that fails."""
    p = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], text=True, cwd="/",
        env={**os.environ, "RUNBOOK_ENV": env,
             "PATH": os.path.abspath(BUILD) + ":" + os.environ["PATH"]},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
        stdin=subprocess.DEVNULL)
    if check and p.returncode:
        raise AssertionError(f"{script}\nended with {p.returncode}:\n"
                             f"{p.stdout}")
    return p


def over(page, env, limit=60):
    """Polls the page's last command until it succeeds; seconds."""
    began = time.monotonic()
    script = '. "$RUNBOOK_ENV"\n' + page.over
    while True:
        p = shell(script, env, check=False)
        if p.returncode == 0:
            return time.monotonic() - began, p.stdout
        if time.monotonic() - began > limit:
            raise AssertionError(f"{page.title}: not over in {limit} s:\n"
                                 f"{page.over}\n{p.stdout}")
        time.sleep(0.3)
