//! A batch: records as JSON, with their numbers. A batch that is sent again has the same bytes; one that is refused is sent
//! in halves, whose records have the same bytes and numbers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use turted_core::limits::HOOK_BATCH_BYTES_MAX;

use crate::hub::hooks::{Record, Waiting};

/// Who sends, and how many records were numbered.
#[derive(Debug)]
pub(super) struct Envelope {
    node: String,
    life: String,
    next: u64,
    /// Whether records of clients name the node: it is one of several.
    is_one_of_several: bool,
}

/// What is sent at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// What stands in front of the number of the first record: who sends.
    head: Arc<str>,
    first: u64,
    pieces: Vec<Piece>,
}

/// A record in the body of its batch.
#[derive(Clone, Debug)]
struct Piece {
    place: Range<usize>,
    is_missed: bool,
    begins_anew: bool,
}

impl Batch {
    fn new(head: Arc<str>, first: u64) -> Self {
        Self { body: Bytes::new(), head, first, pieces: Vec::new() }
    }

    /// How many records it has.
    pub(super) fn records(&self) -> u64 {
        self.pieces.len() as u64
    }

    /// How many of them a gap has to tell if the backend refuses them.
    pub(super) fn missed(&self) -> u64 {
        self.pieces.iter().filter(|piece| piece.is_missed).count() as u64
    }

    /// Whether one of them is followed by all who are online.
    pub(super) fn begins_anew(&self) -> bool {
        self.pieces.iter().any(|piece| piece.begins_anew)
    }

    /// Its two halves: the same records with the same numbers. `None` if it has one record.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        if self.pieces.len() < 2 {
            return None;
        }
        let (first, second) = self.pieces.split_at(self.pieces.len() / 2);
        let part = |pieces: &[Piece], number: u64| {
            let mut part = Self::new(Arc::clone(&self.head), number);
            let mut body = part.begin();
            for Piece { place, is_missed, begins_anew } in pieces {
                part.append(&mut body, &self.body[place.clone()], (*is_missed, *begins_anew));
            }
            part.finish(body)
        };
        Some([part(first, self.first), part(second, self.first + first.len() as u64)])
    }

    fn begin(&self) -> Vec<u8> {
        format!(r#"{}"sequence":{},"records":["#, self.head, self.first).into_bytes()
    }

    fn append(&mut self, body: &mut Vec<u8>, json: &[u8], (is_missed, begins_anew): (bool, bool)) {
        if !self.pieces.is_empty() {
            body.push(b',');
        }
        let start = body.len();
        body.extend_from_slice(json);
        self.pieces.push(Piece { place: start..body.len(), is_missed, begins_anew });
    }

    fn finish(mut self, mut body: Vec<u8>) -> Self {
        body.extend_from_slice(b"]}");
        self.body = body.into();
        self
    }
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
    node: Option<&'a str>,
    /// JSON, which is put behind the other members.
    #[serde(skip)]
    dispatch: Option<&'a str>,
}

impl Envelope {
    pub(super) fn new(node: String, life: String) -> Self {
        Self { node, life, next: 1, is_one_of_several: false }
    }

    /// That of a node of a cluster, whose records of clients name it.
    pub(super) fn of_several(self) -> Self {
        Self { is_one_of_several: true, ..self }
    }

    /// The name of the node.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Makes a batch of the first of `waiting`: as many as fit, but one at least. `None` if none waits.
    pub(super) fn seal(&mut self, waiting: &mut VecDeque<Waiting>) -> Option<Batch> {
        let head = format!(r#"{{"node":{},"life":{},"#, text(&self.node), text(&self.life));
        let mut batch = Batch::new(head.into(), self.next);
        let mut body = batch.begin();
        while let Some(next) = waiting.front() {
            let json = self.write(next);
            // A comma or the end of the batch, which has two bytes.
            if batch.records() > 0 && body.len() + json.len() + 3 > HOOK_BATCH_BYTES_MAX {
                break;
            }
            batch.append(&mut body, &json, (next.is_missed(), next.begins_anew()));
            self.next += 1;
            waiting.pop_front();
        }
        (batch.records() > 0).then(|| batch.finish(body))
    }

    fn write<'a>(&'a self, Waiting { at, record, .. }: &'a Waiting) -> Vec<u8> {
        let (kind, mut what) = describe(record);
        if self.is_one_of_several && record.asked_by().is_some() {
            what.node = Some(&self.node);
        }
        // A clock that stands before 1970 is no reason to fail.
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let id = format!("{}-{}", self.life, self.next);
        let dispatch = what.dispatch;
        let record = JsonRecord { id, r#type: kind, at, what };
        let mut json = serde_json::to_vec(&record).expect("texts and numbers are JSON");
        if let Some(dispatch) = dispatch {
            json.pop();
            json.extend_from_slice(br#","dispatch":"#);
            json.extend_from_slice(dispatch.as_bytes());
            json.push(b'}');
        }
        json
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
        Record::Stopped => ("stopped", none),
        Record::NodeGone { node } => ("node-gone", What { node: Some(node), ..none }),
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

#[cfg(test)]
mod tests {
    use turted_core::name::Name;

    use super::*;

    fn written(envelope: &mut Envelope, record: Record) -> serde_json::Value {
        let batch = envelope.seal(&mut VecDeque::from([Waiting::new(record)])).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
        json["records"][0].clone()
    }

    #[test]
    fn records_of_clients_name_a_node_of_several() {
        let alone = || Envelope::new("app-1".to_owned(), "life".to_owned());
        let online = || Record::UserOnline { user: Name::new("adam").unwrap() };
        assert!(written(&mut alone(), online())["node"].is_null());
        let mut several = alone().of_several();
        assert_eq!(written(&mut several, online())["node"], "app-1");
        assert!(written(&mut several, Record::Started)["node"].is_null());
        let gone = written(&mut several, Record::NodeGone { node: "app-2".into() });
        assert_eq!((&gone["type"], &gone["node"]), (&"node-gone".into(), &"app-2".into()));
    }
}
