"""The load that people really have, for bench/daily: thousands of users, a push to one or a few of them, pages that begin by polling.

| file | what |
|---|---|
| `jobs.py` | the loads, the servers that bear them, and how a load is run |
| `crowd.py` | pushes to one user while pushes to 8,000 go on |
| `tls.py` | the servers over TLS |
| `streams.py` | event streams over HTTP/2 |
| `table.py` | the rows and their targets, and their place on the page |
"""
