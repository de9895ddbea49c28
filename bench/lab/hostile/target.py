"""A server of its own for each input, and what /proc and `/metrics` say about it."""

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from ..clients import metrics
from ..paths import TURTED, WORK
from ..ports import free_ports
from ..run import SERVER_CORE, fields, stop, wait_for

# The admin listener answers even when workers do not.
SCRAPE_PATIENCE = 5
TICK = os.sysconf("SC_CLK_TCK")
# Loopback has limits per address only if the operator names the proxies. No proxy has this address.
NOBODY = "127.9.9.9"
# Heartbeats are frequent, so that connections that were not closed end after 10 s, not after 45.
SETTINGS = {
    "TURTED_TRUSTED_PROXIES": NOBODY,
    "TURTED_SOCKETIO_PING_INTERVAL": "5s",
    "TURTED_SOCKETIO_PING_TIMEOUT": "5s",
    "TURTED_DRAIN_TIMEOUT": "1s",
}


class Target:
    """A running server: its ports and its process."""

    def __init__(self, process, port, admin, is_tls, folder):
        self.process, self.port, self.admin, self.is_tls, self.folder = process, port, admin, is_tls, folder

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def memory(self):
        return self.kilobytes("VmRSS")

    def most_memory(self):
        return self.kilobytes("VmHWM")

    def kilobytes(self, name):
        return int(fields(Path(f"/proc/{self.pid}/status"))[name].split()[0]) * 1024

    def forget_most_memory(self):
        # man proc: 5 resets the peak of the resident memory.
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_seconds(self):
        words = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / TICK

    def gauges(self):
        """The values of `/metrics`; empty if it does not answer."""
        try:
            return metrics(self.admin, SCRAPE_PATIENCE)
        except OSError:
            return {}


@contextmanager
def target(settings, is_tls=False, is_unheard=False):
    """Starts a server with one worker for the time of a `with`. If `is_unheard`, nothing reads its log."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        (folder / "assets").mkdir()
        port, admin = free_ports(2)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TURTED_")}
        environment |= {**SETTINGS, "TURTED_ADMIN_LISTEN": f"127.0.0.1:{admin}"} | settings
        environment |= certificate() if is_tls else {}
        environment["TURTED_ASSETS_DIR"] = str(folder / "assets")
        command = ["taskset", "-c", SERVER_CORE, TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]
        with open(WORK / "server.log", "wb") as log:
            errors = subprocess.PIPE if is_unheard else log
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=errors)
        try:
            wait_for(port, process, WORK / "server.log")
            yield Target(process, port, admin, is_tls, folder)
        finally:
            stop(process)
            if is_unheard:
                process.stderr.close()


def certificate():
    """A self-signed certificate, made once; the variables that name it."""
    cert, key = WORK / "hostile-cert.pem", WORK / "hostile-key.pem"
    if not cert.exists():
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "3650", "-subj", "/CN=localhost", "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        key.chmod(0o600)
    return {"TURTED_TLS_CERT": str(cert), "TURTED_TLS_KEY": str(key)}


def known(settings):
    """The `settings` that this server knows: an older one refuses to start with an unknown key."""
    return {key: value for key, value in settings.items() if is_known(key, value)}


def is_known(key, value):
    environment = {"PATH": os.environ["PATH"], key: value}
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        return subprocess.run([TURTED, "check"], cwd=folder, env=environment, capture_output=True, timeout=30).returncode == 0


def until(condition, seconds, step=0.25):
    """Waits at most `seconds` until `condition` holds. Whether it does, and after how many seconds."""
    start = time.monotonic()
    while not (holds := condition()) and time.monotonic() - start < seconds:
        time.sleep(step)
    return bool(holds), time.monotonic() - start
