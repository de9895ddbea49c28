<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Answer;
use Turted\Presence;
use Turted\Refused;
use Turted\Unreachable;

/**
 * What answers to pushes mean. Of an answer that is not that of turted nothing is quoted: it may repeat the request.
 *
 * @internal
 */
final class Reading
{
    /** A detail has a field, which may be long, and logs are read by people. */
    private const DETAIL_CHARACTERS_MAX = 1000;

    /** @throws Refused|Unreachable */
    public static function one(Response $response, string $key): Answer
    {
        return self::answer(self::accepted($response, $key)) ?? throw self::foreign($key);
    }

    /**
     * @return list<Answer>
     * @throws Refused|Unreachable
     */
    public static function batch(Response $response, int $pushes, string $key): array
    {
        $results = self::accepted($response, $key);
        if (!is_array($results) || !array_is_list($results) || count($results) !== $pushes) {
            throw self::foreign($key);
        }
        return array_map(static fn (mixed $one): Answer => self::answer($one) ?? throw self::foreign($key), $results);
    }

    /**
     * @return array<Presence> by user
     * @throws Refused|Unreachable
     */
    public static function presence(Response $response, string $key): array
    {
        $users = self::accepted($response, $key)['users'] ?? null;
        $known = [];
        foreach (is_array($users) ? $users : throw self::foreign($key) as $one) {
            if (!is_string($one['user'] ?? null)) {
                throw self::foreign($key);
            }
            $number = static fn (string $name): ?int => is_int($one[$name] ?? null) ? $one[$name] : null;
            $online = is_bool($one['online'] ?? null) ? $one['online'] : null;
            $known[$one['user']] = new Presence($online, $number('connections'), $number('last_seen'));
        }
        return $known;
    }

    private static function accepted(Response $response, string $key): mixed
    {
        if ($response->status !== 200) {
            throw self::refused($response, $key);
        }
        return $response->json();
    }

    private static function answer(mixed $result): ?Answer
    {
        $id = $result['id'] ?? null;
        $delivered = $result['delivered'] ?? null;
        $isAnswer = is_string($id) && ($delivered === null || is_int($delivered));
        return $isAnswer ? new Answer($delivered, $id) : null;
    }

    private static function refused(Response $response, string $key): Refused
    {
        $problem = $response->json();
        $rule = $problem['rule'] ?? null;
        $detail = $problem['detail'] ?? null;
        if (!is_string($rule) || !is_string($detail)) {
            $detail = self::withoutRule($response->status);
            return new Refused($response->status, null, $detail, null, null, $response->retryAfter(), $key);
        }
        $field = $problem['field'] ?? null;
        $index = $problem['index'] ?? null;
        return new Refused(
            $response->status,
            $rule,
            self::printable($detail),
            is_string($field) ? $field : null,
            is_int($index) ? $index : null,
            $response->retryAfter(),
            $key,
        );
    }

    /** What a status says that comes without a rule: from HTTP itself, from a proxy, or from another server. */
    private static function withoutRule(int $status): string
    {
        return match (true) {
            $status >= 300 && $status < 400 => 'it redirects, and no push follows that: is the URL that of the server?',
            $status === 404 => 'nobody takes pushes there: is the path of the URL that of push.path?',
            $status === 502 || $status === 504 => 'a proxy does not reach the server',
            $status === 503 => 'the server is full, or a proxy does not reach it',
            default => 'the answer names no rule, so it may be that of another server',
        };
    }

    /** One line, of bounded length. */
    private static function printable(string $text): string
    {
        preg_match('/^.{0,' . self::DETAIL_CHARACTERS_MAX . '}/us', $text, $begin);
        return preg_replace('/[\x00-\x1f\x7f]+/', ' ', $begin[0]);
    }

    private static function foreign(string $key): Unreachable
    {
        return new Unreachable('the answer is not that of turted: does the URL name another server?', $key);
    }
}
