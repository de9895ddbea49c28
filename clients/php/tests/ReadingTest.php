<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Http\Reading;
use Turted\Http\Response;
use Turted\Refused;
use Turted\Secret;
use Turted\Unreachable;

/** Answers that the server gives seldom, or never. */
final class ReadingTest extends TestCase
{
    private static function response(int $status, string $body): Response
    {
        return new Response($status, [], new Secret($body));
    }

    public function testAServerMayNotKnowHowManyItReached(): void
    {
        self::assertNull(Reading::one(self::response(200, '{"id":"9-1"}'), 'k')->delivered);
        self::assertNull(Reading::batch(self::response(200, '[{"delivered":null,"id":"9-1"}]'), 1, 'k')[0]->delivered);
    }

    /** @return iterable<int, array{string}> */
    public static function foreign(): iterable
    {
        $bodies = ['', 'OK', '7', '"id"', 'null', '[]', '{}', '{"id":7}', '[{"id":"9-1"}]'];
        foreach ([...$bodies, '{"id":"9-1","delivered":"2"}'] as $body) {
            yield [$body];
        }
    }

    /** @dataProvider foreign */
    public function testAnAnswerToOnePushThatIsNoneIsNotTakenForOne(string $body): void
    {
        $this->expectException(Unreachable::class);
        Reading::one(self::response(200, $body), 'k');
    }

    /** @return iterable<int, array{string}> */
    public static function foreignBatches(): iterable
    {
        $one = '{"delivered":1,"id":"9-1"}';
        foreach (['OK', $one, "[$one]", "[$one,$one,$one]", "[$one,7]", "{\"0\":$one,\"2\":$one}"] as $body) {
            yield [$body];
        }
    }

    /** @dataProvider foreignBatches */
    public function testAnAnswerToTwoPushesHasTwoResults(string $body): void
    {
        $this->expectException(Unreachable::class);
        Reading::batch(self::response(200, $body), 2, 'k');
    }

    /** @return iterable<int, array{int, string, string}> */
    public static function withoutRule(): iterable
    {
        yield [301, '', 'redirects'];
        yield [404, '<h1>not found</h1>', 'push.path'];
        yield [502, '"rule"', 'a proxy does not reach the server'];
        yield [503, '{"rule":7,"detail":"x"}', 'the server is full'];
        yield [204, '', 'another server'];
        yield [418, '{"rule":"teapot"}', 'another server'];
    }

    /** @dataProvider withoutRule */
    public function testARefusalWithoutARuleSaysWhatItMayBe(int $status, string $body, string $detail): void
    {
        try {
            Reading::one(self::response($status, $body), 'k');
            self::fail('the push was accepted');
        } catch (Refused $refused) {
            self::assertSame([$status, null, 'k'], [$refused->status, $refused->rule, $refused->key()]);
            self::assertStringContainsString($detail, $refused->detail);
        }
    }

    public function testALongDetailIsCut(): void
    {
        $problem = json_encode(['rule' => 'r', 'detail' => str_repeat('é', 5000)]);
        try {
            Reading::one(self::response(400, $problem), 'k');
            self::fail('the push was accepted');
        } catch (Refused $refused) {
            self::assertSame(str_repeat('é', 1000), $refused->detail);
        }
    }
}
