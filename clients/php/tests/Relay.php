<?php

declare(strict_types=1);

namespace Turted\Tests;

/** A relay in front of the server that does something else with each request: see relay.php. */
final class Relay
{
    public readonly string $url;
    private readonly Process $process;

    /** @param list<string> $actions one for each request; the last one also for those that follow */
    public function __construct(Server $server, array $actions)
    {
        $this->process = new Process([PHP_BINARY, '-n', __DIR__ . '/relay.php', (string) $server->port, ...$actions]);
        [, $port] = $this->process->find('/^port (\d+)$/m');
        $this->url = "http://127.0.0.1:$port";
    }

    /**
     * What it did with all that was sent to it before: `connection`, or an action and the key of the request.
     *
     * @return list<string>
     */
    public function lines(): array
    {
        fwrite(stream_socket_client(strtr($this->url, ['http:' => 'tcp:'])), "told\r\n\r\n");
        // The last two are that connection and its end.
        return array_slice($this->process->linesTo('told'), 0, -2);
    }
}
