<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Token;

/** Tokens, and what the server says to them. */
final class TokenTest extends TestCase
{
    private const KEY = '0123456789abcdef0123456789abcdef';

    /** The status of an event stream that shows these credentials. */
    private static function status(Server $server, string $authorization, string $channel = ''): int
    {
        $query = $channel === '' ? '' : '?channel=' . urlencode($channel);
        $context = stream_context_create(['http' => [
            'header' => "Authorization: $authorization",
            'ignore_errors' => true,
            'timeout' => 30,
        ]]);
        $stream = fopen("$server->url/sse$query", 'r', false, $context);
        return (int) explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
    }

    public function testAHashIsAcceptedByTheServer(): void
    {
        foreach (['md5', 'sha1', 'sha256', 'sha512'] as $hash) {
            $auth = "[auth]\nmethod = \"token\"\nhash = \"$hash\"\nprefix = \"pre-\"\nsuffix = \"-post\"";
            $server = new Server($auth);
            $credentials = static fn (string $token): string => 'Basic ' . base64_encode("jürgen:$token");
            $right = Token::hash('jürgen', 'pre-', '-post', $hash);
            $other = Token::hash('jürgen', 'pre-', '', $hash);
            $statuses = [self::status($server, $credentials($right)), self::status($server, $credentials($other))];
            self::assertSame([200, 401], $statuses, $hash);
        }
    }

    public function testAJsonWebTokenIsAcceptedByTheServer(): void
    {
        $server = new Server(implode("\n", [
            "[auth]\nmethod = \"jwt\"\nalgorithm = \"HS256\"\nkey = \"" . self::KEY . '"',
            "user_claim = \"name\"\nchannels_claim = \"channels\"\nissuer = \"https://app.example\"",
            "[[channels]]\nprefix = \"private.\"\njoin = \"claim\"",
        ]));
        $claims = ['iss' => 'https://app.example', 'channels' => ['private.é/*']];
        $right = 'Bearer ' . Token::jwt('jürgen', self::KEY, 60, $claims, 'name');
        $other = 'Bearer ' . Token::jwt('jürgen', self::KEY . 'x', 60, $claims, 'name');
        $without = 'Bearer ' . Token::jwt('jürgen', self::KEY, 60, [], 'name');
        self::assertSame(200, self::status($server, $right, 'private.é/1'));
        self::assertSame(403, self::status($server, $right, 'private.other'));
        self::assertSame([401, 401], [self::status($server, $other), self::status($server, $without)]);
    }

    public function testATokenIsGoodForItsTimeAndClaimsWin(): void
    {
        $before = time();
        [, $text] = explode('.', Token::jwt('adam', self::KEY, 60, ['iat' => 7]));
        $claims = json_decode(base64_decode(strtr($text, '-_', '+/')), true);
        self::assertSame(['adam', 7], [$claims['sub'], $claims['iat']]);
        self::assertTrue($claims['exp'] >= $before + 60 && $claims['exp'] <= time() + 60);
    }

    /** @return iterable<string, array{\Closure, string}> */
    public static function mistakes(): iterable
    {
        yield 'no secret' => [static fn () => Token::hash('adam', ''), 'needs a prefix or a suffix'];
        yield 'another hash' => [static fn () => Token::hash('adam', 'p', 's', 'crc32b'), 'one of md5, sha1,'];
        yield 'no user' => [static fn () => Token::hash('', 'p'), '1 to 255 bytes'];
        yield 'a long user' => [static fn () => Token::jwt(str_repeat('é', 128), self::KEY), '1 to 255 bytes'];
        yield 'a user with a line break' => [static fn () => Token::jwt("adam\n", self::KEY), 'control characters'];
        yield 'a user that is no UTF-8' => [static fn () => Token::jwt("\xff", self::KEY), 'UTF-8'];
        yield 'no key' => [static fn () => Token::jwt('adam', ''), 'needs a key'];
        yield 'a short key' => [static fn () => Token::jwt('adam', substr(self::KEY, 1)), '32 bytes or more'];
        yield 'no time' => [static fn () => Token::jwt('adam', self::KEY, 0), 'a second or more'];
        yield 'claims that are no JSON' => [static fn () => Token::jwt('adam', self::KEY, 1, ['a' => NAN]), 'as JSON'];
    }

    /** @dataProvider mistakes */
    public function testATokenThatTheServerCouldNotAcceptIsNotMade(\Closure $make, string $message): void
    {
        $this->expectException(\InvalidArgumentException::class);
        $this->expectExceptionMessage($message);
        $make();
    }
}
