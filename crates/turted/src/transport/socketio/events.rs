//! Events of clients as turted answers them: commands, refusals and replies.

use turted_core::auth::IdentRefusal;
use turted_core::command::{Command, Ident};
use turted_core::cursor::Cursor;
use turted_core::name::Name;
use turted_core::reply::Reply;
use turted_core::wire::socketio::{encode_ack, encode_event, encode_left};

use super::service::Event;
use crate::hub::client::commands::{self, CommandOutcome};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;

/// Does what a client asks and answers: a reply as the node server sent it, and an ack if one is
/// wanted.
pub(super) fn command(client: Client<'_>, event: &Event<'_>) -> Step {
    let ack = event.ack;
    match Command::decode(event.name, event.args) {
        Ok(command) => commands::perform(client, command, move |client, outcome| {
            send_outcome(client, outcome, ack);
        }),
        Err(refusal) => {
            let reason = refusal.to_string();
            refuse(client, Refused { rule: "command", reason: &reason }, ack);
            Step::Continue
        }
    }
}

/// Verifies the IDENT that came with a client's handshake, and identifies the client.
pub(super) fn identify(client: Client<'_>, ident: &Ident<'_>) -> Step {
    commands::identify(client, ident, |client, outcome| {
        send_outcome(client, outcome, None);
    })
}

fn send_outcome(client: Client<'_>, outcome: CommandOutcome<'_>, ack: Option<u64>) {
    match outcome {
        Ok(reply) => send_reply(client, &reply, ack),
        Err(refusal) => send_reply(client, &Reply::Refused(&refusal.to_string()), ack),
    }
}

/// A proof of who the client is has expired. The client is told; it stays, without what the proof had opened.
pub(super) fn expired(client: Client<'_>) {
    send_reply(client, &Reply::Refused(&IdentRefusal::Expired.to_string()), None);
}

/// An operator has taken the client out of a channel, of which the client is told.
pub(super) fn removed(client: Client<'_>, channel: &Name) {
    client.send_message(&encode_left(std::slice::from_ref(channel)));
}

/// Why something is refused: the rule for the operator's metrics, the reason for the client.
pub(super) struct Refused<'a> {
    pub(super) rule: &'static str,
    pub(super) reason: &'a str,
}

/// Sends a refusal, and counts it.
pub(super) fn refuse(client: Client<'_>, refused: Refused<'_>, ack: Option<u64>) {
    client.worker.metrics.refused(refused.rule);
    send_reply(client, &Reply::Refused(refused.reason), ack);
}

/// The position up to which a connection has been sent everything.
pub(crate) fn offset(client: Client<'_>) -> Cursor {
    client.worker.dispatcher.cursor(client.connection.sent())
}

/// Sends a reply, and the ack if one is wanted, in one write.
pub(super) fn send_reply(client: Client<'_>, reply: &Reply<'_>, ack: Option<u64>) {
    let argument = reply.argument();
    let offset = offset(client);
    // A client that resumes takes a string at the end of any event for its position. So where the
    // reply ends in a string, the real position has to follow.
    let hides_offset = client.connection.wire() == Wire::SOCKET_IO_WITH_OFFSET && argument.starts_with('"');
    let packet = if hides_offset {
        encode_event(reply.event(), &[&argument, &format!("\"{offset}\"")])
    } else {
        encode_event(reply.event(), &[&argument])
    };
    let mut frames = vec![Frame::text(&packet, 0)];
    frames.extend(ack.map(|id| Frame::text(&encode_ack(id, &reply.ack()), 0)));
    client.send(&frames);
}
