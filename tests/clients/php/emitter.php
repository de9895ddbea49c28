<?php
// Emits as the emitters for PHP do that are on Packagist: MessagePack with strings of the old specification, empty arrays
// for what is empty, one message for each room. No library: emitter.php PORT EVENT PAYLOAD [ROOM ..], the payload as JSON.

declare(strict_types=1);

function packed(mixed $value): string
{
    return match (true) {
        $value === null => "\xc0",
        is_bool($value) => $value ? "\xc3" : "\xc2",
        is_int($value) && $value >= 0 && $value < 128 => chr($value),
        is_int($value) => "\xd3" . pack('J', $value),
        is_float($value) => "\xcb" . pack('E', $value),
        is_string($value) && strlen($value) < 32 => chr(0xa0 | strlen($value)) . $value,
        is_string($value) => "\xda" . pack('n', strlen($value)) . $value,
        array_is_list($value) => "\xdc" . pack('n', count($value)) . implode('', array_map('packed', $value)),
        default => "\xde" . pack('n', count($value)) . implode('', array_map(
            fn ($key, $item) => packed($key) . packed($item),
            array_keys($value),
            $value,
        )),
    };
}

function publish($socket, string $channel, string $message): void
{
    $parts = ['PUBLISH', $channel, $message];
    $bulks = array_map(fn ($part) => '$' . strlen($part) . "\r\n$part\r\n", $parts);
    fwrite($socket, '*' . count($parts) . "\r\n" . implode('', $bulks));
    if (!str_starts_with((string) fgets($socket), ':')) {
        exit(1);
    }
}

[, $port, $event, $payload] = $argv;
$rooms = array_slice($argv, 4);
$packet = ['type' => 2, 'data' => [$event, json_decode($payload, true)], 'nsp' => '/'];
$message = packed(['emitter', $packet, ['rooms' => $rooms, 'flags' => []]]);
$socket = stream_socket_client("tcp://127.0.0.1:$port");
foreach ($rooms ?: [null] as $room) {
    publish($socket, 'socket.io#/#' . ($room === null ? '' : "$room#"), $message);
}
