//! `GET /api/v1/users/NAME` and `GET /api/v1/channels/NAME`: who is connected as a user, who has joined a channel, and what
//! presence knows of them.

use serde::Serialize;
use turted_core::name::Name;

use super::json::json;
use super::monitor::Monitor;
use super::refusal::ApiRefusal;
use crate::auth::unix_now;
use crate::http::Answer;
use crate::hub::presence::Presence;
use crate::hub::worker::queries::GroupKind;

/// One user or channel. Members that it does not have are left out.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<bool>,
    connections: usize,
    /// The first 1,000 of them.
    connection_ids: Vec<String>,
    /// When a user had a connection last, in milliseconds since 1970, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<u64>,
    /// Who is in a channel that has presence.
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<Present>,
}

/// What members of a channel are told.
#[derive(Default, Serialize)]
struct Present {
    count: usize,
    anonymous: usize,
    /// Left out where they are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<String>>,
}

pub(super) async fn group(monitor: &Monitor, kind: GroupKind, name: &Name) -> Result<Answer, ApiRefusal> {
    let group = monitor.group(kind, name).await?;
    let (presence, is_online) = (&monitor.shared.presence, group.connections > 0);
    let (online, last_seen, present) = match kind {
        GroupKind::Users => (Some(is_online), last_seen(presence, name, is_online), None),
        GroupKind::Channels => (None, None, present(presence, name)),
    };
    Ok(json(&Group {
        name: name.as_str(),
        online,
        connections: group.connections,
        connection_ids: group.ids.iter().map(ToString::to_string).collect(),
        last_seen,
        presence: present,
    }))
}

fn last_seen(presence: &Presence, user: &Name, is_online: bool) -> Option<u64> {
    let seen = if is_online { Some(unix_now()) } else { presence.last_seen.of(user) };
    seen.map(|time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX))
}

/// `None` for a channel without presence.
fn present(presence: &Presence, channel: &Name) -> Option<Present> {
    presence.check(channel).ok()?;
    let Some(whole) = presence.whole(channel, None) else { return Some(Present::default()) };
    let users = whole.users.filter(|_| !whole.told.is_large);
    Some(Present {
        count: whole.told.numbers.count,
        anonymous: whole.told.numbers.anonymous,
        users: users.map(|users| users.iter().map(|user| user.as_str().to_owned()).collect()),
    })
}
