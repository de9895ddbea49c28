<?php

declare(strict_types=1);

namespace Turted;

/**
 * Tokens with which clients prove who they are. A backend gives one to a page, and the page sends it with its IDENT.
 */
final class Token
{
    /** Those of SHA-256. */
    private const KEY_BYTES_MIN = 32;
    private const HASHES = ['md5', 'sha1', 'sha256', 'sha512'];

    /**
     * For `auth.method = "token"`: hex(hash(prefix + user + suffix)).
     *
     * @param string $hash that of `auth.hash`
     * @throws \InvalidArgumentException if the server could not accept such a token
     */
    public static function hash(
        string $user,
        #[\SensitiveParameter] string $prefix,
        #[\SensitiveParameter] string $suffix = '',
        string $hash = 'sha256',
    ): string {
        self::checkUser($user);
        if (!in_array($hash, self::HASHES, true)) {
            throw new \InvalidArgumentException('the hash is one of ' . implode(', ', self::HASHES));
        }
        if ($prefix === '' && $suffix === '') {
            throw new \InvalidArgumentException('a token needs a prefix or a suffix: without, everybody could make it');
        }
        return hash($hash, $prefix . $user . $suffix);
    }

    /**
     * For `auth.method = "jwt"` with `auth.algorithm = "HS256"`: a JSON Web Token that is good for `$seconds`.
     *
     * @param string $key that of `auth.key`, at least 32 bytes of randomness
     * @param array<string, mixed> $claims what else it says: `['channels' => ['chat', 'news.*']]` for
     *     `auth.channels_claim = "channels"`, `iss`, `aud`. They win over the claims that are made here
     * @param string $userClaim that of `auth.user_claim`
     * @throws \InvalidArgumentException if the server could not accept such a token
     */
    public static function jwt(
        string $user,
        #[\SensitiveParameter] string $key,
        int $seconds = 3600,
        array $claims = [],
        string $userClaim = 'sub',
    ): string {
        self::checkUser($user);
        if (strlen($key) < self::KEY_BYTES_MIN) {
            throw new \InvalidArgumentException($key === ''
                ? 'a token needs a key: without, everybody could make it'
                : 'the key must have 32 bytes or more (RFC 7518 3.2): a shorter one can be guessed from any token');
        }
        if ($seconds <= 0) {
            throw new \InvalidArgumentException('a token must be good for a second or more');
        }
        $now = time();
        $claims += [$userClaim => $user, 'iat' => $now, 'exp' => $now + $seconds];
        $text = self::base64(self::json(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . self::base64(self::json($claims));
        return $text . '.' . self::base64(hash_hmac('sha256', $text, $key, true));
    }

    private static function checkUser(string $user): void
    {
        if (preg_match('/^[^\x00-\x1f\x7f]{1,255}$/Du', $user) !== 1 || strlen($user) > 255) {
            throw new \InvalidArgumentException('a user has 1 to 255 bytes of UTF-8 without control characters');
        }
    }

    /** @param array<string, mixed> $value */
    private static function json(array $value): string
    {
        $json = json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        return is_string($json)
            ? $json
            : throw new \InvalidArgumentException('the claims cannot be written as JSON: ' . json_last_error_msg());
    }

    private static function base64(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
