"""Replays: asked for by clients that do not read them, that have gone, or that never stop asking."""

import json
import time

from .lines import HONEST, UNREAD_BUFFER_BYTES, Line, SocketIo, V1, request
from .target import until

CLIENTS = 1_000
# What is in the log: 1 MB in dispatches to all connections.
MISSED, MISSED_BYTES = 10, 100_000
# With so many resumes, asked for and reset, an honest one once took 20 s.
RESETS = 14_805
HONEST_RESUME_SECONDS = 2
# The server keeps at most this many lost sessions.
LOST_MAX, LOST, RESUMES = 50, 20, 400


def broadcast_missed(attack):
    for _ in range(MISSED):
        attack.push("x" * MISSED_BYTES, broadcast=True)


def stream_request(position):
    return f"GET /sse HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {position}\r\n\r\n".encode()


def event_streams(attack):
    position = attack.position()
    broadcast_missed(attack)
    attack.begin()
    for _ in range(attack.count(CLIENTS)):
        attack.line(receive_bytes=UNREAD_BUFFER_BYTES).send(stream_request(position))
    attack.hold()


def v1(attack):
    """Each client has lost a session before."""
    lost = []
    for _ in range(attack.count(CLIENTS)):
        line = attack.line(V1)
        lost.append((line.session, line.cursor))
        attack.drop(line)
    broadcast_missed(attack)
    attack.begin()
    for session, cursor in lost:
        attack.line(V1, receive_bytes=UNREAD_BUFFER_BYTES).resume(session, cursor)
    attack.hold()


def socketio(attack):
    """Clients that have received no event send no offset."""
    pids = []
    for _ in range(attack.count(CLIENTS)):
        line = attack.line(SocketIo)
        pids.append(line.pid)
        attack.drop(line)
    broadcast_missed(attack)
    attack.begin()
    for pid in pids:
        attack.line(SocketIo, receive_bytes=UNREAD_BUFFER_BYTES, auth={"pid": pid})
    attack.hold()


def resets(attack):
    """Asks for resumes and resets them at once; then an honest client resumes from another address."""
    position = attack.position()
    broadcast_missed(attack)
    attack.begin()
    asking = stream_request(position)
    for _ in range(attack.count(RESETS)):
        line = attack.line()
        line.send(asking)
        attack.drop(line, "reset")
    start = time.monotonic()
    honest = Line(attack.target, HONEST)
    # The slowest server measured took 20 s.
    honest.socket.settimeout(45)
    try:
        honest.send(stream_request(position))
        for _ in range(MISSED):
            honest.take_until(b"event: EVENT")
    except OSError as error:
        attack.check(f"an honest resume: {error}", False)
    else:
        seconds = time.monotonic() - start
        attack.check(f"an honest resume took {seconds:.2f} s", seconds <= HONEST_RESUME_SECONDS)
    honest.close()
    attack.hold(least=0)


def own_session(attack):
    """One client resumes its own session again and again, while other clients have just lost theirs."""
    honest = [V1(attack.target, HONEST) for _ in range(LOST)]
    for line in honest:
        line.close()
    lost = lambda: attack.target.gauges().get("lost_sessions", 0)
    until(lambda: lost() >= LOST, 5)
    attack.begin()
    line = attack.line(V1)
    session, cursor = line.session, line.cursor
    for _ in range(attack.count(RESUMES, 2 * LOST_MAX)):
        attack.drop(line)
        line = attack.line(V1)
        line.resume(session, cursor)
        session = json.loads(line.hear_until('"reply"')).get("session", line.session)
    kept = sum(resumed(attack.target, line) for line in honest)
    attack.check(f"{kept} of {LOST} lost sessions of others were kept", kept == LOST)
    attack.hold(least=0, must_end=False)


def resumed(target, lost):
    line = V1(target, HONEST)
    line.resume(lost.session, lost.cursor)
    is_good = json.loads(line.hear_until('"reply"'))["ok"]
    line.close()
    return is_good
