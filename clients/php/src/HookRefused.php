<?php

declare(strict_types=1);

namespace Turted;

/**
 * A request that nobody with the secret has signed. The backend answers it with 401 and does not look at its body.
 * After a 400 the server would drop the batch; after a 401 it comes again, until both sides have the same secret.
 */
final class HookRefused extends \RuntimeException
{
}
