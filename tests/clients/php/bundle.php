<?php

/*
 * One push, made exactly as Symfony's TurtedBundle makes it: file_get_contents() over a stream context.
 *
 *   php bundle.php URL PASSWORD EVENT TARGETS PAYLOAD      (TARGETS and PAYLOAD as JSON)
 *
 * JSON objects become PHP arrays, so that {"0":"ann","2":"bob"} is an array with a gap, as array_filter() leaves
 * it, and {} is an empty array. Prints the answer; ends with 1 and the warning if the push failed.
 */

declare(strict_types=1);

set_error_handler(static function (int $level, string $message): never {
    throw new RuntimeException($message);
});

function push(string $url, string $password, string $event, array $targets, mixed $payload): string
{
    $data = [
        'event' => $event,
        'targets' => $targets,
        'payload' => $payload,
        'auth' => ['password' => $password],
    ];
    $context = stream_context_create([
        'http' => [
            'method' => 'POST',
            'header' => "Content-type: application/json\r\n",
            'content' => json_encode($data, JSON_THROW_ON_ERROR),
            'timeout' => 5,
            'ignore_errors' => false,
        ],
    ]);
    $answer = file_get_contents($url, false, $context);
    if ($answer === false) {
        throw new RuntimeException('the push failed');
    }

    return $answer;
}

[, $url, $password, $event, $targets, $payload] = $argv;

try {
    $decode = static fn (string $json): mixed => json_decode($json, true, 512, JSON_THROW_ON_ERROR);
    echo push($url, $password, $event, $decode($targets), $decode($payload));
} catch (Throwable $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(1);
}
