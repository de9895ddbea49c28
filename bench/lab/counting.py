"""Instructions of the server for one push and its deliveries, by callgrind: they do not depend on the load of the machine."""

import http.client
import json
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from . import machine

# How long a server under callgrind may take for anything.
PATIENCE = 300
# The clients answer no ping, and under callgrind all of it takes long.
QUIET = '[websocket]\nping_interval = "1h"\n'
CHANNEL, EVENT = "chat", "order:new"
# It stands in each event once.
MARK = f'"{EVENT}"'.encode()
WARM_UP = 20
DESCRIPTORS = 65_536


def allow_many():
    """Lets this process hold as many clients as it may."""
    most = machine.descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most) if most < sys.maxsize else (DESCRIPTORS, DESCRIPTORS))


def instructions(turted, config, clients, pushes, files=None, beside=None):
    """Instructions for one push of 100 bytes and its deliveries to so many clients of turted.v1. `config` is what the server
    is told beside where it listens, `files` are texts that it finds in its folder; `beside` runs with its admin port."""
    with tempfile.TemporaryDirectory() as directory:
        server = Server(turted, Path(directory), config, files or {})
        try:
            company = beside(server.admin) if beside else None
            crowd = Crowd(server.port, clients)
            push(server.port, WARM_UP)
            crowd.hear(WARM_UP)
            server.count("on")
            push(server.port, pushes)
            crowd.hear(pushes)
            server.count("off")
            if company:
                company.close()
            return server.stop() / pushes
        finally:
            server.process.kill()
            server.process.wait()


class Server:
    def __init__(self, turted, directory, config, files):
        for name, text in files.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o600)
        own = 'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\nworkers = 1\n'
        (directory / "turted.toml").write_text(f"{own}{QUIET}{config}")
        callgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"]
        command = [*callgrind, str(turted), "serve"]
        self.errors = directory / "errors"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.port = self.said("listening on")
        self.admin = self.said("admin on")

    def said(self, what):
        """The port in a line of the server that begins so."""
        for line in self.process.stdout:
            if found := re.search(rf"{what} http://[^:]+:(\d+)", line):
                return int(found[1])
        raise SystemExit(f"the server does not start:\n{self.errors.read_text()}")

    def count(self, state):
        subprocess.run(["callgrind_control", "-i", state, str(self.process.pid)], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)

    def stop(self):
        """Ends it, and returns how many instructions were counted."""
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)
        return int(re.search(r"Collected : (\d+)", self.errors.read_text())[1])


class Crowd:
    """Clients of turted.v1 in one channel that read what they are sent."""

    def __init__(self, port, count):
        self.poll, self.sockets = select.epoll(), {}
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            head = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            client.sendall(f"{head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
            until(client, b'"welcome"')
            client.sendall(frame(json.dumps({"id": 1, "do": "join", "channel": CHANNEL}).encode()))
            until(client, b'"ok":true')
            self.sockets[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)

    def hear(self, pushes):
        """Waits until each of them has heard so many events."""
        missing = {number: pushes for number in self.sockets}
        rest = dict.fromkeys(self.sockets, b"")
        while missing:
            ready = self.poll.poll(PATIENCE)
            if not ready:
                raise SystemExit(f"{len(missing)} clients hear nothing")
            for number, _ in ready:
                heard = self.sockets[number].recv(1 << 16)
                if not heard:
                    raise SystemExit("the server ended a connection")
                # The last piece may begin a mark that the next read ends.
                *events, last = (rest[number] + heard).split(MARK)
                rest[number] = last[1 - len(MARK) :]
                if number in missing:
                    missing[number] -= len(events)
                    if missing[number] <= 0:
                        del missing[number]


def frame(text):
    """A text frame as clients send it, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def until(client, mark):
    heard = b""
    while mark not in heard:
        heard += client.recv(1 << 16) or sys.exit(f"the server ends the connection: {heard}")


def push(port, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    body = json.dumps({"event": EVENT, "targets": {"channels": [CHANNEL]}, "payload": "x" * 100})
    for _ in range(count):
        connection.request("POST", "/push/", body)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"a push is answered {answer.status}: {text}")
    connection.close()
