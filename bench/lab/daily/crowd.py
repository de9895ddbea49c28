"""Pushes to one user while pushes to a channel of 8,000 go on: always one under way, and another one that waits.

The one is observed by a generator of its own, which goes first on the core that both share.
"""

import json
import subprocess
import time
from pathlib import Path

from ..paths import TURTED
from ..run import GENERATOR_CORE, RUN_WAIT, Failed, bench, serving

EVERYONE = 8_000
# The generator of the crowd has a lower priority than the one that observes.
CROWD_NICE = 10
# The crowd goes on for this much longer than the one is observed for: connecting takes a while.
MORE_SECONDS = 6
ONE = ["--connections", "1", "--rate", "100"]


def run(server, transport, _arguments, seconds):
    """The report about the one, with the deliveries per second of the crowd as `crowd`."""
    spoken = server.arguments(transport)
    # Where the address names the channel, the one has another channel; else it is a user.
    alone = [argument.replace("{channel}", "one") for argument in spoken]
    alone += [] if alone != spoken else ["--users"]
    with serving(server.command, settings=server.settings) as (port, pid):
        command = ["nice", "-n", str(CROWD_NICE), "taskset", "-c", GENERATOR_CORE, TURTED, "bench", "--json"]
        command += ["--url", f"http://127.0.0.1:{port}", "--connections", str(EVERYONE), "--inflight", "2", *spoken]
        command += ["--duration", f"{seconds + MORE_SECONDS}s"]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_for_pushes(port, crowd)
            report = bench(port, pid, [*alone, *ONE], seconds)
            if crowd.poll() is not None:
                raise Failed("the pushes to 8,000 ended before those to one")
            said, _ = crowd.communicate(timeout=RUN_WAIT)
        finally:
            crowd.kill()
            crowd.wait()
    load = json.loads(said)["load"]
    if load["lost"] or load["ended"]:
        raise Failed(f"of the pushes to 8,000 {load['lost']} deliveries were lost, {load['ended']} connections ended")
    return {**report, "crowd": load["deliveries_per_second"]}


def wait_for_pushes(port, crowd):
    """Waits until the crowd is connected and its backend too, which pushes at once."""
    deadline = time.monotonic() + RUN_WAIT
    while connections(port) <= EVERYONE:
        if time.monotonic() > deadline or crowd.poll() is not None:
            raise Failed("the generator does not push to 8,000")
        time.sleep(0.1)
    # The first pushes find an idle server.
    time.sleep(1)


def connections(port):
    """How many connections a server has that listens here."""
    local = f":{port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[3] == "01" and f"{fields[1]} ".endswith(local) for fields in map(str.split, lines))
