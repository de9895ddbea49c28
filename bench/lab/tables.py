"""Numbers and tables for people."""

UNITS = {
    "us": lambda value: f"{number(value)} us",
    "bytes": lambda value: f"{number(value)} bytes",
    "x": lambda value: f"{number(value)} x",
    "round trips": lambda value: f"{number(value)} round trips",
    "/s": lambda value: f"{number(value)} /s",
    "ms": lambda value: f"{number(value / 1000)} ms",
    "megabytes": lambda value: f"{number(value / 1e6)} MB",
    "s": lambda value: f"{number(value)} s",
    "events": lambda value: f"{value:,.0f}",
    "MB": lambda value: f"{number(value)} MB",
    "cores": lambda value: f"{number(value)} cores",
}


def number(value):
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def shown(value, unit):
    return UNITS[unit](value)


def spread(figure, unit):
    """A figure as its median, with the lowest and the highest value."""
    if figure is None:
        return "not measured"
    bare = lambda value: UNITS[unit](value).split(" ")[0]
    return f"{shown(figure.median, unit)} ({bare(figure.low)} to {bare(figure.high)})"


def median(figure, unit):
    return shown(figure.median, unit) if figure else ""


def grid(cells):
    """A table in Markdown that is aligned, so that it can also be read as text."""
    cells = [[str(cell) for cell in row] for row in cells]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    show = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([show(cells[0]), rule, *map(show, cells[1:])])


def about(facts, command):
    """Date, machine, versions and command, as a table without a head."""
    rows = [("date", facts["date"]), ("processor", facts["processor"]), ("kernel", facts["kernel"])]
    rows += [("load", facts["load"]), ("versions", facts["versions"]), ("command", f"`{command}`")]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
