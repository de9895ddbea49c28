"""A client of AMQP 0-9-1 that makes a queue and publishes to it, from frames written by hand: what any library
for Python takes to publish one message would be more than the broker takes."""

import socket
import struct
import time

from ..clients import PATIENCE
from .brokers import AMQP_HEADER

METHOD, HEADER, BODY, END = 1, 2, 3, 0xCE
BASIC = 60
# Class and method.
START_OK, TUNE_OK, OPEN = (10, 11), (10, 31), (10, 40)
START, TUNE, OPEN_OK = (10, 10), (10, 30), (10, 41)
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
DECLARE, DECLARE_OK, DELETE, DELETE_OK = (50, 10), (50, 11), (50, 40), (50, 41)
PUBLISH = (60, 40)
PASSIVE, DURABLE = 1, 2
EMPTY_TABLE = bytes(4)
FRAME_BYTES = 131_072
LOOK_SECONDS = 0.1


class Publisher:
    """One connection with one channel, and a durable queue that is empty at first."""

    def __init__(self, port, queue):
        self.queue = short(queue)
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(AMQP_HEADER)
        self.expect(START)
        login = b"\0guest\0guest"
        self.say(0, START_OK, EMPTY_TABLE + short("PLAIN") + struct.pack(">I", len(login)) + login + short("en_US"))
        self.expect(TUNE)
        # One channel, and no heartbeats.
        self.say(0, TUNE_OK, struct.pack(">HIH", 1, FRAME_BYTES, 0))
        self.ask(0, OPEN, short("/") + short("") + b"\0", OPEN_OK)
        self.ask(1, CHANNEL_OPEN, short(""), CHANNEL_OPEN_OK)
        self.ask(1, DELETE, b"\0\0" + self.queue + b"\0", DELETE_OK)
        self.declare(DURABLE)

    def publish(self, bodies):
        """Publishes all without waiting for the broker."""
        method = frame(METHOD, 1, struct.pack(">HH", *PUBLISH) + b"\0\0" + short("") + self.queue + b"\0")
        # No property of a message is set.
        head = lambda body: frame(HEADER, 1, struct.pack(">HHQH", BASIC, 0, len(body), 0))
        self.socket.sendall(b"".join(method + head(body) + frame(BODY, 1, body) for body in bodies))

    def wait(self):
        """Waits until the queue grows no more: the broker answers before it has put all that it read into the queue."""
        before, waiting = None, self.waiting()
        while waiting != before:
            time.sleep(LOOK_SECONDS)
            before, waiting = waiting, self.waiting()

    def waiting(self):
        """How many messages wait in the queue. Those on their way to a consumer do not count."""
        answer = self.declare(PASSIVE)
        return struct.unpack_from(">I", answer, 1 + answer[0])[0]

    def declare(self, flag):
        return self.ask(1, DECLARE, b"\0\0" + self.queue + bytes([flag]) + EMPTY_TABLE, DECLARE_OK)

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, channel, method, arguments, answer):
        self.say(channel, method, arguments)
        return self.expect(answer)

    def say(self, channel, method, arguments):
        self.socket.sendall(frame(METHOD, channel, struct.pack(">HH", *method) + arguments))

    def expect(self, method):
        """Reads the next frame, which must be this method: its arguments."""
        kind, _, length = struct.unpack(">BHI", self.read(7))
        payload = self.read(length + 1)[:-1]
        if kind != METHOD or struct.unpack_from(">HH", payload) != method:
            raise ConnectionError(f"the broker said {payload[:200]!r} instead of {method}")
        return payload[4:]

    def read(self, count):
        data = self.file.read(count)
        if len(data) < count:
            raise ConnectionError("the broker closed")
        return data


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([END])


def short(text):
    return bytes([len(text)]) + text.encode()
