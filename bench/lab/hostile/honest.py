"""How long others wait while an input is under way: one client that pushes and receives, and new handshakes.
They run in a process of their own. It has priority over the hostile clients, where that is allowed, so that
the measured times are those of the server."""

import json
import multiprocessing
import os
import time
from contextlib import suppress

from .lines import HONEST, PATIENCE, Line, Polling, V1

# Seconds between two pushes, and pushes between two handshakes.
PAUSE, HANDSHAKE_EVERY = 0.05, 4
NICE = -10


class Wait:
    """How long an action took at most, over all tries until it worked, and how often it failed."""

    def __init__(self):
        self.longest, self.count, self.refused, self.why, self.since = 0.0, 0, 0, "", None

    def attempt(self, action):
        self.since = self.since or time.monotonic()
        try:
            action()
        except (OSError, ValueError, KeyError) as error:
            self.refused, self.why = self.refused + 1, str(error) or repr(error)
            return False
        finally:
            self.longest = max(self.longest, time.monotonic() - self.since)
        self.count, self.since = self.count + 1, None
        return True

    def data(self):
        is_over = self.since is None
        return {"longest": self.longest, "count": self.count, "refused": self.refused, "why": self.why, "is_over": is_over}


class Honest:
    """A client with a connection that it keeps, and a backend with another one."""

    def __init__(self, target, headers=""):
        self.target, self.headers = target, headers
        self.client = self.backend = None
        self.number = 0

    def deliver(self):
        """Pushes to the user, and waits until the client has the event."""
        try:
            self.client = self.client or self.connect()
            self.backend = self.backend or Line(self.target, HONEST)
            self.number += 1
            body = {"event": "HONEST", "targets": {"users": ["honest"]}, "payload": f"number-{self.number}"}
            status, answer = self.backend.ask("POST", "/push/", json.dumps(body).encode(), self.headers)
            if status != 200:
                raise ValueError(f"push: {status} {answer.decode(errors='replace').strip()}")
            self.client.hear_until(f'"number-{self.number}"')
        except OSError:
            self.close()
            raise

    def connect(self):
        client = V1(self.target, HONEST)
        client.ident("honest")
        return client

    def handshake(self):
        """Opens a polling session and a WebSocket, and closes both."""
        polling = Polling(self.target, HONEST)
        try:
            polling.open()
            polling.ask("POST", polling.path, b"1")
        finally:
            polling.close()
        V1(self.target, HONEST).close()

    def close(self):
        for line in (self.client, self.backend):
            if line:
                line.close()
        self.client = self.backend = None


class Others:
    """The process of the honest clients."""

    def __init__(self, target, headers=""):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(target, headers, other), daemon=True)
        self.process.start()
        if not self.pipe.poll(PATIENCE):
            raise ConnectionError("not even honest clients are served")
        self.pipe.recv()

    def begin(self):
        """Forgets the measurements so far."""
        self.pipe.send("begin")

    def end(self):
        """Stops, and returns the measurements. It first waits for a delivery and for a handshake."""
        self.pipe.send("end")
        # An action that is under way may fail first; then it is tried again.
        found = self.pipe.recv() if self.pipe.poll(6 * PATIENCE) else None
        self.process.kill()
        self.process.join()
        return found or {}


def work(target, headers, pipe):
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    honest, turn = Honest(target, headers), 0
    honest.deliver()
    honest.handshake()
    pipe.send("ready")
    deliveries, handshakes = Wait(), Wait()
    while True:
        while pipe.poll(PAUSE):
            if pipe.recv() == "end":
                at_last(deliveries, honest.deliver)
                at_last(handshakes, honest.handshake)
                honest.close()
                pipe.send({"delivery": deliveries.data(), "handshake": handshakes.data()})
                return
            deliveries, handshakes = Wait(), Wait()
        deliveries.attempt(honest.deliver)
        turn += 1
        if turn % HANDSHAKE_EVERY == 0 or handshakes.since:
            handshakes.attempt(honest.handshake)


def at_last(wait, action):
    """Tries an action that failed last, or was never tried, until it works or the time is over."""
    deadline = time.monotonic() + PATIENCE
    while (wait.since or not wait.count) and time.monotonic() < deadline:
        if not wait.attempt(action):
            time.sleep(PAUSE)
