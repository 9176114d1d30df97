"""F26: the queue's master is lost, Sentinel makes its replica the master, and
that one never got the last entries; then the old master returns.

Three sentinels on loopback; nginx reaches the master through a proxy that
asks them who it is.
"""

import os
import shutil
import threading
import time

import redis

import rig
from rig import QUEUE, Load, Stack
from servers import SERVER_USER, Server, free_port, wait_until

DOWN = 1000                     # ms of silence; then a master is down

CONF = """\
port {port}
bind 127.0.0.1
dir {dir}
sentinel monitor queue 127.0.0.1 {master} 2
sentinel down-after-milliseconds queue {down}
sentinel failover-timeout queue 5000
"""


class Sentinel(Server):
    name = "sentinel"

    def __init__(self, master):
        super().__init__()
        self.port = free_port()
        self.conf = os.path.join(self.dir, "sentinel.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(port=self.port, dir=self.dir, down=DOWN,
                                master=master.tcp_port))
        if SERVER_USER:                 # it writes what it learns
            shutil.chown(self.conf, SERVER_USER)

    def start(self):
        self.spawn(["redis-server", self.conf, "--sentinel"])
        wait_until(self.master, 30, "a sentinel")
        return self

    def stop(self):
        self.kill()

    def ask(self, what):
        """A pair of name and value after the other."""
        with redis.Redis(port=self.port, socket_timeout=5) as r:
            return r.execute_command("SENTINEL", what, "queue")

    def master(self):
        """Its port, or None."""
        self.check_started()
        try:
            return int(self.ask("GET-MASTER-ADDR-BY-NAME")[1])
        except (redis.RedisError, TypeError):
            return None

    def ready(self):
        """Knows the others and the replica."""
        flat = self.ask("MASTER")
        state = dict(zip(flat[::2], flat[1::2]))
        return int(state[b"num-other-sentinels"]) == 2 \
            and int(state[b"num-slaves"]) == 1


class Follow:
    """The proxy's target is whom most sentinels take for the master."""

    def __init__(self, proxy, sentinels):
        self.proxy, self.sentinels = proxy, sentinels
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.loop)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        self.thread.join(30)

    def loop(self):
        while not self.end.wait(0.1):
            said = [x.master() for x in self.sentinels]
            port = max(set(said), key=said.count)
            target = ("127.0.0.1", port)
            if port and said.count(port) > 1 and target != self.proxy.target:
                self.proxy.target = target
                self.proxy.set("refuse")        # who is connected is not
                self.proxy.set("pass")          # with this one


def in_step(master, replica):
    def same():
        a, b = master.r.info("replication"), replica.r.info("replication")
        return b.get("master_link_status") == "up" \
            and a["master_repl_offset"] <= b["slave_repl_offset"]
    return same


def test_f26_a_failover_loses_the_tail(seed, figure):
    master = rig.queue_redis(tcp=True)
    with rig.queue_redis(tcp=True) as replica, \
            Stack(seed, queue=master, proxied=["queue"],
                  allow_log=[r"scc: "]) as stack:
        replica.r.replicaof("127.0.0.1", master.tcp_port)
        wait_until(in_step(master, replica), 30, "the replica")
        with Sentinel(master) as a, Sentinel(master) as b, \
                Sentinel(master) as c, \
                Follow(stack.proxies["queue"], [a, b, c]), \
                Load(stack, clients=6, readers=0, pause=0.05) as load:
            for x in (a, b, c):
                wait_until(x.ready, 60, "the sentinels to know each other",
                           0.1)
            load.more(60, 30)

            stack.pg.sigstop()          # all of it stays in the queue
            load.more(60, 30)
            replica.sigstop()
            master.r.client_kill_filter(_type="slave")
            load.more(100, 30)
            had = master.r.xlen(QUEUE)
            died = time.monotonic()
            master.kill()
            replica.sigcont()
            got = wait_until(lambda: replica.r.xlen(QUEUE), 30,
                             "the replica's queue")
            wait_until(lambda: replica.r.info("replication")["role"]
                       == "master", 60, "the failover", 0.1)
            seconds = time.monotonic() - died
            stack.pg.sigcont()
            load.more(60, 30)
            # what only the old master had is applied all the same
            acked = {x["event_id"] for x in load.history.acked()
                     if x["t1"] < died}
            wait_until(lambda: acked <= stack.known(), 90,
                       "the lost tail to be applied", 0.2)

            # who was the master learns that it is none
            master.start()
            wait_until(in_step(replica, master), 60,
                       "the old master to follow", 0.1)
            load.more(60, 30)
        assert got < had, (seed, got, had, "no tail was lost")
        figure("the queue's entries, before and after",
               f"{had}, {got}; failover after {seconds:.1f} s")
        stack.drain(60)
        stack.verify(load.history)
