"""Clients made of bare sockets, for what `turted bench` does not do: clients that are observed one by one, or
that stall with frames of their own. Also a backend, and a reader of `/metrics`."""

import base64
import json
import os
import socket
import struct
import urllib.request

# Seconds to wait for an answer before the run fails.
PATIENCE = 20
SOCKET_IO = "/socket.io/?EIO={version}&transport=websocket"
# Receive buffer of clients that stall: small, as in turted bench.
STALLED_BUFFER_BYTES = 8 * 1024


class WebSocket:
    """A client of the WebSocket endpoint at `path`."""

    def __init__(self, port, path, receive_bytes=None):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n")[0].decode())

    def send(self, text):
        """Sends a text message shorter than 126 bytes. A mask of zeros leaves the text as it is."""
        data = text.encode()
        self.socket.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    def read(self):
        """The next message."""
        while (found := self.message()) is None:
            self.fill()
        return found

    def read_until(self, part):
        """Reads until a message has `part`."""
        while part not in (message := self.read()):
            pass
        return message

    def fill(self):
        """Reads what has arrived."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed")
        self.buffer += data

    def message(self):
        """The next message, if complete. Servers do not mask (RFC 6455 5.1), and send less than 64 KiB."""
        if len(self.buffer) < 2:
            return None
        length, start = self.buffer[1], 2
        if length == 126:
            if len(self.buffer) < 4:
                return None
            length, start = struct.unpack(">H", self.buffer[2:4])[0], 4
        if len(self.buffer) < start + length:
            return None
        message, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
        return message.decode()


class SocketIo(WebSocket):
    """A client of Socket.IO over Engine.IO 3 or 4."""

    def __init__(self, port, version=4, receive_bytes=None):
        super().__init__(port, SOCKET_IO.format(version=version), receive_bytes)
        if version == 4:
            self.send("40")
        self.read_until("40")

    def join(self, channel):
        self.send(f'42["JOIN",{{"channel":"{channel}"}}]')
        self.read_until("OK")

    def ident(self, user):
        self.send(f'42["IDENT",{{"username":"{user}"}}]')
        self.read_until("OK")


class V1(WebSocket):
    """A client of turted.v1."""

    def __init__(self, port):
        super().__init__(port, "/ws")
        self.read_until("welcome")

    def join(self, channel):
        self.send(f'{{"id":1,"do":"join","channel":"{channel}"}}')
        self.read_until("reply")


class Backend:
    """Pushes over one connection that it keeps."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def push(self, pushes):
        """One push, or several in one body."""
        body = json.dumps(pushes).encode()
        head = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = self.socket.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(answer.split(b"\r\n")[0].decode() or "the server closed")


def event(payload, **targets):
    return {"event": "EVENT", "targets": targets, "payload": payload}


def metrics(port, patience=PATIENCE):
    """The counters of the server, each as the sum over all labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patience) as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name = name.split("{")[0].removeprefix("turted_").removesuffix("_total")
            found[name] = found.get(name, 0) + float(value)
    return found


def counted(port, action):
    """How much the counters of the server grow during `action`."""
    before = metrics(port)
    action()
    after = metrics(port)
    return {name: value - before.get(name, 0) for name, value in after.items()}
