<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Hook;
use Turted\HookRefused;

/** Signatures of hooks, with the test vector of docs/hooks.md. */
final class HookTest extends TestCase
{
    private const FIRST = '0123456789abcdef0123456789abcdef';
    private const SECOND = 'fedcba9876543210fedcba9876543210';
    private const TIME = 1795899601;
    private const BODY = '{"node":"app-1:7117","life":"9f86d081884c7d65","sequence":1,'
        . '"records":[{"id":"9f86d081884c7d65-1","type":"started","at":1795899600123}]}';
    private const ONE = 't=1795899601,v1=edf76e6c1e1af717259916b0af036d1781c227bd233977ffc0e596347c906a3c';
    private const BOTH = self::ONE . ',v1=464bb21a8a30e95e7fc027aefc86443826c8713da335ef2dbfe1f825ed0886d7';

    /** @return iterable<string, array{string, string|list<string>}> */
    public static function signed(): iterable
    {
        yield 'by the one secret' => [self::ONE, self::FIRST];
        yield 'by the first of two' => [self::BOTH, self::FIRST];
        yield 'by the second of two' => [self::BOTH, self::SECOND];
        yield 'by one that the backend has as its second' => [self::ONE, [self::SECOND, self::FIRST]];
        yield 'by a line of a file' => [self::ONE, self::SECOND . "\n" . self::FIRST . "\r\n\n"];
        yield 'and in a later version too' => [self::ONE . ',v2=00', self::FIRST];
    }

    /**
     * @dataProvider signed
     * @param string|list<string> $secrets
     */
    public function testABatchThatIsSignedIsReturned(string $header, string|array $secrets): void
    {
        foreach ([-300, 0, 300] as $seconds) {
            $batch = Hook::verify(self::BODY, $header, $secrets, self::TIME + $seconds);
            self::assertSame(json_decode(self::BODY, true), $batch);
        }
    }

    /** @return iterable<string, array{?string, string}> */
    public static function refused(): iterable
    {
        $wrong = 't=1795899601,v1=' . str_repeat('0', 64);
        yield 'nothing' => [null, 'no Turted-Signature'];
        yield 'an empty header' => ['', 'no Turted-Signature'];
        yield 'another signature' => [$wrong, 'the signature is wrong'];
        yield 'a signature of another time' => [str_replace('601', '602', self::ONE), 'the signature is wrong'];
        yield 'a time with a zero more' => [str_replace('t=', 't=0', self::ONE), 'the signature is wrong'];
        yield 'a part of the signature' => [substr(self::ONE, 0, -1), 'not like'];
        yield 'capital letters' => [strtoupper(self::ONE), 'not like'];
        yield 'no signature' => ['t=1795899601', 'not like'];
        yield 'no time' => [substr(self::ONE, strlen('t=1795899601,')), 'not like'];
        yield 'a time that is none' => [str_replace('1795899601', '1.8e9', self::ONE), 'not like'];
        yield 'a line break' => [self::ONE . "\n", 'not like'];
        yield 'more than a header has' => [self::ONE . str_repeat(',v1=', 2000), 'not like'];
    }

    /** @dataProvider refused */
    public function testAHeaderWithThisIsRefused(?string $header, string $message): void
    {
        $this->expectException(HookRefused::class);
        $this->expectExceptionMessage($message);
        Hook::verify(self::BODY, $header, self::FIRST, self::TIME);
    }

    public function testAnotherBodyIsRefused(): void
    {
        $this->expectException(HookRefused::class);
        Hook::verify(self::BODY . ' ', self::ONE, self::FIRST, self::TIME);
    }

    public function testWhatIsOlderThanFiveMinutesOrOfTheFutureIsRefused(): void
    {
        foreach ([-301, 301, 1 << 40] as $seconds) {
            try {
                Hook::verify(self::BODY, self::ONE, self::FIRST, self::TIME + $seconds);
                self::fail("accepted after $seconds s");
            } catch (HookRefused $refused) {
                self::assertStringContainsString('5 minutes', $refused->getMessage());
            }
        }
    }

    public function testItIsNowThatCounts(): void
    {
        $time = time();
        $header = "t=$time,v1=" . hash_hmac('sha256', "$time.{}", self::FIRST);
        self::assertSame([], Hook::verify('{}', $header, self::FIRST));
        $this->expectException(HookRefused::class);
        Hook::verify('{}', 't=7,v1=' . hash_hmac('sha256', '7.{}', self::FIRST), self::FIRST);
    }

    public function testABodyThatIsNoJsonIsRefused(): void
    {
        $this->expectException(HookRefused::class);
        $this->expectExceptionMessage('not JSON');
        $header = 't=' . self::TIME . ',v1=' . hash_hmac('sha256', self::TIME . '.[', self::FIRST);
        Hook::verify('[', $header, self::FIRST, self::TIME);
    }

    public function testWithoutASecretNothingIsVerified(): void
    {
        foreach (['', "\n", [], ['']] as $secrets) {
            try {
                Hook::verify(self::BODY, self::ONE, $secrets, self::TIME);
                self::fail('accepted');
            } catch (\InvalidArgumentException $mistake) {
                self::assertStringContainsString('needs a secret', $mistake->getMessage());
            }
        }
    }
}
