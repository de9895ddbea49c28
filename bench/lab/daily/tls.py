"""Over TLS: what a delivery, an idle connection and a connect cost. Measured once `turted bench` speaks https."""

from ..servers import Unavailable


def run(_server, _transport, _arguments, _seconds):
    raise Unavailable("turted bench has no https")
