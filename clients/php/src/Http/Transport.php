<?php

declare(strict_types=1);

namespace Turted\Http;

/**
 * What sends a request and brings its answer.
 *
 * @internal
 */
interface Transport
{
    /**
     * Redirects are not followed, and the answer has at most `Request::answerBytesMax` bytes.
     *
     * @throws Lost if there is no answer, or none before the deadline
     */
    public function send(Request $request, Deadline $deadline): Response;
}
