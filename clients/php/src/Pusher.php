<?php

declare(strict_types=1);

namespace Turted;

/**
 * What a backend needs of turted: `Client` pushes, `Recorder` notes what a test would have pushed.
 *
 * `$targets` has the keys `users`, `channels` and `broadcast`: `['users' => 'adam', 'channels' => ['chat', 'log']]`. A
 * payload is anything that `json_encode` takes. Pushes with the same `$key` and the same content are dispatched once
 * within five minutes; without one each push gets its own. A push gives null only where a failure went to `onError`.
 */
interface Pusher
{
    /**
     * @param array<string, mixed> $targets
     * @throws Failure
     */
    public function emit(
        string $event,
        array $targets,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer;

    /** @throws Failure */
    public function notifyUser(
        string $user,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer;

    /** @throws Failure */
    public function notifyChannel(
        string $channel,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer;

    /**
     * @param array<string, mixed> $targets
     * @throws Failure
     */
    public function notify(
        array $targets,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer;

    /** @throws Failure */
    public function broadcast(string $event, mixed $payload = new \stdClass(), ?string $key = null): ?Answer;

    /**
     * Pushes all of them, with no other push in between, or none.
     *
     * @param iterable<Push> $pushes
     * @return list<Answer>|null in the order of the pushes
     * @throws Failure
     */
    public function batch(iterable $pushes, ?string $key = null): ?array;
}
