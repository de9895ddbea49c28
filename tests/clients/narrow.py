#!/usr/bin/env python3
"""Narrow links to a server. Each has a port of its own and carries so many bytes a second to its clients,
over all their connections together. What clients send is not slowed down. Python, because node cannot set
SO_RCVBUF: without it the kernel buffers megabytes on the way, and the server would not notice that a client is slow.

    narrow.py PORT LINKS BYTES_PER_SECOND

Prints the ports of the links on one line, and ends when its standard input does."""

import asyncio
import socket
import sys

# Bytes of one read: what a slow link carries in a small part of a second.
PIECE_BYTES = 4096
# The kernel doubles this size, to store its own records too.
RECEIVE_BYTES = 8 * 1024


class Link:
    def __init__(self, rate):
        self.rate, self.free_at = rate, 0.0

    async def carry(self, count):
        """Waits until so many bytes have passed, after all that came before."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(now, self.free_at) + count / self.rate
        await asyncio.sleep(self.free_at - now)


async def serve(link, client, port):
    loop = asyncio.get_running_loop()
    server = socket.socket()
    try:
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # It must be set before the handshake, which fixes the scale of the window.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        await loop.sock_connect(server, ("127.0.0.1", port))
        ways = [asyncio.create_task(copy(client, server)), asyncio.create_task(copy(server, client, link))]
        await asyncio.wait(ways)
    except OSError:
        pass
    finally:
        client.close()
        server.close()


async def copy(source, sink, link=None):
    """One direction of a connection, to its end. When a client vanishes, the server notices at once."""
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, PIECE_BYTES):
            if link:
                await link.carry(len(data))
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


async def listen(listener, link, port):
    loop, tasks = asyncio.get_running_loop(), set()
    while True:
        client, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(serve(link, client, port))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def main(port, links, rate):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(links)]
    for listener in listeners:
        listener.setblocking(False)
    work = [asyncio.create_task(listen(listener, Link(rate), port)) for listener in listeners]
    print(*(listener.getsockname()[1] for listener in listeners), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in work:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
