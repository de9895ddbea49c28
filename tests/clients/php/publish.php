<?php
// Publishes with php-amqplib, as Debian has it: publish.php URL EXCHANGE KEY BODY .., and waits until the broker has put all
// into a queue.

declare(strict_types=1);

require '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;

/** Seconds. */
const PATIENCE = 20;

[, $url, $exchange, $key] = $argv;
$parts = parse_url($url);
$connection = new AMQPStreamConnection($parts['host'], $parts['port'], $parts['user'], $parts['pass']);
$channel = $connection->channel();
$channel->exchange_declare($exchange, 'topic', false, true, false);
$channel->confirm_select();
$channel->set_nack_handler(fn () => throw new RuntimeException('the broker did not take a message'));
$channel->set_return_listener(fn () => throw new RuntimeException('no queue takes a message'));
foreach (array_slice($argv, 4) as $body) {
    $properties = ['content_type' => 'application/json', 'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT];
    $channel->basic_publish(new AMQPMessage($body, $properties), $exchange, $key, true);
}
$channel->wait_for_pending_acks_returns(PATIENCE);
$connection->close();
