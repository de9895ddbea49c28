<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * A request on its way out of a socket, and the answer on its way in. Both go on at once, because a server may refuse a
 * long body before it has read it.
 *
 * @internal
 */
final class Conversation
{
    private const READ_BYTES = 16_384;
    /** Bytes that are handed over at once: cutting off the front of a long body for each write would copy all of it. */
    private const WRITE_BYTES = 65_536;

    private int $sent = 0;
    private bool $isSendable = true;
    private readonly Incoming $incoming;

    /** @param resource $socket one that does not block */
    public function __construct(private $socket, private readonly Secret $request, int $answerBytesMax)
    {
        $this->incoming = new Incoming($answerBytesMax);
    }

    /** Each turn writes a part, reads a part and looks at the deadline: a server may send without an end. */
    public function run(Deadline $deadline): Response
    {
        while (true) {
            $hasWritten = $this->write();
            $hasRead = $this->read();
            $hasEnded = !$hasRead && feof($this->socket);
            $response = $this->incoming->response($hasEnded);
            if ($response !== null) {
                return $response;
            }
            if ($hasEnded) {
                throw new Lost('the connection ended before the answer');
            }
            $isIdle = !$hasWritten && !$hasRead;
            $hasTime = $isIdle ? self::wait($this->socket, $this->isSendable, $deadline) : $deadline->left() > 0;
            if (!$hasTime) {
                throw new Lost('no answer in time');
            }
        }
    }

    /**
     * Waits until there is something to read or, if that is wanted, room to write. Returns whether there is time left.
     *
     * @param resource $socket
     */
    public static function wait($socket, bool $isForWriting, Deadline $deadline): bool
    {
        $left = $deadline->left();
        $readable = [$socket];
        $writable = $isForWriting ? [$socket] : null;
        $except = null;
        // A signal ends it early, with a warning.
        (new Warnings())->during(static function () use (&$readable, &$writable, &$except, $left): void {
            stream_select($readable, $writable, $except, (int) $left, (int) (fmod($left, 1) * 1e6));
        });
        return $deadline->left() > 0;
    }

    /** Writes a part of the request. Returns whether there was room for some of it. */
    private function write(): bool
    {
        if (!$this->isSendable) {
            return false;
        }
        $request = $this->request->reveal();
        $part = new Secret(substr($request, $this->sent, self::WRITE_BYTES));
        $sent = (new Warnings())->during(fn () => fwrite($this->socket, $part->reveal()));
        // It is the answer that says why the server takes no more, if one has come.
        $this->isSendable = $sent !== false && ($this->sent += $sent) < strlen($request);
        return $sent > 0;
    }

    /** Reads a part of what is there. Returns whether there was something. */
    private function read(): bool
    {
        $bytes = (string) (new Warnings())->during(fn () => fread($this->socket, self::READ_BYTES));
        $this->incoming->take($bytes);
        return $bytes !== '';
    }
}
