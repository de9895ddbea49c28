<?php

declare(strict_types=1);

namespace Turted\Tests;

/** A page: an event stream of one user in channels. */
final class Listener
{
    /** Seconds. */
    private const PATIENCE = 30;

    /** @var resource */
    private $stream;

    /** @param list<string> $channels */
    public function __construct(string $url, string $user, array $channels = [])
    {
        $query = implode('&', array_map(static fn (string $name): string => 'channel=' . urlencode($name), $channels));
        $context = stream_context_create(['http' => [
            'header' => 'Authorization: Basic ' . base64_encode("$user:"),
            'protocol_version' => '1.0',
            'timeout' => self::PATIENCE,
        ]]);
        $this->stream = fopen("$url/sse?$query", 'r', false, $context);
        // The first lines come when it is a user and in its channels.
        $this->line();
    }

    /**
     * The events that came before `$last`, as pairs of name and payload in JSON.
     *
     * @return list<array{string, string}>
     */
    public function before(string $last): array
    {
        $events = [];
        $name = '';
        while (true) {
            $line = $this->line();
            if (str_starts_with($line, 'event: ')) {
                $name = substr($line, 7);
            } elseif (str_starts_with($line, 'data: ') && $name === $last) {
                return $events;
            } elseif (str_starts_with($line, 'data: ')) {
                $events[] = [$name, substr($line, 6)];
            }
        }
    }

    private function line(): string
    {
        $line = fgets($this->stream);
        if ($line === false) {
            throw new \RuntimeException('the event stream brings nothing more');
        }
        return rtrim($line, "\n");
    }
}
