<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Client;
use Turted\Refused;

/** Which users are online. */
final class PresenceTest extends TestCase
{
    public function testUsersThatListenAreOnlineAndOthersAreNot(): void
    {
        $server = new Server();
        $page = new Listener($server->url, 'adam');
        $client = new Client($server->url, Server::PASSWORD, ['timeout' => 30]);
        $known = $client->presence(['adam', 'eve', 7]);
        self::assertSame(['adam', 'eve', 7], array_keys($known));
        self::assertSame([true, 1], [$known['adam']->online, $known['adam']->connections]);
        self::assertEqualsWithDelta(microtime(true) * 1000, $known['adam']->lastSeen, 60_000);
        self::assertSame([false, 0, null], array_values(get_object_vars($known['eve'])));
        $client->broadcast('END');
        self::assertSame([], $page->before('END'));
    }

    public function testAThousandUsersWithTheLongestNamesAreAskedAboutAtOnce(): void
    {
        $server = new Server();
        $client = new Client($server->url . '/push/', Server::PASSWORD, ['timeout' => 30]);
        $users = array_map(fn (int $number) => str_pad((string) $number, 255, '"', STR_PAD_LEFT), range(1, 1000));
        self::assertCount(1000, $client->presence($users));
    }

    public function testAQuestionThatBreaksARuleIsRefused(): void
    {
        $server = new Server();
        $client = new Client($server->url, Server::PASSWORD, ['timeout' => 30]);
        $rules = [];
        foreach ([[], ["a\n"], range(1, 1001), ["\xff"]] as $users) {
            try {
                $client->presence($users);
            } catch (Refused $refused) {
                $rules[] = $refused->rule;
            }
        }
        self::assertSame(['users-missing', 'name-control-character', 'users-too-many', 'not-json'], $rules);
    }
}
