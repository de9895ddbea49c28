<?php

declare(strict_types=1);

namespace Turted\Http;

/**
 * Keeps the warnings of PHP's own functions as reasons, and away from the error handler of the backend, which may throw
 * even at what `@` silences.
 *
 * @internal
 */
final class Warnings
{
    private string $last = '';

    /** What `$call` returns. */
    public function during(\Closure $call): mixed
    {
        set_error_handler(function (int $level, string $message): bool {
            $this->last = preg_replace('/^\w+\(\): |[\r\n]+/', ' ', $message);
            return true;
        });
        try {
            return $call();
        } finally {
            restore_error_handler();
        }
    }

    public function last(): string
    {
        return trim($this->last) ?: 'no reason is known';
    }
}
