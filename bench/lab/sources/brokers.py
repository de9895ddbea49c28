"""redis-server and rabbitmq-server as children: free ports, data in a folder of their own, ended by process."""

import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..paths import WORK
from ..ports import free_port, free_ports
from ..run import Failed, stop

# The program of Debian's package; that in /usr/sbin changes the user.
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
# RabbitMQ takes 4 s of a processor to start, which others may use as well.
BROKER_WAIT = 60
# The first bytes of a client of AMQP 0-9-1.
AMQP_HEADER = b"AMQP\0\0\x09\x01"


@contextmanager
def running(command, environment=None):
    """A program for the time of a `with`. It says nothing."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, **silent)
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from error
    try:
        yield process
    finally:
        stop(process)


def wait_for_answer(name, process, port, question):
    """Waits until a program answers."""
    deadline = time.monotonic() + BROKER_WAIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(question)
                if connection.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise Failed(f"{name} did not start")


@contextmanager
def redis():
    """A server of Redis that keeps nothing on disk: its port."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        with running(command) as process:
            wait_for_answer("redis-server", process, port, b"PING\r\n")
            yield port


@contextmanager
def rabbitmq():
    """A broker with the user that it has as it is installed, and the program by which Erlang finds its nodes: its port."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder, ExitStack() as programs:
        port, distribution, epmd = free_ports(3)
        programs.enter_context(running(["epmd", "-port", str(epmd), "-address", "127.0.0.1"]))
        broker = programs.enter_context(running([RABBITMQ], settings(Path(folder), port, distribution, epmd)))
        wait_for_answer("rabbitmq-server", broker, port, AMQP_HEADER)
        yield port


def settings(folder, port, distribution, epmd):
    places = {
        "RABBITMQ_MNESIA_BASE": "mnesia",
        "RABBITMQ_LOG_BASE": "logs",
        "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config",
        "RABBITMQ_CONF_ENV_FILE": "env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins",
        "RABBITMQ_PID_FILE": "pid",
    }
    return {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        # Then the shell becomes the node instead of waiting for it, and a signal hits the node.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": f"turted-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
        # One scheduler, which sleeps instead of spinning: it shares its core with who publishes.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        **{variable: str(folder / name) for variable, name in places.items()},
    }
