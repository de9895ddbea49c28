"""The tables of what several machines cost, what follows for more nodes, and their place on the page of benchmarks."""

from .. import page, section
from ..comparing import CONNECT, DELIVERY, P50, P99, Row
from ..comparing import MEMORY as PER_CONNECTION
from ..results import Figure
from ..section import Section
from ..tables import grid, median, number
from .jobs import ALONE, BACKED, BACKENDS, CROWDED, FANNED, JOBS, OTHERS, RATE, STEADY
from .nodes import MEMORY, NODES, ONE, PINGS, THREE

SIDES = list(NODES)
# How much of the one core of Redis dispatches may take.
SHARE = 0.7
# Nodes of clusters whose load is computed.
SIZES = [3, 10, 30]
# How many nodes read more with three nodes than with one.
FURTHER = NODES[THREE] - NODES[ONE]

# Each figure: its name, the job, its path in a report, the unit.
RAW = [
    ("CPU per delivery, 10,000 connections, one event at a time", FANNED, DELIVERY, "us"),
    ("CPU per connect with JOIN", FANNED, CONNECT, "us"),
    ("memory per idle connection (slope from 1,000 to 10,000)", FANNED, PER_CONNECTION, "bytes"),
    ("CPU per push back to back from 8 backends, all nodes", BACKED, "all_us", "us"),
    (".. the node that is pushed to", BACKED, "first_us", "us"),
    (".. a node that only reads", BACKED, "reader_us", "us"),
    (".. Redis", BACKED, "redis_us", "us"),
    (".. pushes per second", BACKED, "per_second", "/s"),
    ("CPU per push back to back from 16 backends, all nodes", CROWDED, "all_us", "us"),
    (".. the node that is pushed to", CROWDED, "first_us", "us"),
    (".. a node that only reads", CROWDED, "reader_us", "us"),
    (".. pushes per second", CROWDED, "per_second", "/s"),
    ("CPU of an idle node in a second", BACKED, "idle_us", "us"),
    (f"CPU per push at {RATE:,} a second, the node that is pushed to", STEADY, "first_us", "us"),
    (".. a node that only reads", STEADY, "reader_us", "us"),
    (".. Redis", STEADY, "redis_us", "us"),
    ("push to client, one at a time, p50", ALONE, P50, "us"),
    (".. p99", ALONE, P99, "us"),
    (".. PING to Redis, p50", ALONE, "ping_us", "us"),
]


def rows(results):
    """The rows with a target."""
    ratio = lambda job, place, over=THREE: results.ratio((job, over, place), (job, MEMORY, place))
    reader = results.ratio((STEADY, THREE, "reader_us"), (BACKED, MEMORY, "all_us"))
    return [
        Row("CPU per delivery, a node / memory", ratio(FANNED, DELIVERY), "x", most=1.05),
        *(
            Row(f"CPU per push back to back from {backends} backends, three nodes together / memory", ratio(job, "all_us"), "x", most=2.6)
            for job, backends in BACKENDS.items()
        ),
        Row(f"CPU of a node for a dispatch that concerns none of its clients, at {RATE:,} a second / a push back to back in memory", reader, "x", most=0.5),
        Row("push to client, one at a time, p50: one node less memory", trips(results, ONE), "round trips", most=3),
        Row("memory per idle connection, a node / memory", ratio(FANNED, PER_CONNECTION), "x", most=1.05),
        Row("CPU per connect with JOIN, a node / memory", ratio(FANNED, CONNECT), "x"),
        Row("CPU per push back to back, one node / memory", ratio(BACKED, "all_us", ONE), "x"),
        Row("push to client, one at a time, p50: three nodes on one core less memory", trips(results, THREE), "round trips"),
    ]


def trips(results, name):
    """By how many round trips to Redis a push takes longer than in memory, within each repetition."""
    found = []
    own, memory = results.reports(ALONE, name), results.reports(ALONE, MEMORY)
    for repetition in own.keys() & memory.keys():
        longer = own[repetition]["load"]["latency"]["p50_us"] - memory[repetition]["load"]["latency"]["p50_us"]
        found.append(longer / own[repetition]["ping_us"])
    return Figure.of(found)


def medians(results):
    cells = []
    for what, job, place, unit in RAW:
        found = [results.figure(job, name, place) for name in SIDES]
        if any(found):
            cells.append([what, *(median(figure, unit) for figure in found)])
    return grid([["what", *SIDES], *cells])


def of_redis(results, job):
    """CPU time of Redis for a dispatch without those who read it, and for each node that reads it; `None` if not measured."""
    further = results.difference((job, THREE, "redis_us"), (job, ONE, "redis_us"))
    with_one = results.figure(job, ONE, "redis_us")
    if not further or not with_one:
        return None
    reading = max(further.median / FURTHER, 0)
    return max(with_one.median - reading, 0), reading


def redis(results):
    """What Redis takes, and how many dispatches a second follow for more nodes."""
    head = ["CPU of Redis", "a dispatch", "each node that reads it", *(f"{size} nodes at {SHARE:.0%} of a core" for size in SIZES)]
    return grid([head, *(redis_row(results, job) for job in (BACKED, STEADY))])


def redis_row(results, job):
    found = of_redis(results, job)
    if not found:
        return [job, *["not measured"] * 2, *[""] * len(SIZES)]
    bears = [f"{rounded(bearable(*found, size)):,} /s" for size in SIZES]
    return [job, *(f"{number(each)} us" for each in found), *bears]


def bearable(appending, reading, nodes):
    """Dispatches a second that take `SHARE` of the one core of Redis."""
    return SHARE * 1e6 / (appending + nodes * reading)


def rounded(value):
    """Two digits are all that the figures bear."""
    return int(float(f"{value:.2g}"))


def text(results):
    count = results.repetitions()
    seconds = ", ".join(f"{job} {measured[results.about['length']]} s" for job, _, _, measured in JOBS)
    return f"""\
One server with its log in memory, a cluster of one node, and a cluster of three nodes, in turns: {count} interleaved
repetition{"s" if count != 1 else ""}, every other one in the other order. Medians, in parentheses the lowest and the highest; ratios are taken within a
repetition. Each run has servers and a Redis of its own. Nodes have one worker and share core 0; Redis, which keeps nothing on disk, and the
generator (`turted bench`) share core 1. CPU is user and system time of the processes, the network stack included. Time of pushing: {seconds}.

- **{FANNED}**: 10,000 clients of turted.v1 at the first node, one event at a time. Memory and connects are from the same runs, before the first event.
- **{BACKED}**: pushes to the first node that nobody has subscribed to, by {BACKENDS[BACKED]} backends that each wait for their answer, counted until all nodes have read
  all of them. **{CROWDED}**: the same by {BACKENDS[CROWDED]}, as many as bench/daily has.
- **{STEADY}**: the same at that rate, with {OTHERS} clients of another channel at the last node. Its CPU is that of a node that only reads.
- **{ALONE}**: the only client is at the first node, and each push begins when the one before has arrived. A round trip is the median of
  {PINGS:,} PINGs by `redis-benchmark` on core 0, before and after. Each push wakes all three nodes, which wait for each other on their one core:
  nodes with cores of their own do not, so the target is that of a cluster of one node."""


REDIS_TEXT = f"""\
CPU time of the process of Redis for a push without a key. What a cluster of three nodes takes more than one of one node is the cost of {FURTHER} further nodes
that read it. A Redis that has much to do takes and hands out many dispatches at once, so each costs less: for its limit the first row counts. The last columns are computed, not
measured: how many dispatches a second take {SHARE:.0%} of one core. Redis has one core for all of this, however many the machine has."""


def say(results):
    section.say(results, rows(results), [medians(results), redis(results)])


def publish(results, command):
    what = Section("Several machines beside one", text(results), "several machines")
    tables = ["### What each side takes", medians(results), "### What one Redis bears", REDIS_TEXT, redis(results)]
    page.write_section("cluster", section.build(what, results, command, rows(results), tables))
