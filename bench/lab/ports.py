"""Ports for servers that cannot choose a free one themselves."""

import random
import socket
from contextlib import ExitStack

# The ports below those that the kernel gives to who asks for any (`ip_local_port_range`): no connection, and no node of a
# cluster, has one of these before the server does.
PORTS = range(10_000, 30_000)


def free_port():
    return free_ports(1)[0]


def free_ports(count):
    """Ports that are free at this moment. All are held, so that they differ."""
    ports = []
    with ExitStack() as open_sockets:
        for port in random.sample(PORTS, len(PORTS)):
            listener = open_sockets.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                break
    return ports
