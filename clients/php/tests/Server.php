<?php

declare(strict_types=1);

namespace Turted\Tests;

/** The turted server on a free port: `TURTED_BIN`, or the one that cargo built. */
final class Server
{
    public const PASSWORD = 'IamAllowed2PUSH!!!';
    private const BINARY = __DIR__ . '/../../../target/debug/turted';

    public readonly int $port;
    public readonly string $url;
    private readonly Process $process;
    private readonly string $directory;

    /** @param string $config TOML, with the push password of this class if it does not say otherwise */
    public function __construct(string $config = '')
    {
        $this->directory = sys_get_temp_dir() . '/turted-php-' . bin2hex(random_bytes(8));
        mkdir($this->directory, 0700);
        $push = "\n[push]\nmethod = \"password\"\npassword = \"" . self::PASSWORD . '"';
        $hasPush = str_contains($config, '[push]');
        file_put_contents("$this->directory/turted.toml", $hasPush ? $config : $config . $push);
        $this->process = new Process([
            getenv('TURTED_BIN') ?: self::BINARY,
            'serve',
            '--listen',
            '127.0.0.1:0',
            '--config',
            "$this->directory/turted.toml",
        ]);
        [, $scheme, $port] = $this->process->find('/listening on (https?):\/\/127\.0\.0\.1:(\d+)/');
        $this->port = (int) $port;
        $this->url = "$scheme://127.0.0.1:$port";
    }

    public function __destruct()
    {
        $this->stop();
    }

    public function stop(): void
    {
        $this->process->kill();
        @unlink("$this->directory/turted.toml");
        @rmdir($this->directory);
    }

    /** From now on connections are accepted by the kernel, and nothing is answered. */
    public function freeze(): void
    {
        $this->process->freeze();
    }
}
