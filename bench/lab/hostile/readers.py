"""Large events and frames of one's own, for clients that do not read, and for those that do."""

import json
import threading

from .lines import HONEST, UNREAD_BUFFER_BYTES, Line, Polling, SocketIo, V1, pump, request, text_frame

# ECHO of nearly 64 KiB, in a burst.
ECHOERS, ECHOES, ECHO_BYTES = 40, 100, 60_000
USERS, OWN_BYTES, OWN_ROUNDS, USERS_EACH = 2_000, 100_000, 2, 100
SEND_SECONDS = 10
# Six in a row, to those who read as fast as they can.
LARGE, LARGE_SIZES = 6, (400_000, 600_000)
STALLED, STALLED_ROUNDS, STALLED_BYTES = 100, 20, 1_000_000
LAST_CHUNK = b"\r\n0\r\n\r\n"
# What an inbox and the log own beside the backlogs.
BACKLOG_BYTES = 64 * 1024 * 1024
LOG_BYTES = 64 * 1024 * 1024


def echoes(attack):
    """A burst of ECHO from clients that never read."""
    attack.begin()
    lines = [attack.line(V1, receive_bytes=UNREAD_BUFFER_BYTES) for _ in range(attack.count(ECHOERS))]
    echo = text_frame(json.dumps({"id": 1, "do": "echo", "data": "x" * ECHO_BYTES}).encode())
    pump(lines, echo * ECHOES, SEND_SECONDS, reads=False)
    attack.bound = BACKLOG_BYTES + len(lines) * 200_000
    attack.hold()


def own_frames(attack):
    """Users who never read, and are sent 100 kB each by their name: nothing is shared."""
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
    attack.bound = BACKLOG_BYTES + LOG_BYTES
    # What is waited for is theirs, not what the backend sent.
    attack.pushed = OWN_ROUNDS * count * OWN_BYTES
    attack.notes.append(f"{refused} of {OWN_ROUNDS * count // USERS_EACH} pushes refused")
    attack.hold()


def stalled(attack):
    """Clients of five wires that stall, and 20 broadcasts of 1 MB."""
    attack.begin()
    for turn in range(attack.count(STALLED)):
        stall(attack, turn)
    for _ in range(STALLED_ROUNDS):
        attack.push("x" * STALLED_BYTES, broadcast=True)
    attack.bound = BACKLOG_BYTES + LOG_BYTES
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
            attack.check(f"{size // 1000} kB over {reader.name}: {reader.found} of {LARGE}", reader.found == LARGE)
            reader.close()
    attack.hold(least=0, must_end=False)


class Reader:
    """Reads on a thread of its own, and counts the events, by their ends, that came in order."""

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
    line = Line(target, HONEST)
    ask = request("POST", f"/turted/0/reads{id(line)}/xhr_streaming")
    line.send(ask)
    line.take_until(b"o\n")
    take, tail = raw(line), b""

    def read():
        nonlocal tail
        data = take()
        tail = (tail + data)[-len(LAST_CHUNK) :]
        # A response that has been long ends, and the client asks for the next.
        if tail == LAST_CHUNK:
            line.send(ask)
        return data

    return line, read
