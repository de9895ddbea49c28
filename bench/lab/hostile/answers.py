"""Answers that clients do not read, or read one byte at a time; and honest clients on a slow link."""

import json
import selectors
import time

from .http2 import Http2, settings
from .lines import UNREAD_BUFFER_BYTES, Polling, request
from .target import until

ASSET_BYTES = 1_000_000
# 8 connections with as many streams as one may have.
H2_CONNECTIONS, H2_STREAMS = 8, 96
# 380 polls and one broadcast of 1 MB.
POLLS, POLLED_BYTES = 380, 1_000_000
SCRIPT_PATH = "/socket.io/?EIO=3&transport=polling&j=0"
# An answer of 400 kB at 20 kB a second.
SLOW_BYTES, SLOW_RATE, SLOW_STEP = 400_000, 20_000, 0.1
# The events of the stream, and how the last one ends.
SLOW_EVENTS, LAST = 2, "-the-end-"
READERS, TRICKLE_SECONDS, TRICKLE_EVERY = 200, 24, 2
# Larger than the kernel's buffers for a client that does not read.
TRICKLED_BYTES = 900_000


def assets_http2(attack):
    """Asks for a file in 26 kB of frames; the windows of the streams are closed."""
    (attack.target.folder / "assets" / "socket.io.js").write_bytes(b"/" * ASSET_BYTES)
    attack.begin()
    for _ in range(attack.count(H2_CONNECTIONS)):
        line = attack.line(Http2, window=0)
        line.send(b"".join(line.opening("GET", "/socket.io/socket.io.js")[0] for _ in range(H2_STREAMS)))
    # The server may keep one copy of the file.
    attack.pushed += ASSET_BYTES
    attack.hold()


def assets_http1(attack):
    """The same over HTTP/1.1: the requests are pipelined and no answer is read."""
    (attack.target.folder / "assets" / "socket.io.js").write_bytes(b"/" * ASSET_BYTES)
    attack.begin()
    for _ in range(attack.count(H2_CONNECTIONS * H2_STREAMS)):
        line = attack.line(receive_bytes=UNREAD_BUFFER_BYTES)
        line.send(b"GET /socket.io/socket.io.js HTTP/1.1\r\nHost: a\r\n\r\n")
    attack.pushed += ASSET_BYTES
    attack.hold()


def polls_http1(attack):
    attack.begin()
    for _ in range(attack.count(POLLS)):
        line = attack.line(Polling, receive_bytes=UNREAD_BUFFER_BYTES)
        line.connect()
        line.poll()
    attack.push("x" * POLLED_BYTES, broadcast=True)
    attack.hold()


def polls_http2(attack):
    attack.begin()
    left = attack.count(POLLS)
    while left > 0:
        line = attack.line(Http2)
        paths = [polling_session(line) for _ in range(min(left, H2_STREAMS))]
        line.send(settings(window=0))
        line.send(b"".join(line.opening("GET", path)[0] for path in paths))
        left -= len(paths)
    attack.push("x" * POLLED_BYTES, broadcast=True)
    attack.hold()


def polls_script(attack):
    """The same by JSONP of Engine.IO 3, whose answers are scripts."""
    attack.begin()
    for _ in range(attack.count(POLLS)):
        line = attack.line(receive_bytes=UNREAD_BUFFER_BYTES)
        _, script = line.ask("GET", SCRIPT_PATH)
        sid = script.split(b'sid\\":\\"')[1].split(b"\\")[0].decode()
        line.send(request("GET", f"{SCRIPT_PATH}&sid={sid}"))
    attack.push("x" * POLLED_BYTES, broadcast=True)
    # The log keeps the payload as it is, and the answers contain it once more, escaped for scripts.
    attack.pushed += POLLED_BYTES
    attack.hold()


def sockjs_http2(attack):
    """Streams of SockJS over HTTP/2, with small windows."""
    attack.begin()
    for connection in range(attack.count(H2_CONNECTIONS // 2)):
        line = attack.line(Http2, window=4_000)
        for stream in range(H2_STREAMS):
            line.send(line.opening("POST", f"/turted/0/{connection}-{stream}/xhr_streaming")[0])
    time.sleep(1)
    attack.push("x" * POLLED_BYTES, broadcast=True)
    # The log keeps the payload as it is, and a frame of SockJS contains it once more.
    attack.pushed += POLLED_BYTES
    attack.hold()


def polling_session(line):
    """Connects a polling session over HTTP/2. Returns its path."""
    _, body = line.ask("GET", Polling.PATH)
    path = f"{Polling.PATH}&sid={json.loads(body[1:])['sid']}"
    line.ask("POST", path, b"40")
    line.ask("GET", path)
    return path


def slow_http2(attack):
    """Not hostile: a poll and an event stream over HTTP/2, which read 400 kB at 20 kB a second each."""
    attack.begin()
    lines = {"poll": attack.line(Http2), "stream": attack.line(Http2)}
    path = polling_session(lines["poll"])
    lines["poll"].ask("POST", path, b'42["JOIN",{"channel":"poll"}]')
    lines["poll"].ask("GET", path)
    streams = {}
    for name, target in (("poll", path), ("stream", "/sse?channel=stream")):
        lines[name].send(settings(window=0))
        streams[name] = lines[name].begin("GET", target)
        # Lets the head of a stream and its first fields through.
        lines[name].allow(streams[name], 1_000)
    time.sleep(0.5)
    attack.push("x" * SLOW_BYTES + LAST, channels=["poll"])
    # The other events wait for seconds behind the first one, whose bytes are read all the time.
    for _ in range(SLOW_EVENTS):
        attack.push("x" * (SLOW_BYTES // SLOW_EVENTS), channels=["stream"])
    attack.push(LAST, channels=["stream"])
    for name, (came, is_whole) in read_slowly(lines, streams).items():
        attack.check(f"slow {name}: {came:,} bytes came, {'all' if is_whole else 'not all'}", is_whole)
    attack.hold(least=0, must_end=False)


def read_slowly(lines, streams):
    """Lets 20 kB a second through on each stream. Returns the bytes that came, and whether that is all."""
    selector = selectors.DefaultSelector()
    for name, line in lines.items():
        selector.register(line.socket, selectors.EVENT_READ, name)
    answers = {name: line.streams[streams[name]] for name, line in lines.items()}
    deadline, broken = time.monotonic() + 1.5 * SLOW_BYTES / SLOW_RATE, set()
    is_whole = lambda name: LAST.encode() in answers[name].body[-100:]
    is_done = lambda name: name in broken or answers[name].is_over or is_whole(name)
    while time.monotonic() < deadline and not all(map(is_done, lines)):
        for name in [name for name in lines if not is_done(name)]:
            guarded(broken, name, lambda: lines[name].allow(streams[name], int(SLOW_RATE * SLOW_STEP)))
        turn_end = time.monotonic() + SLOW_STEP
        while (left := turn_end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if not guarded(broken, key.data, lines[key.data].step):
                    selector.unregister(key.fileobj)
    return {name: (len(answers[name].body), is_whole(name)) for name in lines}


def guarded(broken, name, action):
    try:
        action()
        return True
    except OSError:
        broken.add(name)
        return False


def trickle_http1(attack):
    """Event streams whose clients read one byte every two seconds."""
    attack.begin()
    lines = [attack.line(receive_bytes=UNREAD_BUFFER_BYTES) for _ in range(attack.count(READERS))]
    for line in lines:
        line.send(request("GET", "/sse"))
    time.sleep(1)
    attack.push("x" * TRICKLED_BYTES, broadcast=True)
    trickle(attack, lambda: [line.socket.recv(1) for line in lines])


def trickle_http2(attack):
    """The same over HTTP/2, where a window of one byte lets exactly one byte through."""
    attack.begin()
    lines = [attack.line(Http2, window=200) for _ in range(attack.count(2))]
    streams = [(line, line.begin("GET", "/sse")) for line in lines for _ in range(H2_STREAMS)]
    time.sleep(1)
    attack.push("x" * TRICKLED_BYTES, broadcast=True)
    trickle(attack, lambda: [line.allow(stream, 1) for line, stream in streams])


def trickle(attack, take_one_byte):
    """Reads one byte of each stream every two seconds, until the server has cut them."""
    def is_over():
        try:
            take_one_byte()
        except OSError:
            return True
        return attack.target.gauges().get("connections", 99) <= 2

    is_cut, seconds = until(is_over, TRICKLE_SECONDS, TRICKLE_EVERY)
    attack.check(f"{'cut' if is_cut else 'not cut'} after {seconds:.0f} s", is_cut)
    attack.hold(least=0)
