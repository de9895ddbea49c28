<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;
use Turted\Settings;

/**
 * Sends by a stream of PHP, one connection for each request. `allow_url_fopen` does not matter, and all of it, the TLS
 * handshake included, ends at the deadline. Only a slow resolver of names is not cut short.
 *
 * @internal
 */
final class Stream implements Transport
{
    public function __construct(private readonly Settings $settings)
    {
    }

    public function send(Request $request, Deadline $deadline): Response
    {
        $socket = $this->connect($request->address, $deadline->within($this->settings->connectTimeout));
        try {
            return (new Conversation($socket, self::bytes($request), $request->answerBytesMax()))->run($deadline);
        } finally {
            fclose($socket);
        }
    }

    private static function bytes(Request $request): Secret
    {
        $body = $request->body()->reveal();
        $lines = [
            "POST {$request->address->target()->reveal()} HTTP/1.1",
            "Host: {$request->address->authority()}",
            ...array_map(static fn (Secret $header): string => $header->reveal(), $request->headers()),
            'Content-Length: ' . strlen($body),
            'Connection: close',
        ];
        return new Secret(implode("\r\n", $lines) . "\r\n\r\n$body");
    }

    /** @return resource */
    private function connect(Address $address, Deadline $deadline)
    {
        $warnings = new Warnings();
        $context = stream_context_create(['ssl' => array_filter([
            'peer_name' => trim($address->host, '[]'),
            'cafile' => $this->settings->ca,
        ])]);
        $reason = '';
        $socket = $warnings->during(static function () use ($address, $deadline, $context, &$reason) {
            $to = "tcp://$address->host:$address->port";
            return stream_socket_client($to, $code, $reason, $deadline->left(), STREAM_CLIENT_CONNECT, $context);
        });
        if ($socket === false) {
            throw new Lost('cannot connect: ' . ($reason !== '' ? $reason : $warnings->last()));
        }
        stream_set_blocking($socket, false);
        if ($address->isEncrypted()) {
            self::encrypt($socket, $deadline);
        }
        return $socket;
    }

    /** @param resource $socket */
    private static function encrypt($socket, Deadline $deadline): void
    {
        $warnings = new Warnings();
        $versions = STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT | STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT;
        $step = static fn () => stream_socket_enable_crypto($socket, true, $versions);
        while (($done = $warnings->during($step)) === 0) {
            if (!Conversation::wait($socket, false, $deadline)) {
                throw new Lost('cannot connect: the TLS handshake took too long');
            }
        }
        if ($done !== true) {
            throw new Lost('cannot connect: ' . $warnings->last());
        }
    }
}
