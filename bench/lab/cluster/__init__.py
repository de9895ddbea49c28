"""What several machines cost beside one server in memory, for bench/cluster.

| file | what |
|---|---|
| `nodes.py` | a redis-server and the nodes of a cluster, or one server in memory, and the CPU time of each |
| `jobs.py` | the jobs, and what is measured in each |
| `table.py` | the tables, what follows for more nodes, and their place on the page |
"""
