"""What a change costs: two builds of turted, the same jobs, in turns."""

from .comparing import CONNECT, DELIVERY, FANOUT, MEMORY, P99, PUSH, PUSHERS, SPEED, TRANSPORTS
from .paths import TURTED
from .run import Failed, bench, serving, wrongs
from .tables import grid, spread

MANY = ["--connections", "1000", "--inflight", "64", *PUSHERS]

# Name, transport, arguments of the generator, seconds, and the figures to compare.
JOBS = [
    *(("fanout", transport, FANOUT, 2, (DELIVERY, MEMORY, CONNECT)) for transport in TRANSPORTS),
    *(("many", transport, MANY, 2, (DELIVERY, SPEED, P99)) for transport in TRANSPORTS),
    ("busy0", "socketio", ["--connections", "0", "--inflight", "64", *PUSHERS], 2, (PUSH,)),
    ("busy1", "socketio", ["--connections", "1", "--inflight", "64", *PUSHERS], 2, (PUSH,)),
]

WORDS = {
    "fanout": "10,000 connections, one event at a time",
    "many": "1,000 connections, 64 events outstanding",
    "busy0": "back to back, no subscriber",
    "busy1": "back to back, one subscriber",
    DELIVERY: "CPU per delivery",
    MEMORY: "memory per connection",
    CONNECT: "CPU per connect",
    SPEED: "deliveries per second",
    P99: "p99 latency",
    PUSH: "CPU per push",
}


def repeat(results, repetition, old, progress):
    """Does every job once with each build."""
    builds = [("before", old), ("after", TURTED)]
    for job, transport, arguments, seconds, _ in JOBS:
        for name, program in builds if repetition % 2 else reversed(builds):
            title = f"{job} {transport}"
            progress.step(f"{title}: {name}")
            try:
                report = measure(program, ["--transport", transport, *arguments], seconds)
            except Failed as failed:
                results.fail(title, name, failed)
                continue
            results.add(title, name, repetition, report)
            if wrongs(report):
                progress.say(f"wrong: {title}: {name}: {wrongs(report)}")


def measure(program, arguments, seconds):
    """One run: its report, or `Failed`."""
    command = lambda port, _folder: [program, "--listen", f"127.0.0.1:{port}", "--workers", "1"]
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
