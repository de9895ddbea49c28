"""The rows and their targets, what servers took, and their place on the page."""

from .. import page
from ..comparing import CONNECT, DELIVERY, MEMORY, NOTABLE, P50, P99, PUSH, SPEED, TRANSPORTS, Row
from ..run import wrongs
from ..tables import about, grid, median, shown

PEAK = "server.rss.peak"
STREAM_CONNECTION, STREAM = "http2.bytes_per_connection", "http2.bytes_per_stream"
NAMES = {**TRANSPORTS, "polling": "Socket.IO by polling, then WebSocket", "sse": "SSE"}
SERVERS = ["turted", "floor", "socket.io", "ws", "Nchan"]
# Where each server of others is measured beside turted.
PEERS = [("socketio", "socket.io"), ("websocket", "ws"), ("websocket", "Nchan")]
OWN, SHARED = "frame of its own", "frame that is shared"
TEN, NONE = "ten JOINs", "no JOIN"


class Bytes(Row):
    """A row whose target is in bytes and shown in megabytes."""

    def target(self):
        return f"<= {shown(self.most, self.unit)}" if self.most else ""


def named(job, transport):
    """The name of a run in the results."""
    return f"{job}: {transport}"


def rows(results):
    yield from beside(results, "random", PUSH, "CPU per push to a random one of 8,000 channels, 5,000/s", 1.5)
    yield from beside(results, "nobody", PUSH, "CPU per push to nobody, 16 backends", 1.45)
    for transport, server, most in [*own("websocket", 1.1), *own("socketio", 1.1), ("socketio", "socket.io", None), ("websocket", "ws", None)]:
        both = [(named(job, transport), server, DELIVERY) for job in (OWN, SHARED)]
        what = "CPU per delivery, 1,000 connections, a frame for each / one for all"
        yield Row(f"{NAMES[transport]}: {what}, {server}", results.ratio(*both), "x", most=most)
    for place, name, most in [(P50, "p50", 500), (P99, "p99", 1500)]:
        for transport, server, most_here in [*own("websocket", most), *own("socketio", most), *others()]:
            figure = results.figure(named("crowd", transport), server, place)
            what = f"push to one while 8,000 are pushed to, {name}"
            yield Row(f"{NAMES[transport]}: {what}, {server}", figure, "us", most=most_here)
    yield from rows_of_polling(results)
    yield from rows_of_joins(results)
    yield from rows_of_large(results)
    yield from rows_of_tls(results)
    figure = lambda place: results.figure(named("http2", "sse"), "turted", place)
    yield Row("SSE over HTTP/2: memory of a connection with one stream, turted", figure(STREAM_CONNECTION), "bytes", most=10_000)
    yield Row("SSE over HTTP/2: memory of each further stream, turted", figure(STREAM), "bytes", most=1500)
    for transport, most in {"socketio": 1100, "websocket": 1000, "sse": 1000, "sockjs": 1000}.items():
        figure = results.figure(named("idle", transport), "turted", MEMORY)
        yield Row(f"{NAMES[transport]}: memory per idle connection, turted", figure, "bytes", most=most)


def own(transport, most):
    return [(transport, "turted", most)]


def others():
    return [(transport, server, None) for transport, server in PEERS]


def beside(results, job, place, what, most):
    """turted beside the floor, and the servers of others beside turted."""
    figure = lambda transport, server: (named(job, transport), server, place)
    floor = results.ratio(figure("websocket", "turted"), figure("websocket", "floor"))
    yield Row(f"WebSocket: {what}, turted / floor", floor, "x", most=most)
    for transport, server in PEERS:
        ratio = results.ratio(figure(transport, server), figure(transport, "turted"))
        yield Row(f"{NAMES[transport]}: {what}, {server} / turted", ratio, "x")


def rows_of_polling(results):
    name = "8,000 clients at once by polling and upgrade"
    for server, cpu, bytes_most in [("turted", 110, 40e6), ("socket.io", None, None)]:
        figure = lambda place: results.figure(named("polling", "polling"), server, place)
        yield Row(f"{name}: CPU per client, {server}", figure(CONNECT), "us", most=cpu)
        yield Bytes(f"{name}: memory at its peak, {server}", figure(PEAK), "megabytes", most=bytes_most)


def rows_of_joins(results):
    """What ten JOINs cost beyond a connection that joins nothing."""
    floor = ("websocket", "floor", None)
    for transport, server, most in [*own("websocket", 50), floor, ("websocket", "ws", None), *own("socketio", 50), ("socketio", "socket.io", None)]:
        cost = results.difference(*((named(job, transport), server, CONNECT) for job in (TEN, NONE)))
        yield Row(f"{NAMES[transport]}: CPU of ten JOINs at connect, {server}", cost, "us", most=most)


def rows_of_large(results):
    """Where the generator is the limit, bytes per second tell nothing: those of a second of CPU do."""
    large = lambda server, place: (named("large", "websocket"), server, place)
    name = "16 KiB to 1,000 connections"
    for server, least in [("floor", 0.9), ("ws", None), ("Nchan", None)]:
        speed = results.ratio(large("turted", SPEED), large(server, SPEED))
        yield Row(f"WebSocket: bytes/s, {name}, turted / {server}", speed, "x", least=least)
        bytes_of_cpu = results.ratio(large(server, DELIVERY), large("turted", DELIVERY))
        yield Row(f"WebSocket: bytes per second of CPU, {name}, turted / {server}", bytes_of_cpu, "x", least=least)


def rows_of_tls(results):
    """turted beside a loop that encrypts with the same library."""
    both = lambda place: [(named("tls", "websocket"), server, place) for server in ("turted", "floor")]
    name = "WebSocket over TLS"
    yield Row(f"{name}: CPU per delivery, 5,000 connections, turted / floor", results.ratio(*both(DELIVERY)), "x", most=1.15)
    yield Row(f"{name}: CPU per connect, turted / floor", results.ratio(*both(CONNECT)), "x", most=1.2)
    yield Row(f"{name}: memory per idle connection, turted", results.figure(*both(MEMORY)[0]), "bytes", most=5000)


def table(results, all_rows=True):
    """The table of rows; those that were not measured are left out unless `all_rows`."""
    cells = [row.cells() for row in rows(results) if all_rows or row.figure]
    return grid([["what", "median (lowest to highest)", "target", "met"], *cells])


# Each figure: its name, the load, its path in a report, the unit.
RAW = [
    ("CPU per push to a random one of 8,000 channels, 5,000/s wanted", "random", PUSH, "us"),
    ("pushes to a random one of 8,000 channels", "random", SPEED, "/s"),
    ("p99 latency, a random one of 8,000 channels", "random", P99, "ms"),
    ("CPU per push to nobody, 16 backends", "nobody", PUSH, "us"),
    ("CPU per delivery, a frame for each of 1,000", OWN, DELIVERY, "us"),
    ("CPU per delivery, one frame for 1,000", SHARED, DELIVERY, "us"),
    ("push to one while 8,000 are pushed to, p50", "crowd", P50, "ms"),
    ("push to one while 8,000 are pushed to, p99", "crowd", P99, "ms"),
    ("deliveries per second to 8,000, beside pushes to one", "crowd", "crowd", "/s"),
    ("8,000 clients at once: CPU per client", "polling", CONNECT, "us"),
    ("8,000 clients at once: clients per second", "polling", "connects.per_second", "/s"),
    ("8,000 clients at once: memory at its peak", "polling", PEAK, "megabytes"),
    ("CPU per connect with ten JOINs", TEN, CONNECT, "us"),
    ("CPU per connect without a JOIN", NONE, CONNECT, "us"),
    ("deliveries of 16 KiB per second", "large", SPEED, "/s"),
    ("CPU per delivery of 16 KiB", "large", DELIVERY, "us"),
    ("CPU per delivery over TLS, 5,000 connections", "tls", DELIVERY, "us"),
    ("CPU per connect over TLS", "tls", CONNECT, "us"),
    ("memory per idle connection over TLS", "tls", MEMORY, "bytes"),
    ("memory of a connection with one stream, HTTP/2", "http2", STREAM_CONNECTION, "bytes"),
    ("memory of each further stream, HTTP/2", "http2", STREAM, "bytes"),
    ("memory per idle connection", "idle", MEMORY, "bytes"),
]


def figures(results):
    """Each figure that was measured over each transport: what, unit, and the figure by server."""
    for what, job, place, unit in RAW:
        for transport, name in NAMES.items():
            found = {server: results.figure(named(job, transport), server, place) for server in SERVERS}
            if any(found.values()):
                yield f"{name}: {what}", unit, found


def raw(results):
    """The table of medians."""
    cells = [[what, *(median(found[server], unit) for server in SERVERS)] for what, unit, found in figures(results)]
    return grid([["what", *SERVERS], *cells])


def behind(results):
    """The targets that are missed, and where another server has the better median, by more than 1 %."""
    lines = [f"- {row.what}: {median(row.figure, row.unit)}, target {row.target()}" for row in rows(results) if row.is_met() is False]
    for what, unit, found in figures(results):
        turted = found["turted"]
        better = [f"{server} {median(found[server], unit)}" for server in SERVERS[2:] if is_better(found[server], turted, unit)]
        if better:
            lines.append(f"- {what}: turted {median(turted, unit)}, {', '.join(better)}")
    return "\n".join(lines) or "Nowhere."


def is_better(one, turted, unit):
    if not one or not turted:
        return False
    return one.median > turted.median * NOTABLE if unit == "/s" else one.median * NOTABLE < turted.median


def publish(results, command):
    page.write_section("daily", section(results, command))


def section(results, command):
    """The section of docs/benchmarks.md that bench/daily writes."""
    parts = ["## The load that people really have", about(results.about, command), explanation(results), table(results)]
    parts += ["### Medians", raw(results)]
    if results.failures:
        failed = [f"- {failure['job']}: {failure['server']}: {failure['why']}" for failure in results.failures]
        parts += ["### What was not measured, and why", "\n".join(failed)]
    wrong = [f"- {run['job']}: {run['server']}: {faults(run['report'])}" for run in results.data["runs"] if faults(run["report"])]
    parts += ["### Targets that are missed, and where another server is better", behind(results)]
    found = "\n".join(dict.fromkeys(wrong)) or "Every delivery of every run arrived once and in order."
    return "\n\n".join([*parts, "### Lost, doubled, out of order", found])


def faults(report):
    """The faults in a report, if the generator made it."""
    return wrongs(report) if "load" in report else ""


def explanation(results):
    count = results.repetitions()
    text = f"""\
One core for the server, another one for the load, {count} interleaved repetition{"s" if count != 1 else ""}. Medians; in parentheses the lowest and the highest.
Ratios are taken within a repetition. The floor is an epoll loop without log, rules or limits (`crates/turted/examples/floor_push.rs`): it reads what it has to know of a
push or a JOIN, answers, and sends the same bytes to whom they are for, with turted's options of sockets. CPU is user and system time of
the server's process, the network stack included. Servers of others stand where they have the like; what their idle connections take is [above](#beside-others).

A frame for each connection: each of 1,000 clients is a user of its own, and a push names all of them. A frame that is shared goes to 1,000 clients of a channel.
Servers whose frames do not say why they came send the same bytes to all, however a push names them.

Pushes to one while 8,000 are pushed to: of the pushes to a channel of 8,000 one is always under way, and another one waits. A hundred times a second a generator of its own
pushes to one user (at Nchan to another channel), from the time a push was due to its arrival.

Clients by polling and upgrade: a handshake, the packet that connects and two polls on a connection that is kept, then a WebSocket that is probed and
takes over. A tenth of the clients first, then all others at once.

Over TLS: the floor is a loop that encrypts for one client after the other with the library of turted, and hands each record to one `send()`
(`crates/turted/examples/floor_tls.rs`). Each client shakes hands in full.

Ten JOINs at connect: all in one write. What they cost is the CPU per connect with them, less that of clients that join nothing."""
    if not results.data["is_complete"]:
        text += "\n\n**Incomplete: the run was interrupted.**"
    return text
