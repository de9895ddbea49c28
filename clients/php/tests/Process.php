<?php

declare(strict_types=1);

namespace Turted\Tests;

/** A child process whose output a test reads line by line. It ends with this object. */
final class Process
{
    /** Seconds. A start and an answer take milliseconds; a busy machine needs more. */
    private const PATIENCE = 30;

    /** @var resource */
    private $process;
    /** @var resource */
    private $output;
    private string $rest = '';

    /** @param list<string> $command */
    public function __construct(private readonly array $command, ?string $directory = null)
    {
        $pipes = [];
        $streams = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]];
        $this->process = proc_open($command, $streams, $pipes, $directory);
        $this->output = $pipes[1];
        stream_set_blocking($this->output, false);
    }

    public function __destruct()
    {
        $this->kill();
    }

    public function kill(): void
    {
        if (is_resource($this->process)) {
            proc_terminate($this->process, SIGKILL);
            fclose($this->output);
            proc_close($this->process);
        }
    }

    /** Stops it without ending it. Returns when all of its threads have stopped. */
    public function freeze(): void
    {
        proc_terminate($this->process, SIGSTOP);
        do {
            usleep(1000);
            $status = proc_get_status($this->process);
        } while ($status['running'] && !$status['stopped']);
    }

    /** What the pattern finds in the output that has not been read yet, which is read up to the line with it. */
    public function find(string $pattern): array
    {
        $seen = '';
        $deadline = hrtime(true) + self::PATIENCE * 1e9;
        while (hrtime(true) < $deadline) {
            $line = $this->line();
            if ($line === null && feof($this->output)) {
                break;
            }
            if ($line === null) {
                $readable = [$this->output];
                $none = null;
                stream_select($readable, $none, $none, 0, 50_000);
                continue;
            }
            $seen .= $line;
            if (preg_match($pattern, $line, $parts) === 1) {
                return $parts;
            }
        }
        throw new \RuntimeException("no $pattern in the output of {$this->command[0]}:\n$seen$this->rest");
    }

    /**
     * The next lines up to this one.
     *
     * @return list<string>
     */
    public function linesTo(string $last): array
    {
        $lines = [];
        while (end($lines) !== $last) {
            $lines[] = rtrim($this->find('/^.*$/m')[0]);
        }
        return $lines;
    }

    private function line(): ?string
    {
        $this->rest .= stream_get_contents($this->output);
        $end = strpos($this->rest, "\n");
        if ($end === false) {
            return null;
        }
        $line = substr($this->rest, 0, $end + 1);
        $this->rest = substr($this->rest, $end + 1);
        return $line;
    }
}
