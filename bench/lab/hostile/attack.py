"""One input under way: its connections, what it sent, its checks, and the memory that it may cost."""

import json
import time

from .honest import Honest, Others
from .lines import STRANGER, Line
from .target import until

# What a connection may cost up to its first answer, and more over TLS: record layer, buffers, HTTP/2.
CONNECTION_BYTES, TLS_BYTES = 20_000, 60_000
# What each byte that an input sends may cost besides.
PER_BYTE = 20
# Pools that a worker fills once, and the memory of the honest clients.
SLACK_BYTES = 6_000_000
# Copies of what a backend pushes: in the log, in an inbox on its way, and as a frame on two wires.
PUSHED_COPIES = 4
# How long an unread answer (limits.outbox_stall) or a body may stay, with time for timers and the allocator.
HELD_SECONDS, SETTLED_SECONDS = 20, 20


class Attack:
    """The tools of an input. `scale` is 1, or less for a quick run."""

    def __init__(self, target, scale, headers=""):
        self.target, self.scale, self.headers = target, scale, headers
        self.lines, self.gone = [], 0
        self.connections = self.pushed = 0
        self.checks, self.notes = [], []
        self.bound, self.copies = None, PUSHED_COPIES
        self.others = Others(target, headers)
        self.before = None
        self.backend = None

    def count(self, many, least=1):
        return max(least, int(many * self.scale))

    def line(self, make=Line, *arguments, **options):
        """Opens a connection that belongs to the input. It is closed at the end."""
        line = make(self.target, *arguments, **options)
        self.lines.append(line)
        self.connections += 1
        return line

    def drop(self, line, how="close"):
        getattr(line, how)()
        self.gone += line.sent
        self.lines.remove(line)

    def push(self, payload, **targets):
        """Pushes as the backend. Returns whether the push was accepted."""
        self.backend = self.backend or Line(self.target, "127.0.0.3")
        body = json.dumps({"event": "EVENT", "targets": targets, "payload": payload}).encode()
        status, _ = self.backend.ask("POST", "/push/", body, self.headers)
        if status == 200:
            self.pushed += len(body)
        return status == 200

    def position(self):
        """The current position in the log."""
        line = Line(self.target)
        line.send(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line.take_until(b"id: ")
        position = line.take_until(b"\n").decode()
        line.close()
        return position

    def begin(self):
        """Begins to measure what the server takes, and how long others wait."""
        time.sleep(0.3)
        self.target.forget_most_memory()
        self.before = (self.target.memory(), self.target.cpu_seconds(), self.sent())
        self.connections = 0
        self.others.begin()

    def sent(self):
        return self.gone + sum(line.sent for line in self.lines)

    def sent_since(self):
        return self.sent() - self.before[2]

    def allowed(self):
        """The memory that the server may take: at most `bound`, if the input has one."""
        each = CONNECTION_BYTES + (TLS_BYTES if self.target.is_tls else 0)
        shares = self.connections * each + self.sent_since() * PER_BYTE + self.pushed * self.copies
        return SLACK_BYTES + (min(self.bound, shares) if self.bound is not None else shares)

    def gained(self):
        return max(0, self.target.most_memory() - self.before[0])

    def check(self, text, holds):
        self.checks.append((text, bool(holds)))

    def hold(self, least=2, most=HELD_SECONDS, must_end=True):
        """Keeps all connections open until the server has closed them itself, or the time is over."""
        time.sleep(least)

        def is_free():
            if not self.target.is_alive():
                return True
            gauges = self.target.gauges()
            # One connection belongs to the honest client, two while it opens another one.
            return gauges.get("connections", 99) <= 2 and not gauges["outbox_bytes"] and self.is_small()

        is_free_now, seconds = until(is_free, most, 0.5)
        if must_end:
            self.check(f"{'let go of' if is_free_now else 'still held'} after {least + seconds:.0f} s", is_free_now)

    def is_small(self):
        return self.target.memory() - self.before[0] <= self.allowed()

    def finish(self):
        """Ends everything and checks whether the server is as it was before. Returns the report."""
        sent, gained = self.sent_since(), self.gained()
        cpu = self.target.cpu_seconds() - self.before[1]
        allowed = self.allowed()
        felt = self.others.end()
        for line in [*self.lines, *([self.backend] if self.backend else [])]:
            line.close()
        is_alive = self.target.is_alive()
        is_serving = is_alive and serves(self.target, self.headers)
        self.check("serves afterwards" if is_serving else "hangs afterwards" if is_alive else "died", is_serving)
        if is_serving:
            self.check(*self.settled())
        return {
            "sent": sent, "gained": gained, "allowed": allowed, "cpu": cpu, "felt": felt, "checks": self.checks,
            "notes": self.notes,
        }

    def settled(self):
        names = ("connections", "outbox_bytes")
        left = lambda: [f"{name} {gauges.get(name, '?')}" for gauges in [self.target.gauges()] for name in names if gauges.get(name, 1)]
        is_back, _ = until(lambda: not left(), SETTLED_SECONDS)
        return ("gauges are back" if is_back else f"gauges: {', '.join(left())}"), is_back


def serves(target, headers):
    honest = Honest(target, headers)
    try:
        honest.deliver()
        return True
    except (OSError, ValueError):
        return False
    finally:
        honest.close()
