<?php

declare(strict_types=1);

namespace Turted;

/**
 * The options of a client, checked.
 *
 * @internal
 */
final class Settings
{
    /** Seconds. A backend that waits longer for a server keeps its own users waiting. */
    private const CONNECT_TIMEOUT = 1.0;
    /** Seconds for a push, all its tries included. */
    private const TIMEOUT = 5.0;
    private const NAMES = ['connectTimeout', 'timeout', 'ca', 'onError'];

    private function __construct(
        public readonly float $connectTimeout,
        public readonly float $timeout,
        public readonly ?string $ca,
        public readonly ?\Closure $onError,
    ) {
    }

    /** @param array<string, mixed> $options */
    public static function of(array $options): self
    {
        foreach (array_diff(array_keys($options), self::NAMES) as $name) {
            throw new \InvalidArgumentException("unknown option $name: there are " . implode(', ', self::NAMES));
        }
        return new self(
            self::seconds($options, 'connectTimeout', self::CONNECT_TIMEOUT),
            self::seconds($options, 'timeout', self::TIMEOUT),
            self::ca($options['ca'] ?? null),
            self::onError($options['onError'] ?? null),
        );
    }

    /** @param array<string, mixed> $options */
    private static function seconds(array $options, string $name, float $default): float
    {
        $seconds = $options[$name] ?? $default;
        if ((!is_int($seconds) && !is_float($seconds)) || !($seconds > 0 && $seconds <= 3600)) {
            throw new \InvalidArgumentException("$name must be a number of seconds above 0, at most 3600");
        }
        return (float) $seconds;
    }

    private static function ca(mixed $file): ?string
    {
        if ($file !== null && (!is_string($file) || !is_file($file) || !is_readable($file))) {
            throw new \InvalidArgumentException('ca must be a file with certificates in PEM that can be read');
        }
        return $file;
    }

    private static function onError(mixed $call): ?\Closure
    {
        if ($call !== null && !is_callable($call)) {
            throw new \InvalidArgumentException('onError must be callable: function (Turted\Failure $failure): void');
        }
        return $call === null ? null : \Closure::fromCallable($call);
    }
}
