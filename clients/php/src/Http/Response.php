<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * An answer. One that is not that of turted may repeat the request with its password, so dumps do not show the body.
 *
 * @internal
 */
final class Response
{
    /** @param array<string, string> $headers by their names in small letters */
    public function __construct(
        public readonly int $status,
        private readonly array $headers,
        private readonly Secret $body,
    ) {
    }

    public function header(string $name): ?string
    {
        return $this->headers[$name] ?? null;
    }

    /** The body, if it is JSON. */
    public function json(): mixed
    {
        return json_decode($this->body->reveal(), true);
    }

    /** `Retry-After` in seconds. Turted sends no dates. */
    public function retryAfter(): ?int
    {
        $seconds = $this->header('retry-after') ?? '';
        return preg_match('/^\d{1,9}$/D', $seconds) === 1 ? (int) $seconds : null;
    }
}
