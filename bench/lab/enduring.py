"""Endurance: readers that stall beside healthy ones, and connections that come and go."""

import time

from . import page, svg
from .paths import PLOTS, TURTED
from .run import Sampler, bench, look, serving, wrongs
from .tables import about, grid, number

HEALTHY, STALLED = 9_000, 1_000
# Enough to fill the buffers of clients that do not read within seconds, at half a core for the others.
RATE, PAYLOAD_BYTES = 5, 2048
# Buffers and pools that a server keeps after its first connections are no leak, so these connections come
# first.
WARM_UP_CONNECTS = 5_000
# Lost sessions can be resumed for 120 s (recovery.max_age). Only then is their memory freed.
FORGET_WAIT = 150
# 100,000 connects take 15 s on a quiet machine.
CHURN_WAIT = 300
# The most that a stalled reader may cost, the kernel included.
STALLED_BYTES_MAX = 300_000
# The most memory that may stay: after so many connections that is 40 bytes each.
LEFT_BYTES_MAX = 4_000_000


def command(port, _folder):
    return [TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]


def readers(transport, stalled, seconds):
    """Healthy readers, with stalled ones beside them: the report, and samples of /proc."""
    arguments = ["--transport", transport, "--connections", str(HEALTHY), "--stalled", str(stalled)]
    arguments += ["--rate", str(RATE), "--payload", str(PAYLOAD_BYTES)]
    with serving(command) as (port, pid), Sampler(pid) as sampler:
        report = bench(port, pid, arguments, seconds)
        return {**report, "samples": sampler.samples}


def churn(transport, count, forget_wait, progress):
    """Connects and disconnects: what the server holds before, after, and once it forgot them."""
    arguments = lambda cycles: ["--transport", transport, "--connections", "0", "--churn", str(cycles)]
    with serving(command) as (port, pid):
        bench(port, pid, arguments(WARM_UP_CONNECTS), 0, CHURN_WAIT)
        forget(pid, forget_wait, None, progress)
        before = look(pid)
        report = bench(port, pid, arguments(count), 0, CHURN_WAIT)
        after = look(pid)
        waited = forget(pid, forget_wait, before, progress)
        return {**report, "before": before, "after": after, "forgotten": look(pid), "waited": waited}


def forget(pid, seconds, before, progress):
    """Waits until lost sessions are forgotten, or until memory is back. Returns how long that took."""
    start = time.monotonic()
    while (waited := time.monotonic() - start) < seconds:
        if before and look(pid)["rss_bytes"] < before["rss_bytes"] + LEFT_BYTES_MAX / 2:
            break
        progress.say(f"the server forgets lost sessions: {waited:.0f} of at most {seconds} s", end="")
        time.sleep(min(5, seconds))
    return time.monotonic() - start


class Stalls:
    """The results of two runs with readers that stall."""

    def __init__(self, calm, troubled):
        self.calm, self.troubled = calm, troubled
        load = troubled["load"]
        self.cut = load["stalled_cut"]
        self.calm_p99, self.p99 = calm["load"]["latency"]["p99_us"], load["latency"]["p99_us"]
        self.rss = self.peak(troubled, "rss_bytes") - self.peak(calm, "rss_bytes")
        self.kernel = self.peak(troubled, "tcp_bytes") - self.peak(calm, "tcp_bytes")
        self.cut_after = self.when_cut()

    @staticmethod
    def peak(report, name):
        return max(sample[name] for sample in report["samples"])

    def when_cut(self):
        """Seconds from the first push until all stalled readers are cut, by the server's descriptors."""
        samples = self.troubled["samples"]
        most = max(sample["descriptors"] for sample in samples)
        full = [sample["time"] for sample in samples if sample["descriptors"] >= most - 10]
        # At the end of the run the healthy readers leave as well.
        few = range(HEALTHY, int(most - STALLED * 0.99) + 1)
        gone = [sample["time"] for sample in samples if sample["time"] > full[-1] and sample["descriptors"] in few]
        return gone[0] - full[0] if gone else None

    def each(self):
        return max(0, self.rss + self.kernel) / STALLED

    def rows(self):
        megabytes = lambda value: f"{number(value / 1e6)} MB"
        wrong = wrongs(self.troubled)
        cut_after = "" if self.cut_after is None else f", the last {number(self.cut_after)} s after all had stalled"
        peak = self.peak
        return [
            ("stalled readers cut", f"{self.cut:,} of {STALLED:,}{cut_after}", "all", self.cut == STALLED),
            ("healthy readers: lost, doubled, out of order, cut", wrong or "0", "0", not wrong),
            ("healthy p99, undisturbed", f"{number(self.calm_p99 / 1000)} ms", "", None),
            ("healthy p99, beside stalled readers", f"{number(self.p99 / 1000)} ms, {number(self.p99 / self.calm_p99)} x", "<= 2 x", self.p99 <= 2 * self.calm_p99),
            ("server memory at most, undisturbed and beside", f"{megabytes(peak(self.calm, 'rss_bytes'))}, {megabytes(peak(self.troubled, 'rss_bytes'))}", "", None),
            ("kernel socket buffers at most, undisturbed and beside", f"{megabytes(peak(self.calm, 'tcp_bytes'))}, {megabytes(peak(self.troubled, 'tcp_bytes'))}", "", None),
            ("a stalled reader at most, server and kernel", f"{number(self.each() / 1000)} kB", "<= 300 kB", self.each() <= STALLED_BYTES_MAX),
        ]


def churn_rows(report):
    before, after, forgotten = report["before"], report["after"], report["forgotten"]
    left, churned = forgotten["rss_bytes"] - before["rss_bytes"], report["churn"]
    memory = lambda look: f"{number(look['rss_bytes'] / 1e6)} MB"
    path = f"{memory(before)}, {memory(after)}, {memory(forgotten)}"
    waited = number(report["waited"])
    files = f"{before['descriptors']}, {after['descriptors']}"
    return [
        (f"{churned['cycles']:,} connects and disconnects", f"{churned['per_second']:,.0f} per second, {number(churned['cpu_us'])} us each", "", None),
        (f"memory before, right after, {waited} s later", path, "", None),
        # Without the wait the server still keeps the sessions, as it should.
        ("left behind", f"{number(left / 1e6)} MB", "<= 4 MB", left <= LEFT_BYTES_MAX if report["waited"] else None),
        ("descriptors before and right after", files, "equal", before["descriptors"] == after["descriptors"]),
    ]


def table(rows):
    met = {True: "yes", False: "NO", None: ""}
    return grid([["what", "result", "target", "met"], *([*row[:3], met[row[3]]] for row in rows)])


def all_rows(results):
    """The rows of each part that was measured."""
    calm, troubled = (results.reports("readers", name).get(0) for name in ("calm", "troubled"))
    churned = results.reports("churn", "turted").get(0)
    return {
        "stalls": Stalls(calm, troubled).rows() if calm and troubled else [],
        "churn": churn_rows(churned) if churned else [],
    }


def draw(results):
    """Draws the memory of the server and of the kernel over both runs. Returns the Markdown that shows it."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    images = []
    for place, title in (("rss_bytes", "Server memory (MB)"), ("tcp_bytes", "Kernel socket buffers, both ends (MB)")):
        series = {}
        for name, label in (("calm", f"{HEALTHY:,} healthy"), ("troubled", f"and {STALLED:,} stalled")):
            samples = results.reports("readers", name)[0]["samples"]
            series[label] = [(sample["time"], sample[place] / 1e6) for sample in samples]
        last = max(x for line in series.values() for x, _ in line)
        image = f"stalled-{place.removesuffix('_bytes')}.svg"
        (PLOTS / image).write_text(svg.plot(title, "seconds", series, False, range(0, int(last) + 1, 10)))
        images.append(f"![{title}](benchmarks/{image})")
    return "\n".join(images)


def section(results, command_line):
    rows = all_rows(results)
    parts = ["## Endurance", about(results.about, command_line)]
    if rows["stalls"]:
        parts += ["### Readers that stall", STALL_TEXT, table(rows["stalls"]), draw(results)]
    if rows["churn"]:
        parts += ["### Connections that come and go", CHURN_TEXT, table(rows["churn"])]
    if results.failures:
        parts += ["### What was not measured", "\n".join(f"- {one['job']}: {one['why']}" for one in results.failures)]
    return "\n\n".join(parts)


STALL_TEXT = f"""\
{HEALTHY:,} clients that read, {RATE} events of {PAYLOAD_BYTES:,} bytes a second to all of them, first alone, then beside {STALLED:,} that join
and never read. Memory is resident memory of the server; the kernel's socket buffers are those of the whole machine, both ends, so
they show what the stalled ones add, not what a server alone would hold. The stalled clients have small receive buffers of their
own. A stalled reader costs what both grew by, at most, divided by their number."""

CHURN_TEXT = f"""\
Clients connect, join a channel and vanish without a good-bye, 64 at a time, after {WARM_UP_CONNECTS:,} that warm the server up. What they were
can be taken up again for 120 s (`recovery.max_age`), so their memory is looked at again when that is over."""


def publish(results, command_line):
    page.write_section("endurance", section(results, command_line))
