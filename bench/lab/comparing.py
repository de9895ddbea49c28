"""The comparison: its jobs, how they are run, and the tables made from the results."""

from concurrent.futures import ThreadPoolExecutor, as_completed

from .choice import PROGRAMS
from .paths import TURTED
from .results import Figure
from .run import Failed, bench, serving, wrongs
from .servers import SERVERS, Unavailable
from .tables import about, grid, median, spread

TRANSPORTS = {
    "socketio": "Socket.IO over WebSocket",
    "websocket": "WebSocket",
    "sse": "SSE",
    "sockjs": "SockJS over WebSocket",
}

# A single connection that waits for each answer keeps fewer than 64 events outstanding.
PUSHERS = ["--pushers", "8"]

# The ratio with the strictest target is measured this many times in each repetition.
PAIR, PAIRS = ["turted", "floor"], 4
AGAIN = [f"fanout-{turn}" for turn in range(2, PAIRS + 1)]
EVERYBODY = list(SERVERS)
NOT_FLOOR = [server for server in SERVERS if server != "floor"]
IDLE = "idle"
FANOUT = ["--connections", "10000", "--inflight", "1"]
# A client that comes back is sent 100 events. Nothing is pushed afterwards.
RETURN = "return"
RETURNING = ["--connections", "5000", "--return", "100"]
RANDOM = ["--connections", "8000", "--channels", "8000", "--random", "--rate", "5000", "--pushers", "8"]

# Name, arguments of the generator, seconds (full, short), transports, servers.
JOBS = [
    ("fanout", FANOUT, (4, 1), list(TRANSPORTS), EVERYBODY),
    # The two take turns in running first.
    *((job, FANOUT, (4, 1), list(TRANSPORTS), PAIR[:: -1 if turn % 2 == 0 else 1]) for turn, job in enumerate(AGAIN)),
    ("one", ["--connections", "1000", "--inflight", "1"], (2, 1), ["socketio"], NOT_FLOOR),
    ("many", ["--connections", "1000", "--inflight", "64", *PUSHERS], (2, 1), list(TRANSPORTS), NOT_FLOOR),
    # In no order from which a server could profit. One that cannot take 5,000 pushes a second falls behind.
    ("random", RANDOM, (4, 1), ["websocket", "sse"], NOT_FLOOR),
    ("nobody", ["--connections", "0", "--inflight", "64", "--pushers", "16"], (2, 1), ["websocket", "sse"], NOT_FLOOR),
    # Two heartbeats and more of each server. Once, and all servers at the same time, because it takes a minute: what a
    # process uses of the CPU is its own, and together they use a small part of a core.
    (IDLE, ["--connections", "8000", "--idle", "60s"], (0, 0), ["websocket", "sse"], NOT_FLOOR),
    (RETURN, RETURNING, (0, 0), ["socketio", "websocket", "sse"], [name for name, server in SERVERS.items() if server.returns]),
    ("push0", ["--connections", "0"], (2, 1), ["socketio"], EVERYBODY),
    ("push1", ["--connections", "1"], (2, 1), ["socketio"], EVERYBODY),
    # Pushes back to back: a server that never waits does not pay for falling asleep and waking up.
    ("busy0", ["--connections", "0", "--inflight", "64", *PUSHERS], (2, 1), ["socketio"], NOT_FLOOR),
    ("busy1", ["--connections", "1", "--inflight", "64", *PUSHERS], (2, 1), ["socketio"], NOT_FLOOR),
]

# By how much two medians differ at least, if that means anything: all servers are pushed to at the same rate, for example.
NOTABLE = 1.01

# Paths of figures in a report.
DELIVERY = "server.cpu_us_per_delivery"
MEMORY = "server.bytes_per_connection"
CONNECT = "connects.cpu_us"
PUSH = "server.cpu_us_per_push"
SPEED = "load.deliveries_per_second"
P50 = "load.latency.p50_us"
P99 = "load.latency.p99_us"
BACK = f"{RETURN}.cpu_us_per_client"


def plan(only, quick, short=False):
    """All runs of one repetition, in order: job, transport, server, arguments, seconds. Runs are short if they are
    `quick`, which also leaves out those that take long."""
    return [
        (f"{job} {transport}", transport, server, arguments, seconds[1 if quick or short else 0])
        for transport in TRANSPORTS
        for job, arguments, seconds, transports, servers in JOBS
        for server in servers
        if transport in transports and transport in SERVERS[server].transports
        if (not only or server in only) and not (quick and job in [IDLE, *AGAIN]) and not (short and job in AGAIN[1:])
    ]


def measure(run, seconds):
    """One run: its report, or `Failed`."""
    job, transport, name, arguments, _ = run
    server = SERVERS[name]
    command = server.returns if job.startswith(f"{RETURN} ") else server.command
    try:
        with serving(command, settings=server.settings) as (port, pid):
            arguments = [*server.arguments(transport), *arguments]
            return bench(port, pid, arguments, seconds, password=server.password)
    except (Unavailable, OSError, ValueError, KeyError) as error:
        raise Failed(str(error)) from error


def repeat(results, repetition, runs, progress):
    """Does every run once. A server that failed with a transport is not run with it again."""
    for run in runs:
        job, _, server, _, seconds = run
        if not is_idle(run):
            progress.step(f"{job}: {server}")
            if not is_broken(results, run):
                note(results, repetition, run, lambda: measure(run, seconds), progress)


def leave_alone(results, runs, progress):
    """Does the runs that leave connections alone, all at once."""
    runs = [run for run in runs if is_idle(run) and not is_broken(results, run)]
    if not runs:
        return
    progress.step(f"{IDLE}: all servers")
    with ThreadPoolExecutor(len(runs)) as pool:
        under_way = {pool.submit(measure, run, run[4]): run for run in runs}
        for done in as_completed(under_way):
            note(results, 0, under_way[done], done.result, progress)


def is_idle(run):
    return run[0].startswith(f"{IDLE} ")


def is_broken(results, run):
    """Whether the server of a run failed with its transport before."""
    return any((failure["job"].split(" ")[1], failure["server"]) == run[1:3] for failure in results.failures)


def note(results, repetition, run, report, progress):
    """Notes the report of a run, or that it failed."""
    job, _, server, _, _ = run
    try:
        report = report()
    except Failed as failed:
        progress.say(f"failed: {job}: {server}: {failed}")
        results.fail(job, server, failed)
        return
    results.add(job, server, repetition, report)
    if wrongs(report):
        progress.say(f"wrong: {job}: {server}: {wrongs(report)}")


class Row:
    """One row of the table of ratios: its label, the figure, and the target if there is one."""

    def __init__(self, what, figure, unit, most=None, least=None):
        self.what, self.figure, self.unit = what, figure, unit
        self.most, self.least = most, least

    def target(self):
        if self.most is not None:
            return f"<= {self.most:,} {self.unit}"
        return f">= {self.least:,} {self.unit}" if self.least is not None else ""

    def is_met(self):
        """Whether the target is met; `None` without a target or a figure."""
        if self.figure is None or (self.most is None and self.least is None):
            return None
        return self.figure.median <= self.most if self.most is not None else self.figure.median >= self.least

    def cells(self):
        met = {True: "yes", False: "NO", None: ""}
        return [self.what, spread(self.figure, self.unit), self.target(), met[self.is_met()]]


def rows(results):
    socketio = lambda job: f"{job} socketio"
    ratio = lambda job, place, over, under: results.ratio((socketio(job), over, place), (socketio(job), under, place))
    turted = lambda job, place: results.figure(socketio(job), "turted", place)
    batching = lambda server: results.ratio((socketio("many"), server, SPEED), (socketio("one"), server, SPEED))
    table = [*rows_of(results, "socketio")]
    table += [
        Row("deliveries/s, 64 outstanding / one at a time, turted", batching("turted"), "x", least=10),
        Row("deliveries/s, 64 outstanding / one at a time, socket.io", batching("socket.io"), "x"),
        Row("CPU per connect with JOIN, turted", turted("fanout", CONNECT), "us"),
        Row("CPU per connect with JOIN, turted / floor", ratio("fanout", CONNECT, "turted", "floor"), "x"),
        Row("CPU per connect with JOIN, socket.io / turted", ratio("fanout", CONNECT, "socket.io", "turted"), "x", least=7),
        *(row for job in PUSHES for row in rows_of_pushes(job, turted, ratio)),
        Row("the program, one file", program_size(), "MB", most=20),
    ]
    for transport in list(TRANSPORTS)[1:]:
        table += rows_of(results, transport)
    return table


# The jobs that measure pushes, in words.
PUSHES = {
    "busy0": "back to back, no subscriber",
    "busy1": "back to back, one subscriber",
    "push0": "one at a time, no subscriber",
    "push1": "one at a time, one subscriber",
}

# From the design: 20 us per push, where socket.io needs 52 without a subscriber and 59 with one.
PUSH_GAIN = {"0": 2.6, "1": 2.95}


def rows_of_pushes(job, turted, ratio):
    what = f"CPU per REST push, {PUSHES[job]}"
    yield Row(f"{what}, turted", turted(job, PUSH), "us")
    yield Row(f"{what}, socket.io / turted", ratio(job, PUSH, "socket.io", "turted"), "x", least=PUSH_GAIN[job[-1]])
    if job.startswith("push"):
        yield Row(f"{what}, turted / floor", ratio(job, PUSH, "turted", "floor"), "x")


def program_size():
    return Figure([TURTED.stat().st_size / 1e6]) if TURTED.exists() else None


def rows_of(results, transport):
    """The ratios that are measured for every transport."""
    fanout, many, name = f"fanout {transport}", f"many {transport}", TRANSPORTS[transport]
    peers = [server for server, about_it in SERVERS.items() if transport in about_it.transports]
    peers = [server for server in peers if server not in ("turted", "floor")]
    # A server that the user would have to bring is left out, unless it was measured.
    peers = [server for server in peers if server not in PROGRAMS or results.reports(fanout, server)]
    floor = (fanout, "floor", DELIVERY)
    turns = [f"{job} {transport}" for job in ("fanout", *AGAIN)]
    pairs = [((turn, "turted", DELIVERY), (turn, "floor", DELIVERY)) for turn in turns]
    yield Row(f"{name}: CPU per delivery, turted / floor", results.ratio_of_all(pairs), "x", most=1.15)
    for peer in peers:
        yield Row(f"{name}: CPU per delivery, {peer} / floor", results.ratio((fanout, peer, DELIVERY), floor), "x")
    yield Row(f"{name}: memory per connection, turted", results.figure(fanout, "turted", MEMORY), "bytes", most=1500)
    for peer in peers:
        figure = results.ratio((fanout, peer, MEMORY), (fanout, "turted", MEMORY))
        yield Row(f"{name}: memory per connection, {peer} / turted", figure, "x")
    for peer in peers:
        figure = results.ratio((many, "turted", SPEED), (many, peer, SPEED))
        yield Row(f"{name}: deliveries/s, 64 outstanding, turted / {peer}", figure, "x")
    for job, what in {"random": "push to a random one of 8,000 channels", "nobody": "push to nobody, 16 backends"}.items():
        for peer in peers:
            both = [(f"{job} {transport}", server, PUSH) for server in (peer, "turted")]
            figure = results.ratio(*both)
            if figure:
                yield Row(f"{name}: CPU per {what}, {peer} / turted", figure, "x")


    for peer in peers:
        back = f"{RETURN} {transport}"
        figure = results.ratio((back, peer, BACK), (back, "turted", BACK))
        if figure:
            yield Row(f"{name}: CPU per client that comes back to 100 events, {peer} / turted", figure, "x")


def ratios(results, all_rows=True):
    """The table of ratios; rows that were not measured are left out unless `all_rows`."""
    cells = [row.cells() for row in rows(results) if all_rows or row.figure]
    return grid([["what", "median (lowest to highest)", "target", "met"], *cells])


# Each figure: its name, the job, its path in a report, the unit.
RAW = [
    ("CPU per delivery, 10,000 connections, one event at a time", "fanout", DELIVERY, "us"),
    ("p99 latency, 10,000 connections, one event at a time", "fanout", P99, "ms"),
    ("memory per connection (slope from 1,000 to 10,000)", "fanout", MEMORY, "bytes"),
    ("CPU per connect", "fanout", CONNECT, "us"),
    ("deliveries per second, 1,000 connections, one event at a time", "one", SPEED, "/s"),
    ("deliveries per second, 1,000 connections, 64 outstanding", "many", SPEED, "/s"),
    ("CPU per delivery, 64 outstanding", "many", DELIVERY, "us"),
    ("cores in use, 64 outstanding", "many", "server.cores", "cores"),
    ("p50 latency, 64 outstanding", "many", P50, "ms"),
    ("p99 latency, 64 outstanding", "many", P99, "ms"),
    ("CPU per push to a random one of 8,000 channels, 5,000/s wanted", "random", PUSH, "us"),
    ("pushes to a random one of 8,000 channels", "random", SPEED, "/s"),
    ("p99 latency, a random one of 8,000 channels, 5,000/s wanted", "random", P99, "ms"),
    ("CPU per push to nobody, 16 backends", "nobody", PUSH, "us"),
    ("CPU of 8,000 idle connections in a minute", IDLE, "idle.cpu_us", "ms"),
    ("CPU per client, 5,000 come back to 100 missed events", RETURN, BACK, "us"),
    (".. until all have everything", RETURN, f"{RETURN}.seconds", "s"),
    (".. events that never came", RETURN, f"{RETURN}.lost", "events"),
    (".. events that came twice", RETURN, f"{RETURN}.duplicated", "events"),
    (".. memory before", RETURN, f"{RETURN}.rss_before", "megabytes"),
    (".. memory at its peak", RETURN, f"{RETURN}.rss_peak", "megabytes"),
    *((f"CPU per REST push, {what}", job, PUSH, "us") for job, what in PUSHES.items()),
]


def raw(results, transport):
    """The table of medians; `None` if nothing was measured."""
    servers = [server for server in SERVERS if results.reports(f"fanout {transport}", server)]
    cells = []
    for what, job, place, unit in RAW:
        found = [results.figure(f"{job} {transport}", server, place) for server in servers]
        if any(found):
            cells.append([what, *(median(figure, unit) for figure in found)])
    return grid([["what", *servers], *cells]) if cells else None


def medians(results):
    """All tables of medians, with their titles."""
    tables = {name: raw(results, transport) for transport, name in TRANSPORTS.items()}
    return [part for name, table in tables.items() if table for part in (f"### {name}: medians", table)]


def behind(results):
    """Where another server has the better median, by more than 1 %: a line for each figure, with all who have it."""
    lines = []
    for transport, name in TRANSPORTS.items():
        for what, job, place, unit in RAW:
            figures = {server: results.figure(f"{job} {transport}", server, place) for server in NOT_FLOOR}
            own = figures.pop("turted")
            # To use fewer cores is neither better nor worse.
            if not own or unit == "cores":
                continue
            is_better = (lambda one: one.median > own.median * NOTABLE) if unit == "/s" else (lambda one: one.median * NOTABLE < own.median)
            better = [f"{server} {median(figure, unit)}" for server, figure in figures.items() if figure and is_better(figure)]
            if better:
                lines.append(f"- {name}: {what.removeprefix('.. ')}: turted {median(own, unit)}, {', '.join(better)}")
    return "\n".join(lines) or "Nowhere."


def history(results):
    """The table of what the servers keep, which some of their CPU and memory goes to."""
    ran = {run["server"] for run in results.data["runs"]}
    returning = lambda server: server.returning if server.returns else "not measured"
    kept = [[name, server.keeps, returning(server)] for name, server in SERVERS.items() if name in ran and name != "floor"]
    return grid([["server", "messages it keeps for clients that come back or come later", "in the row of those that come back"], *kept])


def section(results, command, pictures=()):
    """The section of docs/benchmarks.md that the comparison writes, with the lines that show its pictures."""
    parts = ["## Beside others", about(results.about, command), explanation(results), history(results), ratios(results)]
    parts += pictures
    parts += medians(results)
    if results.failures:
        failed = [f"- {failure['job']}: {failure['server']}: {failure['why']}" for failure in results.failures]
        parts += ["### What was not measured, and why", "\n".join(failed)]
    wrong = [f"- {run['job']}: {run['server']}: {wrongs(run['report'])}" for run in results.data["runs"] if wrongs(run["report"])]
    found = "\n".join(dict.fromkeys(wrong)) or "Every delivery of every run arrived once and in order."
    parts += ["### Where turted is behind", behind(results)]
    return "\n\n".join([*parts, "### Lost, doubled, out of order", found])


def explanation(results):
    count = results.repetitions()
    turns = sum(any(results.reports(f"{job} {transport}", "turted") for transport in TRANSPORTS) for job in ("fanout", *AGAIN))
    text = f"""\
One core for the server, another one for the load (`turted bench` on the loopback network), {count} interleaved
repetition{"s" if count != 1 else ""}. Medians; in parentheses the lowest and the highest. Ratios are taken within a repetition: they hold
where absolute times do not. The floor is a bare `send()` loop of the same bytes to the same clients; nearly all its
work is in the kernel, and no server can be faster one event at a time without another way into the kernel. CPU is user
and system time of the server's process, the network stack included. Memory is resident memory of the process; the
kernel's socket buffers come on top and are the same for all. With 64 events
outstanding, eight connections push: one that waits for each answer does not keep so many under way. Where fewer than
one core is in use, the generator is the limit, not the server. turted and the floor take turns {turns} time{"s" if turns != 1 else ""} in each
repetition, because one pair tells little where the machine's speed changes between two runs. All other figures, the medians
below too, are from the first of these runs, so that ratio is not the quotient of the medians.

Centrifugo, AnyCable and Mercure have their defaults and one core (`GOMAXPROCS=1`), and the configuration in `bench/peers`;
what is not on the machine is left out.

Clients that come back: 5,000 clients of one channel lose their connections at once. When the server has noticed, 100 events are
pushed, and they come back over 64 new connections at a time, each with what its protocol has for that: a session and a
position, or a `Last-Event-ID`. CPU and time are from the first of these connections to the last event.

Targets for CPU are ratios, so that they hold on any machine: the design's 60 us per connect and 20 us per push were set
where socket.io took 423 us, 52 us (no subscriber) and 59 us (one). On a slower machine larger times do not miss a target."""
    if not results.data["is_complete"]:
        text += "\n\n**Incomplete: the run was interrupted.**"
    return text
