#!/usr/bin/env python3
"""Publishes with pika of PyPI: publish.py URL EXCHANGE KEY BODY .., and waits until the broker has put all into a queue."""

import sys
import time

import pika

# A queue that a server makes may not be there yet.
PATIENCE = 20


def main(url, exchange, key, *bodies):
    with pika.BlockingConnection(pika.URLParameters(url.rstrip("/") + "/%2f")) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange, "topic", durable=True)
        channel.confirm_delivery()
        for body in bodies:
            publish(channel, exchange, key, body)


def publish(channel, exchange, key, body):
    properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return channel.basic_publish(exchange, key, body.encode(), properties, mandatory=True)
        except pika.exceptions.UnroutableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
