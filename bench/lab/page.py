"""docs/benchmarks.md and the table in README.md: each script writes what is between its markers."""

import re

from .paths import PAGE, README


def write_section(name, text):
    """Writes one section of the page; all else, which people write, stays as it is."""
    PAGE.write_text(replaced(PAGE.read_text(), name, text))


def write_readme(text):
    README.write_text(replaced(README.read_text(), "benchmarks", text))


def replaced(page, name, text):
    """The page with `text` between the markers of `name`. The first marker may hold a remark."""
    pattern = re.compile(rf"(<!-- {name}: begin\b.*?-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"there must be one pair of markers for {name}, not {count}")
    return changed
