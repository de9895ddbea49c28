//! A backend that is asked over TLS: who vouches for it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use turted::config::ClientAuth;

use crate::authority::Authority;
use crate::backend::{Backend, reply, user};
use crate::support::{Client, bind, config, error};

/// A backend that lets everyone in, and shows a certificate of this authority.
fn secured(authority: &Authority) -> Backend {
    let (cert, key) = authority.issue("localhost");
    let tls = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    Backend::start_over(Some(Arc::new(tls)), |question, stream| {
        reply(stream, &user(&question["ident"]["username"]))
    })
}

#[test]
fn a_backend_over_tls_is_asked_if_the_named_authority_vouches_for_it() {
    let (right, other) = (Authority::new(), Authority::new());
    let backend = secured(&right);
    let method = || ClientAuth::Http(backend.url("https", "localhost"));
    let mut trusting = config(method());
    trusting.auth.ca = Some(right.path("ca.pem"));
    let server = bind(trusting);
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        client.ident(&json!({"username": "alice"}), "alice");
    }
    assert!(backend.connections() <= 2, "connections are kept");

    let mut distrusting = config(method());
    distrusting.auth.ca = Some(other.path("ca.pem"));
    let server = bind(distrusting);
    let mut client = Client::connect(server.address());
    let refused = client.ask("IDENT", &json!({"username": "alice"}));
    assert_eq!(refused, error("IDENT cannot be verified now"));
    assert_eq!(backend.requests().len(), 3, "nothing was sent to a stranger");
}
