"""What others feel while an input is under way: one client that pushes and receives, and new handshakes.
They have a process of their own, before the strangers' wherever that is allowed: they must not wait for them."""

import json
import multiprocessing
import os
import time
from contextlib import suppress

from .lines import HONEST, PATIENCE, Line, Polling, V1

# Between two pushes, and how many of them there are for each handshake.
PAUSE, HANDSHAKE_EVERY = 0.05, 4
NICE = -10


class Wait:
    """How long something took at most, over all tries until it worked, and how often it was refused."""

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
        """A push to its user, until the client has it."""
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
        """A new polling session and a new WebSocket, which go at once."""
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
    """The process that feels what strangers do to others."""

    def __init__(self, target, headers=""):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=work, args=(target, headers, other), daemon=True)
        self.process.start()
        if not self.pipe.poll(PATIENCE):
            raise ConnectionError("not even honest clients are served")
        self.pipe.recv()

    def begin(self):
        """Forgets what was felt before."""
        self.pipe.send("begin")

    def end(self):
        """Stops, and tells what was felt: waits for deliveries and for handshakes."""
        self.pipe.send("end")
        # What is under way may fail first, a push or a handshake of two, and is then tried again.
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
    """What failed last, or was not tried, is tried until it works, or for so long."""
    deadline = time.monotonic() + PATIENCE
    while (wait.since or not wait.count) and time.monotonic() < deadline:
        if not wait.attempt(action):
            time.sleep(PAUSE)
