<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * An answer of HTTP/1 as it comes: its head, then a body with a length, in chunks, or until the connection ends
 * (RFC 9112 6.3).
 *
 * @internal
 */
final class Incoming
{
    /** Heads of answers have a few hundred bytes, and proxies add to them. */
    public const HEAD_BYTES_MAX = 16_384;
    /** Answers of 1xx that may come before the answer: an early hint, or one for each proxy on the way. */
    public const EARLY_MAX = 8;
    /** The size of a chunk in hexadecimal digits, its extensions and the line break. */
    private const CHUNK_HEAD_BYTES_MAX = 256;

    private string $buffer = '';
    private int $early = 0;
    private ?int $status = null;
    /** @var array<string, string> */
    private array $headers = [];
    private string $body = '';
    private bool $isWhole = false;

    public function __construct(private readonly int $bodyBytesMax)
    {
    }

    /** @throws Lost if this is no answer of HTTP, or one that is too long */
    public function take(#[\SensitiveParameter] string $bytes): void
    {
        $this->buffer .= $bytes;
        while ($this->status === null && $this->takeHead()) {
            if ($this->status < 200) {
                $this->skipEarly();
            }
        }
        if ($this->status !== null) {
            $this->takeBody();
        }
    }

    /** The answer once it is there; `$hasEnded` says that nothing more comes. */
    public function response(bool $hasEnded): ?Response
    {
        $endsWithConnection = $this->status !== null && !$this->isChunked() && $this->length() === null;
        if ($this->isWhole || ($hasEnded && $endsWithConnection)) {
            return new Response($this->status, $this->headers, new Secret($this->body));
        }
        return null;
    }

    /** One of 1xx comes before the answer. */
    private function skipEarly(): void
    {
        $this->status = null;
        if (++$this->early > self::EARLY_MAX) {
            throw new Lost('too many answers of 1xx come before the answer');
        }
    }

    private function takeHead(): bool
    {
        $end = strpos($this->buffer, "\r\n\r\n");
        $bytes = $end === false ? strlen($this->buffer) : $end;
        if ($bytes > self::HEAD_BYTES_MAX) {
            throw new Lost('the head of the answer is too long');
        }
        if ($end === false) {
            return false;
        }
        $lines = explode("\r\n", substr($this->buffer, 0, $end));
        $this->buffer = substr($this->buffer, $end + 4);
        if (preg_match('/^HTTP\/1\.[01] ([1-5]\d\d)( |$)/D', array_shift($lines), $first) !== 1) {
            throw new Lost('the answer is no HTTP');
        }
        $this->status = (int) $first[1];
        $this->headers = [];
        foreach ($lines as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $this->headers[strtolower($name)] = trim($value, " \t");
        }
        return true;
    }

    private function takeBody(): void
    {
        if ($this->isChunked()) {
            $this->takeChunks();
            return;
        }
        $length = in_array($this->status, [204, 304], true) ? 0 : $this->length();
        $missing = $length === null ? null : $length - strlen($this->body);
        // What comes behind the body is none of it.
        $this->keep(substr($this->buffer, 0, $missing));
        $this->buffer = '';
        $this->isWhole = strlen($this->body) === $length;
    }

    private function takeChunks(): void
    {
        do {
            $mayHaveMore = !$this->isWhole && $this->takeChunk();
        } while ($mayHaveMore);
    }

    /** Moves one chunk into the body, once all of it is there. Returns whether it did. */
    private function takeChunk(): bool
    {
        $lineEnd = strpos($this->buffer, "\r\n");
        if ($lineEnd === false && strlen($this->buffer) <= self::CHUNK_HEAD_BYTES_MAX) {
            return false;
        }
        $isLine = $lineEnd !== false && $lineEnd <= self::CHUNK_HEAD_BYTES_MAX;
        if (!$isLine || preg_match('/^([0-9a-f]{1,7})[ \t]*(;|\r\n)/i', $this->buffer, $head) !== 1) {
            throw new Lost('the answer has a chunk that is none');
        }
        $size = hexdec($head[1]);
        if ($size === 0) {
            return $this->isWhole = true;
        }
        $end = $lineEnd + 2 + $size;
        if (strlen($this->body) + $size > $this->bodyBytesMax) {
            throw new Lost('the answer is too long');
        }
        if (strlen($this->buffer) < $end + 2) {
            return false;
        }
        $this->keep(substr($this->buffer, $lineEnd + 2, $size));
        $this->buffer = substr($this->buffer, $end + 2);
        return true;
    }

    private function keep(#[\SensitiveParameter] string $bytes): void
    {
        if (strlen($this->body) + strlen($bytes) > $this->bodyBytesMax) {
            throw new Lost('the answer is too long');
        }
        $this->body .= $bytes;
    }

    private function isChunked(): bool
    {
        return strtolower($this->headers['transfer-encoding'] ?? '') === 'chunked';
    }

    private function length(): ?int
    {
        $length = $this->headers['content-length'] ?? '';
        return preg_match('/^\d{1,15}$/D', $length) === 1 ? (int) $length : null;
    }
}
