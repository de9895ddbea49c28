<?php

declare(strict_types=1);

namespace Turted;

use Turted\Http\Body;
use Turted\Http\Credentials;

/**
 * A `Pusher` for tests of backends: it notes what they push and sends nothing.
 */
final class Recorder implements Pusher
{
    use Notifies;

    /** @var list<Push> all that was pushed, in its order */
    public array $pushes = [];

    private ?Failure $failure = null;

    /** Lets all pushes from now on fail like this, or none again. A push that fails is not noted. */
    public function failWith(?Failure $failure): void
    {
        $this->failure = $failure;
    }

    public function emit(
        string $event,
        array $targets,
        mixed $payload = new \stdClass(),
        ?string $key = null,
    ): ?Answer {
        return $this->batch([new Push($event, $targets, $payload)], $key)[0];
    }

    /** @return list<Answer> */
    public function batch(iterable $pushes, ?string $key = null): array
    {
        if ($this->failure !== null) {
            throw $this->failure;
        }
        $pushes = Push::listOf($pushes);
        // Refuses what cannot be JSON, as the client does.
        (new Body(new Credentials(null)))->ofBatch($pushes);
        $answers = [];
        foreach ($pushes as $push) {
            $this->pushes[] = $push;
            $answers[] = new Answer(null, '0-' . count($this->pushes));
        }
        return $answers;
    }
}
