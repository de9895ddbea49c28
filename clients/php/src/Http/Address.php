<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * Where pushes go: the URL, and its parts.
 *
 * @internal
 */
final class Address
{
    private const PORTS = ['http' => 80, 'https' => 443];

    private function __construct(
        public readonly string $scheme,
        /** As in the URL, an address of IPv6 in brackets. */
        public readonly string $host,
        public readonly int $port,
        private readonly string $path,
        /** With its question mark. There may be a secret in it. */
        private readonly Secret $query,
    ) {
    }

    /**
     * The message does not have the URL: there may be a secret in it.
     *
     * @throws \InvalidArgumentException if the URL cannot be used
     */
    public static function of(#[\SensitiveParameter] string $url): self
    {
        // parse_url replaces control characters instead of refusing them.
        $parts = preg_match('/^[\x21-\x7e]+$/D', $url) === 1 ? parse_url($url) : false;
        $scheme = strtolower($parts['scheme'] ?? '');
        if ($parts === false || !isset(self::PORTS[$scheme], $parts['host'])) {
            throw new \InvalidArgumentException('the URL must be like http://127.0.0.1:7117 or https://push.example');
        }
        if (isset($parts['user']) || isset($parts['pass'])) {
            throw new \InvalidArgumentException('the URL must not have a password: it is the second argument');
        }
        if (isset($parts['fragment'])) {
            throw new \InvalidArgumentException('the URL must not have a fragment (#)');
        }
        $port = $parts['port'] ?? self::PORTS[$scheme];
        $path = $parts['path'] ?? '';
        $query = isset($parts['query']) ? "?{$parts['query']}" : '';
        return new self($scheme, $parts['host'], $port, $path === '' || $path === '/' ? '/push/' : $path, new Secret($query));
    }

    /** The same server, one step below the path. */
    public function below(string $step): self
    {
        return new self($this->scheme, $this->host, $this->port, rtrim($this->path, '/') . "/$step", $this->query);
    }

    public function isEncrypted(): bool
    {
        return $this->scheme === 'https';
    }

    /** What stands in `Host`. */
    public function authority(): string
    {
        return $this->port === self::PORTS[$this->scheme] ? $this->host : "$this->host:$this->port";
    }

    /** Path and query. */
    public function target(): Secret
    {
        return new Secret($this->path . $this->query->reveal());
    }

    public function url(): Secret
    {
        return new Secret("$this->scheme://{$this->authority()}{$this->target()->reveal()}");
    }

    /** For messages: a query may have a secret. */
    public function __toString(): string
    {
        return "$this->scheme://{$this->authority()}$this->path";
    }
}
