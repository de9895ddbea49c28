"""The servers that are measured: how they are started, and how clients reach them."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

from . import choice
from .choice import ONE_CORE, Unavailable
from .paths import FLOOR, PEERS, TURTED, WORK

NCHAN_MODULE = "usr/lib/nginx/modules/ngx_nchan_module.so"


class Server:
    """One server. `transports` has the arguments that the generator needs for each transport, `settings` the
    variables of the server, `password` that of its pushes. `keeps` says which messages it keeps here. `returns` starts
    it so that clients can come back to what they missed, if it can do that: with what `returning` says."""

    def __init__(self, command, transports, keeps="nothing", returns=None, returning="as it is", settings=None, password=None):
        self.command = command
        self.returns, self.returning = returns, returning
        self.transports = transports
        self.keeps = keeps
        self.settings = settings
        self.password = password

    def arguments(self, transport):
        return self.transports.get(transport) or ["--transport", transport]


def node(script, *arguments):
    def command(port, _folder):
        if not (PEERS / "node_modules").is_dir():
            raise Unavailable(f"npm ci --prefix {PEERS.name} has not succeeded")
        return ["node", PEERS / script, str(port), *arguments]

    return command


def turted(*arguments):
    return lambda port, _folder: [TURTED, "--listen", f"127.0.0.1:{port}", *arguments]


def nchan(port, folder):
    nginx, module = find_nchan()
    template = (PEERS / "nchan.conf").read_text()
    for name, value in {"module": module, "port": port, "dir": folder}.items():
        template = template.replace("{" + name + "}", str(value))
    config = folder / "nchan.conf"
    config.write_text(template)
    return [nginx, "-p", folder, "-e", "stderr", "-c", config]


def find_nchan():
    """nginx and the module: those of the system, or unpacked from Debian's packages. The packages are not
    installed, because that needs root and would start a service."""
    system = shutil.which("nginx") or "/usr/sbin/nginx"
    for nginx, root in ((Path(system), Path("/")), (WORK / "nchan/usr/sbin/nginx", WORK / "nchan")):
        if nginx.exists() and (root / NCHAN_MODULE).exists():
            return nginx, root / NCHAN_MODULE
    folder = WORK / "nchan"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # From Debian 12 on the package `nginx` contains the program.
        subprocess.run(["apt-get", "download", "-qq", "nginx", "libnginx-mod-nchan"], cwd=folder, check=True, timeout=120)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"nginx with libnginx-mod-nchan is not there: {error}") from error
    if not (folder / NCHAN_MODULE).exists():
        raise Unavailable("Debian's packages hold no nginx with Nchan")
    return folder / "usr/sbin/nginx", folder / NCHAN_MODULE


def nchan_version():
    """The version in Debian's package; empty without the package."""
    # The name of a file has the colon of a version percent-encoded.
    archives = [unquote(path.name.split("_")[1]) for path in (WORK / "nchan").glob("libnginx-mod-nchan_*.deb")]
    query = ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"]
    try:
        installed = subprocess.run(query, capture_output=True, text=True, timeout=30).stdout
    except OSError:
        installed = ""
    return installed or "".join(archives)


def of_nchan(*arguments):
    return [*arguments, "--push-path", "/push?channel={channel}"]


SERVERS = {
    "turted": Server(
        turted("--workers", "1"),
        dict.fromkeys(["socketio", "websocket", "sse", "sockjs"]),
        "two minutes, in memory",
        returns=turted("--workers", "1"),
    ),
    "floor": Server(
        lambda port, _folder: [FLOOR, str(port)], dict.fromkeys(["socketio", "websocket", "sse", "sockjs"])
    ),
    "socket.io": Server(
        node("socketio.js"),
        {"socketio": None},
        returns=node("socketio.js", "recovery"),
        returning="connection state recovery, two minutes, in memory",
    ),
    "ws": Server(node("ws.js"), dict.fromkeys(["socketio", "websocket"])),
    "node SSE": Server(node("sse.js"), {"sse": None}),
    "sockjs": Server(node("sockjs.js"), {"sockjs": None}),
    "Nchan": Server(
        nchan,
        {
            "websocket": of_nchan("--transport", "plain", "--path", "/sub?channel={channel}"),
            "sse": of_nchan("--transport", "sse", "--path", "/sub"),
        },
        "ten messages of a channel, in memory",
    ),
    "Centrifugo": Server(
        choice.centrifugo,
        {
            "websocket": ["--protocol", "centrifugo"],
            "sse": ["--protocol", "centrifugo", "--transport", "sse"],
        },
        returns=choice.centrifugo_with_history,
        returning="history of 1,000 messages for five minutes, in memory, and recovery",
        settings=ONE_CORE,
    ),
    "AnyCable": Server(choice.anycable, {"websocket": ["--protocol", "actioncable"]}, settings=ONE_CORE),
    "Mercure": Server(
        choice.mercure,
        {"sse": ["--protocol", "mercure"]},
        "every message, in a file",
        returns=choice.mercure,
        settings=ONE_CORE,
        password=choice.publisher(),
    ),
}
