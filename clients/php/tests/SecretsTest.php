<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;

/** What a program without a php.ini shows of its secrets. */
final class SecretsTest extends TestCase
{
    /** Traces cut texts after 15 characters. */
    private const CANARY = 'cAnArY-7531';

    /** What canary.php prints with these arguments, in a PHP without any setting. */
    private static function printed(string ...$arguments): string
    {
        $curl = extension_loaded('curl') ? ['-d', 'extension=curl'] : [];
        $command = [PHP_BINARY, '-n', ...$curl, __DIR__ . '/canary.php', self::CANARY, ...$arguments];
        exec(implode(' ', array_map('escapeshellarg', $command)) . ' 2>&1', $lines);
        return implode("\n", $lines);
    }

    public function testATraceShowsArgumentsWhereNothingHidesThem(): void
    {
        self::assertStringContainsString(self::CANARY, self::printed());
    }

    /** @requires PHP 8.2 */
    public function testNoDumpAndNoExceptionShowsASecret(): void
    {
        $relay = new Relay(new Server(), ['echo']);
        $output = self::printed($relay->url);
        $leaks = preg_grep('/' . self::CANARY . '/', explode("\n", $output));
        self::assertSame([], array_slice($leaks, 0, 3));
        // All was shown, each failure was one, and the last one is not caught.
        self::assertFalse(str_contains($output, 'nothing was thrown'));
        $texts = ['***', 'refused with 500', 'refused with 400', 'no payload today', '127.0.0.1:1/push/', 'TypeError'];
        foreach ([...$texts, 'all was shown', 'Uncaught InvalidArgumentException: the URL must be'] as $text) {
            self::assertTrue(str_contains($output, $text), $text);
        }
    }
}
