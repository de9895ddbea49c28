<?php
// Pushes through a stream of Redis, with no extension and no library: stream.php PORT EVENT PAYLOAD USER ..

declare(strict_types=1);

[, $port, $event, $payload] = $argv;
$parts = ['XADD', 'events', '*', 'event', $event, 'payload', $payload];
foreach (array_slice($argv, 4) as $user) {
    array_push($parts, 'users', $user);
}
$bulks = array_map(fn ($part) => '$' . strlen($part) . "\r\n$part\r\n", $parts);
$socket = stream_socket_client("tcp://127.0.0.1:$port");
fwrite($socket, '*' . count($parts) . "\r\n" . implode('', $bulks));
exit(str_starts_with((string) fgets($socket), '$') ? 0 : 1);
