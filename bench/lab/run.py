"""One run: a server, the generator, and samples of /proc about both."""

import json
import os
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from .paths import TURTED, WORK
from .ports import free_port

SERVER_CORE, GENERATOR_CORE = "0", "1"
# Seconds that a server may take to listen, and to stop: several may start at once.
SERVER_WAIT = 30
# Seconds that a run may take beside the time in which it pushes: to connect, and to wait for what is lost.
RUN_WAIT = 120
# Seconds between two samples of /proc.
SAMPLE_INTERVAL = 0.5
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A run without a result, and why."""


@contextmanager
def serving(command, cores=SERVER_CORE, settings=None):
    """Starts a server for the time of a `with`: its port and process. `command` makes the command line from a
    port and a folder of its own; the server gets `settings` as variables."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        port = free_port()
        arguments = ["taskset", "-c", cores, *command(port, Path(folder))]
        # Starts it in a folder without turted.toml, so that it has its defaults.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TURTED_")}
        environment |= settings or {}
        with open(Path(folder) / "server.log", "wb") as log:
            process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(port, process, Path(folder) / "server.log")
            yield port, process.pid
        finally:
            stop(process)


def stop(process):
    process.terminate()
    try:
        process.wait(SERVER_WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(port, process, log):
    """Waits until a server listens, without connecting: the floor counts connections."""
    wanted = f":{port:04X} "
    deadline = time.monotonic() + SERVER_WAIT
    while time.monotonic() < deadline:
        listening = [line for line in Path("/proc/net/tcp").read_text().splitlines() if " 0A " in line]
        if any(wanted in line.split(" 0A ")[0] for line in listening):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise Failed(f"the server did not start: {last_line(log)}")


def last_line(path):
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def bench(port, pid, arguments, seconds, wait=RUN_WAIT, password=None, url=None):
    """Runs the generator: `seconds` of pushing, and at most `wait` for the rest. `password` is that of pushes, `url` where
    the server is not spoken to in plain HTTP. Its report, or `Failed`."""
    # taskset replaces itself with the server, so its process id is that of the server.
    command = ["taskset", "-c", GENERATOR_CORE, TURTED, "bench", "--url", url or f"http://127.0.0.1:{port}"]
    command += ["--pid", str(pid), "--json", "--duration", f"{seconds}s", *arguments]
    try:
        environment = os.environ | ({"TURTED_PUSH_PASSWORD": password} if password else {})
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + wait, env=environment)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"no report within {seconds + wait} s") from error
    if not done.stdout:
        raise Failed((done.stderr.strip().splitlines() or ["no report"])[-1])
    return checked(json.loads(done.stdout))


def checked(report):
    connects, load = report["connects"], report["load"]
    why = report.get("complaint", "no complaint")
    failed = connects["failed"] + load["stalled_failed"] + report.get("churn", {}).get("failed", 0) + report.get("return", {}).get("failed", 0)
    if failed:
        raise Failed(f"{failed} connections failed: {why}")
    if load["gave_up"]:
        raise Failed(f"nothing was delivered any more, {load['lost']} deliveries are missing: {why}")
    return report


def wrongs(report):
    """The faults in a report, as text; empty if every event arrived once and in order."""
    load, back = report["load"], report.get("return", {})
    count = lambda name: load[name] + back.get(name, 0)
    found = {name: count(name) for name in ("lost", "disordered", "duplicated", "strange", "ended") if count(name)}
    return ", ".join(f"{count} {name}" for name, count in found.items())


def cpu_ns(pid):
    """CPU time of another process so far, in nanoseconds: man 3 clock_getcpuclockid, as the kernel numbers such clocks."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class Sampler:
    """Samples the memory of a process and of the kernel for the time of a `with`."""

    def __init__(self, pid):
        self.pid = pid
        self.samples = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self.start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _work(self):
        while True:
            try:
                self.samples.append({"time": time.monotonic() - self.start, **look(self.pid)})
            except OSError:
                return
            if self._over.wait(SAMPLE_INTERVAL):
                return

    def most(self, name):
        return max(sample[name] for sample in self.samples)

    def growth(self, name):
        return self.most(name) - self.samples[0][name]


def look(pid):
    """Memory and descriptors now. `tcp_bytes` is what the kernel holds in socket buffers of all processes,
    for both ends of each connection; `slab_bytes` is the size of its objects, sockets among them."""
    status = fields(Path(f"/proc/{pid}/status"))
    sockets = Path("/proc/net/sockstat").read_text().split("TCP:")[1].split("\n")[0].split()
    return {
        "rss_bytes": int(status["VmRSS"].split()[0]) * 1024,
        "tcp_bytes": int(sockets[sockets.index("mem") + 1]) * PAGE_BYTES,
        "slab_bytes": int(fields(Path("/proc/meminfo"))["SUnreclaim"].split()[0]) * 1024,
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
    }


def fields(path):
    lines = path.read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
