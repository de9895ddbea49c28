<?php

declare(strict_types=1);

/*
 * Prints whatever a program may print of the library, objects and exceptions in each way PHP has:
 *
 *   canary.php SECRET ECHO      ECHO is the URL of a server that answers with the request
 *   canary.php SECRET           an exception of its own, whose argument is the secret
 *
 * Both end with an exception that nobody catches.
 */

require __DIR__ . '/bootstrap.php';

use Turted\Client;
use Turted\Hook;
use Turted\Push;
use Turted\Token;

function show(mixed $value): void
{
    var_dump($value);
    print_r($value);
    try {
        var_export($value);
        echo json_encode((array) $value, JSON_PARTIAL_OUTPUT_ON_ERROR), serialize($value);
    } catch (\Throwable $throwable) {
        echo "\n{$throwable->getMessage()}\n";
    }
}

/** Shows what it throws, and all that led to it. */
function failing(\Closure $call): void
{
    try {
        $call();
    } catch (\Throwable $throwable) {
        echo $throwable, "\n";
        for (; $throwable !== null; $throwable = $throwable->getPrevious()) {
            // An exception of its own to the functions of this file has the closure with the secret in its trace.
            $own = static fn (array $frame): bool => str_starts_with($frame['class'] ?? '', 'Turted\\')
                || !in_array($frame['function'], ['failing', '{closure}', 'show'], true);
            show(array_filter($throwable->getTrace(), $own));
            show(get_class($throwable) . $throwable->getMessage());
        }
        return;
    }
    echo "nothing was thrown\n";
}

/** Looks around when it becomes JSON, and then fails. */
$payload = new class implements \JsonSerializable {
    public function jsonSerialize(): mixed
    {
        foreach (debug_backtrace(DEBUG_BACKTRACE_PROVIDE_OBJECT) as $frame) {
            if (str_starts_with($frame['class'] ?? '', 'Turted\\') || $frame['function'] === 'json_encode') {
                var_dump($frame['object'] ?? null, $frame['args']);
            }
        }
        throw new \DomainException('no payload today');
    }
};

function leak(string $secret): void
{
    throw new \RuntimeException('a control');
}

[, $secret] = $argv;
$echo = $argv[2] ?? null;
if ($echo === null) {
    leak($secret);
}

// The second one has letters that no header has, so it is in the body.
foreach ([$secret, "$secret é"] as $password) {
    $turted = new Client($echo, $password);
    $gone = new Client('http://127.0.0.1:1', $password);
    show($turted);
    show(new Turted\Http\Credentials($password));
    failing(static fn () => $turted->broadcast('E'));
    failing(static fn () => $turted->batch([new Push('E', [])]));
    failing(static fn () => $turted->broadcast("\xff"));
    failing(static fn () => $turted->broadcast('E', $payload));
    failing(static fn () => $gone->broadcast('E'));
}
// A secret in the query of the URL.
foreach ([$echo, 'http://127.0.0.1:1'] as $url) {
    $turted = new Client("$url/push/?key=$secret", '');
    show($turted);
    failing(static fn () => $turted->broadcast('E'));
    failing(static fn () => $turted->broadcast('E', $payload));
}
failing(static fn () => new Client($echo, $secret, ['unknown' => 1]));
failing(static fn () => new Client("http://me:$secret@push.example"));
failing(static fn () => new Client([], $secret));
failing(static fn () => Token::hash('', $secret, $secret));
failing(static fn () => Token::jwt('', $secret));
failing(static fn () => Token::jwt('adam', $secret));
failing(static fn () => Token::jwt('adam', str_repeat($secret, 3), 60, ['a' => NAN]));
failing(static fn () => Hook::verify('', null, $secret));
failing(static fn () => Hook::verify('', 't=1,v1=' . str_repeat('0', 64), [$secret, $secret]));
echo "all was shown\n";
new Client('nowhere', $secret);
