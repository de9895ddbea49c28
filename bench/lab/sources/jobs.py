"""The jobs of bench/sources, and what the server does in each: CPU time, and messages per second."""

import json
import os
import signal
import time
import urllib.request
from contextlib import contextmanager

from ..clients import V1
from ..proving import QUIET
from ..ports import free_port
from ..run import Failed, cpu_ns, serving
from .ways import RabbitMq, RedisPubSub, RedisStream, Rest, Tail

CHANNEL = "bench"
MESSAGE_BYTES = 100
# A server that has read and dispatched these has the memory that it works with.
WARM_UP = 2_000
IDLE_SECONDS = 1
# One message at a time without a client: so far apart that the server sleeps before each.
PACE_SECONDS = 0.002
# A server that took less than this within a while does nothing but what it does when idle.
QUIET_SECONDS, QUIET_NANOSECONDS = 0.25, 200_000
LOOK_SECONDS = 0.002
# Seconds that the server may take for all messages of a job.
PATIENCE = 30

REST_MANY, REST_ONE = "REST, 16 connections", "REST, one connection"
SOURCES = ["redis-stream", "redis-pubsub", "rabbitmq", "tail"]
BACKED, PACED, CLOSED = "backed up", "one at a time", "one subscriber"

# Job, ways, and how many messages it has.
JOBS = [
    (BACKED, [REST_MANY, *SOURCES, REST_ONE], 50_000),
    (PACED, [REST_ONE, *SOURCES], 1_000),
    (CLOSED, [REST_ONE, *SOURCES], 300),
]


def way(name, redis, rabbitmq):
    """A way by its name, with the ports of the brokers."""
    makers = {
        REST_MANY: lambda: Rest(16),
        REST_ONE: lambda: Rest(1),
        "redis-stream": lambda: RedisStream(redis),
        "redis-pubsub": lambda: RedisPubSub(redis),
        "rabbitmq": lambda: RabbitMq(rabbitmq),
        "tail": Tail,
    }
    return makers[name]()


def repeat(results, repetition, program, make, scale, progress):
    """Does every job once with each way, REST first in every other repetition and last in the others."""
    for job, names, count in JOBS:
        for name in reversed(names) if repetition % 2 else names:
            progress.step(f"{job}: {name}")
            try:
                results.add(job, name, repetition, measure(program, make(name), job, int(count * scale)))
            except Failed as failed:
                progress.say(f"failed: {job}: {name}: {failed}")
                results.fail(job, name, failed)


def measure(program, chosen, job, count):
    """One run: CPU time of the server for each message, and messages per second."""
    try:
        with target(program, chosen) as server:
            chosen.fill(messages(WARM_UP))
            server.settle(WARM_UP)
            server.rest()
            return LOADS[job](server, chosen, messages(min(count, chosen.most)))
    except (OSError, ValueError, KeyError) as error:
        raise Failed(str(error) or repr(error)) from error


def messages(count):
    """Push bodies of the same length, each with its number."""
    return [message(number) for number in range(count)]


def message(number):
    push = {"event": "EVENT", "targets": {"channels": [CHANNEL]}, "payload": {"number": number, "text": ""}}
    room = MESSAGE_BYTES - len(json.dumps(push, separators=(",", ":")))
    push["payload"]["text"] = "x" * room
    return json.dumps(push, separators=(",", ":")).encode()


def backed(server, chosen, bodies):
    """All at once. What keeps messages has them all before the server, which is stopped meanwhile, reads the first."""
    if chosen.is_frozen:
        with server.frozen():
            chosen.fill(bodies)
        return server.settle(len(bodies))
    server.start()
    chosen.fill(bodies)
    return server.settle(len(bodies))


def paced(server, chosen, bodies):
    server.start()
    due = time.monotonic()
    for body in bodies:
        chosen.one(body)
        due += PACE_SECONDS
        time.sleep(max(0, due - time.monotonic()))
    return server.settle(len(bodies))


def closed(server, chosen, bodies):
    """One client receives, and the next message is sent when it has the one before."""
    client = V1(server.port)
    client.join(CHANNEL)
    server.start()
    for body in bodies:
        chosen.one(body)
        client.read_until("EVENT")
    return server.settle(len(bodies))


LOADS = {BACKED: backed, PACED: paced, CLOSED: closed}


@contextmanager
def target(program, chosen):
    """A server of its own with one worker that reads the way."""
    admin = free_port()

    def command(port, folder):
        (folder / "turted.toml").write_text(chosen.prepare(folder))
        return [program, "--listen", f"127.0.0.1:{port}", "--workers", "1"]

    with serving(command, settings={"TURTED_ADMIN_LISTEN": f"127.0.0.1:{admin}", **QUIET}) as (port, pid):
        server = Target(port, admin, pid, chosen.source)
        server.wait_until_up()
        chosen.open(port)
        try:
            yield server
        finally:
            chosen.close()


class Target:
    """A running server, and what it has done since `start`."""

    def __init__(self, port, admin, pid, source):
        self.port, self.admin, self.pid, self.source = port, admin, pid, source
        # Nanoseconds of CPU time for each second in which nothing happens.
        self.idle = 0
        self.start()

    def cpu(self):
        return cpu_ns(self.pid)

    def metric(self, name):
        """A metric of the source; 0 if there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f'{name}{{source="{self.source}"'))

    def dispatched(self):
        return int(self.metric("turted_dispatches_total"))

    def wait_until_up(self):
        deadline = time.monotonic() + PATIENCE
        while self.source != "rest" and not self.metric("turted_source_up"):
            if time.monotonic() > deadline:
                raise Failed("the source does not come up")
            time.sleep(0.05)

    def start(self):
        self.before = self.dispatched()
        self.began, self.cpu_began = time.monotonic(), self.cpu()

    def rest(self):
        self.start()
        time.sleep(IDLE_SECONDS)
        self.idle = (self.cpu() - self.cpu_began) / (time.monotonic() - self.began)

    @contextmanager
    def frozen(self):
        """Stops the process for the time of a `with`, and starts to measure when it goes on."""
        self.start()
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.began, self.cpu_began = time.monotonic(), self.cpu()
            os.kill(self.pid, signal.SIGCONT)

    def settle(self, count):
        """Waits until the server has dispatched so many messages since `start` and does nothing more: the report.
        It is only asked when it is quiet, because an answer costs CPU time too."""
        asking, mark, busy = 0, self.cpu_began, self.began
        while True:
            time.sleep(LOOK_SECONDS)
            now, cpu = time.monotonic(), self.cpu()
            if cpu - mark > QUIET_NANOSECONDS:
                mark, busy = cpu, now
            elif now - busy > QUIET_SECONDS:
                done = self.dispatched() - self.before
                if done == count:
                    spent = cpu - self.cpu_began - asking - self.idle * (now - self.began)
                    return {"cpu_us": spent / count / 1000, "per_second": count / (busy - self.began)}
                if done > count or now - self.began > PATIENCE:
                    raise Failed(f"{done:,} of {count:,} messages were dispatched")
                mark, busy = self.cpu(), time.monotonic()
                asking += mark - cpu
