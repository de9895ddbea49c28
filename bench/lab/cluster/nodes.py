"""The sides that are compared: one server in memory, a cluster of one node, and a cluster of three."""

import json
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager

from ..clients import V1, metrics
from ..paths import TURTED, WORK
from ..ports import free_port
from ..proving import QUIET
from ..run import GENERATOR_CORE, SERVER_CORE, SERVER_WAIT, Failed, cpu_ns, serving
from ..sources.brokers import running, wait_for_answer

MEMORY, ONE, THREE = "one server in memory", "a cluster of one node", "a cluster of three nodes"
NODES = {MEMORY: 1, ONE: 1, THREE: 3}
CHANNEL_OF_OTHERS = "others"
# Servers that together took less than this within a while do nothing but what they do when idle: heartbeats, leases.
QUIET_SECONDS, QUIET_NANOSECONDS = 0.25, 10_000_000
IDLE_SECONDS = 2
LOOK_SECONDS = 0.01
# Seconds that all nodes may take until they have read what was pushed.
PATIENCE = 20
PINGS = 5_000


@contextmanager
def side(name):
    """The servers of a side for the time of a `with`."""
    with ExitStack() as programs:
        redis = None if name == MEMORY else programs.enter_context(redis_server())
        nodes = [programs.enter_context(node(redis)) for _ in range(NODES[name])]
        # They start side by side only as far as listening: a node is ready when it follows the log.
        for each in nodes:
            each.wait_until_ready()
        yield Side(redis, nodes)


@contextmanager
def redis_server():
    """A server of Redis that keeps nothing on disk, on the core of the generator."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        # taskset replaces itself with the server.
        with running(["taskset", "-c", GENERATOR_CORE, *command]) as process:
            wait_for_answer("redis-server", process, port, b"PING\r\n")
            yield Redis(port, process.pid)


@contextmanager
def node(redis):
    """A server with one worker: a node, if there is a Redis."""
    admin = free_port()
    settings = {"TURTED_ADMIN_LISTEN": f"127.0.0.1:{admin}", **QUIET}
    if redis:
        settings["TURTED_CLUSTER_URL"] = f"redis://127.0.0.1:{redis.port}/0"
    command = lambda port, _folder: [TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]
    with serving(command, settings=settings) as (port, pid):
        yield Node(port, admin, pid)


class Redis:
    def __init__(self, port, pid):
        self.port, self.pid = port, pid

    def ping_us(self):
        """The median of a PING from the core of the nodes, in microseconds."""
        command = ["taskset", "-c", SERVER_CORE, "redis-benchmark", "-h", "127.0.0.1", "-p", str(self.port)]
        command += ["-c", "1", "-n", str(PINGS), "-t", "ping_mbulk", "--csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        names, values = (json.loads(f"[{line}]") for line in done.stdout.strip().splitlines()[-2:])
        return float(dict(zip(names, values))["p50_latency_ms"]) * 1000


class Node:
    def __init__(self, port, admin, pid):
        self.port, self.admin, self.pid = port, admin, pid

    def wait_until_ready(self):
        deadline = time.monotonic() + SERVER_WAIT
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready", timeout=1):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"a node is not ready: {error}") from error
            time.sleep(0.05)

    def logged(self):
        """Dispatches in its log, which is full at `recovery.log_dispatches`."""
        return int(metrics(self.admin)["log_dispatches"])


class Side:
    """Running servers. Backends push to the first node."""

    def __init__(self, redis, nodes):
        self.redis, self.nodes = redis, nodes
        self.first = nodes[0]

    def fill(self, count):
        """Clients of the last node in a channel of their own."""
        clients = [V1(self.nodes[-1].port) for _ in range(count)]
        for client in clients:
            client.join(CHANNEL_OF_OTHERS)
        return clients

    def cpu(self):
        """Nanoseconds of CPU time so far: of each node, and last of Redis (0 without)."""
        return [*(cpu_ns(each.pid) for each in self.nodes), cpu_ns(self.redis.pid) if self.redis else 0]

    def settle(self):
        """Waits until no server has anything to do, and checks that all nodes have read the same: the CPU time before the
        check. Nothing is asked earlier, because an answer costs CPU time too."""
        deadline = time.monotonic() + PATIENCE
        now = mark = self.cpu()
        since = time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise Failed("the nodes do not come to rest")
            time.sleep(LOOK_SECONDS)
            now = self.cpu()
            if sum(now) - sum(mark) > QUIET_NANOSECONDS:
                mark, since = now, time.monotonic()
        logged = [each.logged() for each in self.nodes]
        if len(set(logged)) > 1:
            raise Failed(f"the logs of the nodes differ: {logged} dispatches")
        return now

    def idle_us(self):
        """CPU time of a node in a second in which nothing is pushed, in microseconds: the mean of all nodes."""
        self.settle()
        before, began = self.cpu(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        spent = sum(self.cpu()[:-1]) - sum(before[:-1])
        return spent / len(self.nodes) / (time.monotonic() - began) / 1000
