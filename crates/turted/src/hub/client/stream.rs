//! A client without a session comes back: an event stream, which names its channels anew and shows its position.

use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::membership::Since;

use crate::hub::client::claim::{self, LOOK_UP_MAX};
use crate::hub::client::resume::{Resumption, Seen, catch_up, missed};
use crate::hub::delivery::metrics::Recovered;
use crate::hub::delivery::outlet::Missed;
use crate::hub::worker::connection::Client;
use crate::hub::worker::recovery::LostSession;

/// What a client missed that names its memberships anew. Its connection has them already, but is not admitted
/// yet. `None` if not all of that is known any more.
///
/// Nothing may wait between this and the admission: what was missed and what is new follow on each
/// other.
pub(crate) async fn missed_since(client: Client<'_>, seen: Seen) -> Option<Missed> {
    let is_enabled = client.worker.config.recovery.enabled;
    let until = Instant::now() + LOOK_UP_MAX;
    if is_enabled && claim::catch_up(client, (&seen, None), until).await.is_err() {
        // It is not unknown: its client tries again.
        client.close(Close::LogSlow);
        return None;
    }
    catch_up(client.worker).await;
    let memberships = client.worker.registry.borrow().memberships(client.connection.key);
    // The client was a member of all of them when it was sent the position.
    let since = if let Seen::UpTo(cursor) = seen { cursor.sequence } else { 0 };
    let lost = LostSession {
        memberships: memberships.held_since(Since(since)),
        presence: Vec::new(),
        standing: client.connection.standing.borrow().clone(),
        began_after: 0,
    };
    let resumption = Resumption { id: None, seen };
    let missed = match is_enabled {
        true => missed(client, (&resumption, &lost, client.connection.wire())).await,
        false => None,
    };
    if !client.connection.is_closed() {
        client.worker.metrics.recovered(if missed.is_some() { Recovered::Resumed } else { Recovered::Anew });
    }
    missed
}
