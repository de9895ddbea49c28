"""Hostile inputs for bench/hostile: what hostile clients send to make a server hold memory, do work,
or forget sessions of others.

| file | what |
|---|---|
| `target.py` | a server of its own for each input, and what /proc and `/metrics` say about it |
| `attack.py` | one input under way: its connections, what it sent, what it found |
| `lines.py`, `http2.py` | connections written by hand, and those of HTTP/2 |
| `honest.py` | how long others wait meanwhile: a client that pushes and receives, and new handshakes |
| `replays.py`, `answers.py`, `bodies.py`, `places.py`, `floods.py`, `outputs.py`, `readers.py` | the inputs |
| `jobs.py`, `table.py` | the list of all inputs; the table, and the page |
"""
