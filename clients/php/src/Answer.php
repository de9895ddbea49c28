<?php

declare(strict_types=1);

namespace Turted;

/** An accepted push. */
final class Answer
{
    public function __construct(
        /** How many connections of this server it reached; null if the server does not know, after its restart say. */
        public readonly ?int $delivered,
        /** Its position in the log of the server. */
        public readonly string $id,
    ) {
    }
}
