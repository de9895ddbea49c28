<?php

declare(strict_types=1);

namespace Turted;

/**
 * No answer of turted came in time. The server may have accepted the push nevertheless, so push it again with the same
 * key, if at all.
 */
final class Unreachable extends \RuntimeException implements Failure
{
    public function __construct(string $message, private readonly string $key = '', ?\Throwable $previous = null)
    {
        parent::__construct($message, 0, $previous);
    }

    public function key(): string
    {
        return $this->key;
    }
}
