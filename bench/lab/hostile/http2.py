"""HTTP/2 by hand (RFC 9113, RFC 7541), for hostile and slow clients: libraries do not send such frames."""

import struct

from .lines import STRANGER, Line

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Indexes in HPACK's static table (RFC 7541, appendix A); 0x80 marks a field with name and value.
GET, POST, HTTPS, STATUS_200 = 0x82, 0x83, 0x87, 0x88
AUTHORITY, PATH = 0x01, 0x04
# The window of a connection is as large as possible; those of the streams limit what is sent.
CONNECTION_WINDOW = (1 << 31) - 1 - 65_535


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values):
    pairs = [struct.pack(">HI", INITIAL_WINDOW_SIZE, value) for value in values.values()]
    return frame(SETTINGS, payload=b"".join(pairs))


def window_update(stream, count):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", count))


def literal(name, value):
    """A header that is not indexed. `name` is an index of the static table, or text."""
    data = bytes([name]) if isinstance(name, int) else b"\0" + sized(name)
    return data + sized(value)


def sized(text):
    data = text.encode()
    # Lengths of 127 and more take further bytes (RFC 7541 5.1).
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, more = len(data) - 127, b""
    while rest >= 128:
        more, rest = more + bytes([rest % 128 + 128]), rest // 128
    return bytes([127]) + more + bytes([rest]) + data


class Http2(Line):
    """One connection over TLS. `window` is the initial window of each stream."""

    def __init__(self, target, source=STRANGER, window=65_535):
        super().__init__(target, source, protocols=["h2"])
        self.next = 1
        self.streams = {}
        self.send(PREFACE + settings(window=window) + window_update(0, CONNECTION_WINDOW))

    def opening(self, method, path, is_last=True, headers=()):
        """The bytes of a request on a new stream, and the stream."""
        stream, self.next = self.next, self.next + 2
        block = bytes([POST if method == "POST" else GET, HTTPS]) + literal(AUTHORITY, "localhost") + literal(PATH, path)
        block += b"".join(literal(name, value) for name, value in headers)
        return frame(HEADERS, END_HEADERS | (END_STREAM if is_last else 0), stream, block), stream

    def begin(self, method, path, body=b"", headers=()):
        """Sends a request without waiting for the answer. Returns its stream."""
        data, stream = self.opening(method, path, not body, headers)
        self.send(data + (frame(DATA, END_STREAM, stream, body) if body else b""))
        self.streams[stream] = Answer()
        return stream

    def ask(self, method, path, body=b"", headers=()):
        """Sends a request and reads its answer: whether that is a 200, and its body."""
        stream = self.begin(method, path, body, headers)
        while not self.streams[stream].is_over:
            self.step()
        answer = self.streams.pop(stream)
        return answer.is_ok, answer.body

    def step(self):
        """Handles the next frame."""
        head = self.take(9)
        length, kind, flags = struct.unpack(">I", b"\0" + head[:3])[0], head[3], head[4]
        stream, payload = struct.unpack(">I", head[5:])[0], self.take(length)
        if kind == GOAWAY:
            raise ConnectionError(f"the server says good-bye: {payload[4:]!r}")
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        if stream in self.streams:
            self.streams[stream].take(kind, flags, payload)

    def allow(self, stream, count):
        self.send(window_update(stream, count))


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.is_ok, self.is_over, self.is_whole, self.body = False, False, False, b""

    def take(self, kind, flags, payload):
        if kind == HEADERS:
            # Servers index the status, the first header.
            self.is_ok = STATUS_200 in payload[:4]
        if kind == DATA:
            self.body += payload
        if kind == RST_STREAM:
            self.is_over = True
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.is_over = self.is_whole = True
