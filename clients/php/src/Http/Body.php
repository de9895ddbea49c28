<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Push;
use Turted\Refused;
use Turted\Secret;

/**
 * Pushes as JSON.
 *
 * @internal
 */
final class Body
{
    /** `1.0` stays `1.0`: clients receive the payload byte for byte. */
    private const FLAGS = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION;

    public function __construct(private readonly Credentials $credentials)
    {
    }

    /** @throws Refused if the push cannot be written as JSON */
    public function ofOne(Push $push): Secret
    {
        return $this->item($push, null);
    }

    /**
     * @param list<Push> $pushes
     * @throws Refused if one of them cannot be written as JSON
     */
    public function ofBatch(array $pushes): Secret
    {
        $items = [];
        foreach ($pushes as $index => $push) {
            $items[] = $this->item($push, $index)->reveal();
        }
        return new Secret('[' . implode(',', $items) . ']');
    }

    /**
     * @param list<string|int> $users
     * @throws Refused if one of them cannot be written as JSON
     */
    public function ofQuestion(array $users): Secret
    {
        $json = json_encode(['users' => $users], self::FLAGS);
        if ($json === false) {
            $detail = '/users: it cannot be written as JSON: ' . json_last_error_msg() . ' (not-json)';
            throw new Refused(400, 'not-json', $detail, '/users');
        }
        return new Secret('{' . $this->credentials->member()->reveal() . substr($json, 1));
    }

    /** The password is put in afterwards, so that it is in no trace of a payload that fails. */
    private function item(Push $push, ?int $index): Secret
    {
        $json = json_encode(get_object_vars($push), self::FLAGS);
        if ($json === false) {
            throw $this->notJson($push, $index, json_last_error_msg());
        }
        return new Secret('{' . $this->credentials->member()->reveal() . substr($json, 1));
    }

    private function notJson(Push $push, ?int $index, string $reason): Refused
    {
        $field = null;
        foreach (get_object_vars($push) as $name => $value) {
            if ($field === null && json_encode($value, self::FLAGS) === false) {
                $field = "/$name";
            }
        }
        $place = ($index === null ? '' : "item $index: ") . ($field === null ? '' : "$field: ");
        $detail = "{$place}it cannot be written as JSON: $reason (not-json)";
        return new Refused(400, 'not-json', $detail, $field, $index);
    }
}
