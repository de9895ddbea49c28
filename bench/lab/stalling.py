"""What a reader that stalls costs, with frames that others receive too and with frames of its own."""

import re
import subprocess
import time

from .clients import STALLED_BUFFER_BYTES, Backend, SocketIo, event, metrics
from .proving import QUIET, Claim, turted
from .run import look
from .tables import number

STALLED = 200
BYTES_MAX = 300_000
# Bytes of payload. A few large frames fill the outbox by bytes, many small ones by their number.
LARGE, SMALL = 10_000, 100
# A small log: otherwise it would grow by the dispatches that it keeps.
SETTINGS = {**QUIET, "TURTED_RECOVERY_LOG_BYTES": "1MiB"}
# With this outbox a stalled reader stays below the limit also with frames of its own.
LOWERED = "128KiB"
# More rounds than fit into the outbox and the buffers of the kernel.
ROUNDS_MAX = 400
# A reader that takes nothing is cut after `limits.outbox_stall`, 10 s, however little waits.
CUT_SECONDS_MAX = 20
# Pushes in one body: less than 1 MiB.
PORTION = 50


def shared(_seconds):
    """All readers are in one channel: the frames that wait for them exist once."""
    large = [event("x" * LARGE, channels=["c"])]
    yield measured(f"in one channel, events of {LARGE:,} bytes", large, BYTES_MAX)
    small = [event("x" * SMALL, channels=["c"])] * 10
    yield measured(f"in one channel, events of {SMALL} bytes", small, BYTES_MAX)


def alone(_seconds):
    """Each reader is sent as much under its own name: no frame is shared."""
    push = [event("x" * LARGE, users=[f"user-{number}"]) for number in range(STALLED)]
    who = f"with events of {LARGE:,} bytes for each alone"
    yield measured(who, push, None)
    yield measured(f"{who}, limits.outbox_bytes {LOWERED}", push, BYTES_MAX, {"TURTED_LIMITS_OUTBOX_BYTES": LOWERED})


def measured(who, pushes, most, settings=None):
    with turted({**SETTINGS, **(settings or {})}) as (port, admin, pid):
        clients = [SocketIo(port, receive_bytes=STALLED_BUFFER_BYTES) for _ in range(STALLED)]
        for index, client in enumerate(clients):
            client.join("c")
            client.ident(f"user-{index}")
        backend, before = Backend(port), look(pid)["rss_bytes"]
        rss, kernel, rounds = 0, 0, 0
        while rounds < ROUNDS_MAX and not metrics(admin)["closes"]:
            for part in portions(pushes):
                backend.push(part)
            rounds += 1
            rss = max(rss, look(pid)["rss_bytes"] - before)
            kernel = max(kernel, kernel_bytes(port))
        deadline = time.monotonic() + CUT_SECONDS_MAX
        while not metrics(admin)["closes"] and time.monotonic() < deadline:
            time.sleep(0.2)
        cut = int(metrics(admin)["closes"])
    each = (rss + kernel) / STALLED
    figure = f"{number(each / 1000)} kB: server {number(rss / STALLED / 1000)}, kernel {number(kernel / STALLED / 1000)}"
    holds = bool(cut) and (each <= most if most else None)
    return Claim(f"a stalled reader, one of {STALLED} {who}, at most", figure, holds)


def portions(pushes):
    """Splits pushes into bodies that the server accepts."""
    return [pushes[start : start + PORTION] for start in range(0, len(pushes), PORTION)]


def kernel_bytes(port):
    """What the kernel holds for the connections that a server accepted, on its end alone: bytes that were
    received, bytes that are not sent or not acknowledged, and what it reserved for more."""
    command = ["ss", "--tcp", "--memory", "--numeric", "--no-header", "state", "established", "sport", "=", f":{port}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    # man ss: r is allocated for receiving, w for sending, f is reserved.
    sizes = re.findall(r"skmem:\(r(\d+),.*?,f(\d+),w(\d+),", told)
    return sum(int(size) for one in sizes for size in one)
