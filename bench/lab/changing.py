"""What a change costs: two servers, before and after, the same jobs, in turns."""

from .comparing import CONNECT, DELIVERY, FANOUT, MEMORY, P99, PUSH, PUSHERS, SPEED, TRANSPORTS
from .paths import TURTED
from .run import Failed, bench, serving, wrongs
from .tables import grid, spread

MANY = ["--connections", "1000", "--inflight", "64", *PUSHERS]
# A push that waits for a disk shares the way there with those that wait beside it.
BUSY = ["--inflight", "64", "--pushers", "16"]

# Name, transport, arguments of the generator, seconds, and the figures to compare.
JOBS = [
    *(("fanout", transport, FANOUT, 2, (DELIVERY, MEMORY, CONNECT)) for transport in TRANSPORTS),
    *(("many", transport, MANY, 2, (DELIVERY, SPEED, P99)) for transport in TRANSPORTS),
    ("busy0", "socketio", ["--connections", "0", *BUSY], 2, (PUSH,)),
    ("busy1", "socketio", ["--connections", "1", *BUSY], 2, (PUSH,)),
]

WORDS = {
    "fanout": "10,000 connections, one event at a time",
    "many": "1,000 connections, 64 events outstanding",
    "busy0": "back to back from 16 backends, no subscriber",
    "busy1": "back to back from 16 backends, one subscriber",
    DELIVERY: "CPU per delivery",
    MEMORY: "memory per connection",
    CONNECT: "CPU per connect",
    SPEED: "deliveries per second",
    P99: "p99 latency",
    PUSH: "CPU per push",
}


def build(program):
    """A server of this build."""
    return lambda port, _folder: [program, "--listen", f"127.0.0.1:{port}", "--workers", "1"]


def on_disk(sync):
    """This turted with its log on disk."""

    def command(port, folder):
        keys = {"TURTED_LOG_DIRECTORY": f"{folder}/log", "TURTED_LOG_STORE": "disk", "TURTED_LOG_SYNC": sync}
        return ["env", *(f"{key}={value}" for key, value in keys.items()), *build(TURTED)(port, folder)]

    return command


def repeat(results, repetition, before, after, progress):
    """Does every job once with each server."""
    servers = [("before", before), ("after", after)]
    for job, transport, arguments, seconds, _ in JOBS:
        for name, command in servers if repetition % 2 else reversed(servers):
            title = f"{job} {transport}"
            progress.step(f"{title}: {name}")
            try:
                report = measure(command, ["--transport", transport, *arguments], seconds)
            except Failed as failed:
                results.fail(title, name, failed)
                continue
            results.add(title, name, repetition, report)
            if wrongs(report):
                progress.say(f"wrong: {title}: {name}: {wrongs(report)}")


def measure(command, arguments, seconds):
    """One run: its report, or `Failed`."""
    try:
        with serving(command) as (port, pid):
            return bench(port, pid, arguments, seconds)
    except (OSError, ValueError, KeyError) as error:
        raise Failed(str(error)) from error


def table(results):
    """One row for each figure: the ratio, and its spread."""
    cells = [["what", "after / before: median (lowest to highest)"]]
    for job, transport, _, _, places in JOBS:
        title = f"{job} {transport}"
        for place in places:
            figure = results.ratio((title, "after", place), (title, "before", place))
            cells.append([f"{TRANSPORTS[transport]}, {WORDS[job]}: {WORDS[place]}", spread(figure, "x")])
    return grid(cells)
