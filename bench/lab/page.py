"""docs/benchmarks.md and the table in README.md: each script writes what is between its markers."""

import re

from .paths import PAGE, README

SECTIONS = ["compare", "scale", "endurance", "proof", "hostile"]

HEAD = """\
# Benchmarks

Written by the scripts in `bench/`; do not edit. Run them to get the figures of your machine: they need
Linux, two cores, cargo, node and npm, and nothing else on the machine that works.

| command | what it measures | takes, and with `--quick` |
|---|---|---|
| `just compare` | turted beside servers of others, over each transport, and the targets | 20 minutes, 4 |
| `just scale` | what cost grows with, and what a million connections would need | 6 minutes, 3 |
| `just endurance` | readers that stall, connections that come and go | 8 minutes, 2 |
| `just proof` | what the design expects: writes, frames, memory, stalled readers, fairness; needs strace and ss | 2 minutes, 1 |
| `just hostile` | what hostile inputs cost, and how long others wait meanwhile; needs openssl | 8 minutes, 5 |

All of them load servers with `turted bench` (`turted bench --help`), which works with any running server: real clients, one per
connection, and a backend that pushes over kept connections. A client counts what it receives, twice, out of order or not at
all, and how long after the push was due it arrived.
"""

# What was found by other means, and what was measured once, by a prototype that is not kept.
TAIL = """\
## Where the time goes

2026-11-26, `perf record` of a fan-out to 10,000 connections (Socket.IO, one event at a time): 97 % of the server's time are the
kernel's way of 100 bytes through TCP and the loopback network to the client, which the floor pays too. Our own code takes 3 %, that of
the floor 1 %; it took 6 to 7 % before writes went in rounds. What remains above the floor is memory that is touched between two writes, and a count
of references that the kernel keeps only where a process has threads. Two runs of one and the same floor differ by 10 %.

A push alone costs much because the server sleeps before it: in this virtual machine falling asleep, being woken and a cold cache cost the
floor, which only answers, 40 to 60 us, and socket.io as much. Back to back, a push takes less than half. That is why the ratio to
socket.io is smaller, and scatters more, for pushes one at a time: with one subscriber it was 2.83 (2.13 to 3.54), below the 2.95 of the design.

## Tried once

2026-11-25: Batched sends through io_uring (64 SENDs per call, MSG_DONTWAIT) need 0.68 of the CPU of a `send()` loop with 10,000
sockets (15 interleaved repetitions; spread 0.48 to 0.95) and 0.82 (0.76 to 0.98) inside turted on a busy machine. Registered files and
zero-copy add nothing at 100 bytes. 2026-11-26: Now that writes go in rounds, a round through io_uring needs 1.12 (0.95 to 1.22) of the floor with
16 SENDs per call, 1.06 (0.97 to 1.17) with 64, and 1.02 (0.96 to 1.13) with `send()` (5 interleaved repetitions, others on the
machine). Not kept: nothing is left to gain, and it needs `unsafe`, which the workspace forbids.

2026-11-25: Allocators. Memory before 100,000 connects that are forgotten after 20 s (`TURTED_RECOVERY_MAX_AGE`), right after, and 45 s
later: jemalloc with threads of its own that give memory back 12.1, 46.2, 11.1 MB (kept, with a single one); without them 12.6, 49.6, 23.8 MB; glibc 11.9,
56.0, 34.8 MB. CPU per connect and disconnect is the same for all (90 to 92 us).
"""


def write_section(name, text):
    """Writes the page with one new section; the others stay as they are."""
    page = PAGE.read_text() if PAGE.exists() else ""
    found = {section: between(page, section) for section in SECTIONS} | {name: text.strip()}
    parts = [f"<!-- {section}: begin -->\n{found[section]}\n<!-- {section}: end -->\n" for section in SECTIONS]
    PAGE.write_text("\n".join([HEAD, *parts, TAIL]))


def between(page, name):
    """The text between the markers of a section."""
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)\n<!-- {name}: end -->", page, re.DOTALL)
    return found[1] if found else f"Not measured yet: `just {name}`."


def write_readme(text):
    README.write_text(replaced(README.read_text(), "benchmarks", text))


def replaced(page, name, text):
    """The page with `text` between the markers of `name`. The first marker may hold a remark."""
    pattern = re.compile(rf"(<!-- {name}: begin\b.*?-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"there must be one pair of markers for {name}, not {count}")
    return changed
