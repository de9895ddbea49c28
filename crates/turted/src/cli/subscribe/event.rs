//! The messages of turted.v1, as a client reads them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::records::Style;
use super::super::shown::{plain, plain_json};

/// An event as it came.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) payload: String,
    pub(super) via: String,
    /// Empty if the server keeps no log.
    pub(super) cursor: String,
    pub(super) json: String,
}

/// What is looked at in a message of the server.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    pub(super) welcome: Option<Welcome>,
    #[serde(borrow, default)]
    pub(super) reply: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) ok: bool,
    pub(super) session: Option<String>,
    pub(super) error: Option<Error>,
    event: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    via: Option<&'a RawValue>,
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Welcome {
    pub(super) session: String,
    pub(super) cursor: Option<String>,
    pub(super) ping_interval_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Error {
    pub(super) code: String,
    pub(super) reason: String,
}

impl Message<'_> {
    /// The event that it is; `None` if it is something else.
    pub(super) fn event(self, json: &str) -> Option<Event> {
        let text = |raw: Option<&RawValue>| raw.map_or("null", RawValue::get).to_owned();
        Some(Event {
            name: self.event?,
            payload: text(self.payload),
            via: text(self.via),
            cursor: self.cursor.unwrap_or_default(),
            json: json.to_owned(),
        })
    }
}

impl Event {
    /// As one line.
    pub(super) fn line(&self, style: Style) -> String {
        match style {
            Style::Json => plain_json(&self.json) + "\n",
            _ => format!("{} {}\n", style.paint("32", &plain(&self.name)), plain_json(&self.payload)),
        }
    }
}
