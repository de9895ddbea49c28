"""The loads, the servers that bear them, and how a load is run."""

from ..paths import FLOOR_PUSH
from ..run import Failed, bench, serving
from ..servers import SERVERS, Server, Unavailable
from . import crowd, streams, tls

# The floor of a broadcast knows no channels. This one does, and has the socket options of turted.
FLOOR = Server(lambda port, _folder: [FLOOR_PUSH, str(port)], {"websocket": None})
KNOWN = {**SERVERS, "floor": FLOOR}


def loaded(server, transport, arguments, seconds):
    """The report of the generator about a server."""
    with serving(server.command, settings=server.settings) as (port, pid):
        return bench(port, pid, [*server.arguments(transport), *arguments], seconds, password=server.password)


class Load:
    """One load: its name, the arguments of the generator, the servers by transport, and how long it is pushed
    (full, short). `run` makes a report of a server, a transport, the arguments and the seconds. `known` are the servers
    by their names."""

    def __init__(self, name, arguments, servers, seconds=(0, 0), run=loaded, known=KNOWN):
        self.name, self.arguments, self.servers, self.seconds = name, arguments, servers, seconds
        self.run, self.known = run, known


TURTED = ["turted"]
WEBSOCKET = ["turted", "floor", "ws", "Nchan"]
SOCKETIO = ["turted", "socket.io", "ws"]
BOTH = {"websocket": WEBSOCKET, "socketio": SOCKETIO}
# Nchan's clients cannot join, and are no users.
JOINING = {"websocket": ["turted", "floor", "ws"], "socketio": SOCKETIO}
USERS = {"websocket": ["turted", "ws"], "socketio": SOCKETIO}

CROWD = ["--connections", "8000"]
# A push can name 1,000 users.
FEW = ["--connections", "1000"]

# The loads of each row, or of several that belong together.
ROWS = {
    # In no order from which a server could profit. One that cannot take 5,000 pushes a second falls behind.
    "random": [Load("random", [*CROWD, "--channels", "8000", "--random", "--rate", "5000", "--pushers", "8"], BOTH, (4, 2))],
    "nobody": [Load("nobody", ["--connections", "0", "--inflight", "64", "--pushers", "16"], BOTH, (2, 1))],
    "frames": [
        Load("frame of its own", [*FEW, "--users"], USERS, (3, 1)),
        Load("frame that is shared", FEW, USERS, (3, 1)),
    ],
    "crowd": [
        Load("crowd", [], {"websocket": ["turted", "ws", "Nchan"], "socketio": SOCKETIO}, (8, 3), crowd.run)
    ],
    # A server that has thousands of handshakes under way answers late.
    "polling": [Load("polling", [*CROWD, "--opening", "8000", "--patience", "60s"], {"polling": ["turted", "socket.io"]})],
    "joins": [
        Load("ten JOINs", [*CROWD, "--joins", "10"], JOINING),
        Load("no JOIN", [*CROWD, "--broadcast"], JOINING),
    ],
    "large": [Load("large", [*FEW, "--payload", "16384", "--inflight", "1"], {"websocket": WEBSOCKET}, (4, 1))],
    "tls": [Load("tls", ["--connections", "5000"], {"websocket": ["turted", "floor"]}, (4, 1), tls.run, tls.SERVERS)],
    "http2": [Load("http2", [], {"sse": TURTED}, run=streams.run)],
    "idle": [Load("idle", ["--connections", "10000"], dict.fromkeys(["socketio", "websocket", "sse", "sockjs"], TURTED))],
}


def plan(rows):
    """All runs of one repetition, in order: job, load, transport, server."""
    return [
        (f"{load.name}: {transport}", load, transport, server)
        for row in rows
        for load in ROWS[row]
        for transport, servers in load.servers.items()
        for server in servers
    ]


def measure(run, is_short):
    """The report of one run, or `Failed`."""
    _, load, transport, name = run
    try:
        return load.run(load.known[name], transport, load.arguments, load.seconds[1 if is_short else 0])
    except (Unavailable, OSError, ValueError, KeyError) as error:
        raise Failed(str(error)) from error
