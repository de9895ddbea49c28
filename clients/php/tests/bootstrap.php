<?php

declare(strict_types=1);

/*
 * Loads the classes that composer.json names, without Composer.
 */

spl_autoload_register(static function (string $class): void {
    $root = dirname(__DIR__);
    $composer = json_decode(file_get_contents("$root/composer.json"), true, 512, JSON_THROW_ON_ERROR);
    $prefixes = $composer['autoload-dev']['psr-4'] + $composer['autoload']['psr-4'];
    foreach ($prefixes as $prefix => $directory) {
        $file = "$root/$directory" . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;
            return;
        }
    }
});
