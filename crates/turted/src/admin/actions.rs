//! What operators change: connections end, or leave a channel; events are pushed; the history of channels is deleted.
//!
//! Each action takes `admin_write_token`. It is told to those who watch, and the log has a line with the address. Once its
//! body is there it is done to its end, whether its client waits for that or not. `action` says which one a request is.

mod action;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use turted_core::close::Close;
use turted_core::cursor::Cursor;
use turted_core::limits::NAME_BYTES_MAX;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::record::session::SessionState;

pub(super) use self::action::{Action, methods_of, read};
use super::guard::Shown;
use super::json::json;
use super::monitor::Monitor;
use super::nodes;
use super::query::without_node;
use super::refusal::ApiRefusal;
use super::routes::AdminState;
use crate::http::{Answer, read_counted};
use crate::hub::client::operator::{Deed, Whom};
use crate::hub::dispatch::log::health::LogState;
use crate::hub::worker::queries::ConnectionWanted;
use crate::live::{Kind, Record};
use crate::push::rest::operator::{OperatorPush, Pushed};

/// Bytes of the body of an action besides a push: two of the longest names, escaped.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a reason. A close frame has room for 123 (RFC 6455 5.5).
const REASON_BYTES_MAX: usize = 120;
/// How long an operator waits until a deletion is recorded.
const RECORD_MAX: Duration = Duration::from_secs(2);
/// Lost sessions that are looked at under one hold of their lock, some 100 us.
const PORTION: usize = 256;

/// How connections end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Disconnect {
    reason: Option<String>,
    come_back: Option<bool>,
}

/// Who leaves a channel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Remove {
    User(String),
    Connection(String),
}

#[derive(Serialize)]
struct Disconnected {
    connections: usize,
    /// Sessions of clients that were away.
    sessions: usize,
}

#[derive(Serialize)]
struct Removed {
    connections: usize,
    /// Sessions whose clients are away, and which have the channel still.
    away: usize,
}

#[derive(Serialize)]
struct Deleted {
    events: usize,
    /// Whether the log on disk, or that of a cluster, has them still and not the deletion: a start takes them for history
    /// again.
    on_disk: bool,
}

/// Does what a request that passed the guard asks for.
pub(super) async fn answer<B>(
    state: &AdminState,
    (peer, shown): (IpAddr, &Shown),
    (path, request): (&str, Request<B>),
) -> Result<Answer, ApiRefusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let query = request.uri().query().map(str::to_owned);
    let cluster = state.monitor.shared.cluster.get().cloned();
    let (_, own) = without_node(query.as_deref())?;
    let action = read(path, own.as_deref())?;
    if !shown.may_write() {
        let is_set = state.guard.has_write_token();
        return Err(if is_set { ApiRefusal::WriteTokenNeeded } else { ApiRefusal::WriteTokenUnset });
    }
    let is_push = action == Action::Push;
    let most = if is_push { state.limits.push_body_bytes } else { BODY_BYTES_MAX };
    let (began, (head, body)) = (Instant::now(), request.into_parts());
    let bodies = &state.monitor.shared.bodies;
    // A DELETE has no body.
    let body = match head.method {
        Method::POST => read_counted((bodies, &state.limits), peer, body, most).await?,
        _ => Bytes::new(),
    };
    let place = Arc::clone(&state.actions).acquire_owned().await.map_err(|_| ApiRefusal::Unanswered)?;
    let (by, path) = (Operator::new(state.monitor.clone(), peer), path.to_owned());
    // What belongs to the request alone ends when its client hangs up.
    let acting = state.tasks.spawn(async move {
        let target = (&*path, query.as_deref());
        let answer = nodes::act((&by, cluster.as_ref()), target, (head.headers, body), began).await;
        drop(place);
        answer
    });
    acting.await.unwrap_or(Err(ApiRefusal::Unanswered))
}

/// Who does it.
#[derive(Debug)]
pub(super) struct Operator {
    monitor: Monitor,
    address: IpAddr,
    /// Whether this node records for all what is to be recorded.
    records: bool,
}

/// What is told of an action.
#[derive(Debug, Default)]
struct Told<'a> {
    whom: Option<&'a Whom>,
    channel: Option<&'a Name>,
    reason: Option<&'a str>,
    /// Of the event, or of the first one of a batch.
    position: Option<Cursor>,
    /// How many connections it concerned, or events.
    count: Option<usize>,
}

impl Operator {
    pub(super) fn new(monitor: Monitor, address: IpAddr) -> Self {
        Self { monitor, address, records: true }
    }

    /// The same on behalf of another node, which records for all what is to be recorded.
    pub(super) fn of_node(monitor: Monitor, address: IpAddr) -> Self {
        Self { records: false, ..Self::new(monitor, address) }
    }

    /// Where the operator is.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Does it on this node.
    pub(super) async fn act(
        &self,
        action: Action,
        (headers, body): (HeaderMap, Bytes),
        began: Instant,
    ) -> Result<Answer, ApiRefusal> {
        match action {
            Action::Push => self.push(headers, body, began).await,
            Action::DisconnectUser(name) => self.disconnect(Whom::User(name), &body).await,
            Action::DisconnectConnection(wanted) => self.disconnect(Whom::Connection(wanted), &body).await,
            Action::Remove(channel) => self.remove(channel, &body).await,
            Action::DeleteHistory(channel, at) => self.delete_history(&channel, at).await,
        }
    }

    async fn push(&self, headers: HeaderMap, body: Bytes, began: Instant) -> Result<Answer, ApiRefusal> {
        let push = OperatorPush { peer: self.address, headers, body, began };
        let pushed = self.monitor.push(push).await;
        // What was not answered in time may be accepted still.
        let told =
            pushed.as_ref().map_or(Some(None), |pushed| pushed.may_be_accepted.then_some(pushed.positions));
        if let Some(positions) = told {
            let (position, count) = positions.unzip();
            let count = count.filter(|count| *count > 1);
            self.tell("push", &Told { position, count, ..Told::default() });
        }
        let Pushed { answer, .. } = pushed?;
        Ok(answer)
    }

    async fn disconnect(&self, whom: Whom, body: &[u8]) -> Result<Answer, ApiRefusal> {
        let is_empty = body.trim_ascii().is_empty();
        let Disconnect { reason, come_back } = if is_empty { Disconnect::default() } else { parse(body)? };
        if reason.as_ref().is_some_and(|reason| !is_reason(reason)) {
            return Err(ApiRefusal::BadAction);
        }
        let close = if come_back == Some(false) { Close::OperatorEnded } else { Close::OperatorCut };
        let words: Arc<str> = reason.as_deref().unwrap_or(close.reason()).into();
        let acted = self.monitor.act(&whom, &Deed::Disconnect(close, Arc::clone(&words))).await;
        let sessions = match (&whom, close) {
            (Whom::User(name), Close::OperatorEnded) => self.end_sessions(name).await,
            _ => 0,
        };
        let count = acted.as_ref().ok().copied();
        self.tell("disconnect", &Told { whom: Some(&whom), reason: Some(&words), count, ..Told::default() });
        match (acted?, whom) {
            (0, Whom::Connection(_)) => Err(ApiRefusal::NoSuchConnection),
            (connections, _) => Ok(json(&Disconnected { connections, sessions })),
        }
    }

    /// Ends the sessions of a user whose clients are away, or they would come back as if nothing had happened.
    async fn end_sessions(&self, user: &Name) -> usize {
        let is_of_user = |state: &SessionState| state.memberships.users.iter().any(|(name, _)| name == user);
        let (mut place, mut sessions) = (None, 0);
        while let Some(ended) = self.monitor.shared.recovery.end_behind(&mut place, PORTION, is_of_user) {
            sessions += ended.len();
            self.monitor.shared.presence.ended(&ended);
            tokio::task::yield_now().await;
        }
        sessions
    }

    async fn remove(&self, channel: Name, body: &[u8]) -> Result<Answer, ApiRefusal> {
        let whom = match parse(body)? {
            Remove::User(user) => Whom::User(Name::new(&user).map_err(|_| ApiRefusal::BadName)?),
            Remove::Connection(id) if (1..=NAME_BYTES_MAX).contains(&id.len()) => {
                Whom::Connection(ConnectionWanted::of(id))
            }
            Remove::Connection(_) => return Err(ApiRefusal::BadAction),
        };
        let acted = self.monitor.act(&whom, &Deed::Remove(channel.clone())).await;
        let count = acted.as_ref().ok().copied();
        let told = Told { whom: Some(&whom), channel: Some(&channel), count, ..Told::default() };
        self.tell("remove", &told);
        let away = match &whom {
            Whom::User(user) => self.count_away(user, &channel).await,
            Whom::Connection(_) => 0,
        };
        Ok(json(&Removed { connections: acted?, away }))
    }

    /// Counts the sessions of a user whose clients are away, and which come back to a channel.
    async fn count_away(&self, user: &Name, channel: &Name) -> usize {
        let (mut place, mut away) = (None, 0);
        let has = |held: &[(Name, Since)], name: &Name| held.iter().any(|(own, _)| own == name);
        let mut look = |lost: &SessionState, _| {
            let memberships = &lost.memberships;
            away += usize::from(has(&memberships.users, user) && has(&memberships.channels, channel));
        };
        while self.monitor.shared.recovery.look_behind(&mut place, PORTION, &mut look) {
            tokio::task::yield_now().await;
        }
        away
    }

    async fn delete_history(&self, channel: &Name, at: Option<Cursor>) -> Result<Answer, ApiRefusal> {
        let dispatcher = &self.monitor.dispatcher;
        let numbers = match at {
            // To the nodes of a cluster it says what stands before it in their log.
            None if self.monitor.shared.cluster.get().is_some() => 0..=u64::MAX,
            None => 0..=dispatcher.last(),
            Some(at) => {
                let number = dispatcher.number(at).ok_or(ApiRefusal::NoSuchEvent)?;
                number..=number
            }
        };
        let events = dispatcher.delete_history(channel, numbers.clone());
        let is_recorded = self.records && self.record_deletion(channel, numbers).await;
        if at.is_some() && events == 0 {
            return Err(ApiRefusal::NoSuchEvent);
        }
        let told = Told { channel: Some(channel), position: at, count: Some(events), ..Told::default() };
        self.tell("delete-history", &told);
        let on_disk = !is_recorded && !matches!(dispatcher.log_health().state(), LogState::Memory);
        Ok(json(&Deleted { events, on_disk }))
    }

    /// Records a deletion in the log of the cluster, if there is one. Returns whether it stands there. If the log does not
    /// answer, it is recorded later.
    async fn record_deletion(&self, channel: &Name, numbers: RangeInclusive<u64>) -> bool {
        let Some(recorded) = self.monitor.dispatcher.record_deletion(channel, numbers) else { return false };
        matches!(timeout(RECORD_MAX, recorded).await, Ok(Ok(())))
    }

    /// Tells the log and those who watch.
    fn tell(&self, action: &'static str, Told { whom, channel, reason, position, count }: &Told<'_>) {
        let user = match whom {
            Some(Whom::User(name)) => Some(name),
            _ => None,
        };
        let connection = match whom {
            Some(Whom::Connection(wanted)) => Some(wanted),
            _ => None,
        };
        let public_id = connection.and_then(ConnectionWanted::public_id);
        let connection = connection.and_then(ConnectionWanted::id);
        tracing::warn!(
            action,
            address = %self.address,
            user = user.map(Name::as_str),
            connection = connection.map(tracing::field::display),
            public_id,
            channel = channel.map(Name::as_str),
            position = position.map(tracing::field::display),
            reason,
            count,
            "an operator has changed something"
        );
        self.monitor.shared.live.tell(|| Record {
            action: Some(action),
            address: Some(self.address),
            users: user.into_iter().cloned().collect(),
            connection,
            public_id: public_id.map(str::to_owned),
            channel: *channel,
            position: *position,
            reason: reason.map(Into::into),
            count: *count,
            ..Record::new(Kind::Action)
        });
    }
}

/// Reads the body of an action: an object. A list would be taken for its members in their order.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiRefusal> {
    let is_object = body.trim_ascii().first() == Some(&b'{');
    is_object.then(|| serde_json::from_slice(body).ok()).flatten().ok_or(ApiRefusal::BadAction)
}

/// Whether a text can be told to a client as the reason of its end.
fn is_reason(text: &str) -> bool {
    (1..=REASON_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_close_frame_and_is_one_line() {
        for (text, expected) in [("go home", true), ("", false), ("a\nb", false), ("\u{85}", false)] {
            assert_eq!(is_reason(text), expected, "{text:?}");
        }
        assert!(is_reason(&"x".repeat(120)) && !is_reason(&"x".repeat(121)));
    }
}
