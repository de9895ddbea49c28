"""The servers that are compared: one without presence, history and watchers, and others that have some of it."""

import json
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager

from ..paths import ROOT, TURTED
from ..ports import free_port
from ..run import GENERATOR_CORE, Failed, serving

WITHOUT, UNUSED = "without", "rules for other channels"
HISTORY, PRESENCE, WATCHED, PAGE = "history", "presence", "a watcher", "the page"

PAGE_SCRIPT = ROOT / "bench" / "lab" / "extras" / "page.js"
# Seconds that Chromium may take to show the page on a busy machine.
PAGE_WAIT = 120
READ_BYTES = 1 << 16


def rule(channels, *lines):
    return "\n".join(["[[channels]]", f'prefix = "{channels}"', 'join = "open"', *lines]) + "\n"


def config(side, channels):
    """What a server is told, where clients are in channels whose names begin with `channels`."""
    history, presence = "history = 50", "presence = true"
    rules = {UNUSED: ("room.", history, presence), HISTORY: (channels, history), PRESENCE: (channels, presence)}
    return rule(*rules[side]) if side in rules else ""


@contextmanager
def serve(side, channels="bench-"):
    """A server with one worker, and whoever looks at it, for the time of a `with`: its port and process."""
    admin = free_port()
    settings = {"TURTED_ADMIN_LISTEN": f"127.0.0.1:{admin}"}

    def command(port, folder):
        (folder / "turted.toml").write_text(config(side, channels))
        return [TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]

    with ExitStack() as stack:
        port, pid = stack.enter_context(serving(command, settings=settings))
        if side in LOOKING:
            stack.callback(LOOKING[side](admin).close)
        yield port, pid


class Watcher:
    """Watches all that happens, and throws it away."""

    def __init__(self, admin):
        self.socket = socket.create_connection(("127.0.0.1", admin))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        first = b""
        while b"watching" not in first:
            first += self.socket.recv(READ_BYTES) or b"watching: the server ended it"
        if b"200 OK" not in first:
            raise Failed(f"nobody may watch: {first[:200].decode()}")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while self.socket.recv(READ_BYTES):
                pass
        except OSError:
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join()
        self.socket.close()


class Page:
    """The page of operators in Chromium on the core of the generator. Its live view is paused: it asks for figures alone."""

    def __init__(self, admin):
        command = ["taskset", "-c", GENERATOR_CORE, "node", PAGE_SCRIPT, f"http://127.0.0.1:{admin}/"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        late = threading.Timer(PAGE_WAIT, self.process.kill)
        late.start()
        said = self.process.stdout.readline()
        late.cancel()
        if json.loads(said or "null") != "paused":
            self.process.kill()
            raise Failed("the page does not open: needs Chromium, and npm ci --prefix tests/clients")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


LOOKING = {WATCHED: Watcher, PAGE: Page}
