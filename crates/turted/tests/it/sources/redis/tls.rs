//! Redis over TLS: whom we trust, and who we are.

use std::path::Path;

use super::{Setup, listener, push};
use crate::support::TestServer;
use crate::support::authority::Authority;
use crate::support::ports;
use crate::support::redis::RedisServer;

/// A server that speaks TLS on a second port, and asks clients for a certificate if they have to have one.
fn server(authority: &Authority, host: &str, asks: &str) -> (RedisServer, String) {
    let (cert, key) = authority.issue(host);
    let [port] = ports::free();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let redis = RedisServer::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text(&cert),
        "--tls-key-file",
        &text(&key),
        "--tls-ca-cert-file",
        &text(&authority.path("ca.pem")),
        "--tls-auth-clients",
        asks,
    ]);
    (redis, format!("rediss://localhost:{port}"))
}

fn setup(url: &str, lines: &str) -> Setup {
    Setup::new("redis-pubsub", url, &format!("channels = [\"push\"]\n{lines}"))
}

#[test]
fn a_broker_is_trusted_if_the_authority_vouches_for_its_name() {
    let authority = Authority::new();
    let (redis, url) = server(&authority, "localhost", "no");
    let trusting = format!("ca = {:?}", authority.path("ca.pem"));
    let server = setup(&url, &trusting).server();
    let mut client = listener(&server);
    redis.client().ask(&["PUBLISH", "push", &push("E")]);
    assert_eq!(client.event().name, "E");
    let (code, text) = setup(&url, &trusting).check(&["--connect"]);
    assert_eq!(code, 0, "{text}");
    let stranger = Authority::new();
    let (code, text) = setup(&url, &format!("ca = {:?}", stranger.path("ca.pem"))).check(&["--connect"]);
    assert!(code == 1 && text.contains("from no authority that is trusted here"), "{text}");
    let (code, text) = setup(&url.replace("localhost", "127.0.0.1"), &trusting).check(&["--connect"]);
    assert!(code == 1 && text.contains("not valid for name"), "{text}");
    let (code, text) = setup(&url.replace("rediss", "redis"), "").check(&["--connect"]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_broker_that_asks_for_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let (redis, url) = server(&authority, "localhost", "yes");
    let (cert, key) = authority.issue("turted");
    let trusting = format!("ca = {:?}", authority.path("ca.pem"));
    let known = format!("{trusting}\ntls_cert = {cert:?}\ntls_key = {key:?}");
    let server: TestServer = setup(&url, &known).server();
    let mut client = listener(&server);
    redis.client().ask(&["PUBLISH", "push", &push("E")]);
    assert_eq!(client.event().name, "E");
    let (code, text) = setup(&url, &trusting).check(&["--connect"]);
    assert!(code == 1 && text.contains("source redis"), "{text}");
}
