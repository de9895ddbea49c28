"""What the comparison shows: the table in README.md, and pictures in docs/benchmarks.md."""

from . import bars, page
from .comparing import BACK, CONNECT, DELIVERY, MEMORY, P99, PUSH, SPEED, TRANSPORTS, section
from .paths import PLOTS
from .servers import SERVERS
from .tables import grid, median

# The figures of Socket.IO in README.md: name, job, path in a report, unit, whether less is better.
SHORT = [
    ("CPU per delivery, 10,000 connections", "fanout", DELIVERY, "us", True),
    ("memory per idle connection", "fanout", MEMORY, "bytes", True),
    ("CPU per connect", "fanout", CONNECT, "us", True),
    ("CPU per client, 5,000 come back to 100 missed events", "return", BACK, "us", True),
    ("CPU per push to one subscriber", "push1", PUSH, "us", True),
    ("deliveries per second, 1,000 connections, 64 events outstanding", "many", SPEED, "/s", False),
    ("p99 latency, 10,000 connections", "fanout", P99, "ms", True),
]


def best_of_others(results, job, place, unit, less_is_better):
    """The best figure of all other servers, over any transport that they have, with its server."""
    others = [server for server in SERVERS if server not in ("turted", "floor", "socket.io")]
    found = [(results.figure(f"{job} {transport}", server, place), server) for transport in TRANSPORTS for server in others]
    found = [(figure, server) for figure, server in found if figure]
    if not found:
        return ""
    figure, server = sorted(found, key=lambda one: one[0].median if less_is_better else -one[0].median)[0]
    return f"{median(figure, unit)} ({server})"


def readme(results):
    cells = [["Socket.IO over WebSocket, one core", "turted", "socket.io", "times better", "best of the others"]]
    for what, job, place, unit, less_is_better in SHORT:
        both = [(f"{job} socketio", server, place) for server in ("turted", "socket.io")]
        own, rival = (results.figure(*one) for one in both)
        ratio = results.ratio(*(reversed(both) if less_is_better else both))
        if own and rival and ratio:
            best = best_of_others(results, job, place, unit, less_is_better)
            cells.append([what, median(own, unit), median(rival, unit), median(ratio, "x"), best])
    facts = results.about
    text = f"Measured on {facts['date']} ({facts['processor']}; {facts['versions'].split(', rustc')[0]}) by `just compare`."
    text += " The others have the transport in which they are best."
    return f"{grid(cells)}\n\n{text} Other transports and servers, targets, spread and method: [docs/benchmarks.md](docs/benchmarks.md)."


# One picture for each group of rows: file, title, job, path in a report, unit.
PICTURES = [
    ("compare-delivery", "CPU per delivery, 10,000 connections, one event at a time", "fanout", DELIVERY, "us"),
    ("compare-speed", "Deliveries per second, 1,000 connections, 64 outstanding", "many", SPEED, "/s"),
    ("compare-memory", "Memory per idle connection", "fanout", MEMORY, "bytes"),
    ("compare-connect", "CPU per connect", "fanout", CONNECT, "us"),
    ("compare-random", "CPU per push to a random one of 8,000 channels", "random", PUSH, "us"),
    ("compare-nobody", "CPU per push to nobody, 16 backends", "nobody", PUSH, "us"),
    ("compare-return", "CPU per client, 5,000 come back to 100 missed events", "return", BACK, "us"),
    ("compare-idle", "CPU of 8,000 idle connections in a minute", "idle", "idle.cpu_us", "ms"),
]


def draw(results):
    """The pictures by the names of their files, and the lines that show them."""
    drawn, lines = {}, []
    for name, title, job, place, unit in PICTURES:
        found = list(measured(results, job, place))
        if found:
            drawn[f"{name}.svg"] = bars.picture(title, found, unit)
            lines.append(f"![{title}](benchmarks/{name}.svg)")
    return drawn, lines


def measured(results, job, place):
    """A bar for each server and transport, turted first."""
    for transport, words in TRANSPORTS.items():
        for server in SERVERS:
            figure = results.figure(f"{job} {transport}", server, place) if server != "floor" else None
            if figure:
                yield bars.Bar(f"{server}, {words.split(' ')[0]}", figure, server == "turted")


def publish(results, command):
    drawn, lines = draw(results)
    for name, picture in drawn.items():
        (PLOTS / name).write_text(picture)
    page.write_section("compare", section(results, command, lines))
    page.write_readme(readme(results))
