<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Client;
use Turted\Failure;
use Turted\Push;
use Turted\Refused;
use Turted\Unreachable;

/** Networks and servers that fail, and what is tried again. */
final class FailureTest extends TestCase
{
    /** Seconds in which none of these relays gives an answer. */
    private const SHORT = ['timeout' => 0.4];

    private static ?Server $server = null;

    public static function setUpBeforeClass(): void
    {
        self::$server = new Server();
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
    }

    /**
     * Pushes an event through such a relay: the answer or the failure, and the actions of the relay.
     *
     * @param list<string> $actions
     * @param array<string, mixed> $options
     * @return array{mixed, list<string>}
     */
    private static function through(array $actions, array $options = []): array
    {
        $relay = new Relay(self::$server, $actions);
        try {
            // No connection is kept: the relay writes into it until it is closed.
            $outcome = (new Client($relay->url, Server::PASSWORD, $options))->notifyUser('adam', 'E', 7);
        } catch (Failure $failure) {
            $outcome = $failure;
        }
        $lines = array_values(array_diff($relay->lines(), ['connection']));
        $pairs = array_map(static fn (string $line): array => explode(' ', $line), $lines);
        self::assertCount(1, array_unique(array_column($pairs, 1)), 'all tries have the same key');
        return [$outcome, array_column($pairs, 0)];
    }

    /** @return iterable<string, array{list<string>}> */
    public static function mended(): iterable
    {
        yield 'a connection that ends after the push was taken' => [['cut', 'pass']];
        yield 'a connection that ends before the push was taken' => [['drop', 'pass']];
        yield 'a connection that ends in the middle of the answer' => [['half', 'pass']];
        yield '503 with a pause of a second' => [['503:1', 'pass']];
        yield '429 with a pause of no second' => [['429:0', 'pass']];
        yield '409, twice, behind a connection that ends' => [['cut', '409:0', '409:1', 'pass']];
        yield '409, and then a connection that ends' => [['409:0', 'drop', 'pass']];
        yield 'something that is no HTTP' => [['noise', 'pass']];
        yield 'an answer in chunks behind an early one' => [['chunked']];
        yield 'an answer up to the end of the connection' => [['close']];
        yield 'an answer behind which more comes' => [['more']];
    }

    /**
     * @dataProvider mended
     * @param list<string> $actions
     */
    public function testThisIsMendedAndTheEventIsDeliveredOnce(array $actions): void
    {
        $page = new Listener(self::$server->url, 'adam');
        [$answer, $done] = self::through($actions, ['timeout' => 30]);
        self::assertInstanceOf(\Turted\Answer::class, $answer, $answer instanceof Failure ? $answer->getMessage() : '');
        self::assertSame([1, $actions], [$answer->delivered, $done]);
        (new Client(self::$server->url, Server::PASSWORD))->broadcast('END');
        self::assertSame([['E', '7']], $page->before('END'));
    }

    /** @return iterable<string, array{list<string>, list<string>, int}> */
    public static function final(): iterable
    {
        yield 'a second 503' => [['503:1', '503:0', 'pass'], ['503:1', '503:0'], 503];
        yield 'a 503 behind a lost connection' => [['drop', '503:0', 'pass'], ['drop', '503:0'], 503];
        yield 'a 503 that asks for a longer pause' => [['503:2', 'pass'], ['503:2'], 503];
        yield 'a 503 that asks for none' => [['503:', 'pass'], ['503:'], 503];
        yield 'a 503 that asks for a date' => [['503:Sun, 06 Nov 1994 08-49-37 GMT', 'pass'], ['503:Sun,'], 503];
        yield 'a 429 with a long pause' => [['429:60', 'pass'], ['429:60'], 429];
        yield 'a redirect' => [['moved', 'pass'], ['moved'], 307];
        yield 'an error of another server' => [['echo', 'pass'], ['echo'], 500];
    }

    /**
     * @dataProvider final
     * @param list<string> $actions
     * @param list<string> $expected
     */
    public function testThisIsRefused(array $actions, array $expected, int $status): void
    {
        $relay = new Relay(self::$server, $actions);
        try {
            (new Client($relay->url, Server::PASSWORD, ['timeout' => 30]))->notifyUser('adam', 'E', 7);
            self::fail('the push was accepted');
        } catch (Refused $refused) {
            self::assertSame($status, $refused->status);
        }
        $tries = array_filter($relay->lines(), static fn (string $line): bool => $line !== 'connection');
        self::assertCount(count($expected), $tries);
    }

    public function testA409IsTriedAgainUntilTheTimeIsOver(): void
    {
        [$refused, $done] = self::through(['409:0'], ['timeout' => 1]);
        self::assertInstanceOf(Refused::class, $refused);
        self::assertSame([409, 'idempotency-key-under-way'], [$refused->status, $refused->rule]);
        self::assertGreaterThan(1, count($done));
    }

    /** @return iterable<string, array{string, bool, string}> */
    public static function unreachable(): iterable
    {
        yield 'a server that hangs' => ['hang', false, '/time/i'];
        yield 'an answer byte by byte' => ['drip', false, '/time/i'];
        yield 'a connection that ends each time' => ['drop', true, '/.+/'];
        yield 'half an answer each time' => ['half', true, '/.+/'];
        yield 'an answer without an end' => ['flood', true, '/too long/'];
        yield 'a head without an end' => ['heads', true, '/head of the answer is too long/'];
        yield 'answers of 1xx without an end' => ['early', true, '/too many answers of 1xx/'];
        yield 'a chunk without an end' => ['chunk', true, '/.+/'];
        yield 'something else than HTTP' => ['noise', true, '/HTTP/'];
        yield 'a page of another server' => ['page', false, '/not that of turted/'];
    }

    /** @dataProvider unreachable */
    public function testThisIsUnreachable(string $action, bool $isTriedAgain, string $reason): void
    {
        // What is not about time gets enough of it.
        $options = $action === 'hang' || $action === 'drip' ? self::SHORT : ['timeout' => 30];
        [$failure, $done] = self::through([$action], $options);
        self::assertInstanceOf(Unreachable::class, $failure);
        self::assertMatchesRegularExpression($reason, $failure->getMessage());
        self::assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $failure->key());
        self::assertSame($isTriedAgain ? [$action, $action] : [$action], $done);
    }

    public function testWhatHasNoAnswerIsPushedAgainWithItsKeyAndDeliveredOnce(): void
    {
        $page = new Listener(self::$server->url, 'adam');
        [$failure] = self::through(['cut']);
        $turted = new Client(self::$server->url, Server::PASSWORD);
        $answer = $turted->notifyUser('adam', 'E', 7, $failure->key());
        self::assertSame(1, $answer->delivered);
        $turted->broadcast('END');
        self::assertSame([['E', '7']], $page->before('END'));
    }

    public function testAServerThatIsStoppedIsUnreachable(): void
    {
        $server = new Server();
        $turted = new Client($server->url, Server::PASSWORD);
        $turted->broadcast('E');
        $server->stop();
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessageMatches('/^http:\/\/127\.0\.0\.1:\d+\/push\/: .*connect/');
        $turted->broadcast('E');
    }

    public function testAServerThatIsFrozenIsUnreachable(): void
    {
        $server = new Server();
        $turted = new Client($server->url, Server::PASSWORD, self::SHORT);
        $server->freeze();
        $this->expectException(Unreachable::class);
        $turted->broadcast('E');
    }

    /** With the queue of the listener full, the kernel answers no SYN. */
    public function testConnectingHasATimeOfItsOwn(): void
    {
        $full = stream_context_create(['socket' => ['backlog' => 0]]);
        $flags = STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
        $listener = stream_socket_server('tcp://127.0.0.1:0', $code, $reason, $flags, $full);
        $address = stream_socket_get_name($listener, false);
        $waiting = [];
        foreach (range(1, 4) as $_) {
            $waiting[] = stream_socket_client("tcp://$address", $code, $reason, 5, STREAM_CLIENT_ASYNC_CONNECT);
        }
        try {
            // It would go on for a minute.
            (new Client("http://$address", null, ['connectTimeout' => 0.2, 'timeout' => 60]))->broadcast('E');
            self::fail('the push was accepted');
        } catch (Unreachable $failure) {
            self::assertMatchesRegularExpression('/time|connect/i', $failure->getMessage());
        }
        array_map('fclose', $waiting);
    }

    public function testARefusedBatchIsNotTriedAgain(): void
    {
        $relay = new Relay(self::$server, ['pass']);
        try {
            (new Client($relay->url, Server::PASSWORD))->batch([new Push('', ['users' => ''])]);
            self::fail('the push was accepted');
        } catch (Refused) {
            self::assertCount(2, $relay->lines());
        }
    }
}
