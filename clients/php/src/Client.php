<?php

declare(strict_types=1);

namespace Turted;

use Turted\Http\Address;
use Turted\Http\Body;
use Turted\Http\Credentials;
use Turted\Http\Curl;
use Turted\Http\Exchange;
use Turted\Http\Reading;
use Turted\Http\Request;
use Turted\Http\Response;
use Turted\Http\Stream;

/**
 * Pushes events to a turted server. One client serves a whole process: it keeps its connection where ext-curl is.
 */
final class Client implements Pusher
{
    use Notifies;

    /** As many times as long as what is answered to a push is what is answered about a user with the longest name. */
    private const RESULTS_OF_A_USER = 16;

    private readonly Address $address;
    private readonly Credentials $credentials;
    private readonly Body $body;
    private readonly Exchange $exchange;
    private readonly ?\Closure $onError;

    /**
     * @param string $url the server, `http://127.0.0.1:7117`, or the push path of one: without a path it is `/push/`
     * @param string|null $password that of `push.password`. Line breaks at its end, as files have them, do not count
     * @param array{connectTimeout?: float|int, timeout?: float|int, ca?: string, onError?: callable(Failure): void}
     *     $options seconds to connect (1) and for all of a push (5); a file with the authorities that certificates come
     *     from; and what is called with a failure instead of throwing it
     * @throws \InvalidArgumentException if one of these cannot be used
     */
    public function __construct(
        // Somebody may have put the password there, and then the exception must not show it.
        #[\SensitiveParameter] string $url,
        #[\SensitiveParameter] ?string $password = null,
        array $options = [],
    ) {
        $settings = Settings::of($options);
        $this->address = Address::of($url);
        $this->credentials = new Credentials($password);
        $this->body = new Body($this->credentials);
        $transport = Curl::isThere() ? new Curl($settings) : new Stream($settings);
        $this->exchange = new Exchange($transport, $settings->timeout);
        $this->onError = $settings->onError;
    }

    public function emit(
        string $event,
        array $targets,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer {
        return $this->push($key, function (string $key) use ($event, $targets, $payload): Answer {
            $body = $this->body->ofOne(new Push($event, $targets, $payload));
            return Reading::one($this->answer($body, $key), $key);
        });
    }

    public function batch(iterable $pushes, ?string $key = null): ?array
    {
        $pushes = Push::listOf($pushes);
        return $this->push($key, function (string $key) use ($pushes): array {
            $response = $this->answer($this->body->ofBatch($pushes), $key, count($pushes));
            return Reading::batch($response, count($pushes), $key);
        });
    }

    /**
     * Which of these users are online, at most 1,000 of them.
     *
     * @param list<string|int> $users
     * @return array<Presence>|null by user; null where a failure went to `onError`
     * @throws Failure
     */
    public function presence(array $users): ?array
    {
        return $this->push(null, function (string $key) use ($users): array {
            $body = $this->body->ofQuestion(array_values($users));
            $address = $this->address->below('presence');
            $results = self::RESULTS_OF_A_USER * count($users);
            $request = new Request($address, $this->credentials, $body, $key, $results);
            return Reading::presence($this->exchange->answerTo($request), $key);
        });
    }

    /**
     * Calls `$call` with the key of the push, and `onError` with its failure.
     *
     * @template T
     * @param \Closure(string): T $call
     * @return T|null
     */
    private function push(?string $key, \Closure $call): mixed
    {
        try {
            return $call(self::checked($key ?? bin2hex(random_bytes(16))));
        } catch (Failure $failure) {
            if ($this->onError === null) {
                throw $failure;
            }
            ($this->onError)($failure);
            return null;
        }
    }

    /** The server checks it too, but a line break must not get into a header. */
    private static function checked(string $key): string
    {
        if (preg_match('/^[\x21-\x7e]{1,255}$/D', $key) !== 1) {
            $detail = 'an Idempotency-Key is 1 to 255 visible ASCII characters without a space';
            throw new Refused(400, 'idempotency-key-invalid', "$detail (idempotency-key-invalid)");
        }
        return $key;
    }

    private function answer(Secret $body, string $key, int $pushes = 1): Response
    {
        return $this->exchange->answerTo(new Request($this->address, $this->credentials, $body, $key, $pushes));
    }
}
