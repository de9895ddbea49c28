#!/usr/bin/env python3
"""Emits with socket.io-emitter of PyPI: emitter.py PORT EVENT PAYLOAD [ROOM ..], the payload as JSON."""

import json
import sys

import redis
from socket_io_emitter import Emitter


def main(port, event, payload, *rooms):
    io = Emitter({"client": redis.Redis(port=int(port))})
    for room in rooms:
        io.To(room)
    io.Emit(event, json.loads(payload))


if __name__ == "__main__":
    main(*sys.argv[1:])
