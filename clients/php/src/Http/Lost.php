<?php

declare(strict_types=1);

namespace Turted\Http;

/**
 * A try that brought no answer.
 *
 * @internal
 */
final class Lost extends \RuntimeException
{
}
