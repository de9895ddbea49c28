"""Fairness: pushes to one user, and heartbeats, while a load without a pause goes to all connections."""

import bisect
import os
import selectors
import subprocess
import time
from pathlib import Path

from .clients import Backend, SocketIo, event, metrics
from .paths import TURTED
from .proving import Claim, turted
from .run import GENERATOR_CORE, RUN_WAIT, Failed
from .tables import number

EVERYONE = 10_000
# The loads, and whether the targets of the design hold for them. In the first, one dispatch to all is always
# under way and another one waits. In the second, so many wait that all sockets are full; the design does not
# cover that.
CROWDS = [
    ("one push to 10,000 is always under way", ["--inflight", "2"], True),
    ("64 pushes of 4 KiB to 10,000 wait, all sockets are full", ["--inflight", "64", "--pushers", "8", "--payload", "4096"], False),
]
BEATING, BEAT_SECONDS = 20, 2
PUSH_PAUSE = 0.02
PUSH_MS_MAX, BEAT_MS_MAX = 20, 20
# If the server had to wait longer than this for its processor, other processes held it up.
CALM_MS_MAX = 1
# At least this share of the observations must be from times when the server was not held up.
CALM_SHARE_MIN = 0.5
# After it was held up, the server needs this time to catch up.
CATCH_UP = 0.05
# Messages that were under way before the observation began are read first, and not judged.
SETTLE = 0.3
# The generator has a lower priority than the observed clients, because they all share one core.
GENERATOR_NICE = 10
# Priorities of the server and of the observing process, where they are allowed: other processes must not
# matter.
URGENT, USUAL = (os.SCHED_RR | os.SCHED_RESET_ON_FORK, 1), (os.SCHED_OTHER, 0)


class Look:
    """Observes how one server treats pushes to one user, and the heartbeats of some clients."""

    def __init__(self, port, admin, pid):
        self.port, self.admin = port, admin
        self.held = Held(pid)
        self.user = SocketIo(port)
        self.user.ident("adam")
        self.clients = [self.later(SocketIo, port) for _ in range(BEATING)]
        self.selector = selectors.DefaultSelector()
        for client in [self.user, *self.clients]:
            client.socket.setblocking(False)
            self.selector.register(client.socket, selectors.EVENT_READ, client)
        self.beats = {client: [] for client in self.clients}
        # When each push began and arrived.
        self.pushes = []

    @staticmethod
    def later(client, port):
        """Opens clients at different times, so that their heartbeats are spread."""
        time.sleep(BEAT_SECONDS / BEATING)
        return client(port)

    def work(self, seconds, is_over):
        # The server closes a connection that is idle for a while, so the backend opens a new one.
        backend, end = Backend(self.port), time.monotonic() + seconds
        while time.monotonic() < end and not is_over():
            self.push(backend)
            self.watch(PUSH_PAUSE, lambda: False)

    def push(self, backend):
        self.held.look()
        begin = time.monotonic()
        backend.push(event("x", users=["adam"]))
        got = []
        self.watch(RUN_WAIT, lambda: got, got)
        if not got:
            raise Failed("a push to one user did not arrive")
        self.pushes.append((begin, got[0]))

    def watch(self, seconds, is_enough, got=None):
        """Reads messages for some time. Adds to `got` the time at which an event for the user came."""
        end = time.monotonic() + seconds
        while not is_enough() and (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                self.read(key.data, time.monotonic(), got)
            self.held.look()

    def read(self, client, now, got):
        client.fill()
        while (message := client.message()) is not None:
            if message == "2":
                client.send("3")
                self.beats.get(client, []).append(now)
            elif "EVENT" in message and client is self.user and got is not None:
                got.append(now)

    def late(self, begin):
        """When heartbeats since `begin` were due and came. The heartbeat of a client that was
        least late tells when the others of that client are due."""
        found = []
        for beats in self.beats.values():
            first = min(beat - turn * BEAT_SECONDS for turn, beat in enumerate(beats))
            found += [(first + turn * BEAT_SECONDS, beat) for turn, beat in enumerate(beats) if beat >= begin]
        return found


class Held:
    """How long the server was ready to run, but other processes ran instead."""

    def __init__(self, pid):
        self.pid = pid
        self.times, self.millis = [], []

    def look(self):
        self.times.append(time.monotonic())
        self.millis.append(waiting_ms(self.pid) + stolen_ms())

    def between(self, begin, end):
        first = max(0, bisect.bisect_right(self.times, begin) - 1)
        last = min(len(self.times) - 1, bisect.bisect_left(self.times, end))
        return self.millis[last] - self.millis[first]

    def calm(self, spans):
        """The spans of time in which the server was not held up."""
        return [(begin, end) for begin, end in spans if self.between(begin - CATCH_UP, end) <= CALM_MS_MAX]


def waiting_ms(pid):
    """How long the threads of a process were ready to run and waited for a processor."""
    paths = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[1]) for path in paths) / 1e6


def stolen_ms():
    """How long other virtual machines ran on the processors of this one."""
    ticks = int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def hurry(pid, policy, priority):
    """Gives all threads of a process this priority, if that is allowed."""
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setscheduler(int(task), policy, os.sched_param(priority))
        except PermissionError:
            return


def fair(seconds):
    os.sched_setaffinity(0, {int(GENERATOR_CORE)})
    try:
        for crowd, arguments, is_expected in CROWDS:
            with turted({"TURTED_SOCKETIO_PING_INTERVAL": f"{BEAT_SECONDS}s"}) as (port, admin, pid):
                hurry(pid, *URGENT)
                hurry(os.getpid(), *URGENT)
                look = Look(port, admin, pid)
                speed, begin = crowded(look, arguments, seconds)
            yield from claims(look, f"{crowd} ({number(speed)} deliveries per second)", begin, is_expected)
    finally:
        hurry(os.getpid(), *USUAL)
        os.sched_setaffinity(0, range(os.cpu_count()))


def crowded(look, arguments, seconds):
    """Observes while the generator sends to all: deliveries per second in that time, and when it began."""
    command = ["nice", "-n", str(GENERATOR_NICE), TURTED, "bench", "--url", f"http://127.0.0.1:{look.port}"]
    command += ["--connections", str(EVERYONE), *arguments, "--duration", f"{seconds + 5}s"]
    generator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + RUN_WAIT
        while metrics(look.admin)["deliveries"] < 2 * EVERYONE:
            if time.monotonic() > deadline or generator.poll() is not None:
                raise Failed("the generator does not push")
            look.watch(0.2, lambda: False)
        before = metrics(look.admin)["deliveries"]
        look.watch(SETTLE, lambda: False)
        begin = time.monotonic()
        look.work(seconds, lambda: generator.poll() is not None)
        return (metrics(look.admin)["deliveries"] - before) / (time.monotonic() - begin), begin
    finally:
        generator.terminate()
        generator.wait()


def claims(look, crowd, begin, is_expected):
    text, beats = "of these, while the server had its core", look.late(begin)
    yield Claim(f"pushes to one user while {crowd}", spread(look.pushes), None)
    yield within(text, look.held.calm(look.pushes), len(look.pushes), PUSH_MS_MAX if is_expected else None)
    yield Claim(f"heartbeats meanwhile, every {BEAT_SECONDS} s: lateness", spread(beats), None)
    yield within(text, look.held.calm(beats), len(beats), BEAT_MS_MAX if is_expected else None)

    """The claim that all `spans` took at most `most` ms. Too few of them beside `seen` prove nothing."""
def within(text, spans, seen, most):
    """The claim that all `spans` took at most `most` ms. Too few of them beside `seen` prove nothing."""
    millis = [milliseconds(span) for span in spans]
    if most is None:
        return Claim(text, spread(spans), None)
    return Claim(f"{text}: <= {most} ms", spread(spans), len(millis) > seen * CALM_SHARE_MIN and max(millis) <= most)


def milliseconds(span):
    begin, end = span
    return (end - begin) * 1000


def spread(spans):
    if not spans:
        return "none"
    ordered = sorted(map(milliseconds, spans))
    at = lambda share: number(ordered[min(len(ordered) - 1, int(len(ordered) * share))])
    return f"p50 {at(0.5)}, p99 {at(0.99)}, max {at(1)} ms, of {len(ordered)}"
