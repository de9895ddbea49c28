//! What the log is like, and what the server is.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use super::super::{Failure, Reign, State};
use super::client::{Client, accepted, failure, unknown};
use super::keys::Keys;

/// The oldest versions that number entries of an epoch by themselves (`<epoch>-*`) and tell the rights of a script.
const REDIS_MIN: [u32; 2] = [7, 0];
const VALKEY_MIN: [u32; 2] = [7, 2];
/// The commands of a look.
const LOOK: usize = 4;

/// What a look at a server has found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) state: State,
    /// The process of the server.
    pub(super) run: String,
    /// Name and version.
    pub(super) product: (&'static str, String),
}

impl Look {
    /// Looks at everything, at the reign before the log: an epoch that begins meanwhile makes the reign look older than
    /// the log, never the log older than the reign, which would be a loss. A transaction would be refused when Redis is
    /// out of memory.
    pub(super) async fn at(client: &mut Client, keys: &Keys) -> Result<Self, Failure> {
        client.add(["INFO", "server", "replication"]);
        client.add(["TIME"]);
        client.add(["HMGET", &keys.reign, "epoch", "first", "process"]);
        client.add(["XINFO", "STREAM", &keys.log]);
        let replies: Result<[Reply; LOOK], _> = client.replies(LOOK, Duration::ZERO).await?.try_into();
        let [info, time, reign, stream] = replies.map_err(|_| unknown("INFO"))?;
        Self::of(&Info::read(info)?, clock(time)?, last(stream)?, read_reign(accepted(reign)?)?)
    }

    fn of(info: &Info, now: Duration, last: Option<Cursor>, reign: Option<Reign>) -> Result<Self, Failure> {
        if info.get("role") != "master" {
            return Err(Failure::Moved("the server is a replica".to_owned()));
        }
        let run = info.get("run_id").to_owned();
        let process = format!("{run}:{}", info.get("master_replid"));
        let product = match info.get("valkey_version") {
            "" => ("Redis", info.get("redis_version").to_owned()),
            version => ("Valkey", version.to_owned()),
        };
        Ok(Self { state: State { process, now, last, reign }, run, product })
    }

    /// Whether the server is new enough.
    pub(super) fn check_version(&self) -> Result<(), Failure> {
        let (name, version) = &self.product;
        let oldest = if *name == "Valkey" { VALKEY_MIN } else { REDIS_MIN };
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        if [parts.next().unwrap_or(0), parts.next().unwrap_or(0)] >= oldest {
            return Ok(());
        }
        let told =
            format!("{name} {version} is too old: `[cluster]` takes Redis from 7.0 and Valkey from 7.2");
        Err(Failure::Unusable(told))
    }
}

/// What `INFO` says.
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn read(reply: Reply) -> Result<Self, Failure> {
        let text = accepted(reply)?.into_text().ok_or_else(|| unknown("INFO"))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(Self(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    /// A value; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn clock(reply: Reply) -> Result<Duration, Failure> {
    let parts = accepted(reply)?.into_values().unwrap_or_default();
    let number = |part: Reply| digits(&part.into_text()?);
    let numbers: Option<Vec<u64>> = parts.into_iter().map(number).collect();
    match numbers.as_deref() {
        Some([seconds, micros]) => Ok(Duration::from_secs(*seconds) + Duration::from_micros(*micros)),
        _ => Err(unknown("TIME")),
    }
}

/// The id that the stream has given last.
fn last(reply: Reply) -> Result<Option<Cursor>, Failure> {
    let values = match reply {
        Reply::Error(error) if error.starts_with(b"ERR no such key") => return Ok(None),
        Reply::Error(error) => return Err(failure(&error)),
        reply => reply.into_values().unwrap_or_default(),
    };
    let mut values = values.into_iter();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        if name == Reply::Text(Bytes::from_static(b"last-generated-id")) {
            return value.into_text().and_then(|id| position(&id)).map(Some).ok_or_else(|| unknown("XINFO"));
        }
    }
    Err(unknown("XINFO"))
}

fn read_reign(reply: Reply) -> Result<Option<Reign>, Failure> {
    let fields: Option<Vec<Bytes>> =
        reply.into_values().unwrap_or_default().into_iter().map(Reply::into_text).collect();
    // Whoever may write there may write nonsense: it is no reign then, and no node can begin one.
    let Some([epoch, first, process]) = fields.as_deref() else { return Ok(None) };
    let reign = || {
        let process = String::from_utf8(process.to_vec()).ok()?;
        Some(Reign { epoch: digits(epoch)?, first: digits(first)?, process })
    };
    reign().map(Some).ok_or_else(|| Failure::Unusable("the key `reign` has no reign of ours".to_owned()))
}

/// A position, as Redis writes it.
pub(super) fn id(position: Cursor) -> String {
    format!("{}-{}", position.epoch, position.sequence)
}

/// Reads what Redis writes.
pub(super) fn position(id: &[u8]) -> Option<Cursor> {
    let (epoch, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some(Cursor { epoch: digits(epoch.as_bytes())?, sequence: digits(sequence.as_bytes())? })
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
