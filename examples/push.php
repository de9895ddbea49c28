<?php
// Pushes from PHP without any library, in both forms that turted accepts.
//
//   php examples/push.php [URL [PASSWORD]]

declare(strict_types=1);

/** Posts one body and returns the answer. Throws if the status is 400 or above. */
function turted_post(string $url, array $body): string
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode($body, JSON_THROW_ON_ERROR),
        'timeout' => 5,
        'ignore_errors' => true,
    ]]);
    $answer = @file_get_contents($url, false, $context);
    if ($answer === false) {
        throw new RuntimeException("no answer from $url");
    }
    $status = (int) explode(' ', $http_response_header[0])[1];
    if ($status >= 400) {
        throw new RuntimeException("refused, $status: $answer");
    }
    return $answer;
}

/** The form of TURTED 3.3.3 and later. */
function turted_push(string $url, ?string $password, string $event, array $targets, mixed $payload): string
{
    $body = ['event' => $event, 'targets' => $targets, 'payload' => $payload];
    return turted_post($url, $password === null ? $body : $body + ['auth' => ['password' => $password]]);
}

/** The form before 3.3.3, as TurtedBundle up to 2.2 sends it. */
function turted_push_legacy(string $url, ?string $password, string $cmd, array $data): string
{
    $body = ['cmd' => $cmd, 'data' => $data];
    return turted_post($url, $password === null ? $body : $body + ['password' => $password]);
}

$url = $argv[1] ?? 'http://127.0.0.1:7117/push/';
$password = $argv[2] ?? null;

try {
    $message = ['from' => 'PHP', 'text' => 'hello adam'];
    echo turted_push($url, $password, 'MESSAGE:NEW', ['users' => ['adam']], $message), "\n";

    $message = ['from' => 'old PHP', 'text' => 'hello chat'];
    $data = ['event' => 'MESSAGE:NEW', 'channel' => 'chat', 'payload' => $message];
    echo turted_push_legacy($url, $password, 'notifyChannel', $data), "\n";
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
