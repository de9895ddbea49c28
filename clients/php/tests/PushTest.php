<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Answer;
use Turted\Client;
use Turted\Push;

/** Pushes that the server accepts, and what pages receive. */
final class PushTest extends TestCase
{
    private static ?Server $server = null;

    public static function setUpBeforeClass(): void
    {
        self::$server = new Server();
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
    }

    private function client(string $path = ''): Client
    {
        return new Client(self::$server->url . $path, Server::PASSWORD, ['timeout' => 30]);
    }

    public function testCurlIsThereOrNotAsTheRunSays(): void
    {
        self::assertSame(getenv('TURTED_TEST_CURL') !== '0', extension_loaded('curl'));
    }

    public function testAnEventArrivesAsTheFirstReadmePrintsIt(): void
    {
        $user = new Listener(self::$server->url, 'xosofox');
        $both = new Listener(self::$server->url, 'eve', ['chat', 'chatlog']);
        $turted = $this->client();
        require __DIR__ . '/first-readme.php';
        $turted->broadcast('END');
        $text = 'What... is the Airspeed Velocity of an Unladen Swallow?';
        $heard = [['MESSAGE:NEW', json_encode(['msg' => $text, 'from' => 'Bridgekeeper'])]];
        self::assertSame([$heard, $heard], [$user->before('END'), $both->before('END')]);
    }

    public function testAnAnswerSaysHowManyItReachedAndItsPosition(): void
    {
        $page = new Listener(self::$server->url, 'answer');
        $answers = [$this->client()->notifyUser('answer', 'A'), $this->client()->notifyUser('nobody', 'A')];
        self::assertSame([1, 0], array_column($answers, 'delivered'));
        foreach ($answers as $answer) {
            self::assertMatchesRegularExpression('/^[0-9a-f]+-\d+$/D', $answer->id);
        }
        $this->client()->broadcast('END');
        self::assertSame([['A', '{}']], $page->before('END'));
    }

    public function testEachMethodReachesWhomItNames(): void
    {
        $ann = new Listener(self::$server->url, 'ann', ['news']);
        $bob = new Listener(self::$server->url, 'bob');
        $turted = $this->client();
        $turted->notifyUser('ann', 'A', 1);
        $turted->notifyChannel('news', 'B', 2);
        $turted->notify(['users' => ['bob'], 'channels' => 'news'], 'C', 3);
        $turted->broadcast('D', 4);
        $turted->notifyUser('bob', 'E');
        $turted->broadcast('END');
        self::assertSame([['A', '1'], ['B', '2'], ['C', '3'], ['D', '4']], $ann->before('END'));
        self::assertSame([['C', '3'], ['D', '4'], ['E', '{}']], $bob->before('END'));
    }

    public function testAnArrayWithGapsAndNumbersNameUsers(): void
    {
        $page = new Listener(self::$server->url, '42');
        $turted = $this->client();
        $users = array_filter(['ann', '', 42], static fn (mixed $user): bool => $user !== '');
        self::assertSame(1, $turted->notify(['users' => $users], 'GAPS')->delivered);
        $turted->broadcast('END');
        self::assertSame([['GAPS', '{}']], $page->before('END'));
    }

    public function testTargetsWithoutAnybodyAreAccepted(): void
    {
        self::assertSame(0, $this->client()->emit('NOBODY', [], null)->delivered);
    }

    public function testPayloadsArriveAsTheyAre(): void
    {
        $page = new Listener(self::$server->url, 'adam');
        $turted = $this->client();
        $payloads = ['é/x', 1.0, 0.1, [], new \stdClass(), ['a' => null, 'b' => [1, 2]], true, null, "\u{2028}"];
        foreach ($payloads as $payload) {
            $turted->notifyUser('adam', 'P', $payload);
        }
        $turted->broadcast('END');
        $texts = ['"é/x"', '1.0', '0.1', '[]', '{}', '{"a":null,"b":[1,2]}', 'true', 'null', '"\u2028"'];
        self::assertSame($texts, array_column($page->before('END'), 1));
    }

    public function testALongPayloadArrives(): void
    {
        $page = new Listener(self::$server->url, 'long');
        $turted = $this->client();
        $text = str_repeat('0123456789', 90_000);
        $turted->notifyUser('long', 'LONG', $text);
        $turted->broadcast('END');
        self::assertTrue([['LONG', "\"$text\""]] === $page->before('END'));
    }

    public function testABatchIsAnsweredInItsOrder(): void
    {
        $page = new Listener(self::$server->url, 'batch');
        $turted = $this->client();
        $pushes = (static function (): \Generator {
            yield 'x' => new Push('FIRST', ['users' => 'batch'], 1);
            yield 'x' => new Push('SECOND', ['users' => 'stranger']);
            yield 'x' => new Push('THIRD', ['users' => 'batch'], 3);
        })();
        $answers = $turted->batch($pushes);
        self::assertSame([1, 0, 1], array_map(static fn (Answer $answer): ?int => $answer->delivered, $answers));
        $turted->broadcast('END');
        self::assertSame([['FIRST', '1'], ['THIRD', '3']], $page->before('END'));
    }

    public function testABatchOfOneGivesAListOfOne(): void
    {
        self::assertCount(1, $this->client()->batch([7 => new Push('ONE', [])]));
    }

    public function testABatchTakesPushesAndNothingElse(): void
    {
        $this->expectException(\InvalidArgumentException::class);
        $this->expectExceptionMessage('item 1 of the batch is no Turted\Push');
        $this->client()->batch([new Push('ONE', []), ['event' => 'TWO']]);
    }

    public function testThePushWithTheSameKeyIsDeliveredOnce(): void
    {
        $page = new Listener(self::$server->url, 'once');
        $turted = $this->client();
        $first = $turted->notifyUser('once', 'ONCE', 1, key: 'order-7');
        $again = $this->client()->notifyUser('once', 'ONCE', 1, 'order-7');
        $turted->notifyUser('once', 'OTHER');
        $turted->notifyUser('once', 'OTHER');
        $turted->broadcast('END');
        self::assertEquals($first, $again);
        self::assertSame([['ONCE', '1'], ['OTHER', '{}'], ['OTHER', '{}']], $page->before('END'));
    }

    /** @return iterable<string, array{string}> */
    public static function paths(): iterable
    {
        yield 'none' => [''];
        yield 'the root' => ['/'];
        yield 'that of pushes' => ['/push'];
        yield 'that of pushes with a slash and a query' => ['/push/?a=b'];
        yield 'a query alone' => ['?a=b'];
    }

    /** @dataProvider paths */
    public function testAUrlWithThisPathIsUsed(string $path): void
    {
        self::assertSame(0, $this->client($path)->notifyUser('nobody', 'E')->delivered);
    }

    /** @return iterable<string, array{string}> */
    public static function passwords(): iterable
    {
        yield 'for a header' => ['two words!"\\\\'];
        yield 'with letters that no header has' => ['pässwörd'];
        yield 'with a space at its end' => ['s3cret '];
        yield 'with a space at its beginning' => [' s3cret'];
    }

    /** @dataProvider passwords */
    public function testAPasswordIsRightWithItsLineBreakToo(string $password): void
    {
        $server = new Server('[push]' . "\nmethod = \"password\"\npassword = " . json_encode($password));
        $turted = new Client($server->url, "$password\r\n");
        self::assertSame(0, $turted->emit('E', [])->delivered);
        self::assertCount(2, $turted->batch([new Push('E', []), new Push('E', [])]));
    }

    public function testWithoutAPasswordNoneIsSent(): void
    {
        $server = new Server("[push]\nmethod = \"none\"");
        foreach ([null, '', "\n"] as $password) {
            self::assertSame(0, (new Client($server->url, $password))->emit('E', [])->delivered);
        }
    }

    public function testAConnectionIsKeptWhereCurlIs(): void
    {
        $relay = new Relay(self::$server, ['keep']);
        $turted = new Client($relay->url, Server::PASSWORD);
        $turted->broadcast('A');
        $turted->broadcast('B');
        $connections = count(array_keys($relay->lines(), 'connection', true));
        self::assertSame(extension_loaded('curl') ? 1 : 2, $connections);
    }

    public function testAConnectionThatTheServerEndedIsReplaced(): void
    {
        $page = new Listener(self::$server->url, 'kept');
        $relay = new Relay(self::$server, ['pass']);
        $turted = new Client($relay->url, Server::PASSWORD, ['timeout' => 30]);
        $turted->notifyUser('kept', 'A');
        $turted->notifyUser('kept', 'B');
        $turted->broadcast('END');
        self::assertSame([['A', '{}'], ['B', '{}']], $page->before('END'));
    }

    /** @return iterable<string, array{list<string>}> */
    public static function settings(): iterable
    {
        yield 'no addresses in fopen' => [['-d', 'allow_url_fopen=0']];
        yield 'no function of curl' => [['-d', 'extension=curl', '-d', 'disable_functions=curl_exec']];
        yield 'no time for sockets' => [['-d', 'default_socket_timeout=0']];
    }

    /**
     * @dataProvider settings
     * @param list<string> $settings
     */
    public function testAnEventArrivesFromAPhpThatAllows(array $settings): void
    {
        if (in_array('extension=curl', $settings, true) && !extension_loaded('curl')) {
            array_splice($settings, 0, 2);
        }
        $arguments = array_map(static fn (string $text): string => var_export($text, true), [
            self::$server->url,
            Server::PASSWORD,
        ]);
        $program = 'require ' . var_export(__DIR__ . '/bootstrap.php', true) . ';'
            . 'var_dump((new Turted\Client(' . implode(', ', $arguments) . "))->emit('E', [])->delivered);";
        $child = new Process([PHP_BINARY, '-n', ...$settings, '-r', $program]);
        self::assertSame(['int(0)'], $child->find('/^.*$/m'));
    }

    /** @requires extension pcntl */
    public function testAProcessThatWasForkedHasAConnectionOfItsOwn(): void
    {
        $relay = new Relay(self::$server, ['keep']);
        $turted = new Client($relay->url, Server::PASSWORD);
        $turted->broadcast('A');
        $child = pcntl_fork();
        if ($child === 0) {
            $turted->broadcast('B');
            // Without the destructors that would end the server of the parent.
            posix_kill(getmypid(), SIGKILL);
        }
        pcntl_waitpid($child, $status);
        $turted->broadcast('C');
        $connections = count(array_keys($relay->lines(), 'connection', true));
        self::assertSame(extension_loaded('curl') ? 2 : 3, $connections);
    }

    public function testAProxyOfTheEnvironmentIsNotUsed(): void
    {
        putenv('http_proxy=http://127.0.0.1:1');
        try {
            self::assertSame(0, $this->client()->emit('E', [])->delivered);
        } finally {
            putenv('http_proxy');
        }
    }

    public function testAnErrorHandlerThatAlwaysThrowsHearsNothing(): void
    {
        set_error_handler(static function (int $level, string $message): never {
            throw new \ErrorException($message, 0, $level);
        });
        try {
            self::assertSame(0, $this->client()->emit('E', [])->delivered);
            $this->expectException(\Turted\Unreachable::class);
            (new Client('http://127.0.0.1:1'))->emit('E', []);
        } finally {
            restore_error_handler();
        }
    }
}
