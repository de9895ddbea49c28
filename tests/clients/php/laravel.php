<?php

/*
 * Dispatches the event OrderPaid of docs/backends.md as an application of Laravel does, with the parts of Laravel that do
 * it from Debian: events, the queue that works at once, jobs and broadcasting.
 *
 *   php laravel.php DIRECTORY ORDER USER      (DIRECTORY has the files of the document; the rest is in the environment)
 */

declare(strict_types=1);

namespace Illuminate\Support\Facades {
    /** The facade of Laravel's own part foundation, for the line of the service provider. */
    final class Broadcast
    {
        public static \Illuminate\Broadcasting\BroadcastManager $manager;

        public static function extend(string $driver, \Closure $callback): void
        {
            self::$manager->extend($driver, $callback);
        }
    }
}

namespace {
    use App\Broadcasting\TurtedBroadcaster;
    use App\Events\OrderPaid;
    use Illuminate\Broadcasting\BroadcastManager;
    use Illuminate\Container\Container;
    use Illuminate\Contracts\Broadcasting\Factory;
    use Illuminate\Queue\SyncQueue;
    use Illuminate\Support\Facades\Broadcast;

    require 'Illuminate/Broadcasting/autoload.php';
    require 'Illuminate/Events/autoload.php';

    [, $directory, $order, $user] = $argv;
    require "$directory/TurtedBroadcaster.php";
    require "$directory/OrderPaid.php";

    function env(string $name, mixed $default = null): mixed
    {
        return getenv($name) === false ? $default : getenv($name);
    }

    $app = new Container();
    Container::setInstance($app);
    $queue = new SyncQueue();
    $queue->setContainer($app);
    Broadcast::$manager = new BroadcastManager($app);
    $app->instance(Factory::class, Broadcast::$manager);
    $app->instance(Illuminate\Contracts\Bus\Dispatcher::class, new Illuminate\Bus\Dispatcher($app));
    $app->instance(Illuminate\Contracts\Container\Container::class, $app);
    $app->instance('events', new Illuminate\Events\Dispatcher($app));
    $app->alias('events', Illuminate\Contracts\Events\Dispatcher::class);
    $app->instance('queue', new class ($queue) {
        public function __construct(private SyncQueue $queue)
        {
        }

        public function connection(): SyncQueue
        {
            return $this->queue;
        }
    });
    $connections = eval('return [' . file_get_contents("$directory/broadcasting.php") . '];');
    $app->instance('config', [
        'broadcasting.default' => 'turted',
        'broadcasting.connections.turted' => $connections['turted'],
    ]);
    eval('use ' . TurtedBroadcaster::class . '; use ' . Broadcast::class . '; ' . file_get_contents("$directory/provider.php"));

    try {
        $app['events']->dispatch(new OrderPaid((int) $order, $user));
    } catch (Throwable $failure) {
        fwrite(STDERR, $failure->getMessage() . "\n");
        exit(1);
    }
}
