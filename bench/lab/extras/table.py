"""The rows of what presence, history, watchers and the page cost, and their place on the page of benchmarks."""

from .. import page, section
from ..comparing import CONNECT, DELIVERY, MEMORY, PUSH, Row
from ..section import Section
from ..tables import grid, median
from .jobs import ALONE, CONNECTIONS, COUNTED, DELIVERIES, JOBS, LOOKED_AT, MANY, ONE, PUSHES, RATE, SIDES
from .sides import HISTORY, PAGE, PRESENCE, UNUSED, WATCHED, WITHOUT

EACH = "each"
# Figures: the name, the job, its path in a report, the unit.
RAW = [
    ("CPU per delivery, 10,000 connections, one event at a time", DELIVERIES, DELIVERY, "us"),
    (".. memory per idle connection", DELIVERIES, MEMORY, "bytes"),
    (".. CPU per connect with JOIN", DELIVERIES, CONNECT, "us"),
    ("CPU per push to one client, back to back from 8 backends", PUSHES, PUSH, "us"),
    ("instructions per push to one client", ONE, EACH, "events"),
    ("instructions per push to 1,000 clients", MANY, EACH, "events"),
]


def rows(results):
    """The rows with a target, then those without."""
    ratio = lambda side, job, place: results.ratio((job, side, place), (job, WITHOUT, place))
    yield Row("CPU per delivery, rules for other channels / without", ratio(UNUSED, DELIVERIES, DELIVERY), "x", most=1.02)
    yield Row("the same in instructions of a push to 1,000 clients", ratio(UNUSED, MANY, EACH), "x", most=1.02)
    yield Row("memory per idle connection, rules for other channels / without", ratio(UNUSED, DELIVERIES, MEMORY), "x", most=1.02)
    yield Row("CPU per push to one client, a watcher / without: a record costs at most what a push costs", ratio(WATCHED, PUSHES, PUSH), "x", most=2)
    yield Row("the same in instructions", ratio(WATCHED, ONE, EACH), "x", most=2)
    what = f"CPU, {CONNECTIONS:,} connections and {RATE:,} pushes a second, with the page (live view paused) / without"
    yield Row(what, ratio(PAGE, LOOKED_AT, PUSH), "x", most=1.05)
    alone = [(ALONE, side, "us_a_second") for side in (PAGE, WITHOUT)]
    loaded = results.figure(LOOKED_AT, WITHOUT, PUSH)
    yield Row("the same by what the page takes while nothing is pushed", results.increase(*alone, loaded and loaded.median * RATE), "x", most=1.05)
    for side in (HISTORY, PRESENCE, WATCHED):
        yield Row(f"CPU per delivery, {side} / without", ratio(side, DELIVERIES, DELIVERY), "x")
    for side in (UNUSED, HISTORY, PRESENCE):
        yield Row(f"CPU per push to one client, {side} / without", ratio(side, PUSHES, PUSH), "x")
    yield Row("CPU per connect with JOIN, presence / without", ratio(PRESENCE, DELIVERIES, CONNECT), "x")
    yield Row("CPU per connect with JOIN, a watcher / without", ratio(WATCHED, DELIVERIES, CONNECT), "x")


def medians(results):
    cells = [["what", *SIDES]]
    for what, job, place, unit in RAW:
        cells.append([what, *(median(results.figure(job, side, place), unit) for side in SIDES)])
    return grid(cells)


def text(results):
    count = results.repetitions()
    seconds = ", ".join(f"{job} {measured[results.about['length']]} s" for job, _, _, measured in JOBS)
    return f"""\
turted beside itself, in turns: {count} interleaved repetition{"s" if count != 1 else ""}, every other one in the other order. Medians, in parentheses the lowest and the
highest; ratios are taken within a repetition. Each run has a server of its own with one worker on core 0; the generator, turted.v1 over WebSocket, is on core 1. CPU is user and system
time of the server, the network stack included. Time of pushing: {seconds}. Instructions are those of user space for one of {COUNTED} pushes of 100 bytes with its deliveries, counted once by callgrind.

- **{WITHOUT}**: no rule for channels, nobody looks.
- **{UNUSED}**: a rule with `history = 50` and `presence = true` for channels in which nobody is.
- **{HISTORY}**, **{PRESENCE}**: such a rule for the channels of the clients. Presence is told to nobody, as nobody asked.
- **{WATCHED}**: somebody reads `/api/v1/events` without a filter, from before the first connection.
- **{PAGE}**: Chromium shows the page of operators, which asks for its figures every 2 s."""


def say(results):
    section.say(results, list(rows(results)), [medians(results)])


def publish(results, command):
    what = Section("Presence, history, watchers and the page", text(results), "these")
    tables = ["### What each of them takes", medians(results)]
    page.write_section("extras", section.build(what, results, command, list(rows(results)), tables))
