<?php

declare(strict_types=1);

namespace Turted;

/**
 * The pushes that `emit` expresses, in the argument order of TurtedBundle.
 *
 * @internal
 */
trait Notifies
{
    public function notifyUser(
        string $user,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer {
        return $this->emit($event, ['users' => [$user]], $payload, $key);
    }

    public function notifyChannel(
        string $channel,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer {
        return $this->emit($event, ['channels' => [$channel]], $payload, $key);
    }

    public function notify(
        array $targets,
        string $event,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer {
        return $this->emit($event, $targets, $payload, $key);
    }

    public function broadcast(string $event, mixed $payload = new \stdClass(), ?string $key = null): ?Answer
    {
        return $this->emit($event, ['broadcast' => true], $payload, $key);
    }
}
