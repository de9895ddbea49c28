<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Http\Conversation;
use Turted\Http\Deadline;
use Turted\Http\Lost;
use Turted\Secret;

/** A server that goes on sending. */
final class ConversationTest extends TestCase
{
    /** Bytes of a body that may be longer than all that a socket holds. */
    private const MUCH = 100_000_000;

    /** @return array{resource, resource} two ends that do not block: the second has this to read, and more */
    private static function full(string $first): array
    {
        [$server, $client] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        stream_set_blocking($server, false);
        stream_set_blocking($client, false);
        fwrite($server, $first);
        do {
            $sent = fwrite($server, str_repeat('0', 8192));
        } while ($sent > 0);
        return [$server, $client];
    }

    public function testTheDeadlineHoldsWhileBytesCome(): void
    {
        [$server, $client] = self::full("HTTP/1.1 200 OK\r\nContent-Length: " . self::MUCH . "\r\n\r\n");
        try {
            (new Conversation($client, new Secret(''), self::MUCH))->run(Deadline::in(0));
            self::fail('there was an answer');
        } catch (Lost $lost) {
            self::assertSame('no answer in time', $lost->getMessage());
        }
        self::assertNotSame('', fread($client, 1), 'it did not read all that was there');
        fclose($server);
    }

    public function testAnAnswerThatIsWholeIsReturnedAtOnceAndHasNothingOfWhatIsBehindIt(): void
    {
        $chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\n2026\r\n0\r\n\r\n";
        foreach (["Content-Length: 4\r\n\r\n2026", $chunked] as $rest) {
            [$server, $client] = self::full("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n$rest");
            $response = (new Conversation($client, new Secret(''), 4))->run(Deadline::in(30));
            self::assertSame([200, 2026], [$response->status, $response->json()]);
            self::assertNotSame('', fread($client, 1), 'it did not read all that was there');
            fclose($server);
        }
    }
}
