"""All hostile inputs, and how each is run and judged."""

from ..run import Failed
from . import answers, bodies, floods, outputs, places, readers, replays
from .attack import Attack
from .target import known, target

QUICK_SCALE = 0.25


class Input:
    """`run` is called with an `Attack`. The server must know all of `settings`; those of `wanted`
    that it does not know are left out."""

    def __init__(self, title, run, settings=None, is_tls=False, **more):
        self.title, self.run, self.settings, self.is_tls = title, run, settings or {}, is_tls
        self.wanted = more.get("wanted", {})
        # Headers of the backend's pushes; a last check of the server at its end.
        self.headers, self.ending = more.get("headers", ""), more.get("ending")
        # Seconds that others may wait, and whether pushes may be refused meanwhile.
        self.felt_max, self.may_refuse = more.get("felt_max", 2), more.get("may_refuse", False)


BACKLOG = {"TURTED_LIMITS_BACKLOG_BYTES": f"{readers.BACKLOG_BYTES}"}
PLACES = {"TURTED_LIMITS_CONNECTIONS": f"{places.PLACES}"}
# Settings of an operator who named no proxies: all clients may come from one address.
ANONYMOUS = {**PLACES, "TURTED_TRUSTED_PROXIES": ""}
HTTP2 = {"is_tls": True}

INPUTS = {
    "replay-sse": Input("1,000 unread GET /sse with an old Last-Event-ID, 1 MB missed", replays.event_streams),
    "replay-v1": Input("the same by `resume` of turted.v1", replays.v1),
    "replay-pid": Input("the same by `pid` of Socket.IO", replays.socketio),
    "replay-reset": Input("14,805 resumes asked for and reset, then an honest one", replays.resets),
    "own-session": Input(
        "one client resumes its own session 400 times", replays.own_session, {"TURTED_RECOVERY_SESSIONS": str(replays.LOST_MAX)}
    ),
    "assets-h2": Input("768 unread requests for a file of 1 MB, HTTP/2, window 0", answers.assets_http2, **HTTP2),
    "assets-h1": Input("the same over HTTP/1.1", answers.assets_http1),
    "polls-h1": Input("380 unread polls and a broadcast of 1 MB, HTTP/1.1", answers.polls_http1),
    "polls-h2": Input("the same over HTTP/2, window 0", answers.polls_http2, **HTTP2),
    "polls-script": Input("the same as scripts, by JSONP", answers.polls_script),
    "sockjs-h2": Input("384 streams of SockJS over HTTP/2, window 4 kB, a broadcast of 1 MB", answers.sockjs_http2, **HTTP2),
    "slow-h2": Input("two honest readers over HTTP/2 at 20 kB/s, 400 kB", answers.slow_http2, **HTTP2),
    "trickle-h1": Input("200 event streams that take a byte every 2 s", answers.trickle_http1),
    "trickle-h2": Input("the same over HTTP/2", answers.trickle_http2, **HTTP2),
    "bodies": Input("300 unfinished pushes of 1 MB", bodies.unfinished, {"TURTED_LIMITS_REQUEST_BODY_WAIT": "8s"}),
    "chunks": Input("4 bodies of 1 MB in chunks of one byte", bodies.one_byte_chunks, {"TURTED_LIMITS_REQUEST_BODY_WAIT": "15s"}),
    "places-polling": Input("20,000 pipelined polling handshakes, 10,000 places", places.polling, PLACES),
    "places-sockjs": Input("20,000 pipelined sessions of SockJS, 10,000 places", places.sockjs, PLACES),
    "places-proxy": Input("the polling handshakes behind an unnamed proxy", places.polling, ANONYMOUS),
    "guesses": Input(
        "100 wrong passwords, then the right one", places.guesses, {"TURTED_PUSH_PASSWORD": places.PASSWORD}, headers=places.BEARER
    ),
    "admin": Input("40 silent and 40 unread connections to the admin port", outputs.admin),
    "stderr": Input(
        "3,000 connects, a log that is not read", outputs.standard_error,
        {"TURTED_LOG_LEVEL": "debug"}, ending=outputs.stops,
    ),
    "echo": Input("40 x 100 ECHO of 60 kB, never read", readers.echoes, wanted=BACKLOG, felt_max=20, may_refuse=True),
    "own-frames": Input("2,000 users, 2 x 100 kB for each alone, never read", readers.own_frames, wanted=BACKLOG, felt_max=20, may_refuse=True),
    "stalled": Input("100 stalled clients of five wires, 12 broadcasts of 1 MB", readers.stalled, wanted=BACKLOG),
    "large-events": Input("6 pushes of 400 kB, 6 of 600 kB, all read", readers.large_events),
    "h2-ping": Input("PING of HTTP/2 for 5 s", floods.pings, **HTTP2),
    "h2-ping-unread": Input("the same, answers unread", floods.pings_unread, **HTTP2),
    "h2-settings": Input("SETTINGS of HTTP/2 for 5 s", floods.settings, **HTTP2),
    "h2-empty": Input("empty DATA of HTTP/2 for 5 s", floods.empty, **HTTP2),
    "h2-reset": Input("requests of HTTP/2 that are reset, for 5 s", floods.resets, **HTTP2),
}


def measure(name, scale):
    """Runs one input against a server of its own. Returns its report, or raises `Failed`."""
    one = INPUTS[name]
    settings = {**one.settings, **known(one.wanted)}
    try:
        with target(settings, one.is_tls, one.ending is not None) as aim:
            attack = Attack(aim, scale, one.headers)
            try:
                one.run(attack)
            except OSError as error:
                # The server ended a connection that the input still needed, or no longer answers.
                attack.check(f"carried out: {error or repr(error)}", False)
            report = attack.finish()
            if one.ending:
                report["checks"].append(one.ending(attack))
            return report
    except (OSError, ValueError, KeyError) as error:
        raise Failed(str(error) or repr(error)) from error
