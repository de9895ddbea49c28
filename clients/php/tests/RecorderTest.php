<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Push;
use Turted\Recorder;
use Turted\Refused;
use Turted\Unreachable;

/** The double for tests of backends. */
final class RecorderTest extends TestCase
{
    public function testItNotesWhatIsPushedInItsOrder(): void
    {
        $turted = new Recorder();
        $turted->notifyUser('adam', 'A', 1);
        $turted->notifyChannel('chat', 'B');
        $turted->notify(['users' => 'eve'], 'C', []);
        $turted->broadcast('D', null);
        $answers = $turted->batch([new Push('E', []), new Push('F', [])]);
        self::assertEquals([
            new Push('A', ['users' => ['adam']], 1),
            new Push('B', ['channels' => ['chat']]),
            new Push('C', ['users' => 'eve'], []),
            new Push('D', ['broadcast' => true], null),
            new Push('E', []),
            new Push('F', []),
        ], $turted->pushes);
        self::assertSame(['0-5', '0-6'], array_column($answers, 'id'));
    }

    public function testItRefusesWhatTheClientRefuses(): void
    {
        $turted = new Recorder();
        try {
            $turted->broadcast("\xff");
            self::fail('the push was noted');
        } catch (Refused $refused) {
            self::assertSame(['not-json', []], [$refused->rule, $turted->pushes]);
        }
        $this->expectException(\InvalidArgumentException::class);
        $turted->batch(['E']);
    }

    public function testItFailsIfATestWantsIt(): void
    {
        $turted = new Recorder();
        $turted->failWith(new Unreachable('away'));
        try {
            $turted->broadcast('E');
            self::fail('the push was noted');
        } catch (Unreachable $failure) {
            self::assertSame('away', $failure->getMessage());
        }
        $turted->failWith(null);
        $turted->broadcast('F');
        self::assertCount(1, $turted->pushes);
    }
}
