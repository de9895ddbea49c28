<?php

declare(strict_types=1);

namespace Turted;

/** What the server knows of a user. */
final class Presence
{
    public function __construct(
        /** Whether it has a connection at this moment; null if the server does not know. */
        public readonly ?bool $online,
        /** How many; null if the server does not know. */
        public readonly ?int $connections,
        /** When it had one last, in milliseconds since 1970; null if the server does not know. */
        public readonly ?int $lastSeen,
    ) {
    }
}
