//! Certificate and key, and the proxies before the server.

use super::*;

/// A certificate and its key as PEM texts.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

const BOTH: &str = "tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"";

fn place(cert: &str, key: &str) -> Place {
    let place = Place::new(BOTH);
    place.write("cert.pem", cert);
    place.write("key.pem", key);
    place
}

#[test]
fn a_pair_that_fits_is_taken_and_an_open_key_is_warned_about() {
    let (cert, key) = pair();
    let place = place(&cert, &key);
    let loaded = place.load(&[], &[]).unwrap();
    let tls = loaded.config.tls.unwrap();
    assert_eq!((tls.cert, tls.key), (place.0.path().join("cert.pem"), place.0.path().join("key.pem")));
    assert_eq!(loaded.warnings, [""; 0]);
    set_mode(&place.0.path().join("key.pem"), 0o644);
    let warnings = place.load(&[], &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("key.pem holds a secret and is open to other users"), "{warnings:?}");
}

#[test]
fn a_pair_that_cannot_be_used_is_told_where_it_is_named() {
    let ((cert, key), (_, foreign)) = (pair(), pair());
    for (cert, key, message) in [
        (
            &*cert,
            &*foreign,
            "turted.toml:1:12: `tls_cert`: certificate and key cannot be used: keys may not be consistent: KeyMismatch",
        ),
        (&*cert, "", "turted.toml:2:11: `tls_key`: cannot read the key in key.pem: no items found"),
        ("", &*key, "turted.toml:1:12: `tls_cert`: cannot read the certificates in cert.pem: no items found"),
    ] {
        assert_eq!(place(cert, key).load(&[], &[]).map(|_| ()), Err(message.to_owned()));
    }
    check(
        BOTH,
        &[],
        "turted.toml:1:12: `tls_cert`: cannot read the certificates in cert.pem: I/O error: No such file or directory (os error 2)",
    );
}

#[test]
fn certificate_and_key_come_together() {
    check("tls_cert = \"a\"", &[], "turted.toml:1:12: `tls_cert` needs `tls_key`");
    check("", &[("TURTED_TLS_KEY", "a")], "TURTED_TLS_KEY: `tls_key` needs `tls_cert`");
}

#[test]
fn trusted_proxies_are_networks() {
    let place = Place::new("trusted_proxies = [\"10.0.0.0/8\", \"fd00::1\"]\nproxy_protocol = true");
    let loaded = place.load(&[], &[]).unwrap();
    assert!(loaded.effective().contains("trusted_proxies = [\"10.0.0.0/8\", \"fd00::1/128\"]"));
    let again = Place::new(&loaded.effective()).load(&[], &[]).unwrap().config;
    assert_eq!(again.trusted_proxies, loaded.config.trusted_proxies);
    assert_eq!(again.proxy_protocol, loaded.config.proxy_protocol);
    check(
        "",
        &[("TURTED_TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.1/8")],
        "TURTED_TRUSTED_PROXIES: `trusted_proxies`: expected a list of networks, such as [\"10.0.0.0/8\", \"fd00::/8\"], found \"10.0.0.0/8,10.0.0.1/8\"",
    );
    check(
        "proxy_protocol = true",
        &[],
        "turted.toml:1:18: `proxy_protocol` needs `trusted_proxies`: only these may send a PROXY header",
    );
}
