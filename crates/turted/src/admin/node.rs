//! `GET /api/v1/node`: what this server is, what is open to everyone, and what the token of the request may do.

use std::net::SocketAddr;

use serde::Serialize;

use super::guard::{Guard, Shown};
use super::json::json;
use super::monitor::Monitor;
use crate::config::Config;
use crate::http::Answer;
use crate::io::host::node_name;

pub(super) const PATH: &str = "/api/v1/node";

/// What does not change while the server runs.
#[derive(Debug)]
pub(super) struct Node {
    name: String,
    is_push_open: bool,
    push_url: String,
}

#[derive(Serialize)]
struct Told<'a> {
    node: &'a str,
    version: &'static str,
    uptime_seconds: u64,
    draining: bool,
    /// What needs no credentials.
    open: Vec<&'static str>,
    /// Where pushes go, as this machine reaches it.
    push_url: &'a str,
    actions: Actions,
    /// Whether payloads are shown.
    payloads: bool,
}

/// Whether the request may change something.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Actions {
    /// Nobody may: `admin_write_token` is not set.
    Off,
    /// Its token only reads.
    Refused,
    Allowed,
}

impl Node {
    pub(super) fn new(config: &Config, public: SocketAddr) -> Self {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let push_url = format!("{}{}/", super::openapi::url(scheme, public), config.push.path);
        Self { name: node_name(public), is_push_open: config.push.is_open(), push_url }
    }

    /// Its name among others.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn answer(&self, monitor: &Monitor, guard: &Guard, shown: &Shown) -> Answer {
        let is_ident_open = monitor.shared.gate.method() == "accept";
        let open = [("ident", is_ident_open), ("push", self.is_push_open), ("admin", !guard.has_token())];
        json(&Told {
            node: &self.name,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: monitor.started.elapsed().as_secs(),
            draining: monitor.is_draining(),
            open: open.into_iter().filter(|(_, is_open)| *is_open).map(|(what, _)| what).collect(),
            push_url: &self.push_url,
            actions: match (guard.has_write_token(), shown.may_write()) {
                (false, _) => Actions::Off,
                (true, false) => Actions::Refused,
                (true, true) => Actions::Allowed,
            },
            payloads: shown.is_token(),
        })
    }
}
