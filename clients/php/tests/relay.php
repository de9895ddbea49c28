<?php

declare(strict_types=1);

/*
 * A network and a server that fail: relay.php PORT ACTION .. takes requests on a free port, and does with each what
 * its action says. It prints its port, then `connection` for each that it accepts, and `ACTION KEY` for each request.
 *
 *   pass      hands it over to PORT, and the answer back     keep    the same, and keeps the connection
 *   chunked   the same, the answer in chunks behind a 103    close   the same, the answer until the connection ends
 *   cut       hands it over, and ends without the answer     half    ends in the middle of the answer
 *   drop      ends before it hands it over                   hang    hands it over, and never answers
 *   drip      the answer byte by byte, twenty a second       flood   an answer without an end
 *   heads     a head without an end                          noise   something else than HTTP
 *   early     answers of 1xx without an end                  more    the same as pass, and more behind the answer
 *   chunk     a chunk whose first line has no end
 *   page      a page of another server                       echo    refuses with the request as its body
 *   moved     redirects to PORT
 *   409:1     refuses with this status and this Retry-After
 *
 * A request `told` has it print that, behind all that came before.
 */

/** The answer of the server on this port. */
function forward(int $port, string $request): string
{
    $server = stream_socket_client("tcp://127.0.0.1:$port");
    fwrite($server, preg_replace('/^Connection: .*\r\n/mi', '', $request, 1));
    $answer = '';
    while (preg_match('/\r\n\r\n/', $answer) !== 1 || strlen($answer) < lengthOf($answer)) {
        $answer .= fread($server, 65536);
    }
    return $answer;
}

/** The length of a message with a Content-Length; of one whose head is not there yet, one byte more than is there. */
function lengthOf(string $message): int
{
    $head = strpos($message, "\r\n\r\n");
    preg_match('/^content-length: (\d+)/mi', $message, $length);
    return $head === false ? strlen($message) + 1 : $head + 4 + (int) ($length[1] ?? 0);
}

function answer(string $status, string $body, string $headers = ''): string
{
    return "HTTP/1.1 $status\r\n{$headers}Content-Length: " . strlen($body) . "\r\n\r\n$body";
}

function refusal(int $status, string $retryAfter): string
{
    $rules = [409 => 'idempotency-key-under-way', 429 => 'too-many-wrong-passwords', 503 => 'overload'];
    $problem = json_encode(['rule' => $rules[$status], 'detail' => "told to by a test ($rules[$status])"]);
    return answer("$status No", $problem, $retryAfter === '' ? '' : "Retry-After: $retryAfter\r\n");
}

function inChunks(string $answer): string
{
    [, $body] = explode("\r\n\r\n", $answer, 2);
    $chunks = array_map(fn ($part) => dechex(strlen($part)) . ";a=b\r\n$part\r\n", str_split($body, 3));
    return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        . implode('', $chunks) . "0\r\n\r\n";
}

function drip($client, string $answer): void
{
    foreach (str_split($answer) as $byte) {
        if (@fwrite($client, $byte) === false) {
            return;
        }
        usleep(50_000);
    }
}

/** Sends until the client is gone. There is an end, so that a test of a client that takes all of it fails. */
function flood($client, string $first, string $more): void
{
    $sent = fwrite($client, $first);
    for ($left = 100_000_000; $sent !== false && $left > 0; $left -= $sent) {
        $sent = @fwrite($client, str_repeat($more, 1000));
    }
}

/** Does it, and returns whether the connection stays. */
function act(string $action, int $port, string $request, $client): bool
{
    if (str_contains($action, ':')) {
        [$status, $retryAfter] = explode(':', $action);
        fwrite($client, refusal((int) $status, $retryAfter));
        return false;
    }
    $answer = in_array($action, ['drop', 'flood', 'heads', 'early', 'chunk', 'noise', 'page', 'echo', 'moved'], true)
        ? ''
        : forward($port, $request);
    match ($action) {
        'pass', 'keep' => fwrite($client, $answer),
        'half' => fwrite($client, substr($answer, 0, -5)),
        'chunked' => fwrite($client, inChunks($answer)),
        'close' => fwrite($client, preg_replace('/^content-length: .*\r\n/mi', '', $answer)),
        'drip' => drip($client, $answer),
        'flood' => flood($client, "HTTP/1.1 200 OK\r\n\r\n", '0123456789'),
        'heads' => flood($client, "HTTP/1.1 200 OK\r\n", "X-Head: 0123456789\r\n"),
        'early' => flood($client, '', "HTTP/1.1 103 Early Hints\r\n\r\n"),
        'chunk' => flood($client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", 'extension'),
        'more' => flood($client, $answer, '0123456789'),
        'noise' => fwrite($client, "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        'page' => fwrite($client, answer('200 OK', '<h1>It works!</h1>')),
        'echo' => fwrite($client, answer('500 No', $request)),
        'moved' => fwrite($client, answer('307 No', '', "Location: http://127.0.0.1:$port/push/\r\n")),
        'cut', 'drop', 'hang' => null,
    };
    return $action === 'keep' || $action === 'hang';
}

$port = (int) $argv[1];
$actions = array_slice($argv, 2);
$listener = stream_socket_server('tcp://127.0.0.1:0');
echo 'port ', explode(':', stream_socket_get_name($listener, false))[1], "\n";
$clients = [];
$requests = [];
while (true) {
    $readable = [$listener, ...$clients];
    $none = null;
    stream_select($readable, $none, $none, null);
    foreach ($readable as $socket) {
        if ($socket === $listener) {
            echo "connection\n";
            $clients[] = stream_socket_accept($listener);
            continue;
        }
        $id = (int) $socket;
        $bytes = fread($socket, 65536);
        $requests[$id] = ($requests[$id] ?? '') . $bytes;
        $stays = $bytes !== '';
        if ($stays && strlen($requests[$id]) >= lengthOf($requests[$id])) {
            $request = $requests[$id];
            $requests[$id] = '';
            if (str_starts_with($request, 'told')) {
                echo "told\n";
                continue;
            }
            $action = count($actions) > 1 ? array_shift($actions) : $actions[0];
            preg_match('/^idempotency-key: (\S+)/mi', $request, $key);
            echo "$action $key[1]\n";
            $stays = act($action, $port, $request, $socket);
        }
        if (!$stays) {
            fclose($socket);
            unset($requests[$id]);
            $clients = array_filter($clients, fn ($client) => $client !== $socket);
        }
    }
}
