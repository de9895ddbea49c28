"""The ways of a message into the server. Each has what the configuration says about it, sends many messages at once, or one."""

import socket

from ..clients import PATIENCE
from .amqp import Publisher

# The name of the source in the configuration and in metrics.
NAME = "bench"
# How many messages may be sent at once, where nothing limits them.
UNLIMITED = 1_000_000
SOURCE = f'[[sources]]\nname = "{NAME}"\n'


class Rest:
    """Pushes over kept connections, each of which has one push outstanding at most."""

    source, is_frozen, most = "rest", False, UNLIMITED

    def __init__(self, connections):
        self.count = connections

    def prepare(self, _folder):
        return ""

    def open(self, port):
        self.sockets = [connected(port) for _ in range(self.count)]

    def fill(self, bodies):
        """Each connection in turn takes its answer and pushes again, so that the server always has others to do."""
        for number, data in enumerate([request(body) for body in bodies]):
            connection = self.sockets[number % self.count]
            if number >= self.count:
                accepted(connection.recv(4096))
            connection.sendall(data)
        for connection in self.sockets[: len(bodies)]:
            accepted(connection.recv(4096))

    def one(self, body):
        self.fill([body])

    def close(self):
        for connection in self.sockets:
            connection.close()


def request(body):
    head = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def accepted(answer):
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer.split(b"\r\n")[0].decode() or "the server closed")


def connected(port):
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Redis:
    """What the ways through Redis share: `command` is what a backend says to it for one message."""

    source, most = NAME, UNLIMITED

    def __init__(self, port):
        self.port = port

    def prepare(self, _folder):
        self.socket = connected(self.port)
        self.say(words(b"FLUSHALL"))
        return f'{SOURCE}type = "{self.kind}"\nurl = "redis://127.0.0.1:{self.port}"\n{self.keys}\n'

    def open(self, _port):
        pass

    def fill(self, bodies):
        self.say(b"".join(words(*self.command, body) for body in bodies))

    def one(self, body):
        self.fill([body])

    def say(self, commands):
        """Says all at once, and waits for all answers: the last one is that to a PING."""
        self.socket.sendall(commands + words(b"PING"))
        end, answers = b"+PONG\r\n", b""
        while not answers.endswith(end):
            data = self.socket.recv(65_536)
            if not data or b"-ERR" in data:
                raise ConnectionError(f"Redis said {data[:200]!r}")
            answers = answers[-len(end) :] + data

    def close(self):
        self.socket.close()


def words(*parts):
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class RedisStream(Redis):
    kind, is_frozen = "redis-stream", True
    keys, command = f'stream = "{NAME}"', (b"XADD", NAME.encode(), b"*", b"push")


class RedisPubSub(Redis):
    """Redis keeps nothing for a subscriber, so nothing waits before the server reads."""

    kind, is_frozen = "redis-pubsub", False
    # So many at once never overflow the 10,000 that may wait in the server: it drops what does not fit.
    most = 8_000
    keys, command = f'channels = ["{NAME}"]', (b"PUBLISH", NAME.encode())


class RabbitMq:
    source, is_frozen, most = NAME, True, UNLIMITED

    def __init__(self, port):
        self.port = port

    def prepare(self, _folder):
        self.publisher = Publisher(self.port, NAME)
        return f'{SOURCE}type = "rabbitmq"\nurl = "amqp://guest:guest@127.0.0.1:{self.port}/"\nqueue = "{NAME}"\n'

    def open(self, _port):
        pass

    def fill(self, bodies):
        self.publisher.publish(bodies)
        self.publisher.wait()

    def one(self, body):
        self.publisher.publish([body])

    def close(self):
        self.publisher.close()


class Tail:
    source, is_frozen, most = NAME, True, UNLIMITED

    def prepare(self, folder):
        (folder / "state").mkdir()
        path = folder / "bench.log"
        self.file = open(path, "ab", buffering=0)
        return f'{SOURCE}type = "tail"\npaths = ["{path}"]\nstate_dir = "{folder / "state"}"\n'

    def open(self, _port):
        pass

    def fill(self, bodies):
        self.file.write(b"".join(body + b"\n" for body in bodies))

    def one(self, body):
        self.fill([body])

    def close(self):
        self.file.close()
