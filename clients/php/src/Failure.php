<?php

declare(strict_types=1);

namespace Turted;

/** A push that failed: `Refused` or `Unreachable`. */
interface Failure extends \Throwable
{
    /**
     * The `Idempotency-Key` of the push: with it the same push can be pushed again and is dispatched once. Empty if
     * nothing was sent.
     */
    public function key(): string;
}
