"""The tables of what a message of each source costs, and their place on the page of benchmarks."""

from .. import page
from ..tables import about, grid, median, number, spread
from .ways import RedisPubSub
from .jobs import BACKED, CLOSED, JOBS, MESSAGE_BYTES, PACE_SECONDS, PACED, REST_MANY, REST_ONE, SOURCES

CPU, SPEED = "cpu_us", "per_second"
# What a backed-up message may cost at most, as a share of a REST push, and in words. Pub/Sub keeps nothing, so it is not among them.
THIRD = 1 / 3
TARGETS = {"redis-stream": THIRD, "tail": THIRD, "rabbitmq": 1}


def ratio(results, job, name, rest):
    return results.ratio((job, name, CPU), (job, rest, CPU))


def backed(results):
    head = ["backed up, no client", "CPU per message", "beside REST, 16 connections", "beside REST, one connection", "target", "met", "messages per second"]
    return grid([head, *(backed_row(results, name) for name in [REST_MANY, REST_ONE, *SOURCES])])


def backed_row(results, name):
    figure = lambda place: results.figure(BACKED, name, place)
    many, one = (ratio(results, BACKED, name, rest) for rest in (REST_MANY, REST_ONE))
    most = TARGETS.get(name)
    target = [f"<= {number(most)} x", is_met(many, most)] if most else ["", ""]
    return [name, spread(figure(CPU), "us"), *(spread(each, "x") for each in (many, one)), *target, median(figure(SPEED), "/s")]


def is_met(figure, most):
    return "" if figure is None else "yes" if figure.median <= most else "NO"


def single(results):
    pace = f"one every {PACE_SECONDS * 1000:.0f} ms, no client"
    head = ["one at a time", f"CPU per message, {pace}", "beside REST", f"CPU per message, {CLOSED}", "beside REST", "messages per second, one after another"]
    return grid([head, *(single_row(results, name) for name in [REST_ONE, *SOURCES])])


def single_row(results, name):
    cells = [name]
    for job in (PACED, CLOSED):
        cells += [spread(results.figure(job, name, CPU), "us"), spread(ratio(results, job, name, REST_ONE), "x")]
    return [*cells, median(results.figure(CLOSED, name, SPEED), "/s")]


def verdict(results):
    """Which targets hold and which do not, in sentences."""
    found = {name: ratio(results, BACKED, name, REST_MANY) for name in TARGETS}
    said = []
    for most, words in ((THIRD, "a third of a REST push"), (1, "one REST push")):
        for met, verb in (("yes", "costs at most"), ("NO", "costs more than")):
            names = [name for name in TARGETS if TARGETS[name] == most and is_met(found[name], most) == met]
            if names:
                each = " and of ".join(f"`{name}` ({number(found[name].median)})" for name in names)
                said.append(f"A backed-up message of {each} {verb} {words}.")
    alone = [each.median for each in (ratio(results, BACKED, name, REST_ONE) for name in TARGETS) if each]
    if alone:
        said.append(f"Those shares are beside REST over 16 connections; beside one connection, where the server sleeps before each push, they are at most {number(max(alone))}.")
    return " ".join(said)


def section(results, command):
    parts = ["## Sources beside REST", about(results.about, command), text(results.repetitions()), verdict(results)]
    parts += [backed(results), single(results)]
    if not results.data["is_complete"]:
        parts.append("**Incomplete: the run was interrupted.**")
    if results.failures:
        parts += ["### Not measured", "\n".join(f"- {one['job']}: {one['server']}: {one['why']}" for one in results.failures)]
    return "\n\n".join(parts)


def text(repetitions):
    counts = {job: count for job, _, count in JOBS}
    return f"""\
CPU time of the server's process (user and system, network and file system included) for one message: a push body of {MESSAGE_BYTES} bytes
for one channel, by REST and by [sources](sources.md) with their default keys. Each figure is from a server of its own with one worker on
core 0; brokers and who publishes share core 1. The start is not counted, what an idle server takes is subtracted, and the metrics must
say that each message was dispatched once. {repetitions} interleaved repetition{"s" if repetitions != 1 else ""}: medians, in parentheses
the lowest and the highest; ratios are taken within a repetition.

**Backed up**: {counts[BACKED]:,} messages are in the stream, the queue or the file before the server, which is stopped meanwhile (SIGSTOP),
reads the first. Pub/Sub keeps nothing, so {RedisPubSub.most:,} are published as fast as one process can, no more than fit into the server at once. REST has as many pushes with an answer
each, back to back over 16 connections or over one. The targets count beside the cheaper of the two.

**One at a time**: {counts[PACED]:,} messages with pauses, then {counts[CLOSED]:,} to a client, each sent when the one before has come. `tail` looks
at files at most every 20 ms: with one line every {PACE_SECONDS * 1000:.0f} ms about ten share a look, one after another each has a look of its own.

Messages per second are for information: who publishes is Python, and shares its core with the broker."""


def publish(results, command):
    page.write_section("sources", section(results, command))
