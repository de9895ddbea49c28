"""What a script says that lets turted bear the same loads in several ways: on the terminal, and in its section of
docs/benchmarks.md."""

from typing import NamedTuple

from .run import wrongs
from .tables import about, grid, number


class Section(NamedTuple):
    """What a section is about: its title, a text, and how its headings name what was measured."""

    title: str
    text: str
    whom: str


def build(what, results, command, rows, tables):
    """A section: the rows that have targets, those that miss them, further parts with tables, and what went wrong."""
    parts = [f"## {what.title}", about(results.about, command), what.text, targets(rows)]
    parts += [f"### Targets that {what.whom} miss", lines(missed(rows)) or "None of those that were measured.", *tables]
    if not results.data["is_complete"]:
        parts.append("**Incomplete: the run was interrupted.**")
    if results.failures:
        parts += [f"### Runs of {what.whom} without a result", lines(failed(results))]
    parts.append(lines(faults(results)) or "Every delivery of every run arrived once and in order.")
    return "\n\n".join(parts)


def say(results, rows, tables):
    """Says the same on the terminal."""
    print("\n\n".join([targets(rows), *tables]))
    for line in missed(rows):
        print(f"missed: {line}")
    for line in faults(results):
        print(f"wrong: {line}")
    for line in failed(results):
        print(f"not measured: {line}")
    print(f"all results: {results.path}")


def targets(rows):
    return grid([["what", "median (lowest to highest)", "target", "met"], *(row.cells() for row in rows)])


def missed(rows):
    """A sentence for each target that is missed."""
    return [f"{row.what}: {number(row.figure.median)}, target {row.target()}" for row in rows if row.is_met() is False]


def faults(results):
    """What was lost, doubled or out of order, by job and side, where the generator made the report."""
    loads = [(run["job"], run["server"], run["report"]) for run in results.data["runs"] if "load" in run["report"]]
    return list(dict.fromkeys(f"{job}: {side}: {wrongs(report)}" for job, side, report in loads if wrongs(report)))


def failed(results):
    return [f"{one['job']}: {one['server']}: {one['why']}" for one in results.failures]


def lines(found):
    return "\n".join(f"- {one}" for one in found)
