<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;
use Turted\Settings;

/**
 * Sends by ext-curl. The connection is kept for the next push, and is one of HTTP/2 where TLS agrees on that.
 *
 * @internal
 */
final class Curl implements Transport
{
    private ?\CurlHandle $handle = null;
    private int|false $process = false;

    public function __construct(private readonly Settings $settings)
    {
    }

    /** Whether this PHP has it: `disable_functions` may forbid it. */
    public static function isThere(): bool
    {
        return function_exists('curl_exec') && function_exists('curl_init');
    }

    public function send(Request $request, Deadline $deadline): Response
    {
        $handle = $this->handle();
        $collector = new Collector($request->answerBytesMax());
        curl_reset($handle);
        curl_setopt_array($handle, $this->options($request, $deadline, $collector));
        if (curl_exec($handle) === false) {
            throw new Lost($collector->fault() ?? curl_error($handle));
        }
        return $collector->response(curl_getinfo($handle, CURLINFO_RESPONSE_CODE));
    }

    /** A process that was forked must not write into the connection of its parent. */
    private function handle(): \CurlHandle
    {
        if ($this->handle === null || $this->process !== getmypid()) {
            $this->handle = curl_init();
            $this->process = getmypid();
        }
        return $this->handle;
    }

    /** @return array<int, mixed> */
    private function options(Request $request, Deadline $deadline, Collector $collector): array
    {
        $headers = array_map(static fn (Secret $header): string => $header->reveal(), $request->headers());
        $options = [
            CURLOPT_URL => $request->address->url()->reveal(),
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $request->body()->reveal(),
            // Without the last one curl waits for "100 Continue" before it sends a long body.
            CURLOPT_HTTPHEADER => [...$headers, 'Expect:'],
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_2TLS,
            CURLOPT_FOLLOWLOCATION => false,
            // http_proxy in the environment would have the password go through another machine.
            CURLOPT_PROXY => '',
            // A signal for a timeout of the resolver could end the process.
            CURLOPT_NOSIGNAL => true,
            CURLOPT_CONNECTTIMEOUT_MS => $deadline->within($this->settings->connectTimeout)->leftMs(),
            CURLOPT_TIMEOUT_MS => $deadline->leftMs(),
            CURLOPT_HEADERFUNCTION => static fn ($handle, string $line): int => $collector->header($line),
            CURLOPT_WRITEFUNCTION => static fn ($handle, string $bytes): int => $collector->body($bytes),
        ];
        return $this->settings->ca === null ? $options : $options + [CURLOPT_CAINFO => $this->settings->ca];
    }
}
