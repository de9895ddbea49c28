"""Event streams over HTTP/2: what a connection with one stream takes, and each further stream."""

import time

from ..hostile.http2 import Http2
from ..hostile.target import target

CONNECTIONS = 500
# Memory is the slope between a fifth of the connections and all of them.
FIRST = 100
# Streams of each connection: as many as a browser has with a page in ten tabs.
STREAMS = 10
# Seconds until a server has settled.
SETTLE = 0.5


def run(_server, _transport, _arguments, _seconds):
    with target({}, is_tls=True) as server:
        lines = [opened(server) for _ in range(FIRST)]
        first = memory(server)
        lines += [opened(server) for _ in range(CONNECTIONS - FIRST)]
        one = memory(server)
        for line in lines:
            for _ in range(STREAMS - 1):
                subscribe(line)
        more = memory(server)
        for line in lines:
            line.close()
    further = CONNECTIONS * (STREAMS - 1)
    return {"http2": {"bytes_per_connection": (one - first) / (CONNECTIONS - FIRST), "bytes_per_stream": (more - one) / further}}


def opened(server):
    """A connection with one stream."""
    line = Http2(server)
    subscribe(line)
    return line


def subscribe(line):
    """Opens a stream, and waits for the first event of it."""
    stream = line.begin("GET", "/sse?channel=bench-0")
    while not line.streams[stream].body:
        line.step()
        if line.streams[stream].is_over:
            raise ConnectionError("the event stream ended")


def memory(server):
    time.sleep(SETTLE)
    return server.memory()
