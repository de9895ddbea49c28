//! The credentials in a request, for transports that can carry an IDENT in their first request:
//! `Authorization`, or a WebSocket subprotocol, the one header a page can set.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use turted_core::auth::{IdentRefusal, Verified};
use turted_core::command::Command;

use crate::auth::{Verdict, Visitor};
use crate::http::websocket::handshake::subprotocols;
use crate::hub::worker::worker::Worker;

/// The subprotocol that carries a token: `turted.bearer.<token>`, in the characters of RFC 9110
/// 5.6.2. JSON Web Tokens have no others.
const BEARER_SUBPROTOCOL: &str = "turted.bearer.";
/// The subprotocol that carries the data of an IDENT: base64url of a JSON object, without padding.
const IDENT_SUBPROTOCOL: &str = "turted.ident.";

/// What came of the credentials of a request.
pub(crate) type Proof = Result<Verified, IdentRefusal>;

/// Verifies the credentials of a request; `None` if it has none.
pub(crate) async fn verify(worker: &Rc<Worker>, visitor: Visitor, headers: &HeaderMap) -> Option<Proof> {
    let data = match read(headers)? {
        Ok(data) => data,
        Err(Unreadable) => return Some(Err(IdentRefusal::NotVerified)),
    };
    Some(verify_data(worker, visitor, &data).await)
}

/// Verifies the data of an IDENT that came with a request.
pub(crate) async fn verify_data(worker: &Rc<Worker>, visitor: Visitor, data: &RawValue) -> Proof {
    let Ok(Command::Ident(ident)) = Command::decode("IDENT", &[data]) else {
        return Err(IdentRefusal::NotVerified);
    };
    match worker.shared.gate.verify(&worker.tasks, visitor, &ident) {
        Verdict::Now(proof) => proof,
        Verdict::Later(verification) => verification.await,
    }
}

/// Credentials that cannot be understood. They prove nothing, but the request does not count as one without.
struct Unreadable;

/// The credentials of a request, as the data of an IDENT.
fn read(headers: &HeaderMap) -> Option<Result<Box<RawValue>, Unreadable>> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let value = std::str::from_utf8(value.as_bytes()).ok();
        return Some(value.and_then(authorization).ok_or(Unreadable));
    }
    subprotocols(headers).find_map(|protocol| {
        if let Some(token) = protocol.strip_prefix(BEARER_SUBPROTOCOL) {
            return Some(bearer(token).ok_or(Unreadable));
        }
        let encoded = protocol.strip_prefix(IDENT_SUBPROTOCOL)?;
        Some(decode_object(encoded).ok_or(Unreadable))
    })
}

/// `Bearer <token>`, or `Basic` with a user and what proves it: a password or a token.
fn authorization(value: &str) -> Option<Box<RawValue>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => bearer(rest),
        "basic" => {
            let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            let (user, secret) = decoded.split_once(':')?;
            to_raw_value(&json!({"username": user, "password": secret, "token": secret})).ok()
        }
        _ => None,
    }
}

fn bearer(token: &str) -> Option<Box<RawValue>> {
    to_raw_value(&json!({"token": token})).ok().filter(|_| !token.is_empty())
}

fn decode_object(encoded: &str) -> Option<Box<RawValue>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use hyper::header::SEC_WEBSOCKET_PROTOCOL;

    use super::*;

    fn shown(name: hyper::header::HeaderName, value: &'static str) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        read(&headers).map(|read| read.ok().map(|data| data.get().to_owned()))
    }

    #[test]
    fn credentials_are_read_from_the_headers_that_can_carry_them() {
        let token = Some(Some(r#"{"token":"a.b-c_"}"#.to_owned()));
        assert_eq!(shown(AUTHORIZATION, "Bearer a.b-c_"), token);
        assert_eq!(shown(AUTHORIZATION, "bearer  a.b-c_ "), token);
        assert_eq!(shown(SEC_WEBSOCKET_PROTOCOL, "turted.v1, turted.bearer.a.b-c_"), token);
        let password = Some(Some(r#"{"token":"sécret"}"#.to_owned()));
        assert_eq!(shown(AUTHORIZATION, "Bearer sécret"), password);
        let basic = Some(Some(r#"{"password":"x:y","token":"x:y","username":"al"}"#.to_owned()));
        assert_eq!(shown(AUTHORIZATION, "Basic YWw6eDp5"), basic);
        let ident = Some(Some(r#"{"username":"al"}"#.to_owned()));
        assert_eq!(shown(SEC_WEBSOCKET_PROTOCOL, "turted.ident.eyJ1c2VybmFtZSI6ImFsIn0"), ident);
        assert_eq!(shown(SEC_WEBSOCKET_PROTOCOL, "turted.v1"), None);
    }

    #[test]
    fn credentials_that_cannot_be_understood_are_not_none() {
        for value in ["Bearer", "Bearer ", "Basic !", "Basic YWw", "Digest a=b", "x", "Basic /w=="] {
            assert_eq!(shown(AUTHORIZATION, value), Some(None), "{value}");
        }
        for value in ["turted.bearer.", "turted.ident.", "turted.ident.e30=", "turted.ident.e3"] {
            assert_eq!(shown(SEC_WEBSOCKET_PROTOCOL, value), Some(None), "{value}");
        }
    }
}
