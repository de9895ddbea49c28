"""Connections by hand, with and without TLS: HTTP/1.1 and WebSockets whose clients need not read."""

import base64
import json
import os
import select
import socket
import ssl
import struct
import time

# Hostile and honest clients have different addresses, because limits per address tell clients apart by them.
STRANGER, HONEST = "127.0.0.1", "127.0.0.2"
# Seconds to wait for an answer.
PATIENCE = 10
# Receive buffer of clients that do not read: as small as the kernel allows.
UNREAD_BUFFER_BYTES = 4 * 1024
READ_BYTES = 256 * 1024
# Opcodes of WebSockets (RFC 6455 5.2).
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Line:
    """One TCP connection to a port of a target. It counts what it sends."""

    def __init__(self, target, source=STRANGER, receive_bytes=None, protocols=None):
        self.sent = 0
        self.buffer = b""
        plain = socket.socket()
        plain.settimeout(PATIENCE)
        if receive_bytes:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        plain.bind((source, 0))
        plain.connect(("127.0.0.1", target.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = encrypted(plain, protocols) if target.is_tls else plain

    def send(self, data):
        self.socket.sendall(data)
        self.sent += len(data)

    def push_on(self, data):
        """Sends what the kernel takes at once. Returns how much. An `OSError` if the server has closed."""
        self.socket.settimeout(0)
        try:
            taken = self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            taken = 0
        finally:
            self.socket.settimeout(PATIENCE)
        self.sent += taken
        return taken

    def drop_input(self):
        """Reads what has arrived, and drops it. Returns whether the server has closed."""
        self.socket.settimeout(0)
        try:
            return not self.socket.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def fill(self):
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server closed")
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def take_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def ask(self, method, path, body=b"", headers=""):
        """One request and its answer: status and body."""
        self.send(request(method, path, body, headers))
        return self.answer()

    def answer(self):
        head = self.take_until(b"\r\n\r\n").decode()
        status = int(head.split(" ")[1])
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                return status, self.take(int(value))
        return status, b""

    def reset(self):
        """Resets the connection: data that was not read is dropped."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()


def encrypted(plain, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context.wrap_socket(plain, server_hostname="localhost")


def request(method, path, body=b"", headers=""):
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n".encode() + body


class WebSocket(Line):
    """A WebSocket at `path`."""

    def __init__(self, target, path, source=STRANGER, receive_bytes=None):
        super().__init__(target, source, receive_bytes)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        self.send(request("GET", path, headers=f"{upgrade}Sec-WebSocket-Key: {key}\r\n"))
        head = self.take_until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n")[0].decode())

    def say(self, text):
        self.send(text_frame(text.encode()))

    def hear(self):
        """The next text message."""
        while True:
            first, length = self.take(2)
            if length == 126:
                length = struct.unpack(">H", self.take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.take(8))[0]
            message = self.take(length)
            if first & 0x0F == TEXT:
                return message.decode()
            if first & 0x0F == PING:
                self.send(bytes([0x80 | PONG, 0x80 | len(message)]) + bytes(4) + message)
            if first & 0x0F == CLOSE:
                raise ConnectionError(f"closed: {message!r}")

    def hear_until(self, part):
        while part not in (message := self.hear()):
            pass
        return message


def text_frame(data):
    """Sends a masked text frame. A mask of zeros leaves the text as it is."""
    length = len(data)
    if length < 126:
        head = bytes([0x81, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([0x81, 0xFE]) + struct.pack(">H", length)
    else:
        head = bytes([0x81, 0xFF]) + struct.pack(">Q", length)
    return head + bytes(4) + data


class V1(WebSocket):
    """A client of turted.v1. With `session` and `cursor` it can resume."""

    def __init__(self, target, source=STRANGER, receive_bytes=None):
        super().__init__(target, "/ws", source, receive_bytes)
        welcome = json.loads(self.hear_until("welcome"))["welcome"]
        self.session, self.cursor = welcome["session"], welcome["cursor"]

    def ident(self, user):
        self.say(json.dumps({"id": 1, "do": "ident", "data": {"username": user}}))
        self.hear_until('"reply"')

    def resume(self, session, cursor):
        """Asks to resume, and does not wait for the reply."""
        self.say(json.dumps({"id": 2, "do": "resume", "session": session, "cursor": cursor}))


class SocketIo(WebSocket):
    """A client of Socket.IO over Engine.IO 4. With `pid` it can resume."""

    def __init__(self, target, source=STRANGER, receive_bytes=None, auth=None):
        super().__init__(target, "/socket.io/?EIO=4&transport=websocket", source, receive_bytes)
        self.say("40" + (json.dumps(auth) if auth else ""))
        if not auth:
            self.pid = json.loads(self.hear_until("40{")[2:])["pid"]

    def echoed(self):
        """Waits until everything sent before is answered."""
        self.say('42["ECHO",1]')
        self.hear_until("ECHO")


class Polling(Line):
    """A polling session of Engine.IO 4 on one connection."""

    PATH = "/socket.io/?EIO=4&transport=polling"

    def open(self):
        status, body = self.ask("GET", self.PATH)
        if status != 200:
            raise ConnectionError(f"{status} {body.decode()}")
        self.path = f"{self.PATH}&sid={json.loads(body[1:])['sid']}"

    def connect(self):
        self.open()
        self.ask("POST", self.path, b"40")
        self.ask("GET", self.path)

    def poll(self):
        """Sends a poll, and does not read the answer."""
        self.send(request("GET", self.path))


def pump(lines, data, seconds, reads=True):
    """Sends `data` on every line, as far as the server reads it, for at most `seconds`."""
    left = {line: memoryview(data) for line in lines}
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        ready = select.select(list_of(left) if reads else [], list_of(left), [], 0.2)
        for line in [line for line in left if line.socket in ready[0] or line.socket in ready[1]]:
            try:
                is_over = reads and line.drop_input()
                left[line] = left[line][line.push_on(left[line][:65_536]) :]
            except OSError:
                is_over = True
            if is_over or not left[line]:
                del left[line]


def take_answers(lines, seconds):
    """Reads what comes until nothing has come for a second, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    open_lines = list(lines)
    while open_lines and time.monotonic() < deadline:
        ready, _, _ = select.select(list_of(open_lines), [], [], 1)
        if not ready:
            return
        open_lines = [line for line in open_lines if line.socket not in ready or not line.drop_input()]


def list_of(lines):
    return [line.socket for line in lines]
