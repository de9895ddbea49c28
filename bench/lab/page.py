"""docs/benchmarks.md and the table in README.md: each script writes what is between its markers."""

import re

from .paths import PAGE, README

SECTIONS = ["compare", "scale", "endurance"]

EMPTY = """\
# Benchmarks

Written by the scripts in `bench/`; do not edit. Run them to get the figures of your machine: they need
Linux, two cores, cargo, node and npm, and nothing else on the machine that works.

| command | what it measures | takes, and with `--quick` |
|---|---|---|
| `just compare` | turted beside servers of others, over each transport, and the targets | 10 minutes, 4 |
| `just scale` | what cost grows with, and what a million connections would need | 6 minutes, 3 |
| `just endurance` | readers that stall, connections that come and go | 8 minutes, 2 |

All of them load servers with `turted bench` (`turted bench --help`), which works with any running server: real clients, one per
connection, and a backend that pushes over one kept connection. A client counts what it receives, twice, out of order or not at
all, and how long after the push was due it came.

""" + "".join(
    f"<!-- {name}: begin -->\nNot measured yet: `just {name}`.\n<!-- {name}: end -->\n\n" for name in SECTIONS
).rstrip() + "\n"


def write_section(name, text):
    page = PAGE.read_text() if PAGE.exists() else EMPTY
    if f"<!-- {name}: begin -->" not in page:
        page = EMPTY
    PAGE.write_text(replaced(page, name, text))


def write_readme(text):
    README.write_text(replaced(README.read_text(), "benchmarks", text))


def replaced(page, name, text):
    """The page with `text` between the markers of `name`. The first marker may hold a remark."""
    pattern = re.compile(rf"(<!-- {name}: begin\b.*?-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"there must be one pair of markers for {name}, not {count}")
    return changed
