//! The history of channels for a client that has joined them.
//!
//! It ends where the memberships of the client begin, or with its admission: what comes after that is delivered to it as to all others. So the
//! caller has to join the channels, look here and hand the client what is found before it waits for anything.

use std::time::Instant;

use turted_core::history::{Following, Range, Wanted};
use turted_core::limits::HISTORY_EVENTS_PER_STREAM_MAX;
use turted_core::membership::Since;
use turted_core::name::Name;

use crate::hub::client::replay;
use crate::hub::delivery::outlet::{Missed, Telling};
use crate::hub::dispatch::history::{History, Told};
use crate::hub::worker::connection::Client;

/// What a client gets of the past.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) missed: Missed,
    pub(crate) following: Following,
}

/// The last dispatch before a client became a member of `channel`; `None` if it is no member.
pub(crate) fn member_since(client: Client<'_>, channel: &Name) -> Option<Since> {
    client.worker.registry.borrow().since(client.connection.key, channel)
}

/// The history of channels that a client has joined just now, in the order of the log. An event that stands in several of
/// them comes once.
pub(crate) fn of(client: Client<'_>, joined: &[(Name, Since)], wanted: Wanted) -> Found {
    let (mut events, mut complete) = (Vec::new(), true);
    for (channel, since) in joined {
        let room = HISTORY_EVENTS_PER_STREAM_MAX - events.len();
        let (found, is_all) =
            of_channel(client, (channel, *since), Wanted { newest: wanted.newest.min(room), ..wanted });
        complete &= is_all && wanted.newest <= room;
        events.extend(found);
    }
    events.sort_by_key(|(accepted, place)| (accepted.sequence(), *place));
    events.dedup_by_key(|(accepted, _)| accepted.sequence());
    let following = Following { replayed: events.len(), complete };
    let way = (client.connection.wire(), Telling::History);
    Found { missed: replay::told(client.worker, events, way), following }
}

/// The history of one channel, the newest first, and whether it is all that is asked for.
fn of_channel(client: Client<'_>, (channel, since): (&Name, Since), wanted: Wanted) -> (Vec<Told>, bool) {
    let (config, dispatcher) = (&client.worker.config, &client.worker.dispatcher);
    if config.history.of(channel).is_none() || client.worker.shared.backlogs.is_full() {
        return (Vec::new(), false);
    }
    let (after, now) = (wanted.since.map(|cursor| dispatcher.number(cursor)), Instant::now());
    // A client may join before it is admitted, and is sent nothing that was accepted in between.
    let up_to = since.0.max(client.connection.began_after.get());
    // One more than is asked for shows whether there are more.
    let range = Range { after: after.flatten().unwrap_or(0), up_to, most: wanted.newest + 1 };
    let mut events = dispatcher.history_of(channel, range, now);
    let has_more = events.len() > wanted.newest;
    events.truncate(wanted.newest);
    let is_all = dispatcher.read_history(|history| match after {
        None => {
            let most = wanted.newest.min(history.store().depth(channel));
            events.len() >= most || history.store().has_all_of_rule(channel, now)
        }
        Some(Some(after)) => !has_more && history.store().has_all_after(channel, after, now),
        // A position of another log.
        Some(None) => false,
    });
    let is_whole = dispatcher.read_history(History::is_whole);
    (events, is_all.zip(is_whole) == Some((true, true)))
}
