"""How long a start takes on a directory with 100,000 dispatches and 100,000 sessions, until it is ready.

The directory is written by the real server: clients of turted.v1 connect, are users, join a channel and break off,
then backends push, then the server is killed. Each start is killed too, so that the next one finds the same.
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from .paths import TURTED, WORK
from .ports import free_ports
from .run import Failed, last_line, wait_for

SESSIONS = DISPATCHES = 100_000
BATCH = 500
# Clients that connect side by side, and how many addresses they come from: one has 28,000 ports.
CLIENTS = 4
ADDRESSES = 20
# Bytes of a payload, about what a chat message has.
PAYLOAD = "x" * 100
READY_WAIT = 60
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: turted.v1\r\n\r\n"
).encode()


class Server:
    """A server on the directory, until it is killed."""

    def __init__(self, folder, workers):
        self.port, self.admin = free_ports(2)
        self.said = folder / "server.log"
        keys = {
            "LISTEN": f"127.0.0.1:{self.port}",
            "ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
            "WORKERS": workers,
            "LOG_DIRECTORY": folder / "log",
            # Longer than it takes to write all of it.
            "RECOVERY_MAX_AGE": "3600s",
            "RECOVERY_LOG_DISPATCHES": DISPATCHES,
            "RECOVERY_SESSIONS": SESSIONS,
            "PUSH_PASSWORD": "start",
        }
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TURTED_")}
        environment |= {f"TURTED_{key}": str(value) for key, value in keys.items()}
        self.began = time.monotonic()
        with open(self.said, "wb") as log:
            self.process = subprocess.Popen([TURTED], cwd=folder, env=environment, stdout=log, stderr=log)

    def wait_until_ready(self):
        """Seconds from the start of the process to the first 200 of /ready."""
        deadline = self.began + READY_WAIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                client = HTTPConnection("127.0.0.1", self.admin, timeout=READY_WAIT)
                client.request("GET", "/ready")
                if client.getresponse().status == 200:
                    return time.monotonic() - self.began
            except OSError:
                pass
            time.sleep(0.002)
        raise Failed(f"the server is not ready: {last_line(self.said)}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def frame(message):
    """A message of a client, masked with zeros."""
    data = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(data)]) + bytes(4) + data


def connect(port, number):
    """Begins a session, and breaks off when all of it is answered."""
    with socket.socket() as client:
        client.bind((f"127.0.0.{2 + number % ADDRESSES}", 0))
        # A reset leaves no port behind.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.settimeout(READY_WAIT)
        client.connect(("127.0.0.1", port))
        ident = frame({"id": 1, "do": "ident", "data": {"username": f"user {number}"}})
        client.sendall(HANDSHAKE + ident + frame({"id": 2, "do": "join", "channel": f"channel {number % 1_000}"}))
        heard = b""
        while b'"reply":2' not in heard:
            more = client.recv(4_096)
            if not more:
                raise Failed(f"a client was cut: {heard[-200:]}")
            heard += more
        if b'"error"' in heard:
            raise Failed(f"a client was refused: {heard[-200:]}")


def connect_all(port, failures):
    def work(first):
        try:
            for number in range(first, SESSIONS, CLIENTS):
                connect(port, number)
        except (Failed, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def push_all(port):
    client = HTTPConnection("127.0.0.1", port, timeout=READY_WAIT)
    for first in range(0, DISPATCHES, BATCH):
        targets = [{"channel": f"channel {number % 1_000}"} for number in range(first, first + BATCH)]
        body = [{"event": "start", "payload": PAYLOAD, "targets": target} for target in targets]
        client.request("POST", "/push", json.dumps(body), {"Authorization": "Bearer start"})
        response = client.getresponse()
        if response.read() and response.status != 200:
            raise Failed(f"a push was answered {response.status}")


def write(folder, workers):
    server = Server(folder, workers)
    try:
        server.wait_until_ready()
        wait_for(server.port, server.process, server.said)
        failures = []
        connect_all(server.port, failures)
        if failures:
            raise Failed(str(failures[0]))
        push_all(server.port)
    finally:
        server.kill()


def starts(repetitions, workers=2, say=print):
    """Seconds until each start was ready, and the bytes of the directory."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        say(f"writing {SESSIONS:,} sessions and {DISPATCHES:,} dispatches")
        write(folder, workers)
        size = sum(file.stat().st_size for file in (folder / "log").iterdir())
        took = []
        for _ in range(repetitions):
            server = Server(folder, workers)
            try:
                took.append(server.wait_until_ready())
                check(server)
            finally:
                server.kill()
        return took, size


def check(server):
    """That the start has found all of it."""
    client = HTTPConnection("127.0.0.1", server.admin, timeout=READY_WAIT)
    client.request("GET", "/metrics")
    metrics = client.getresponse().read().decode()
    for name, wanted in {"turted_lost_sessions": SESSIONS, "turted_log_dispatches": DISPATCHES}.items():
        found = re.search(f"^{name} (\\d+)$", metrics, re.MULTILINE)
        if not found or int(found[1]) < wanted:
            raise Failed(f"the start has not found all of it: {found and found[0]}")
