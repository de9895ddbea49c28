//! No secret reaches `Debug` output, the log or a reply.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use turted::authenticator::{Algorithm, JwtKeys};
use turted::config::{ClientAuth, Secret};

use crate::backend::{Backend, yes};
use crate::support::{Client, HMAC_SECRET, at, hmac_rule, serve, token};

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn keys_and_what_clients_show_reach_no_log_no_reply_and_no_debug_output() {
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut replies = String::new();
    let backend = Backend::saying(yes(r#"{"user":["canary"]}"#));
    let methods =
        [ClientAuth::Jwt(Box::new(hmac_rule())), backend.method(), ClientAuth::Password("canary".into())];
    for method in methods {
        let debug = format!("{method:?}");
        assert!(!debug.contains("canary"), "{debug}");
        let server = serve(method);
        let mut client = Client::connect(server.address());
        let expired = token(json!({"sub": "canary", "exp": at(-3600)}));
        for ident in [
            json!({"token": expired, "username": "alice"}),
            json!({"token": "canary.canary.canary"}),
            json!({"username": "alice", "password": "canary"}),
            json!({"secret": "canary"}),
        ] {
            client.emit("IDENT", &ident);
            replies.push_str(&client.packet());
        }
    }
    let refusal = JwtKeys::new(Algorithm::RS256, Secret::from("canary")).unwrap_err();
    assert!(!format!("{refusal} {refusal:?} {:?}", Secret::from(HMAC_SECRET)).contains("canary"));
    let logged = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("Token refused"), "{logged}");
    assert!(logged.contains("no verdict about an IDENT"), "{logged}");
    assert!(!logged.contains("canary"), "{logged}");
    assert!(logged.contains("/auth\""), "a query may hold a secret: {logged}");
    assert!(!logged.contains("app=1"), "a query may hold a secret: {logged}");
    assert!(!replies.contains("canary"), "{replies}");
}
