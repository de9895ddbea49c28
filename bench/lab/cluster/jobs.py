"""The jobs, and what is measured in each."""

import subprocess

from ..run import Failed, bench
from .nodes import MEMORY, ONE, THREE, side

FANOUT = ["--transport", "websocket", "--connections", "10000", "--inflight", "1"]
RATE = 10_000
PACED = ["--connections", "0", "--rate", str(RATE), "--pushers", "8"]
LATENCY = ["--transport", "websocket", "--connections", "1", "--inflight", "1"]
# Clients of the node that only reads. No dispatch concerns them.
OTHERS = 100
# A run that pushed less than this share of its rate says nothing about that rate.
SHARE_MIN = 0.95
FANNED, STEADY, ALONE = "fanout", f"{RATE:,} a second", "one at a time"
# Each backend waits for its answer, so that as many pushes are under way as there are backends.
BACKED, CROWDED = "back to back", "back to back from 16 backends"
BACKENDS = {BACKED: 8, CROWDED: 16}


def fanned(servers, seconds):
    """CPU time of the first node for each delivery, and its memory for each connection before the first push."""
    return loaded(servers, FANOUT, seconds)


def backed(servers, seconds):
    """Pushes back to back, after a while without any."""
    idle = servers.idle_us()
    return crowded(servers, seconds, BACKENDS[BACKED]) | {"idle_us": idle}


def crowded(servers, seconds, backends=BACKENDS[CROWDED]):
    return shared(servers, ["--connections", "0", "--inflight", "64", "--pushers", str(backends)], seconds)


def steady(servers, seconds):
    """Pushes to the first node that concern no client of the last one."""
    clients = servers.fill(OTHERS)
    report = shared(servers, PACED, seconds)
    for client in clients:
        client.socket.close()
    if report["per_second"] < RATE * SHARE_MIN:
        raise Failed(f"{report['per_second']:,.0f} instead of {RATE:,} pushes a second")
    return report


def alone(servers, seconds):
    """The latency of pushes to the only client, and of PING before and after."""
    pings = [servers.redis.ping_us()] if servers.redis else []
    report = loaded(servers, LATENCY, seconds)
    if servers.redis:
        pings.append(servers.redis.ping_us())
        report["ping_us"] = sum(pings) / len(pings)
    return report


def loaded(servers, arguments, seconds):
    """The report of the generator about the first node."""
    report = bench(servers.first.port, servers.first.pid, arguments, seconds)
    if refused := report["load"]["pushes_refused"]:
        raise Failed(f"{refused:,} pushes were refused")
    return report


def shared(servers, arguments, seconds):
    """CPU time for each push: of all nodes, of the one that is pushed to, of one that only reads, and of Redis."""
    before = servers.settle()
    report = loaded(servers, arguments, seconds)
    *nodes, redis = (after - earlier for after, earlier in zip(servers.settle(), before))
    pushes = report["load"]["pushes"]
    if not pushes:
        raise Failed("nothing was pushed")
    each = lambda nanoseconds: nanoseconds / pushes / 1000
    found = {"all_us": each(sum(nodes)), "first_us": each(nodes[0]), "load": report["load"]}
    found["per_second"] = pushes / report["load"]["seconds"]
    if servers.redis:
        found["redis_us"] = each(redis)
    if len(nodes) > 1:
        # The last one has clients, if there are any.
        found["reader_us"] = each(nodes[-1])
    return found


# Job, what it does, sides, and seconds of pushing (full, short).
JOBS = [
    (FANNED, fanned, [MEMORY, ONE, THREE], (6, 4)),
    (BACKED, backed, [MEMORY, ONE, THREE], (4, 3)),
    (CROWDED, crowded, [MEMORY, THREE], (4, 3)),
    (STEADY, steady, [ONE, THREE], (4, 3)),
    (ALONE, alone, [MEMORY, ONE, THREE], (3, 2)),
]


def repeat(results, repetition, length, progress):
    """Does every job once with each side, in the other order in every other repetition. `length` picks the seconds."""
    for job, run, sides, seconds in JOBS:
        for name in reversed(sides) if repetition % 2 else sides:
            progress.step(f"{job}: {name}")
            try:
                results.add(job, name, repetition, measure(run, name, seconds[length]))
            except Failed as failed:
                progress.say(f"failed: {job}: {name}: {failed}")
                results.fail(job, name, failed)


def measure(run, name, seconds):
    """The report of one run, or `Failed`."""
    try:
        with side(name) as servers:
            return run(servers, seconds)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        raise Failed(str(error) or repr(error)) from error
