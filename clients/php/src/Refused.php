<?php

declare(strict_types=1);

namespace Turted;

/**
 * The server answered, and did not accept the push. "Answers" in docs/protocol-rest.md says what to do at which status;
 * "Rules" has each rule.
 */
final class Refused extends \RuntimeException implements Failure
{
    public function __construct(
        /** The status of HTTP. */
        public readonly int $status,
        /** The rule that the push breaks, for programs; null if something else than turted answered. */
        public readonly ?string $rule,
        /** The rule for people. */
        public readonly string $detail,
        /** The field that breaks the rule, as a JSON pointer: `/targets/users/0`. */
        public readonly ?string $field = null,
        /** The push of a batch, from 0. */
        public readonly ?int $index = null,
        /** After how many seconds it makes sense to push again, if the server says so. */
        public readonly ?int $retryAfter = null,
        private readonly string $key = '',
    ) {
        parent::__construct("the push was refused with $status: $detail", $status);
    }

    public function key(): string
    {
        return $this->key;
    }
}
