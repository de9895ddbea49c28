<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * One push as a request. Nothing of it is text before it is sent, so no trace has the password.
 *
 * @internal
 */
final class Request
{
    /** Bytes of an answer that is no problem: `{"delivered":20 digits,"id":"8 and 20 digits"}`, with room to grow. */
    private const RESULT_BYTES = 128;
    /** A problem names a field, which may be long. */
    private const PROBLEM_BYTES = 65_536;

    public function __construct(
        public readonly Address $address,
        private readonly Credentials $credentials,
        private readonly Secret $body,
        public readonly string $key,
        private readonly int $pushes,
    ) {
    }

    /** How long the body of the answer may be. */
    public function answerBytesMax(): int
    {
        return self::PROBLEM_BYTES + self::RESULT_BYTES * $this->pushes;
    }

    /** @return list<Secret> */
    public function headers(): array
    {
        $headers = [
            new Secret('Accept: application/json'),
            new Secret('Content-Type: application/json'),
            new Secret("Idempotency-Key: $this->key"),
        ];
        $authorization = $this->credentials->header();
        return $authorization === null ? $headers : [...$headers, $authorization];
    }

    public function body(): Secret
    {
        return $this->body;
    }
}
