<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * Keeps what comes of an answer: the headers that a push looks at, and a body of bounded length. A longer one is ended,
 * by the bounds of `Incoming`.
 *
 * @internal
 */
final class Collector
{
    /** @var array<string, string> */
    private array $headers = [];
    private string $body = '';
    private int $headBytes = 0;
    private int $heads = 0;
    private ?string $fault = null;

    public function __construct(private readonly int $bytesMax)
    {
    }

    /** Takes a line of a head, also of one of 1xx. Returns how many bytes it took: none, once there are too many. */
    public function header(string $line): int
    {
        if (str_starts_with($line, 'HTTP/')) {
            $this->heads++;
            $this->headBytes = 0;
            $this->headers = [];
        }
        $this->headBytes += strlen($line);
        if ($this->heads > Incoming::EARLY_MAX + 1) {
            $this->fault = 'too many answers of 1xx come before the answer';
        }
        if ($this->headBytes > Incoming::HEAD_BYTES_MAX) {
            $this->fault = 'the head of the answer is too long';
        }
        if ($this->fault !== null) {
            return 0;
        }
        if (preg_match('/^retry-after:\s*(.*?)\s*$/i', $line, $parts) === 1) {
            $this->headers['retry-after'] = $parts[1];
        }
        return strlen($line);
    }

    /** Takes bytes of the body. Returns how many it took: none, once there are too many. */
    public function body(string $bytes): int
    {
        if (strlen($this->body) + strlen($bytes) > $this->bytesMax) {
            $this->fault = 'the answer is too long';
            return 0;
        }
        $this->body .= $bytes;
        return strlen($bytes);
    }

    /** Why it took no more. */
    public function fault(): ?string
    {
        return $this->fault;
    }

    public function response(int $status): Response
    {
        return new Response($status, $this->headers, new Secret($this->body));
    }
}
