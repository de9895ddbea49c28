"""Bodies that do not end, or come in tiny pieces."""

from .attack import CONNECTION_BYTES
from .lines import pump, request

PUSHES, PUSH_BYTES = 300, 1_040_000
TINY_CONNECTIONS, TINY_BODY_BYTES = 4, 1_000_000
# Seconds in which all bodies must be sent.
SEND_SECONDS = 12
# limits.bodies_bytes, with buffers that double.
ALL_BODIES_BYTES = 2 * 64 * 1024 * 1024


def unfinished(attack):
    """Pushes of nearly 1 MiB whose last bytes never come."""
    attack.begin()
    lines = [attack.line() for _ in range(attack.count(PUSHES))]
    head = request("POST", "/push/", b"").replace(b"Content-Length: 0", b"Content-Length: %d" % (PUSH_BYTES + 1))
    pump(lines, head + b" " * PUSH_BYTES, SEND_SECONDS)
    attack.bound = ALL_BODIES_BYTES + len(lines) * CONNECTION_BYTES
    attack.hold()


def one_byte_chunks(attack):
    """A body of 1 MB in chunks of one byte, without its end."""
    attack.begin()
    lines = [attack.line() for _ in range(TINY_CONNECTIONS)]
    count = attack.count(TINY_BODY_BYTES)
    head = b"POST /push/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    pump(lines, head + b"1\r\n \r\n" * count, SEND_SECONDS)
    attack.bound = 2 * len(lines) * count
    cpu = attack.target.cpu_seconds() - attack.before[1]
    attack.notes.append(f"{1e6 * cpu / len(lines) / count:.2f} s of CPU per MB of body")
    attack.hold(least=1)
