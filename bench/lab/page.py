"""docs/benchmarks.md and the table in README.md: each script writes what is between its markers."""

import re

from .paths import PAGE, README

SECTIONS = ["compare", "scale", "endurance"]

EMPTY = """\
# Benchmarks

Written by the scripts in `bench/`; do not edit. Run them to get the figures of your machine: they need
Linux, two cores, cargo, node and npm, and nothing else on the machine that works.

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
