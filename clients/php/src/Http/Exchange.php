<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Unreachable;

/**
 * The tries of one push, within one deadline. All of them have the same key, so the push is dispatched once.
 *
 * @internal
 */
final class Exchange
{
    /** Seconds before the second try: what the end of a kept connection needs is nothing, a restart needs more. */
    private const PAUSE = 0.1;
    /** Seconds that a backend waits because the server asks for it. */
    private const PAUSE_MAX = 1;
    /** The server answers the first push with this key at the moment. */
    private const UNDER_WAY = 409;

    public function __construct(private readonly Transport $transport, private readonly float $timeout)
    {
    }

    /**
     * One more try follows a lost connection, and a 429 or 503 that asks for a short pause. A 409 that does is followed
     * by as many as there is time for: it tells that the try before is being answered.
     *
     * @throws Unreachable if the last try brought no answer
     */
    public function answerTo(Request $request): Response
    {
        $deadline = Deadline::in($this->timeout);
        $mayRepeat = true;
        while (true) {
            $tried = $this->try($request, $deadline);
            $pause = $tried instanceof Lost ? self::PAUSE : self::pauseAfter($tried);
            $isUnderWay = $tried instanceof Response && $tried->status === self::UNDER_WAY;
            if ($pause === null || !($mayRepeat || $isUnderWay) || $deadline->left() <= $pause) {
                return $tried instanceof Response ? $tried : throw self::unreachable($request, $tried);
            }
            $mayRepeat = $mayRepeat && $isUnderWay;
            usleep((int) ($pause * 1e6));
        }
    }

    private function try(Request $request, Deadline $deadline): Response|Lost
    {
        try {
            return $this->transport->send($request, $deadline);
        } catch (Lost $lost) {
            return $lost;
        }
    }

    /** Seconds after which the same push is worth another try; null if it is not. */
    private static function pauseAfter(Response $response): ?float
    {
        $seconds = $response->retryAfter();
        $isForNow = in_array($response->status, [self::UNDER_WAY, 429, 503], true);
        return $isForNow && $seconds !== null && $seconds <= self::PAUSE_MAX ? max(self::PAUSE, $seconds) : null;
    }

    private static function unreachable(Request $request, Lost $lost): Unreachable
    {
        return new Unreachable("$request->address: {$lost->getMessage()}", $request->key, $lost);
    }
}
