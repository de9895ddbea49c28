"""Over TLS: what a delivery, an idle connection and a connect cost, beside a loop that encrypts with the same library."""

import subprocess

from ..paths import FLOOR_TLS, TURTED, WORK
from ..run import bench, serving
from ..servers import Server, Unavailable


def run(server, transport, arguments, seconds):
    cert, _ = certificate()
    spoken = subprocess.run([TURTED, "bench", "--help"], capture_output=True, text=True, timeout=30).stdout
    if "--ca" not in spoken:
        raise Unavailable("turted bench has no https")
    with serving(server.command) as (port, pid):
        arguments = ["--ca", cert, *server.arguments(transport), *arguments]
        return bench(port, pid, arguments, seconds, url=f"https://localhost:{port}")


def turted(port, _folder):
    cert, key = certificate()
    return ["env", f"TURTED_TLS_CERT={cert}", f"TURTED_TLS_KEY={key}", TURTED, "--listen", f"127.0.0.1:{port}", "--workers", "1"]


def floor(port, _folder):
    if not FLOOR_TLS.exists():
        raise Unavailable("the floor over TLS is not built")
    return [FLOOR_TLS, str(port), *certificate()]


def certificate():
    """A self-signed certificate that clients can trust, made once, and its key."""
    cert, key, config = (WORK / f"daily.{ending}" for ending in ("cert", "key", "conf"))
    if not cert.exists():
        config.write_text("[req]\ndistinguished_name = name\n[name]\n[own]\nsubjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", config]
        command += ["-extensions", "own", "-days", "3650", "-subj", "/CN=localhost", "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        key.chmod(0o600)
    return cert, key


SERVERS = {"turted": Server(turted, {"websocket": None}), "floor": Server(floor, {"websocket": None})}
