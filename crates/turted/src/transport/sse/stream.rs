//! A stream from its head on: who it is for, what its client missed, and then whatever comes.

use std::net::IpAddr;
use std::rc::Rc;

use tokio::time::Instant;
use turted_core::auth::Verified;
use turted_core::history::Wanted as WantedHistory;
use turted_core::name::Name;
use turted_core::wire::sse::{encode_gap, encode_heartbeat, encode_start};

use super::session::{SseSession, Style, watch};
use crate::http::streaming::Way;
use crate::hub::client::resume::Seen;
use crate::hub::client::stream::missed_since;
use crate::hub::client::{history, identity, presence};
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::wire::{Framing, Language, Wire};
use crate::hub::worker::connection::{Client, Connection, Opening};
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::worker::Worker;

/// What a request asks for, checked.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) peer: IpAddr,
    pub(super) agent: Agent,
    pub(super) style: Style,
    /// Who the client is, if it said so.
    pub(super) verified: Option<Verified>,
    pub(super) channels: Vec<Name>,
    pub(super) language: Language,
    /// How many events of the history of each channel it wants.
    pub(super) history: usize,
    /// Whether it wants to hear who is in them.
    pub(super) presence: bool,
    /// The position that it shows, if it comes back.
    pub(super) seen: Option<Seen>,
}

/// Serves a stream until it ends.
pub(super) async fn serve(worker: Rc<Worker>, way: Way, wanted: Wanted) {
    let connection = open(&worker, way.outlet(), &wanted);
    // The stream goes on in a task of its own, which is smaller than this one.
    way.watch(Client::of(&worker, &connection));
    way.start(
        Client::of(&worker, &connection),
        &start(Client::of(&worker, &connection), wanted.seen.is_some() || wanted.history > 0),
    );
    match wanted.seen {
        Some(seen) => resume(Client::of(&worker, &connection), seen).await,
        // In the call in which it has joined: what is new follows directly.
        None if wanted.history > 0 => tell_history(Client::of(&worker, &connection), wanted.history),
        None => {}
    }
    presence::begin(Client::of(&worker, &connection));
}

/// Opens the connection of a client, as the user and in the channels that it asked for. A client that comes
/// back is not admitted yet.
fn open(worker: &Rc<Worker>, outlet: Outlet, wanted: &Wanted) -> Rc<Connection> {
    let opening = Opening {
        peer: wanted.peer,
        session: Box::new(SseSession { style: wanted.style }),
        // The client resumes by its position alone.
        has_id: false,
        wire: Wire { language: wanted.language, framing: Framing::Chunked },
        outlet,
    };
    let connection = Connection::open(worker, opening);
    journal::opened(Client::of(worker, &connection), &wanted.agent);
    // The request was checked by the same rules, so neither the user nor a channel is refused.
    if let Some(verified) = &wanted.verified {
        let identified = identity::admit(Client::of(worker, &connection), verified);
        debug_assert!(identified.is_ok(), "a connection may be one user");
    }
    for channel in &wanted.channels {
        let joined = identity::join(Client::of(worker, &connection), channel);
        debug_assert!(joined.is_ok(), "checked with the request: {joined:?}");
        if wanted.presence {
            presence::listen(Client::of(worker, &connection), channel);
        }
    }
    if wanted.seen.is_none() {
        admit(Client::of(worker, &connection));
    }
    connection
}

/// Lets a client receive. Heartbeats begin only now, because they tell a client its position.
fn admit(client: Client<'_>) {
    client.connection.admit(client.worker);
    watch(client, Instant::now());
}

/// The first fields. A client that comes back gets no position here, because it resumes from its own; one that is told
/// history gets it behind that.
fn start(client: Client<'_>, is_told_past: bool) -> String {
    let position = if is_told_past { None } else { client.position() };
    encode_start(client.worker.config.sse.retry, position)
}

/// Sends a client the history of its channels, and only then a position: if it is cut before that, it begins anew.
fn tell_history(client: Client<'_>, newest: usize) {
    let joined = client.worker.registry.borrow().memberships(client.connection.key).channels;
    let found = history::of(client, &joined, WantedHistory { newest, since: None });
    client.connection.replay(client.worker, found.missed);
    if let Some(position) = client.position() {
        client.send_message(&encode_heartbeat(Some(position)));
    }
}

/// Sends a client what it missed, or tells it that something is missing, and lets it receive.
async fn resume(client: Client<'_>, seen: Seen) {
    let missed = missed_since(client, seen).await;
    if client.connection.is_closed() {
        return;
    }
    // From here on there is no await: what is new must follow directly on what was missed.
    match missed {
        Some(missed) => {
            client.connection.admit_back(client.worker);
            watch(client, Instant::now());
            client.connection.replay(client.worker, missed);
        }
        None => {
            admit(client);
            client.send_message(&encode_gap(client.position()));
        }
    }
}
