"""What the design expects, shown by counters, strace and /proc: one function for each claim."""

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from .clients import V1, Backend, SocketIo, counted, event
from .comparing import MEMORY, PUSHERS
from .paths import TURTED, WORK
from .ports import free_port
from .run import bench, serving
from .tables import number

# No heartbeat is due while calls are counted.
QUIET = {"TURTED_SOCKETIO_PING_INTERVAL": "1h", "TURTED_WEBSOCKET_PING_INTERVAL": "1h"}
IDLE_CONNECTIONS, IDLE_SECONDS = 1_000, 5
CONNECTIONS, PUSHES = 100, 50
# A write that the kernel took only in part counts as two, and a heartbeat is a write of its own.
ROUNDING = 1.01
MEMORY_BYTES_MAX = 1_500
WRITING = ("write", "writev", "sendto", "sendmsg", "sendmmsg")
# Seconds between the start of strace and the first call that it must see.
ATTACH_WAIT = 1.5


class Claim:
    """A sentence of the design, the figure that was found, and whether the sentence holds."""

    def __init__(self, text, figure, holds):
        self.data = [text, figure, holds]


@contextmanager
def turted(settings=None):
    """A server with one worker: its port, the port of its metrics, its process."""
    admin = free_port()
    settings = {"TURTED_ADMIN_LISTEN": f"127.0.0.1:{admin}", **(settings or {})}
    command = lambda port, _folder: [TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]
    with serving(command, settings=settings) as (port, pid):
        yield port, admin, pid


@contextmanager
def traced(pid):
    """System calls of a process while a `with` is under way, by name."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        path = Path(folder) / "calls"
        strace = subprocess.Popen(["strace", "-f", "-qq", "-c", "-o", path, "-p", str(pid)], stderr=subprocess.PIPE)
        calls = {}
        try:
            time.sleep(ATTACH_WAIT)
            if strace.poll() is not None:
                raise OSError(f"strace: {strace.stderr.read().decode().strip()}")
            yield calls
        finally:
            strace.terminate()
            strace.wait()
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit():
                calls[words[-1]] = int(words[3])


def writes_traced(_seconds):
    """Writes as the kernel counts them. The answer to a push is a write too."""
    with turted(QUIET) as (port, _, pid):
        clients = [V1(port) for _ in range(CONNECTIONS)]
        backend = Backend(port)
        one, ten = event("x", broadcast=True), [event("x", broadcast=True)] * 10
        yield from (traced_pushes(pid, clients, backend, pushes) for pushes in (one, ten))


def traced_pushes(pid, clients, backend, pushes):
    count = len(pushes) if isinstance(pushes, list) else 1
    with traced(pid) as calls:
        for _ in range(PUSHES):
            backend.push(pushes)
            for client in clients:
                for _ in range(count):
                    client.read_until("EVENT")
    writes = sum(calls.get(name, 0) for name in WRITING) - PUSHES
    batches = PUSHES * CONNECTIONS
    what = "one event" if count == 1 else f"a batch of {count} events"
    figure = f"{writes:,} writes for {PUSHES} pushes to {CONNECTIONS} connections"
    return Claim(f"one write per connection and batch: {what} (strace)", figure, batches <= writes <= batches * ROUNDING)


def writes_counted(seconds):
    """Writes as the server counts them, with one event under way and with 64."""
    with turted(QUIET) as (port, admin, pid):
        run = lambda seconds, *load: counted(admin, lambda: bench(port, pid, ["--connections", "1000", *load], seconds))
        calm = run(1, "--rate", "1")
        # Messages that connections are sent while they open.
        opening = calm["writes"] - calm["deliveries"]
        for inflight in (1, 64):
            counts = run(seconds, "--inflight", str(inflight), *PUSHERS)
            each = counts["deliveries"] / (counts["writes"] - opening)
            frames = counts["frames_encoded"] / counts["dispatches"]
            figure = f"{number(each)} deliveries per write, {number(frames)} frames per dispatch"
            holds = frames == 1 and (each > 2 if inflight > 1 else 1 / ROUNDING < each < ROUNDING)
            yield Claim(f"writes carry what is there: 1,000 connections, {inflight} outstanding (counters)", figure, holds)


def idle(_seconds):
    with turted(QUIET) as (port, _, pid):
        clients = [SocketIo(port) for _ in range(IDLE_CONNECTIONS)]
        with traced(pid) as calls:
            time.sleep(IDLE_SECONDS)
        writes = sum(calls.get(name, 0) for name in WRITING)
        found = f"{writes} writes, {sum(calls.values())} calls in all in {IDLE_SECONDS} s, {len(clients):,} connections"
        yield Claim("no write while idle (strace)", found, writes == 0)


def encoded_once(_seconds):
    """Two clients on each of three wires; all are sent the same events."""
    with turted(QUIET) as (port, admin, _):
        clients = [make(port) for make in (lambda port: SocketIo(port, 3), SocketIo, V1) for _ in range(2)]
        for client in clients:
            client.join("c")
        backend = Backend(port)

        def push():
            for _ in range(PUSHES):
                backend.push(event("x", channels=["c"]))
            for client in clients:
                for _ in range(PUSHES):
                    client.read_until("EVENT")

        counts = counted(admin, push)
        frames, deliveries = int(counts["frames_encoded"]), int(counts["deliveries"])
        figure = f"{frames} frames for {PUSHES} dispatches on 3 wires, {deliveries} deliveries"
        holds = (frames, deliveries) == (PUSHES * 3, PUSHES * len(clients))
        yield Claim("a frame is encoded once per wire (counters)", figure, holds)


def memory(_seconds):
    """From 1,000 to 10,000 connections: what each connection keeps is in the slope."""
    for transport in ("socketio", "websocket"):
        with turted() as (port, _, pid):
            report = bench(port, pid, ["--transport", transport, "--connections", "10000", "--inflight", "1"], 1)
        _, name = MEMORY.split(".")
        each = report["server"][name]
        text = f"no read buffer, nothing of the upgrade: memory per idle connection, {transport}"
        yield Claim(text, f"{number(each)} bytes", each <= MEMORY_BYTES_MAX)
