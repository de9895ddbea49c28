"""docs/benchmarks.md and the table in README.md: each script writes what is between its markers."""

import re

from .paths import PAGE, README

SECTIONS = ["compare", "scale", "endurance", "proof"]

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

All of them load servers with `turted bench` (`turted bench --help`), which works with any running server: real clients, one per
connection, and a backend that pushes over kept connections. A client counts what it receives, twice, out of order or not at
all, and how long after the push was due it came.
"""

# What was measured once, by a prototype that is not kept.
TAIL = """\
## Tried once

2026-11-25: Batched sends through io_uring (64 SENDs per call, MSG_DONTWAIT) need 0.68 of the CPU of a `send()` loop with 10,000
sockets (15 interleaved repetitions; spread 0.48 to 0.95) and 0.82 (0.76 to 0.98) inside turted on a busy machine. Not kept: the gain
over the whole server is near the threshold of 15 % and one pair in four shows none; it needs `unsafe`, which the workspace forbids;
and under load, batching gains far more. Registered files and zero-copy add nothing at 100 bytes.

2026-11-25: Allocators. Memory before 100,000 connects that are forgotten after 20 s (`TURTED_RECOVERY_MAX_AGE`), right after, and 45 s
later: jemalloc with threads of its own that give memory back 12.1, 46.2, 11.1 MB (kept, with a single one); without them 12.6, 49.6, 23.8 MB; glibc 11.9,
56.0, 34.8 MB. CPU per connect and disconnect is the same for all (90 to 92 us).
"""


def write_section(name, text):
    """Writes the page anew around one section; the others stay."""
    page = PAGE.read_text() if PAGE.exists() else ""
    found = {section: between(page, section) for section in SECTIONS} | {name: text.strip()}
    parts = [f"<!-- {section}: begin -->\n{found[section]}\n<!-- {section}: end -->\n" for section in SECTIONS]
    PAGE.write_text("\n".join([HEAD, *parts, TAIL]))


def between(page, name):
    """What a page has between the markers of a section."""
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
