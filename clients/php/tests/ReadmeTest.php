<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;

/** The programs of README.md, as they are printed, each in a file of its own. */
final class ReadmeTest extends TestCase
{
    private const AUTOLOAD = "<?php\n\nrequire %s;\n";

    private static string $directory = '';
    private static ?Server $server = null;

    public static function setUpBeforeClass(): void
    {
        self::$directory = sys_get_temp_dir() . '/turted-php-' . bin2hex(random_bytes(8));
        mkdir(self::$directory . '/vendor', 0700, true);
        $bootstrap = var_export(__DIR__ . '/bootstrap.php', true);
        file_put_contents(self::$directory . '/vendor/autoload.php', sprintf(self::AUTOLOAD, $bootstrap));
        self::$server = new Server();
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
        array_map('unlink', [...glob(self::$directory . '/*.*'), self::$directory . '/vendor/autoload.php']);
        rmdir(self::$directory . '/vendor');
        rmdir(self::$directory);
    }

    /**
     * The programs of a text in Markdown.
     *
     * @return list<string>
     */
    private static function programs(): array
    {
        preg_match_all('/^```php\n(.*?)^```$/ms', file_get_contents(dirname(__DIR__) . '/README.md'), $blocks);
        return $blocks[1];
    }

    /** The one that has this text. */
    private static function program(string $text): string
    {
        $programs = array_filter(self::programs(), static fn (string $program): bool => str_contains($program, $text));
        self::assertCount(1, $programs, $text);
        return current($programs);
    }

    /** The variables that the programs read. */
    private static function variables(): array
    {
        return [
            'TURTED_URL' => self::$server->url,
            'TURTED_PASSWORD' => Server::PASSWORD,
            'TURTED_AUTH_PREFIX' => 'prefix',
            'TURTED_AUTH_KEY' => '0123456789abcdef0123456789abcdef',
        ];
    }

    /** Runs a program, behind the first one if it does not begin a file, and returns what it printed behind that. */
    private static function printed(string $program): string
    {
        $first = self::program('Bridgekeeper');
        $begins = str_starts_with($program, '<?php');
        $file = self::$directory . '/program.php';
        file_put_contents($file, $begins ? $program : "$first\necho \"----\\n\";\n$program");
        $settings = ['-d', 'zend.assertions=1', '-d', 'error_log=/dev/stdout', '-d', 'error_reporting=-1'];
        $pipes = [];
        $command = [PHP_BINARY, ...$settings, $file];
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes, self::$directory, self::variables() + getenv());
        $output = stream_get_contents($pipes[1]);
        self::assertSame(0, proc_close($process), $output);
        return $begins ? $output : explode("----\n", $output, 2)[1];
    }

    public function testTheFirstProgramReachesThePages(): void
    {
        $user = new Listener(self::$server->url, 'xosofox');
        $other = new Listener(self::$server->url, 'eve', ['chat']);
        $printed = self::printed(self::program('Bridgekeeper'));
        self::assertMatchesRegularExpression('/^2 connections, position [0-9a-f]+-\d+\n$/D', $printed);
        $printed = self::printed(self::program('Turted\Push(\'STOCK\''));
        self::assertSame('', $printed);
        $names = [array_column($user->before('RELOAD'), 0), array_column($other->before('RELOAD'), 0)];
        $heard = ['MESSAGE:NEW', 'MESSAGE:NEW'];
        self::assertSame([$heard, [...$heard, 'MESSAGE:NEW', 'MESSAGE:NEW']], $names);
    }

    /** @return iterable<string, array{string, string}> */
    public static function outputs(): iterable
    {
        yield 'a key' => ["key: 'order-7-paid'", '/^$/D'];
        yield 'a failure' => ['Unreachable $unreachable', '/^400 name-empty at \/targets\/users\/0: .*\n$/D'];
        yield 'onError' => ["'onError' =>", '/^$/D'];
        yield 'who is online' => ['->presence(', '/^adam is not\neve is not\n$/D'];
        yield 'a double' => ['final class Shop', '/^$/D'];
        yield 'tokens' => ['Token::hash', '/^$/D'];
    }

    /** @dataProvider outputs */
    public function testAProgramRunsAndPrints(string $text, string $printed): void
    {
        self::assertMatchesRegularExpression($printed, self::printed(self::program($text)));
    }

    public function testTheProgramForHooksVerifiesThem(): void
    {
        file_put_contents(self::$directory . '/hook.php', self::program('Hook::verify'));
        file_put_contents(self::$directory . '/hook.secret', "0123456789abcdef\n");
        $web = new Process([PHP_BINARY, '-S', '127.0.0.1:0', 'hook.php'], self::$directory);
        [, $url] = $web->find('/\((http:\/\/127\.0\.0\.1:\d+)\) started/');
        $body = '{"node":"n","life":"l","sequence":1,"records":[{"type":"started"},{"type":"synced"}]}';
        $time = time();
        $right = "t=$time,v1=" . hash_hmac('sha256', "$time.$body", '0123456789abcdef');
        self::assertSame([401, 200], [self::post($url, $body, "t=$time,v1=0"), self::post($url, $body, $right)]);
        self::assertSame("started\nsynced\n", file_get_contents(self::$directory . '/hook.log'));
    }

    public function testTheFunctionForHooksKnowsWhoIsOnline(): void
    {
        eval(self::program('function online('));
        $hear = static function (array $nodes, string $node, int $now, string ...$records): array {
            $parts = array_map(static fn (string $record): array => explode(' ', "$record "), $records);
            $records = array_map(static fn (array $part): array => ['type' => $part[0], 'user' => $part[1]], $parts);
            return online($nodes, ['node' => $node, 'records' => $records], $now);
        };
        $users = static fn (array $nodes): array => array_map(static fn (array $node) => array_keys($node['users']), $nodes);
        $nodes = $hear([], 'a', 0, 'started', 'user-online adam', 'user-online eve', 'user-online 7', 'user-offline 7');
        $nodes = $hear($nodes, 'b', 1, 'started', 'user-online joe', 'synced');
        $nodes = $hear($nodes, 'a', 2, 'stopped');
        self::assertEquals(['a' => ['adam', 'eve'], 'b' => ['joe']], $users($hear($nodes, 'b', 61)));
        self::assertEquals(['b' => ['joe']], $users($hear($nodes, 'b', 62)));
        $nodes = $hear($nodes, 'a', 3, 'started', 'user-online adam');
        self::assertEquals(['b' => ['joe'], 'a' => ['adam', 'eve']], $users($hear($nodes, 'b', 99)));
        self::assertEquals(['a' => ['adam'], 'b' => ['joe']], $users($hear($nodes, 'a', 99, 'synced')));
    }

    private static function post(string $url, string $body, string $signature): int
    {
        $context = stream_context_create(['http' => [
            'method' => 'POST',
            'header' => "Content-Type: application/json\r\nTurted-Signature: $signature",
            'content' => $body,
            'ignore_errors' => true,
            'timeout' => 30,
        ]]);
        file_get_contents($url, false, $context);
        return (int) explode(' ', $http_response_header[0])[1];
    }

    public function testEachProgramIsRun(): void
    {
        self::assertCount(4 + count(iterator_to_array(self::outputs())), self::programs());
    }
}
