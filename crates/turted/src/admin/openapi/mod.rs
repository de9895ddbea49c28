//! The OpenAPI document of pushes, of the admin API, and of what hooks are sent.
//!
//! `document.json` has the paths, `schemas.json` what requests and answers contain. A text `@{name}` in them is a place: the
//! code puts there what it or the configuration says, so that no rule, status, limit or address is written twice.
//!
//! | file | what |
//! |---|---|
//! | `refusals` | the answers to refused requests, made from the tables of their rules |
//! | `tests` | the document says what the code does |

mod refusals;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use turted_core::limits::{
    HOOK_BATCH_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, NAME_BYTES_MAX, PRESENCE_ASKED_MAX, WATCHERS_MAX,
};

use super::api::LIMIT_DEFAULT;
use crate::config::Config;
use crate::hub::hooks::RECORDS_OF_BATCH;
use crate::hub::worker::queries::LIST_MAX;

const DOCUMENT: &str = include_str!("document.json");
const SCHEMAS: &str = include_str!("schemas.json");

/// The document of a server with this configuration that listens at these addresses; it may have no admin listener.
pub(crate) fn document(config: &Config, public: SocketAddr, admin: Option<SocketAddr>) -> String {
    let document = put(DOCUMENT, r#""@{schemas}""#, SCHEMAS.trim_end());
    let members = [
        ("guard", refusals::guard()),
        ("api", refusals::api()),
        ("nodes", refusals::nodes()),
        ("refusals", refusals::components()),
    ];
    let document = members.into_iter().fold(document, |document, (name, value)| {
        put(&document, &format!(r#""@{{{name}}}": null"#), &members_of(&value))
    });
    values(config, public, admin).into_iter().fold(document, |document, (name, value)| {
        let json = format!("{value:#}");
        // As a value of its own, then inside of texts, where only numbers stand.
        let document = put(&document, &format!(r#""@{{{name}}}""#), &json);
        put(&document, &format!("@{{{name}}}"), &json)
    })
}

/// What stands in the places.
fn values(config: &Config, public: SocketAddr, admin: Option<SocketAddr>) -> Vec<(&'static str, Value)> {
    let limits = &config.limits;
    let admin_security = if config.admin.token.is_some() || config.admin.write_token.is_some() {
        json!([{"adminToken": []}])
    } else {
        json!([])
    };
    vec![
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("public.url", json!(url(if config.tls.is_some() { "https" } else { "http" }, public))),
        ("admin.url", json!(admin.map_or_else(|| "/".to_owned(), |admin| url("http", admin)))),
        ("push.path", json!(format!("{}/", config.push.path))),
        ("push.responses", refusals::push()),
        ("presence.path", json!(format!("{}/presence", config.push.path))),
        ("presence.responses", refusals::presence()),
        ("presence.users", json!(PRESENCE_ASKED_MAX)),
        ("admin.security", admin_security),
        ("limits.push_body_bytes", json!(limits.push_body_bytes)),
        ("limits.request_body_wait", seconds(limits.request_body_wait)),
        ("limits.bodies_bytes", json!(limits.bodies_bytes)),
        ("limits.wrong_passwords", json!(limits.wrong_passwords)),
        ("limits.password_window", seconds(limits.password_window)),
        ("limits.idle_wait", seconds(limits.idle_wait)),
        ("limits.batch_dispatches", json!(limits.batch_dispatches)),
        ("limits.targets", json!(limits.targets)),
        ("limits.expansion_bytes", json!(limits.expansion_bytes)),
        ("limits.request_uri_bytes", json!(limits.request_uri_bytes)),
        ("limits.idempotency_age", seconds(limits.idempotency_age)),
        ("idempotency_key_bytes", json!(IDEMPOTENCY_KEY_BYTES_MAX)),
        ("hooks.batch_bytes", json!(HOOK_BATCH_BYTES_MAX)),
        ("hooks.batch_records", json!(RECORDS_OF_BATCH)),
        ("name_bytes", json!(NAME_BYTES_MAX)),
        ("watchers", json!(WATCHERS_MAX)),
        ("list_max", json!(LIST_MAX)),
        ("list_default", json!(LIMIT_DEFAULT)),
    ]
}

/// Seconds, without a fraction where they have none.
fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 { json!(duration.as_secs()) } else { json!(duration.as_secs_f64()) }
}

/// The URL under which this machine reaches a listener.
pub(super) fn url(scheme: &str, address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    format!("{scheme}://{}", SocketAddr::new(host, address.port()))
}

/// `text` with `json` in each such place, its lines indented like the line of the place.
fn put(text: &str, place: &str, json: &str) -> String {
    let mut parts = text.split(place);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let line = &result[result.rfind('\n').map_or(0, |end| end + 1)..];
        let indent = line.len() - line.trim_start().len();
        result.push_str(&json.replace('\n', &format!("\n{:indent$}", "")));
        result.push_str(part);
    }
    result
}

/// The members of an object, without the braces around them.
fn members_of(object: &Value) -> String {
    let json = format!("{object:#}");
    json.trim_start_matches('{').trim_end_matches('}').trim().replace("\n  ", "\n")
}
