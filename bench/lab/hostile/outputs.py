"""Other outputs of a server: its admin listener, and its standard error."""

import socket
import time
from contextlib import suppress
from types import SimpleNamespace

from .lines import HONEST, UNREAD_BUFFER_BYTES, Line, V1, request

SILENT, UNREAD = 40, 40
# Each connection asks so many times for some 10 kB.
SCRAPES = 500
# As on the public port, a connection that sends or reads nothing for 10 s is closed to make room for others.
HEALTH_SECONDS, HEALTH_PATIENCE = 15, 30
# At 80 bytes a line or more, these fill more than the 64 KiB of a pipe.
CONNECTS = 3_000
STOP_SECONDS = 10


def admin(attack):
    """Opens 40 silent and 40 unread connections to the admin listener, then asks for /health."""
    attack.begin()
    port = SimpleNamespace(port=attack.target.admin, is_tls=False)
    sockets = [dial(port.port) for _ in range(UNREAD + SILENT)]
    attack.connections += len(sockets)
    time.sleep(1)
    for one in sockets[:UNREAD]:
        with suppress(OSError):
            attack.gone += one.send(request("GET", "/metrics") * SCRAPES)
    start = time.monotonic()
    status = 0
    while status != 200 and time.monotonic() - start < HEALTH_PATIENCE:
        status = asked(port)
    seconds = time.monotonic() - start
    attack.check(f"/health {'answered' if status == 200 else 'dead'} after {seconds:.1f} s", status == 200 and seconds <= HEALTH_SECONDS)
    for one in sockets:
        one.close()
    attack.hold(least=0)


def dial(port):
    """Opens a connection without waiting for it: if the server has no place, it may hang."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BUFFER_BYTES)
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
    return one


def asked(port):
    line = None
    try:
        line = Line(port, HONEST)
        line.socket.settimeout(5)
        return line.ask("GET", "/health")[0]
    except OSError:
        return 0
    finally:
        if line:
            line.close()


def standard_error(attack):
    """Nothing reads the log, until the pipe is full. Then the server is told to stop."""
    attack.begin()
    try:
        for _ in range(attack.count(CONNECTS, 1_500)):
            attack.drop(attack.line(V1))
    except OSError as error:
        attack.check(f"a new client: {error}", False)
    # Other clients go on meanwhile.
    time.sleep(3)


def stops(attack):
    """Whether the server still stops when it is told to."""
    start = time.monotonic()
    attack.target.process.terminate()
    try:
        attack.target.process.wait(STOP_SECONDS)
    except Exception:
        attack.target.process.kill()
        return f"did not stop after SIGTERM within {STOP_SECONDS} s", False
    return f"stopped after {time.monotonic() - start:.1f} s", attack.target.process.returncode == 0
