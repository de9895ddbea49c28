//! The live view: what the admin listener tells of what happens, and the commands that show it.

mod events;
mod program;
mod subscribe;
mod trace;
mod watch;
mod who;

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::{EventSource, Response};

/// The token of servers that have one.
pub(crate) const TOKEN: &str = "0123456789abcdefghijkl";

/// One watcher.
pub(crate) struct Watcher(EventSource);

impl Watcher {
    /// Watches what `query` says, with the token.
    pub(crate) fn of(admin: SocketAddr, query: &str) -> Self {
        Self::ask(admin, query, &[("Authorization", &format!("Bearer {TOKEN}"))]).unwrap()
    }

    /// The same with these headers.
    ///
    /// # Errors
    /// The answer, if it is no stream.
    fn ask(admin: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        let mut watcher = Self(EventSource::connect(admin, &format!("/api/v1/events?{query}"), headers)?);
        let first = watcher.record();
        assert_eq!(first["type"], "watching");
        assert!(first["node"].as_str().unwrap().contains(':'), "{first}");
        Ok(watcher)
    }

    /// The next record.
    pub(crate) fn record(&mut self) -> Value {
        serde_json::from_str(&self.0.event().data).unwrap()
    }

    /// The next record of this type, whose fields must be there.
    pub(crate) fn expect(&mut self, kind: &str, fields: &[(&str, Value)]) -> Value {
        let record = self.record();
        assert_eq!(record["type"], kind, "{record}");
        for (field, value) in fields {
            assert_eq!(record[*field], *value, "{field} of {record}");
        }
        record
    }
}
