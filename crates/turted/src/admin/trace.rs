//! `GET /api/v1/trace/POSITION`: what became of a dispatch, as far as this node knows it now.
//!
//! The log holds targets, not recipients. What follows from them is said, and no more: a connection that has ended is not
//! listed, which does not mean that it received nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::yield_now;
use turted_core::cursor::Cursor;
use turted_core::name::Name;

use super::json::json;
use super::monitor::{Monitor, Unanswered};
use super::refusal::ApiRefusal;
use crate::http::Answer;
use crate::hub::dispatch::log::Accepted;
use crate::hub::worker::queries::LIST_MAX;
use crate::hub::worker::trace::{Concerned, TraceState, TracedConnection, TracedVia};

/// Lost sessions that are looked at under one hold of their lock, some 100 us.
const PORTION: usize = 256;
/// Targets that are named, of each kind.
const NAMES_MAX: usize = 100;

#[derive(Serialize)]
struct Trace<'a> {
    position: String,
    event: &'a str,
    targets: Targets<'a>,
    bytes: usize,
    /// How long ago it was dispatched.
    seconds: u64,
    connections: Vec<Connection<'a>>,
    sessions: Vec<Session>,
    /// Whether there are connections or sessions that are not listed.
    more: bool,
}

#[derive(Serialize)]
struct Targets<'a> {
    users: Vec<&'a str>,
    channels: Vec<&'a str>,
    broadcast: bool,
    /// How many others there are.
    more: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Via {
    User(String),
    Channel(String),
    Broadcast(bool),
}

#[derive(Serialize)]
struct Connection<'a> {
    connection: String,
    public_id: Option<&'a str>,
    users: Vec<&'a str>,
    via: Via,
    state: &'static str,
}

#[derive(Serialize)]
struct Session {
    users: Vec<String>,
    via: Via,
    state: &'static str,
    away_seconds: u64,
}

impl From<&TracedVia> for Via {
    fn from(via: &TracedVia) -> Self {
        match via {
            TracedVia::User(name) => Self::User(name.as_str().to_owned()),
            TracedVia::Channel(name) => Self::Channel(name.as_str().to_owned()),
            TracedVia::Broadcast => Self::Broadcast(true),
        }
    }
}

impl<'a> From<&'a TracedConnection> for Connection<'a> {
    fn from(traced: &'a TracedConnection) -> Self {
        Self {
            connection: traced.id.to_string(),
            public_id: traced.public_id.as_deref(),
            users: traced.users.iter().map(Name::as_str).collect(),
            via: (&traced.via).into(),
            state: match traced.state {
                TraceState::Sent => "sent",
                TraceState::Waiting => "waiting",
                TraceState::SentOrWaiting => "sent-or-waiting",
                TraceState::JoinedLater => "joined-later",
            },
        }
    }
}

/// Answers what became of the dispatch at this position.
pub(super) async fn answer(monitor: &Monitor, position: Cursor) -> Result<Answer, ApiRefusal> {
    let number = monitor.dispatcher.number(position).ok_or(ApiRefusal::NoSuchPosition)?;
    let accepted = monitor.dispatcher.read_log(|log| log.get(number).map(Arc::clone));
    let accepted = accepted.ok_or(ApiRefusal::NoSuchPosition)?;
    let (mut traced, mut more) = (Vec::new(), false);
    for of_worker in monitor.trace(&accepted).await {
        let of_worker = of_worker.ok_or(Unanswered)?;
        traced.extend(of_worker.first);
        more |= of_worker.more;
    }
    traced.sort_unstable_by_key(|traced| traced.id);
    let mut sessions = sessions(monitor, &accepted).await;
    more |= traced.len() > LIST_MAX || sessions.len() > LIST_MAX;
    traced.truncate(LIST_MAX);
    sessions.truncate(LIST_MAX);
    Ok(json(&Trace {
        position: accepted.cursor.to_string(),
        event: accepted.dispatch.event.as_str(),
        targets: targets(&accepted),
        bytes: accepted.dispatch.payload.get().len(),
        seconds: accepted.age().as_secs(),
        connections: traced.iter().map(Connection::from).collect(),
        sessions,
        more,
    }))
}

fn targets(accepted: &Accepted) -> Targets<'_> {
    let turted_core::dispatch::Targets { users, channels, broadcast } = &accepted.dispatch.targets;
    let others = |names: &[Name]| names.len().saturating_sub(NAMES_MAX);
    Targets {
        users: users.iter().take(NAMES_MAX).map(Name::as_str).collect(),
        channels: channels.iter().take(NAMES_MAX).map(Name::as_str).collect(),
        broadcast: *broadcast,
        more: others(users) + others(channels),
    }
}

/// The lost sessions that it concerns, up to one more than a list has.
async fn sessions(monitor: &Monitor, accepted: &Accepted) -> Vec<Session> {
    let concerned = Concerned::of(accepted);
    let (mut found, mut place) = (Vec::new(), None);
    let recovery = &monitor.shared.recovery;
    while found.len() <= LIST_MAX
        && recovery.look_behind(&mut place, PORTION, |lost, away| {
            let why = concerned.why(&lost.memberships, lost.began_after);
            // One that joined later misses nothing.
            if let Some((via, true)) = why {
                found.push(session(&lost.memberships.users, &via, away, accepted.age()));
            }
        })
    {
        yield_now().await;
    }
    found
}

fn session<T>(users: &[(Name, T)], via: &TracedVia, away: Duration, age: Duration) -> Session {
    Session {
        users: users.iter().map(|(name, _)| name.as_str().to_owned()).collect(),
        via: via.into(),
        // What was dispatched before the connection broke may have reached its client or not.
        state: if age <= away { "away" } else { "unknown" },
        away_seconds: away.as_secs(),
    }
}
