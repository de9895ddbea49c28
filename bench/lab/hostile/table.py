"""The table of all hostile inputs, and its place on the page of benchmarks."""

from .. import page
from ..tables import about, grid, number
from .jobs import INPUTS

HEAD = ["input", "bytes sent", "memory gained", "per byte sent", "CPU", "others waited at most", "verdict"]


def table(results):
    found = {name: results.reports(name, "turted").get(0) for name in INPUTS}
    return grid([HEAD, *(row(name, report) for name, report in found.items() if report)])


def row(name, report):
    sent, gained = report["sent"], report["gained"]
    return [
        INPUTS[name].title,
        f"{sent:,}",
        f"{number(gained / 1e6)} of {number(report['allowed'] / 1e6)} MB",
        number(gained / sent) if sent else "",
        f"{number(report['cpu'])} s",
        felt(report["felt"]),
        verdict(name, report),
    ]


def felt(waits):
    told = []
    for name, wait in waits.items():
        text = f"{name} {number(wait['longest'])} s"
        if wait["refused"]:
            text += f" ({wait['refused']} refused)"
        told.append(text if wait["is_over"] else f"{name} never, {number(wait['longest'])} s")
    return ", ".join(told) or "no answer"


def verdict(name, report):
    wrong = wrongs(name, report)
    notes = "; ".join(report["notes"])
    if wrong:
        return "; ".join(filter(None, [f"NO: {', '.join(wrong)}", notes]))
    shown = [text for text, _ in report["checks"] if any(digit in text for digit in "0123456789")]
    return "; ".join(filter(None, ["yes", *shown, notes]))


def wrongs(name, report):
    wrong = ["memory"] if report["gained"] > report["allowed"] else []
    for who in ("delivery", "handshake"):
        wait = report["felt"].get(who)
        if not wait or not wait["is_over"] or wait["longest"] > INPUTS[name].felt_max:
            wrong.append(f"{who} of others is late")
        if wait and wait["refused"] and not INPUTS[name].may_refuse:
            wrong.append(f"{who} of others: {wait['why']}")
    return wrong + [text for text, holds in report["checks"] if not holds]


def holds(results):
    """Whether every check of every input that was run holds."""
    reports = [(name, results.reports(name, "turted").get(0)) for name in INPUTS]
    return not results.failures and not any(wrongs(name, report) for name, report in reports if report)


def section(results, command):
    parts = ["## Hostile inputs", about(results.about, command), TEXT, table(results)]
    if results.failures:
        parts += ["### What was not measured", "\n".join(f"- {one['job']}: {one['why']}" for one in results.failures)]
    return "\n\n".join(parts)


TEXT = """\
What hostile clients send to make the server hold memory or do work, each against a server of its own with one worker. Memory is the peak of
resident memory above what it was before, and what is allowed: 20 kB for each connection, 60 kB more for one over TLS, 20 bytes for each byte
that was sent, 4 for each byte that a backend pushed, and 6 MB for pools that fill once; where a limit is stated, no more than that limit (`limits.backlog_bytes`, here 64 MiB, and a fifth
more for the sizes that the allocator has; the log; `limits.bodies_bytes` in buffers that double; a message of each connection that is not whole yet). Meanwhile an honest client pushes and receives, and new clients connect, from another address: how long
either took at most, all its tries counted. After each input the server must be alive, and must have forgotten everything: no connection
left, nothing in an outbox. Where the hostile clients stay connected the server must free their memory by itself. `NO` says what does not hold."""


def publish(results, command):
    page.write_section("hostile", section(results, command))
