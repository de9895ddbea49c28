//! turted as a service of this transport.

use turted_core::close::Close;

use super::payload::Content;
use super::service::{ROOT, Service, ignore_ack, ignore_message, say_nothing};
use super::{connect, events};
use crate::hub::worker::session::Step;

/// One namespace, in which clients send commands and receive events.
pub(super) static TURTED: Service = Service {
    namespaces: &[ROOT],
    content: Content::Json,
    takes_binary: false,
    opened: say_nothing,
    connected: connect::identify_by_query,
    connect: |client, _, data| connect::connect(client, data),
    disconnect: |client, _| {
        // The only namespace is left, so the connection has no other use.
        client.connection.close(client.worker, Close::ByClient);
        Step::Stop
    },
    event: |client, event, _| events::command(client, event),
    acked: ignore_ack,
    message: ignore_message,
};
