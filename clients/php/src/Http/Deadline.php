<?php

declare(strict_types=1);

namespace Turted\Http;

/**
 * A moment until which something has to be done, by a clock that nobody sets.
 *
 * @internal
 */
final class Deadline
{
    private function __construct(private readonly float $end)
    {
    }

    public static function in(float $seconds): self
    {
        return new self(self::now() + $seconds);
    }

    /** The earlier one of this and the one in `$seconds`. */
    public function within(float $seconds): self
    {
        return new self(min($this->end, self::now() + $seconds));
    }

    /** Seconds that are left, never below 0. */
    public function left(): float
    {
        return max(0.0, $this->end - self::now());
    }

    /** The same in whole milliseconds, at least 1, because 0 means for ever to curl. */
    public function leftMs(): int
    {
        return max(1, (int) ($this->left() * 1000));
    }

    private static function now(): float
    {
        return hrtime(true) / 1e9;
    }
}
