<?php

declare(strict_types=1);

namespace Turted;

/**
 * A text that dumps and traces do not show. It cannot be serialized, because closures cannot.
 *
 * @internal
 */
final class Secret
{
    /** A property would be in the output of var_export. */
    private readonly \Closure $read;

    public function __construct(#[\SensitiveParameter] string $text)
    {
        $this->read = static fn (): string => $text;
    }

    public function reveal(): string
    {
        return ($this->read)();
    }

    /** @return array<string, string> */
    public function __debugInfo(): array
    {
        return ['text' => '***'];
    }
}
