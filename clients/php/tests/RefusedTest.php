<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Client;
use Turted\Failure;
use Turted\Http\Reading;
use Turted\Http\Response;
use Turted\Push;
use Turted\Refused;
use Turted\Secret;

/** Pushes that the server refuses: each as its exception. */
final class RefusedTest extends TestCase
{
    private const RULES = __DIR__ . '/../../../docs/protocol-rest.md';

    private static ?Server $server = null;

    public static function setUpBeforeClass(): void
    {
        self::$server = new Server();
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
    }

    /** @param \Closure(Client): mixed $push */
    private static function refused(\Closure $push, ?Client $turted = null): Refused
    {
        try {
            $push($turted ?? new Client(self::$server->url, Server::PASSWORD));
        } catch (Refused $refused) {
            return $refused;
        }
        self::fail('the push was accepted');
    }

    /** @return iterable<string, array{array<string, mixed>, string, ?string}> */
    public static function targets(): iterable
    {
        yield 'an empty user' => [['users' => ['adam', '']], 'name-empty', '/targets/users/1'];
        yield 'a long channel' => [['channels' => str_repeat('x', 256)], 'name-too-long', '/targets/channels'];
        yield 'a line break' => [['users' => ["a\nb"]], 'name-control-character', '/targets/users/0'];
        yield 'a user that is true' => [['users' => true], 'names-not-a-list', '/targets/users'];
        yield 'a user in a list that is null' => [['users' => [null]], 'name-not-a-string', '/targets/users/0'];
        yield 'an unknown key' => [['groups' => ['a']], 'targets-unknown-key', '/targets/groups'];
        yield 'a broadcast that is a word' => [['broadcast' => 'yes'], 'broadcast-not-a-boolean', '/targets/broadcast'];
        yield 'a list' => [['adam', 'eve'], 'targets-not-an-object', '/targets'];
        yield 'too many' => [['users' => range(1, 1001)], 'targets-too-many', '/targets/users/1000'];
    }

    /**
     * @dataProvider targets
     * @param array<string, mixed> $targets
     */
    public function testTargetsAreRefusedByTheirRule(array $targets, string $rule, string $field): void
    {
        $refused = self::refused(static fn (Client $turted) => $turted->emit('E', $targets));
        $seen = [$refused->status, $refused->rule, $refused->field, $refused->index];
        self::assertSame([400, $rule, $field, null], $seen);
        self::assertStringContainsString("($rule)", $refused->detail);
        self::assertSame("the push was refused with 400: $refused->detail", $refused->getMessage());
        self::assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $refused->key());
    }

    public function testAPushOfABatchIsNamedByItsIndex(): void
    {
        $pushes = [new Push('A', ['users' => 'adam']), new Push('B', ['users' => ''])];
        $refused = self::refused(static fn (Client $turted) => $turted->batch($pushes));
        self::assertSame(['name-empty', '/targets/users', 1], [$refused->rule, $refused->field, $refused->index]);
    }

    public function testBatchesThatAreEmptyOrTooLongAreRefused(): void
    {
        $empty = self::refused(static fn (Client $turted) => $turted->batch([]));
        $long = self::refused(static fn (Client $turted) => $turted->batch(array_fill(0, 1001, new Push('E', []))));
        self::assertSame(['batch-empty', 'batch-too-long'], [$empty->rule, $long->rule]);
    }

    public function testBodiesAndExpansionsThatAreTooLargeAreRefused(): void
    {
        $text = str_repeat('x', 1 << 20);
        $long = self::refused(static fn (Client $turted) => $turted->broadcast('E', $text));
        self::assertSame([413, 'body-too-long'], [$long->status, $long->rule]);
        $targets = ['users' => range(1, 900)];
        $text = substr($text, 0, 100_000);
        $many = self::refused(static fn (Client $turted) => $turted->notify($targets, 'E', $text));
        self::assertSame([413, 'expansion-too-large'], [$many->status, $many->rule]);
    }

    public function testAPasswordThatIsMissingOrWrongIsRefusedAndThenTheAddress(): void
    {
        $server = new Server("[limits]\nwrong_passwords = 2");
        $push = static fn (Client $turted) => $turted->broadcast('E');
        foreach ([null, 'guess 1', 'guess 2'] as $password) {
            $refused = self::refused($push, new Client($server->url, $password));
            self::assertSame([401, 'wrong-password'], [$refused->status, $refused->rule]);
        }
        $refused = self::refused($push, new Client($server->url, 'guess 3'));
        self::assertSame([429, 'too-many-wrong-passwords'], [$refused->status, $refused->rule]);
        self::assertGreaterThan(1, $refused->retryAfter);
    }

    public function testAKeyIsForOneBody(): void
    {
        (new Client(self::$server->url, Server::PASSWORD))->broadcast('A', key: 'k');
        $refused = self::refused(static fn (Client $turted) => $turted->broadcast('B', key: 'k'));
        self::assertSame([422, 'idempotency-key-reused', 'k'], [$refused->status, $refused->rule, $refused->key()]);
    }

    public function testAServerWithoutRoomForKeysRefusesAtOnce(): void
    {
        $server = new Server("[limits]\nidempotency_keys = 1");
        $turted = new Client($server->url, Server::PASSWORD);
        $turted->broadcast('A');
        $refused = self::refused(static fn () => $turted->broadcast('B'));
        $seen = [$refused->status, $refused->rule, $refused->retryAfter];
        self::assertSame([503, 'idempotency-keys-full', 5], $seen);
    }

    public function testAnotherPathIsRefusedWithAHint(): void
    {
        $turted = new Client(self::$server->url . '/psh/', Server::PASSWORD);
        $refused = self::refused(static fn () => $turted->broadcast('E'));
        self::assertSame([404, null], [$refused->status, $refused->rule]);
        self::assertStringContainsString('push.path', $refused->detail);
    }

    /** @return iterable<string, array{Push, string}> */
    public static function unwritable(): iterable
    {
        $cycle = new \stdClass();
        $cycle->cycle = $cycle;
        yield 'an event that is no UTF-8' => [new Push("\xff", []), '/event'];
        yield 'a user that is no UTF-8' => [new Push('E', ['users' => ["\xff"]]), '/targets'];
        yield 'a payload that is no UTF-8' => [new Push('E', [], ['a' => "\xff"]), '/payload'];
        yield 'no number' => [new Push('E', [], NAN), '/payload'];
        yield 'a circle' => [new Push('E', [], $cycle), '/payload'];
        yield 'a file' => [new Push('E', [], fopen('php://memory', 'r')), '/payload'];
    }

    /** @dataProvider unwritable */
    public function testWhatIsNoJsonIsRefusedBeforeItIsSent(Push $push, string $field): void
    {
        $one = self::refused(static fn (Client $turted) => $turted->emit($push->event, $push->targets, $push->payload));
        $batch = self::refused(static fn (Client $turted) => $turted->batch([new Push('E', []), $push]));
        self::assertSame([400, 'not-json', $field, null], [$one->status, $one->rule, $one->field, $one->index]);
        self::assertSame(['not-json', $field, 1], [$batch->rule, $batch->field, $batch->index]);
    }

    public function testAKeyThatWouldBreakTheHeaderIsRefusedBeforeItIsSent(): void
    {
        foreach (['', ' ', "k\r\nX: y", "k\n", 'schlüssel', str_repeat('k', 256)] as $key) {
            $refused = self::refused(static fn (Client $turted) => $turted->broadcast('E', 1, $key));
            self::assertSame([400, 'idempotency-key-invalid'], [$refused->status, $refused->rule], json_encode($key));
        }
    }

    public function testWithOnErrorAFailureIsNoExceptionButNull(): void
    {
        $failures = [];
        $onError = static function (Failure $failure) use (&$failures): void {
            $failures[] = $failure->getMessage();
        };
        $turted = new Client(self::$server->url, Server::PASSWORD, ['onError' => $onError]);
        $gone = new Client('http://127.0.0.1:1', null, ['onError' => $onError]);
        self::assertNull($turted->notifyUser('', 'E'));
        self::assertNull($turted->batch([]));
        self::assertNull($turted->broadcast("\xff"));
        self::assertNull($gone->broadcast('E'));
        self::assertSame(0, $turted->notifyUser('nobody', 'E')->delivered);
        self::assertCount(4, $failures);
        self::assertStringContainsString('name-empty', $failures[0]);
        self::assertStringContainsString('http://127.0.0.1:1/push/: ', $failures[3]);
    }

    /** @return iterable<string, array{string, int}> */
    public static function rules(): iterable
    {
        preg_match_all('/^\| `([a-z-]+)` \| (\d{3}) \|/m', file_get_contents(self::RULES), $rows, PREG_SET_ORDER);
        foreach ($rows as [, $rule, $status]) {
            yield $rule => [$rule, (int) $status];
        }
    }

    /** @dataProvider rules */
    public function testEachRuleOfTheDocumentationIsItsException(string $rule, int $status): void
    {
        $problem = ['detail' => "a\nb ($rule)", 'rule' => $rule, 'field' => '/event', 'index' => 3];
        $response = new Response($status, ['retry-after' => '5'], new Secret(json_encode($problem)));
        try {
            Reading::one($response, 'k');
            self::fail('the push was accepted');
        } catch (Refused $refused) {
            $seen = [$refused->status, $refused->getCode(), $refused->rule, $refused->detail, $refused->field];
            self::assertSame([$status, $status, $rule, "a b ($rule)", '/event'], $seen);
            self::assertSame([3, 5, 'k'], [$refused->index, $refused->retryAfter, $refused->key()]);
        }
    }

    public function testTheDocumentationHasThoseRules(): void
    {
        self::assertGreaterThan(35, count(iterator_to_array(self::rules())));
    }
}
