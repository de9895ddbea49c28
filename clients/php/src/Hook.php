<?php

declare(strict_types=1);

namespace Turted;

/**
 * What the server tells a backend: `[[hooks]]` of its configuration.
 */
final class Hook
{
    /** Seconds between the signature and now, either way: who recorded a request can repeat it for so long. */
    private const AGE_MAX = 300;
    /** A signature with its time has 83 bytes, and there is one more for each secret. */
    private const HEADER_BYTES_MAX = 4096;

    /**
     * The batch that the server sent.
     *
     * @param string $body the body of the request as it came: `file_get_contents('php://input')`
     * @param string|null $header `Turted-Signature`: `$_SERVER['HTTP_TURTED_SIGNATURE'] ?? null`
     * @param string|list<string> $secrets those of which one must have signed. The content of a `secret_file` is one
     *     secret a line
     * @param int|null $now seconds of Unix, for tests
     * @return array<string, mixed> with `node`, `life`, `sequence` and `records`
     * @throws HookRefused if the signature is missing, wrong or too old
     * @throws \InvalidArgumentException if there is no secret
     */
    public static function verify(
        string $body,
        ?string $header,
        #[\SensitiveParameter] string|array $secrets,
        ?int $now = null,
    ): array {
        $secrets = self::lines($secrets);
        if ($secrets === []) {
            throw new \InvalidArgumentException('a hook needs a secret: without, everybody could sign');
        }
        [$time, $signatures] = self::parts($header);
        if (!self::isSigned("$time.$body", $signatures, $secrets)) {
            throw new HookRefused('the signature is wrong: it is of another secret, or of another body');
        }
        if (abs(($now ?? time()) - (int) $time) > self::AGE_MAX) {
            throw new HookRefused('the signature is older than 5 minutes, or of the future: are both clocks right?');
        }
        $batch = json_decode($body, true, 512, JSON_BIGINT_AS_STRING);
        return is_array($batch) ? $batch : throw new HookRefused('the body is not JSON');
    }

    /**
     * @param string|list<string> $secrets
     * @return list<string>
     */
    private static function lines(#[\SensitiveParameter] string|array $secrets): array
    {
        return preg_split('/\r?\n/', implode("\n", (array) $secrets), -1, PREG_SPLIT_NO_EMPTY);
    }

    /**
     * The time as it was signed, and the signatures. What else is in the header is of later versions.
     *
     * @return array{string, list<string>}
     */
    private static function parts(?string $header): array
    {
        if ($header === null || $header === '') {
            throw new HookRefused('there is no Turted-Signature');
        }
        $parts = strlen($header) > self::HEADER_BYTES_MAX ? [] : explode(',', $header);
        $time = preg_replace('/^t=(?=\d{1,12}$)/D', '', $parts[0] ?? '', 1, $isTime);
        $signatures = preg_filter('/^v1=(?=[0-9a-f]{64}$)/D', '', $parts);
        if ($isTime !== 1 || $signatures === []) {
            throw new HookRefused('Turted-Signature is not like t=SECONDS,v1=HEX');
        }
        return [$time, array_values($signatures)];
    }

    /**
     * Compares all, in constant time each.
     *
     * @param list<string> $signatures
     * @param list<string> $secrets
     */
    private static function isSigned(string $text, array $signatures, #[\SensitiveParameter] array $secrets): bool
    {
        $isSigned = false;
        foreach ($secrets as $secret) {
            $right = hash_hmac('sha256', $text, $secret);
            foreach ($signatures as $signature) {
                $isSigned = hash_equals($right, $signature) || $isSigned;
            }
        }
        return $isSigned;
    }
}
