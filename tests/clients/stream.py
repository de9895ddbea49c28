"""Reads an event stream with httpx-sse. Prints each event that httpx-sse returns as one line of JSON."""

import json
import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client(timeout=20) as client:
    with connect_sse(client, "GET", sys.argv[1]) as source:
        for event in source.iter_sse():
            print(json.dumps({"event": event.event, "data": event.data, "id": event.id}), flush=True)
