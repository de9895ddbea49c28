"""What a message of each source costs beside a push by REST, for bench/sources.

| file | what |
|---|---|
| `brokers.py` | redis-server and rabbitmq-server, each on ports of its own |
| `amqp.py` | a client that publishes to RabbitMQ |
| `ways.py` | the ways of a message into the server: REST and each source, and how each is filled |
| `jobs.py` | the jobs, and the CPU time of the server in each |
| `table.py` | the tables, and their place on the page |
"""
