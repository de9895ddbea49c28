<?php

declare(strict_types=1);

namespace Turted\Tests;

use PHPUnit\Framework\TestCase;
use Turted\Client;
use Turted\Unreachable;

/** Pushes over TLS, to a server whose certificate an authority of this test has signed. */
final class TlsTest extends TestCase
{
    private static string $directory = '';
    private static ?Server $server = null;

    public static function setUpBeforeClass(): void
    {
        self::$directory = sys_get_temp_dir() . '/turted-php-' . bin2hex(random_bytes(8));
        mkdir(self::$directory, 0700);
        $authority = self::authority();
        self::certificate('right', 'IP:127.0.0.1', $authority);
        self::$server = self::server('right');
        self::certificate('wrong', 'DNS:push.example', $authority);
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
        array_map('unlink', glob(self::$directory . '/*'));
        rmdir(self::$directory);
    }

    private static function server(string $name): Server
    {
        $file = self::$directory . "/$name";
        return new Server("tls_cert = \"$file.pem\"\ntls_key = \"$file.key\"");
    }

    /** @return array{\OpenSSLCertificate, \OpenSSLAsymmetricKey} */
    private static function authority(): array
    {
        $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $options = ['digest_alg' => 'sha256', 'x509_extensions' => 'v3_ca'];
        $request = openssl_csr_new(['commonName' => 'test authority'], $key, $options);
        $certificate = openssl_csr_sign($request, null, $key, 2, $options, 1);
        openssl_x509_export_to_file($certificate, self::$directory . '/ca.pem');
        return [$certificate, $key];
    }

    /** @param array{\OpenSSLCertificate, \OpenSSLAsymmetricKey} $authority */
    private static function certificate(string $name, string $subject, array $authority): void
    {
        $file = self::$directory . "/$name";
        file_put_contents("$file.cnf", "[req]\ndistinguished_name = dn\n[dn]\n[ext]\nsubjectAltName = $subject\n");
        $options = ['config' => "$file.cnf", 'digest_alg' => 'sha256', 'x509_extensions' => 'ext'];
        $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $request = openssl_csr_new(['commonName' => 'test'], $key, $options);
        $certificate = openssl_csr_sign($request, $authority[0], $authority[1], 2, $options, random_int(2, 1 << 30));
        openssl_x509_export_to_file($certificate, "$file.pem");
        openssl_pkey_export_to_file($key, "$file.key", null, $options);
    }

    public function testAnEventArrivesByHttpsAlsoALongOne(): void
    {
        $ca = self::$directory . '/ca.pem';
        $options = ['ca' => $ca, 'timeout' => 30, 'connectTimeout' => 10];
        $turted = new Client(self::$server->url, Server::PASSWORD, $options);
        self::assertSame(0, $turted->broadcast('E')->delivered);
        self::assertSame(0, $turted->broadcast('E', str_repeat('0123456789', 90_000))->delivered);
    }

    public function testACertificateOfAnUnknownAuthorityIsRefused(): void
    {
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessageMatches('/certificate/i');
        (new Client(self::$server->url, Server::PASSWORD, ['timeout' => 30, 'connectTimeout' => 10]))->broadcast('E');
    }

    public function testACertificateOfAnotherHostIsRefused(): void
    {
        $server = self::server('wrong');
        $options = ['ca' => self::$directory . '/ca.pem', 'timeout' => 30, 'connectTimeout' => 10];
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessageMatches('/peer certificate|certificate subject|host ?name/i');
        (new Client($server->url, Server::PASSWORD, $options))->broadcast('E');
    }

    public function testAServerThatSpeaksNoTlsIsUnreachable(): void
    {
        $plain = new Server();
        $this->expectException(Unreachable::class);
        (new Client("https://127.0.0.1:$plain->port", Server::PASSWORD))->broadcast('E');
    }

    /** The kernel accepts, and nobody begins the handshake. */
    public function testAHandshakeHasTheTimeOfConnecting(): void
    {
        $listener = stream_socket_server('tcp://127.0.0.1:0');
        $options = ['connectTimeout' => 0.2, 'timeout' => 60];
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessageMatches('/time|took too long/i');
        (new Client('https://' . stream_socket_get_name($listener, false), null, $options))->broadcast('E');
    }

    /** @requires extension curl */
    public function testCurlSpeaksHttp2(): void
    {
        $listener = stream_socket_server('tcp://127.0.0.1:0');
        $name = stream_socket_get_name($listener, false);
        $options = "['connectTimeout' => 20, 'timeout' => 20]";
        $push = "(new Turted\\Client('https://$name', null, $options))->broadcast('E');";
        $load = 'require ' . var_export(__DIR__ . '/bootstrap.php', true) . ';';
        $client = new Process([PHP_BINARY, '-r', $load . $push]);
        // The names of protocols (ALPN, RFC 7301) are readable in the first message of a client.
        $hello = fread(stream_socket_accept($listener, 30), 4096);
        $client->kill();
        self::assertStringContainsString("\x02h2\x08http/1.1", $hello);
    }
}
