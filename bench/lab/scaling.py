"""How cost grows: with connections, channels, payload, workers and events outstanding."""

from . import machine, page, svg
from .comparing import CONNECT, DELIVERY, MEMORY, P99, PUSH, PUSHERS, SPEED
from .paths import PLOTS, TURTED
from .run import GENERATOR_CORE, SERVER_CORE, Failed, Sampler, bench, serving, wrongs
from .tables import about, grid, median, number

CONNECTIONS = [1_000, 5_000, 10_000, 19_000]
CHANNELS = [1, 100, 10_000]
PAYLOADS = [16, 256, 1024, 4096, 16_384, 65_536]
WORKERS = [1, 2]
OUTSTANDING = [1, 4, 16, 64, 256]
MILLION = 1_000_000
# Heartbeats come every 25 s; an idle run must include one of each connection.
IDLE_SECONDS = 27


class Point:
    """One run of turted."""

    def __init__(self, series, x, arguments, workers=1, seconds=None):
        self.series, self.x, self.arguments = series, x, arguments
        self.workers, self.seconds = workers, seconds

    @property
    def job(self):
        return f"{self.series} {self.x}"


def points():
    most = min(CONNECTIONS[-1], machine.descriptors() - 1_000)
    one = ["--inflight", "1"]
    for x in sorted({min(count, most) for count in CONNECTIONS}):
        yield Point("connections", x, ["--connections", str(x), *one])
    for x in CHANNELS:
        yield Point("channels", x, ["--connections", "10000", "--channels", str(x), *one])
    for x in PAYLOADS:
        yield Point("payload", x, ["--connections", "1000", "--payload", str(x), *one])
    for x in WORKERS:
        yield Point("workers", x, ["--connections", "5000", *one], workers=x)
    for x in OUTSTANDING:
        yield Point("outstanding", x, ["--connections", "1000", "--inflight", str(x), *PUSHERS])
    # Almost nothing is pushed, and to one connection only: what remains is heartbeats.
    idle = ["--connections", "10000", "--channels", "10000", "--rate", "1"]
    yield Point("idle", 10_000, idle, seconds=IDLE_SECONDS)


def measure(point, seconds):
    command = lambda port, _folder: [TURTED, "--listen", f"127.0.0.1:{port}", "--workers", str(point.workers)]
    # Two workers need two cores, and share the second one with the generator.
    cores = SERVER_CORE if point.workers == 1 else f"{SERVER_CORE},{GENERATOR_CORE}"
    with serving(command, cores) as (port, pid), Sampler(pid) as sampler:
        report = bench(port, pid, point.arguments, point.seconds or seconds)
        return {**report, "slab_growth": sampler.growth("slab_bytes")}


def repeat(results, repetition, seconds, progress):
    for point in points():
        progress.step(point.job)
        try:
            report = measure(point, seconds)
        except (Failed, OSError, ValueError, KeyError) as failed:
            progress.say(f"failed: {point.job}: {failed}")
            results.fail(point.job, "turted", failed)
            continue
        results.add(point.job, "turted", repetition, report)
        if wrongs(report):
            progress.say(f"wrong: {point.job}: {wrongs(report)}")


def values(results, series, place, factor=1):
    """The medians of a series, by x."""
    found = {point.x: results.figure(point.job, "turted", place) for point in points() if point.series == series}
    return [(x, figure.median * factor) for x, figure in found.items() if figure]


def table(results, series, columns):
    """The medians of a series; columns are name, place, unit."""
    cells = [[series, *(name for name, _, _ in columns)]]
    for point in points():
        if point.series == series and results.reports(point.job, "turted"):
            found = [(results.figure(point.job, "turted", place), unit) for _, place, unit in columns]
            cells.append([f"{point.x:,}", *(median(figure, unit) for figure, unit in found)])
    return grid(cells)


COST = [("CPU per delivery", DELIVERY, "us"), ("CPU per push", PUSH, "us"), ("p99", P99, "ms")]
RATE = ("deliveries per second", SPEED, "/s")
TABLES = {
    "connections": [*COST, ("CPU per connect", CONNECT, "us"), ("memory per connection", MEMORY, "bytes")],
    "channels": [*COST, ("memory per connection", MEMORY, "bytes")],
    "payload": [*COST, RATE],
    "workers": [*COST, RATE, ("cores", "server.cores", "cores")],
    "outstanding": [*COST, RATE, ("cores", "server.cores", "cores")],
}

# Series, title, file name, name of the horizontal axis, path in a report, factor.
PLOTTED = [
    ("connections", "Server memory, connected and idle (MB)", "connections-memory", "connections", "server.rss.connected", 1e-6),
    ("connections", "CPU per delivery (us)", "connections-cpu", "connections", DELIVERY, 1),
    ("channels", "CPU per push (us), 10,000 connections", "channels-cpu", "channels", PUSH, 1),
    ("payload", "CPU per delivery (us), 1,000 connections", "payload-cpu", "bytes of payload", DELIVERY, 1),
    ("outstanding", "Deliveries per second, 1,000 connections", "outstanding-speed", "events outstanding", SPEED, 1),
    ("outstanding", "CPU per delivery (us), 1,000 connections", "outstanding-cpu", "events outstanding", DELIVERY, 1),
]


def draw(results):
    """Writes the plots. Returns the Markdown that shows them, by series."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    shown = {}
    for series, title, name, x_name, place, factor in PLOTTED:
        line = values(results, series, place, factor)
        if len(line) < 2:
            continue
        # Memory grows with each connection: a linear axis shows a straight line.
        log_x = place != "server.rss.connected"
        (PLOTS / f"{name}.svg").write_text(svg.plot(title, x_name, {title: line}, log_x))
        shown.setdefault(series, []).append(f"![{title}](benchmarks/{name}.svg)")
    return {series: "\n".join(images) for series, images in shown.items()}


WHY = {
    "connections": """\
One dispatch to all of them, one at a time. Work per delivery is one `send` in the kernel and one look at the
connection, so it should not grow with their number; what it grows is due to caches, as each connection is touched once per
event. p99 is the time to write to everyone, so it grows in proportion. Memory is a straight line: its slope is what one
idle connection owns.""",
    "channels": """\
10,000 connections, spread evenly over the channels; each dispatch goes to one channel. A push costs a part of its own
(HTTP, JSON, the log) and a part for each receiver. With as many channels as connections only the first is left, which is why the
CPU per delivery is highest there and the CPU per push lowest.""",
    "payload": """\
1,000 connections. A frame is encoded once, so the server's own work does not depend on the size; what grows is the
kernel's copy into each socket, and from some 16 KiB on the socket is full before the frame is through: the rest waits for
the reader and costs a second write.""",
    "workers": """\
5,000 connections. Workers share nothing but the dispatch itself, so CPU per delivery should stay; each further worker adds one
wake-up per push. On a machine of two cores the second worker shares its core with the generator: read the cost, not the speed.""",
    "outstanding": """\
1,000 connections, eight that push. While a fan-out is under way, further events gather, and each connection gets all of them in one
write. A write of several frames costs little more than one, so deliveries per second rise until the work per frame, or the generator,
is the limit.""",
}


def section(results, command):
    images = draw(results)
    parts = ["## What grows", about(results.about, command)]
    for series, why in WHY.items():
        parts += [f"### {series.capitalize()}", why, table(results, series, TABLES[series])]
        parts += [images[series]] if series in images else []
    parts += ["### One million connections", million(results)]
    if results.failures:
        parts += ["### What was not measured", "\n".join(f"- {one['job']}: {one['why']}" for one in results.failures)]
    if not results.data["is_complete"]:
        parts.insert(1, "**Incomplete: the run was interrupted.**")
    return "\n\n".join(parts)


def slope(line):
    """Growth of y with x by least squares."""
    count = len(line)
    x_mean, y_mean = sum(x for x, _ in line) / count, sum(y for _, y in line) / count
    above = sum((x - x_mean) * (y - y_mean) for x, y in line)
    below = sum((x - x_mean) ** 2 for x, _ in line)
    return above / below


def million(results):
    memory = values(results, "connections", "server.rss.connected")
    kernel = values(results, "connections", "slab_growth")
    delivery, idle = values(results, "connections", DELIVERY), values(results, "idle", "server.cpu.user_us")
    system = values(results, "idle", "server.cpu.system_us")
    if len(memory) < 2 or not delivery or not idle:
        return "Not computed: a run above is missing."
    own = slope(memory)
    # Client and server run on this machine, so each connection has two sockets.
    sockets = slope(kernel) / 2
    per_delivery = delivery[-1][1]
    heartbeats = (idle[0][1] + system[0][1]) / IDLE_SECONDS / idle[0][0] * MILLION / 1e6
    connects = values(results, "connections", CONNECT)[-1][1]
    return f"""\
Computed from the slopes above, not measured: no process here may open more than 20,000 files.

- Memory: {number(own)} bytes of the server and about {number(sockets)} bytes of the kernel (growth of its unreclaimable
  objects, divided by the two ends that are on this machine) per idle connection: {number(own * MILLION / 1e9)} GB and
  {number(sockets * MILLION / 1e9)} GB. What is on its way comes on top, at most 32 KiB of send buffer per connection that is written to.
- Cores at rest: heartbeats (a ping and a pong every 25 s) and a push per second to one connection take
  {number(heartbeats)} cores.
- Cores under load: {number(per_delivery)} us per delivery, so an event per second to everyone takes
  {number(per_delivery)} cores, and reaches the last one after {number(per_delivery)} s divided by the number of workers.
  With 64 events outstanding it is {number(batched(results))} us.
- Everyone comes back at once, after a restart: {number(connects)} us each, {number(connects)} core seconds in all.
- Descriptors: `LimitNOFILE` and `fs.nr_open` above a million; addresses or ports only matter to load generators.
  A server accepts on one port."""


def batched(results):
    return dict(values(results, "outstanding", DELIVERY)).get(64, 0)


def publish(results, command):
    page.write_section("scale", section(results, command))
