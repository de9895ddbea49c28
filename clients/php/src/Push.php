<?php

declare(strict_types=1);

namespace Turted;

/** An event, whom it is for, and what it says. */
final class Push
{
    /** @param array<string, mixed> $targets */
    public function __construct(
        public readonly string $event,
        public readonly array $targets,
        public readonly mixed $payload = new \stdClass(),
    ) {
    }

    /**
     * The pushes of a batch as a list.
     *
     * @internal
     * @param iterable<Push> $pushes
     * @return list<Push>
     * @throws \InvalidArgumentException if one of them is something else
     */
    public static function listOf(iterable $pushes): array
    {
        $list = is_array($pushes) ? array_values($pushes) : iterator_to_array($pushes, false);
        foreach ($list as $index => $push) {
            if (!$push instanceof self) {
                throw new \InvalidArgumentException("item $index of the batch is no Turted\\Push");
            }
        }
        return $list;
    }
}
