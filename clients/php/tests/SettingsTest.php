<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Client;
use Turted\Http\Address;

/** What the constructor of a client takes, and what it refuses at once. */
final class SettingsTest extends TestCase
{
    /** @return iterable<string, array{string, string}> */
    public static function urls(): iterable
    {
        yield 'a host' => ['http://push.example', 'http://push.example/push/'];
        yield 'a root' => ['HTTP://push.example/', 'http://push.example/push/'];
        yield 'the port of the scheme' => ['https://push.example:443', 'https://push.example/push/'];
        yield 'a port and a path' => ['http://push.example:7117/turted/push', 'http://push.example:7117/turted/push'];
        yield 'an address of IPv6 and a query' => ['http://[::1]:7117?a=b', 'http://[::1]:7117/push/?a=b'];
    }

    /** @dataProvider urls */
    public function testAUrlNamesAServerOrItsPath(string $url, string $expected): void
    {
        self::assertSame($expected, Address::of($url)->url()->reveal());
        self::assertStringNotContainsString('?', (string) Address::of($url));
    }

    /** @return iterable<string, array{list<mixed>, string}> */
    public static function mistakes(): iterable
    {
        yield 'no URL' => [['127.0.0.1:7117'], 'the URL must be like'];
        yield 'another scheme' => [['ws://push.example'], 'the URL must be like'];
        yield 'no host' => [['http:///push/'], 'the URL must be like'];
        yield 'a line break' => [["http://push.example/\r\nX: y"], 'the URL must be like'];
        yield 'a port above all' => [['http://push.example:70000'], 'the URL must be like'];
        yield 'a password in the URL' => [['http://me:secret@push.example'], 'it is the second argument'];
        yield 'a fragment' => [['http://push.example/#push'], 'must not have a fragment'];
        yield 'a password that is no UTF-8' => [['http://push.example', "\xff"], 'the password must be UTF-8'];
        yield 'an unknown option' => [['http://push.example', null, ['time' => 1]], 'unknown option time: there are'];
        yield 'no time' => [['http://push.example', null, ['timeout' => 0]], 'timeout must be a number'];
        yield 'time as text' => [['http://push.example', null, ['connectTimeout' => '1']], 'connectTimeout must be'];
        yield 'endless time' => [['http://push.example', null, ['timeout' => INF]], 'timeout must be a number'];
        yield 'no time at all' => [['http://push.example', null, ['timeout' => NAN]], 'timeout must be a number'];
        yield 'no file' => [['http://push.example', null, ['ca' => '/nowhere/ca.pem']], 'ca must be a file'];
        yield 'nothing to call' => [['http://push.example', null, ['onError' => 'nowhere']], 'onError must be'];
    }

    /**
     * @dataProvider mistakes
     * @param list<mixed> $arguments
     */
    public function testAMistakeIsNamed(array $arguments, string $message): void
    {
        $this->expectException(\InvalidArgumentException::class);
        $this->expectExceptionMessage($message);
        new Client(...$arguments);
    }
}
