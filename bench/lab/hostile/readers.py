"""Large events, and frames for one client alone, for clients that do not read and for clients that do."""

import json
import threading
import time
from types import SimpleNamespace

from .attack import CONNECTION_BYTES
from .lines import HONEST, UNREAD_BUFFER_BYTES, Line, Polling, SocketIo, V1, pump, request, text_frame

# ECHO of nearly 64 KiB, in a burst.
ECHOERS, ECHOES, ECHO_BYTES = 40, 100, 60_000
USERS, OWN_BYTES, OWN_ROUNDS, USERS_EACH = 2_000, 100_000, 2, 100
SEND_SECONDS = 10
# Six pushes in a row, to clients that read as fast as they can.
LARGE, LARGE_SIZES = 6, (400_000, 600_000)
# Together less than an outbox, because honest clients receive them too.
STALLED, STALLED_ROUNDS, STALLED_BYTES = 100, 12, 1_000_000
LAST_CHUNK = b"0\r\n\r\n"
# The memory may exceed the counted bytes by a fifth: the allocator has four sizes per power of two.
ALLOCATED = 1.2
BACKLOG_BYTES = 64 * 1024 * 1024
# The log beside the backlogs; and a message that is not complete yet, in a buffer that doubles.
LOG_BYTES, MESSAGE_BYTES = 64 * 1024 * 1024, 2 * 64 * 1024


def echoes(attack):
    """A burst of ECHO from clients that never read."""
    attack.begin()
    lines = [attack.line(V1, receive_bytes=UNREAD_BUFFER_BYTES) for _ in range(attack.count(ECHOERS))]
    echo = text_frame(json.dumps({"id": 1, "do": "echo", "data": "x" * ECHO_BYTES}).encode())
    pump(lines, echo * ECHOES, SEND_SECONDS, reads=False)
    attack.bound = ALLOCATED * BACKLOG_BYTES + len(lines) * (CONNECTION_BYTES + MESSAGE_BYTES)
    attack.hold()


def own_frames(attack):
    """Users that never read, and are sent 100 kB each under their own name: their frames are not shared."""
    count = attack.count(USERS)
    lines = [attack.line(V1, receive_bytes=UNREAD_BUFFER_BYTES) for _ in range(count)]
    for number, line in enumerate(lines):
        line.ident(f"user-{number}")
    attack.begin()
    attack.connections = count
    names = [f"user-{number}" for number in range(count)]
    refused = 0
    for _ in range(OWN_ROUNDS):
        for start in range(0, count, USERS_EACH):
            refused += not attack.push("x" * OWN_BYTES, users=names[start : start + USERS_EACH])
    attack.bound = ALLOCATED * BACKLOG_BYTES + LOG_BYTES
    # What waits belongs to the users. The bytes that the backend sent are fewer.
    attack.pushed = OWN_ROUNDS * count * OWN_BYTES
    attack.notes.append(f"{refused} of {OWN_ROUNDS * count // USERS_EACH} pushes refused")
    attack.hold()


def stalled(attack):
    """Clients of five wires that stall, and 12 broadcasts of 1 MB."""
    attack.begin()
    for turn in range(attack.count(STALLED)):
        stall(attack, turn)
    for _ in range(STALLED_ROUNDS):
        attack.push("x" * STALLED_BYTES, broadcast=True)
    # Copies in the log, and as a frame of each wire.
    attack.copies, attack.bound = 6, ALLOCATED * BACKLOG_BYTES + LOG_BYTES
    attack.hold()


def stall(attack, turn):
    small = {"receive_bytes": UNREAD_BUFFER_BYTES}
    if turn % 5 == 0:
        attack.line(V1, **small)
    elif turn % 5 == 1:
        attack.line(SocketIo, **small)
    elif turn % 5 == 2:
        attack.line(**small).send(request("GET", "/sse"))
    elif turn % 5 == 3:
        attack.line(**small).send(request("POST", f"/turted/0/stalled{turn}/xhr_streaming"))
    else:
        line = attack.line(Polling, **small)
        line.connect()
        line.poll()


def large_events(attack):
    """Not hostile: six events of 400 kB and six of 600 kB in a row, over each transport."""
    attack.begin()
    for size in LARGE_SIZES:
        readers = [Reader(attack.target, make) for make in (websocket, socketio, stream, polls, sockjs)]
        for number in range(LARGE):
            attack.push("x" * size + f"<{number}>", broadcast=True)
        for reader in readers:
            reader.thread.join(15)
            reader.close()
        told = ", ".join(f"{reader.name} {reader.found}" for reader in readers)
        attack.check(f"{size // 1000} kB, of {LARGE} came: {told}", all(reader.found == LARGE for reader in readers))
    attack.hold(least=0, must_end=False)


class Reader:
    """Reads on a thread of its own. Counts the events that came in order, by their ends."""

    def __init__(self, target, make):
        self.name, self.found, self.seen = make.__name__, 0, b""
        self.line, read = make(target)
        self.thread = threading.Thread(target=self.work, args=(read,), daemon=True)
        self.thread.start()

    def work(self, read):
        try:
            while self.found < LARGE:
                self.seen = self.seen[-8:] + read()
                while b"<%d>" % self.found in self.seen:
                    self.found += 1
        except (OSError, ValueError):
            pass

    def close(self):
        self.line.close()


def raw(line):
    def read():
        data = line.buffer or line.socket.recv(65_536)
        line.buffer = b""
        if not data:
            raise ConnectionError
        return data

    return read


def websocket(target):
    line = V1(target, HONEST)
    return line, raw(line)


def socketio(target):
    line = SocketIo(target, HONEST)
    return line, raw(line)


def stream(target):
    line = Line(target, HONEST)
    line.send(request("GET", "/sse"))
    line.take_until(b"id: ")
    return line, raw(line)


def polls(target):
    line = Polling(target, HONEST)
    line.connect()

    def read():
        line.poll()
        status, body = line.answer()
        if status != 200:
            raise ConnectionError
        return body

    return line, read


def sockjs(target):
    """Reads a stream whose responses end when they are long, and asks for the next one."""
    path, lines = f"/turted/0/reads{time.monotonic_ns()}/xhr_streaming", []

    def ask():
        lines.append(Line(target, HONEST))
        lines[-1].send(request("POST", path))

    def read():
        try:
            data = raw(lines[-1])()
        except ConnectionError:
            data = LAST_CHUNK
        if data.endswith(LAST_CHUNK):
            lines[-1].close()
            ask()
        return data

    ask()
    lines[0].take_until(b"o\n")
    return SimpleNamespace(close=lambda: lines[-1].close()), read
