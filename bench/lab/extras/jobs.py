"""The loads, and which sides bear which."""

import subprocess
import time

from ..clients import V1
from ..comparing import FANOUT, PUSHERS
from ..counting import CHANNEL, instructions
from ..paths import TURTED
from ..run import Failed, bench, cpu_ns
from .sides import HISTORY, LOOKING, PAGE, PRESENCE, UNUSED, WATCHED, WITHOUT, config, serve

CONNECTIONS, RATE = 1_000, 1_000
DELIVERIES, PUSHES, LOOKED_AT, ALONE = "deliveries", "pushes", "page", "page without pushes"
ONE, MANY = "instructions, 1 client", "instructions, 1,000 clients"
CLIENTS = {ONE: 1, MANY: 1_000}
COUNTED = 200

SIDES = [WITHOUT, UNUSED, HISTORY, PRESENCE, WATCHED]
# Each push goes to one of the connections.
PACED = ["--connections", str(CONNECTIONS), "--channels", str(CONNECTIONS), "--rate", str(RATE), *PUSHERS]
BUSY = ["--connections", "1", "--inflight", "64", *PUSHERS]

# Job, arguments of the generator, sides, and seconds of pushing (full, short).
JOBS = [
    (DELIVERIES, FANOUT, SIDES, (4, 2)),
    (PUSHES, BUSY, SIDES, (2, 1)),
    # The page asks for its figures every two seconds.
    (LOOKED_AT, PACED, [WITHOUT, PAGE], (10, 4)),
    (ALONE, None, [WITHOUT, PAGE], (10, 4)),
]


def repeat(results, repetition, length, progress):
    """Does every job once with each side, in the other order in every other repetition. `length` picks the seconds."""
    for job, arguments, sides, seconds in JOBS:
        for side in reversed(sides) if repetition % 2 else sides:
            progress.step(f"{job}: {side}")
            note(results, repetition, (job, side), lambda: run(side, arguments, seconds[length]), progress)


def count(results, progress):
    """Counts instructions once with each side: they hardly differ from one run to the next."""
    for job, clients in CLIENTS.items():
        for side in SIDES:
            progress.step(f"{job}: {side}")
            note(results, 0, (job, side), lambda: counted(side, clients), progress)


def note(results, repetition, names, run, progress):
    try:
        results.add(*names, repetition, run())
    except (Failed, OSError, ValueError, KeyError, subprocess.SubprocessError) as failed:
        progress.say(f"failed: {': '.join(names)}: {failed}")
        results.fail(*names, failed)


def run(side, arguments, seconds):
    return load(side, arguments, seconds) if arguments else rest(side, seconds)


def rest(side, seconds):
    """CPU time of a second in which nothing is pushed, with as many connections and channels as under load."""
    with serve(side) as (port, pid):
        clients = [V1(port) for _ in range(CONNECTIONS)]
        for number, client in enumerate(clients):
            client.join(f"bench-{number}")
        before = cpu_ns(pid)
        time.sleep(seconds)
        spent = cpu_ns(pid) - before
        for client in clients:
            client.socket.close()
    return {"us_a_second": spent / seconds / 1000}


def load(side, arguments, seconds):
    """One run: its report, or `Failed`."""
    with serve(side) as (port, pid):
        report = bench(port, pid, ["--transport", "websocket", *arguments], seconds)
    if refused := report["load"]["pushes_refused"]:
        raise Failed(f"{refused:,} pushes were refused")
    return report


def counted(side, clients):
    return {"each": instructions(TURTED, config(side, CHANNEL), clients, COUNTED, beside=LOOKING.get(side))}


def steps(repetitions):
    return repetitions * sum(len(sides) for _, _, sides, _ in JOBS)
