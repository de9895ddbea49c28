//! A batch: records as JSON, with their numbers. A batch that is sent again has the same bytes.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use turted_core::limits::HOOK_BATCH_BYTES_MAX;

use crate::hub::hooks::{Record, Waiting};

/// Who sends, and how many records were numbered.
#[derive(Debug)]
pub(super) struct Envelope {
    node: String,
    life: String,
    next: u64,
}

/// What is sent at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) records: u64,
}

/// A record as `docs/hooks.md` shows it.
#[derive(Serialize)]
struct JsonRecord<'a> {
    id: String,
    r#type: &'static str,
    at: u128,
    #[serde(flatten)]
    what: What<'a>,
}

/// What a record has beside its type.
#[derive(Default, Serialize)]
struct What<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch: Option<&'a RawValue>,
}

impl Envelope {
    pub(super) fn new(node: String, life: String) -> Self {
        Self { node, life, next: 1 }
    }

    /// Makes a batch of the first of `waiting`: as many as fit, but one at least. `None` if none waits.
    pub(super) fn seal(&mut self, waiting: &mut VecDeque<Waiting>) -> Option<Batch> {
        let first = self.next;
        let (node, life) = (text(&self.node), text(&self.life));
        let mut body =
            format!(r#"{{"node":{node},"life":{life},"sequence":{first},"records":["#).into_bytes();
        while let Some(next) = waiting.front() {
            let json = self.write(next);
            // A comma or the end of the batch, which has two bytes.
            if self.next > first && body.len() + json.len() + 3 > HOOK_BATCH_BYTES_MAX {
                break;
            }
            if self.next > first {
                body.push(b',');
            }
            body.extend_from_slice(&json);
            self.next += 1;
            waiting.pop_front();
        }
        body.extend_from_slice(b"]}");
        (self.next > first).then(|| Batch { body: body.into(), records: self.next - first })
    }

    fn write(&self, Waiting { at, record, .. }: &Waiting) -> Vec<u8> {
        let (kind, what) = describe(record);
        // A clock that stands before 1970 is no reason to fail.
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let id = format!("{}-{}", self.life, self.next);
        serde_json::to_vec(&JsonRecord { id, r#type: kind, at, what }).expect("texts and numbers are JSON")
    }
}

/// The time of the clock, for the signature.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Its type, and what it has beside that.
fn describe(record: &Record) -> (&'static str, What<'_>) {
    let none = What::default();
    match record {
        Record::Started => ("started", none),
        Record::Gap { dropped } => ("gap", What { dropped: Some(*dropped), ..none }),
        Record::Synced => ("synced", none),
        Record::Test => ("test", none),
        Record::UserOnline { user } => ("user-online", What { user: Some(user.as_str()), ..none }),
        Record::UserOffline { user, reason } => {
            ("user-offline", What { user: Some(user.as_str()), reason: Some(reason), ..none })
        }
        Record::Joined { user, channel } => {
            ("joined", What { user: Some(user.as_str()), channel: Some(channel.as_str()), ..none })
        }
        Record::Left { user, channel, reason } => {
            let (user, channel) = (Some(user.as_str()), Some(channel.as_str()));
            ("left", What { user, channel, reason: Some(reason), ..none })
        }
        Record::Connected { connection } => ("connected", What { connection: Some(connection), ..none }),
        Record::Disconnected { connection, reason } => {
            ("disconnected", What { connection: Some(connection), reason: Some(reason), ..none })
        }
        Record::Dispatch(written) => ("dispatch", What { dispatch: Some(written), ..none }),
    }
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
