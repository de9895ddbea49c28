<?php

declare(strict_types=1);

namespace Turted\Http;

use Turted\Secret;

/**
 * The push password, and where a push shows it: in `Authorization`, which the server looks at before it reads the body,
 * or in the body if it has characters that a header cannot carry.
 *
 * @internal
 */
final class Credentials
{
    private readonly ?Secret $password;
    private readonly bool $isForHeader;

    public function __construct(#[\SensitiveParameter] ?string $password)
    {
        // A file ends in a line break, and the server does not count it either.
        $password = rtrim($password ?? '', "\r\n");
        if (preg_match('//u', $password) !== 1) {
            throw new \InvalidArgumentException('the password must be UTF-8');
        }
        $this->password = $password === '' ? null : new Secret($password);
        $this->isForHeader = preg_match('/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/D', $password) === 1;
    }

    /** The header with the password, or none. */
    public function header(): ?Secret
    {
        if ($this->password === null || !$this->isForHeader) {
            return null;
        }
        return new Secret("Authorization: Bearer {$this->password->reveal()}");
    }

    /** What an item of the body begins with, behind its brace: the password, or nothing. */
    public function member(): Secret
    {
        if ($this->password === null || $this->isForHeader) {
            return new Secret('');
        }
        $auth = json_encode(['password' => $this->password->reveal()], JSON_THROW_ON_ERROR);
        return new Secret("\"auth\":$auth,");
    }
}
