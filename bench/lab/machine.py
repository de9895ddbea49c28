"""What a measurement needs of the machine, and what the page says about the machine."""

import datetime
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

from . import choice
from .paths import PEERS, ROOT, TURTED, WORK
from .servers import nchan_version

# 10,000 connections, and some for everything else.
DESCRIPTORS = 12_000
# If more tasks than this are running on the machine, the figures are noise.
QUIET_LOAD = 0.5


def check():
    """Ends the program where nothing can be measured, and warns where the figures would be noise."""
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("needs two cores: one for the server, one for the generator")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        sys.exit(f"needs {DESCRIPTORS} file descriptors per process (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    WORK.mkdir(parents=True, exist_ok=True)
    # Ending a run early also ends its servers, and keeps the results so far.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        print(f"warning: the machine is busy (load {load:.1f}); the figures will be noisy", file=sys.stderr)


def descriptors():
    """How many files one process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def build():
    """Builds the server and the floors."""
    cargo = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "turted"]
    floors = sorted(path.stem for path in (ROOT / "crates" / "turted" / "examples").glob("floor*.rs"))
    examples = [word for floor in floors for word in ("--example", floor)]
    subprocess.run([*cargo, "--bin", "turted", *examples], cwd=ROOT, check=True)


def install_peers():
    """Installs the peers from npm. If that fails, it says so and goes on without them."""
    lock, mark = PEERS / "package-lock.json", PEERS / "node_modules" / ".package-lock.json"
    if mark.exists() and mark.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(command, cwd=PEERS, check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"warning: the peers from npm are missing: {error}", file=sys.stderr)


def describe():
    """Date, machine and versions, as the page shows them."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"Linux {platform.release()}",
        "versions": versions(),
        "load": f"{os.getloadavg()[0]:.1f} running tasks in the minute before (others on the machine; 0.0 is quiet)",
    }


def versions():
    tool = lambda *command: output(command).split(" (")[0]
    lock = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    found = [output([TURTED, "--version"]), f"node {output(['node', '--version'])}"]
    found += [f"{name} {lock[f'node_modules/{name}']['version']}" for name in ("socket.io", "ws", "sockjs")]
    if nchan := nchan_version():
        found.append(f"Nchan {nchan}")
    found += filter(None, map(choice.version, choice.PROGRAMS))
    return ", ".join([*found, tool("rustc", "--version")])


def output(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, cwd=ROOT)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
