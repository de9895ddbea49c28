"""Results of many runs: saved after each run, and read as figures."""

import json
import statistics
import sys
import time

from .paths import WORK


class Results:
    """Runs by job, server and repetition, and failures. They are written to disk after every run, so that no
    later failure loses a measurement."""

    def __init__(self, name, about):
        self.path = WORK / f"{name}.json"
        self.data = {"about": about, "runs": [], "failures": [], "is_complete": False}

    @classmethod
    def load(cls, name):
        results = cls(name, {})
        results.data = json.loads(results.path.read_text())
        return results

    @property
    def about(self):
        return self.data["about"]

    @property
    def failures(self):
        return self.data["failures"]

    def add(self, job, server, repetition, report):
        self.data["runs"].append({"job": job, "server": server, "repetition": repetition, "report": report})
        self.save()

    def fail(self, job, server, why):
        failure = {"job": job, "server": server, "why": str(why)}
        if failure not in self.failures:
            self.failures.append(failure)
        self.save()

    def complete(self):
        self.data["is_complete"] = True
        self.save()

    def save(self):
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(self.data))
        draft.replace(self.path)

    def reports(self, job, server):
        """The reports of a job, by repetition."""
        runs = [run for run in self.data["runs"] if (run["job"], run["server"]) == (job, server)]
        return {run["repetition"]: run["report"] for run in runs}

    def repetitions(self):
        return 1 + max((run["repetition"] for run in self.data["runs"]), default=-1)

    def figure(self, job, server, place):
        """One figure over all repetitions, or `None` if it was not measured."""
        found = [pick(report, place) for report in self.reports(job, server).values()]
        return Figure.of(found)

    def ratio(self, over, under):
        """One figure divided by another, within each repetition. Each is given as (job, server, path)."""
        return Figure.of(self.quotients(over, under))

    def difference(self, more, less):
        """One figure less another, within each repetition. Each is given as (job, server, path)."""
        return Figure.of(self.differences(more, less))

    def differences(self, more, less):
        return [a - b for a, b in self.pairs(more, less) if a is not None and b is not None]

    def increase(self, more, less, whole):
        """What a whole becomes, as a multiple of it, by what one figure is above another within each repetition."""
        return Figure.of([1 + above / whole for above in self.differences(more, less)]) if whole else None

    def ratio_of_all(self, pairs):
        """The same for several pairs that measure the same ratio."""
        return Figure.of([quotient for pair in pairs for quotient in self.quotients(*pair)])

    def quotients(self, over, under):
        return [a / b for a, b in self.pairs(over, under) if a is not None and b]

    def pairs(self, one, other):
        """Two figures of each repetition that has both."""
        ones, others = self.reports(*one[:2]), self.reports(*other[:2])
        return [(pick(ones[n], one[2]), pick(others[n], other[2])) for n in ones if n in others]


class Figure:
    """One figure over all repetitions."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.low, self.high = min(values), max(values)

    @classmethod
    def of(cls, values):
        values = [value for value in values if value is not None]
        return cls(values) if values else None


def pick(report, place):
    """A value in a report: `server.cpu_us_per_delivery`."""
    for key in place.split("."):
        report = None if report is None else report.get(key)
    return report


class Progress:
    """Shows on standard error what is under way, on one line if that is a terminal."""

    def __init__(self, total):
        self.total, self.done = total, 0
        self.start = time.monotonic()

    def step(self, text):
        seconds = time.monotonic() - self.start
        left = f", about {seconds / self.done * (self.total - self.done) / 60:.0f} min left" if self.done else ""
        line = f"[{self.done + 1:>3}/{self.total}] {seconds:>4.0f} s{left:22} {text}"
        self.done += 1
        self.say(line, end="" if sys.stderr.isatty() else "\n")

    def say(self, line, end="\n"):
        start = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{start}{line}", file=sys.stderr, end=end, flush=True)
