"""The servers that people choose between: Centrifugo, AnyCable and Mercure, with their defaults, on one core.

Centrifugo is built from its module where Go is. AnyCable and Mercure are in no registry of modules: they are
measured where the user has them, on the PATH or by `--server NAME=PATH`.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .paths import PEERS, WORK

CENTRIFUGO = "v6.9.1"
MODULE = f"github.com/centrifugal/centrifugo/v6@{CENTRIFUGO}"
BUILT = WORK / "peers"
# Seconds that building Centrifugo may take.
BUILD_WAIT = 1_200
# Where Go puts itself if nobody says otherwise.
GO = Path("/usr/local/go/bin/go")

# Go takes as many threads as there are cores unless it is told otherwise.
ONE_CORE = {"GOMAXPROCS": "1"}
# The program of each server. Where it is, if the user said so.
PROGRAMS = {"Centrifugo": "centrifugo", "AnyCable": "anycable-go", "Mercure": "mercure"}
chosen = {}

# The key of Mercure's publisher. It only ever listens on this machine.
KEY = "a key of 32 bytes for a benchmark"


class Unavailable(Exception):
    """A server that cannot be started here, and why."""


def choose(text):
    """Notes where a server is, from `NAME=PATH`. Names are taken in any case of letters."""
    name, _, path = text.partition("=")
    found = {known.lower(): known for known in PROGRAMS}.get(name.lower())
    if not found or not path:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(PROGRAMS)}, and the path of its program: mercure=/opt/mercure")
    chosen[found] = path
    return text


def program(name):
    """The program of a server, or `Unavailable`."""
    if name in chosen:
        if not os.access(chosen[name], os.X_OK):
            raise Unavailable(f"{chosen[name]} cannot be run")
        return Path(chosen[name]).resolve()
    built = BUILT / PROGRAMS[name]
    found = shutil.which(PROGRAMS[name]) or (built if built.exists() else None)
    if not found:
        raise Unavailable(f"{PROGRAMS[name]} is not there: --server {name.lower()}=PATH")
    return Path(found).resolve()


def build_centrifugo():
    """Builds Centrifugo where Go is, if it is not there yet. If that fails, it says so and goes on without it."""
    try:
        program("Centrifugo")
        return
    except Unavailable as missing:
        go = shutil.which("go") or (str(GO) if GO.exists() else None)
        if not go or "Centrifugo" in chosen:
            print(f"warning: Centrifugo is left out: {missing}{'' if go else ', and there is no Go to build it'}", file=sys.stderr)
            return
    print(f"building Centrifugo {CENTRIFUGO}, which takes some minutes once", file=sys.stderr)
    try:
        environment = {**os.environ, "GOBIN": str(BUILT)}
        subprocess.run([go, "install", MODULE], env=environment, cwd=WORK, check=True, timeout=BUILD_WAIT, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"warning: Centrifugo is left out: {error}", file=sys.stderr)


def configured(template, folder, **values):
    """A configuration of bench/peers with its placeholders filled, in a folder of the run."""
    text = (PEERS / template).read_text()
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    path = folder / template
    path.write_text(text)
    return path


def centrifugo(port, folder, history=""):
    return [program("Centrifugo"), "--config", configured("centrifugo.json", folder, port=port, history=history)]


def centrifugo_with_history(port, folder):
    """Keeps messages, and sends them again to clients that come back with the offset of their last one."""
    return centrifugo(port, folder, '"history_size": 1000, "history_ttl": "300s", "force_recovery": true,')


def anycable(port, _folder):
    listen = ["--host", "127.0.0.1", "--port", str(port), "--http_broadcast_port", str(port)]
    return [program("AnyCable"), *listen, "--public", "--broadcast_adapter=http", "--log_level=error"]


def mercure(port, folder):
    config = configured("mercure.Caddyfile", folder, port=port, dir=folder, key=json.dumps(KEY))
    return [program("Mercure"), "run", "--adapter", "caddyfile", "--config", config]


def publisher():
    """The token of Mercure's publisher: a JSON Web Token, HS256, that may publish everything."""
    part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
    text = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, {"mercure": {"publish": ["*"]}}))
    return (text + b"." + part(hmac.digest(KEY.encode(), text, hashlib.sha256))).decode()


def version(name):
    """What a server says about its version; empty if it is not there."""
    arguments = {"Centrifugo": ["version"], "AnyCable": ["--version"], "Mercure": ["version"]}
    try:
        path = program(name)
        done = subprocess.run([path, *arguments[name]], capture_output=True, text=True, timeout=30)
    except (Unavailable, OSError, subprocess.SubprocessError):
        return ""
    if path.parent == BUILT:
        # Built from its module, Centrifugo does not know its version.
        return f"{name} {CENTRIFUGO}"
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return f"{name} {said[0].removeprefix(name).strip()}" if said else name
