//! Serves a WebSocket until it ends, whatever is spoken on it.

use std::rc::Rc;

use turted_core::close::{Close, Closing};
use turted_core::wire::websocket::{Message, encode_close};

use super::reader::{ReadProgress, Reader};
use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// Reads a WebSocket until it ends.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps room for its arguments twice")]
pub(crate) fn run(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    socket: Rc<Socket>,
    mut reader: Reader,
) -> impl Future<Output = ()> {
    async move {
        while !connection.is_closed() {
            // The closures must not outlive the statement: the task of every connection would have room for them.
            let progress = connection.gather(&worker, || {
                reader.read(&worker, &socket, |message| received(Client::of(&worker, &connection), &message))
            });
            match progress {
                ReadProgress::Drained => {
                    if reader.ready(&socket).await.is_err() {
                        connection.close(&worker, Close::TransportLost);
                    }
                }
                ReadProgress::Wait(event) => event.await,
                ReadProgress::Stopped => {}
                // The client is gone, so a close frame would not be read.
                ReadProgress::Ended => return connection.close(&worker, Close::TransportLost),
                ReadProgress::Violated(violation) => {
                    tracing::debug!(connection = %connection.id(&worker), %violation, "websocket violation");
                    connection.close(&worker, Close::Violation(violation.close_code()));
                }
            }
        }
        drop(connection);
        // On the heap, and only now: its timer would make the task of every open connection larger.
        Box::pin(socket.linger()).await;
    }
}

/// One message of a client.
fn received(client: Client<'_>, message: &Message<'_>) -> Step {
    let session = &client.connection.session;
    let step = match message {
        Message::Text(_) | Message::Binary(_) => session.receive(client, message),
        // Messages with data are counted where they are received.
        Message::Ping(_) | Message::Pong(_) if !client.connection.may_send(client.worker) => {
            client.close(Close::RateLimited);
            Step::Stop
        }
        Message::Ping(data) => {
            // Clients end a connection whose pong is late, and much may wait before it on a slow link.
            client.connection.send_ahead(client.worker, &Frame::pong(data));
            Step::Continue
        }
        Message::Pong(_) => session.receive(client, message),
        Message::Close(code) => {
            client.connection.send_gathered(client.worker);
            client.connection.answer_close(code.unwrap_or(1000));
            client.close(Close::TransportLost);
            Step::Stop
        }
    };
    if client.connection.is_closed() { Step::Stop } else { step }
}

/// The close frame that tells a client why its connection ends.
pub(crate) fn farewell(Closing { close, reason }: Closing<'_>) -> Option<Vec<u8>> {
    Some(encode_close(close.code()?, reason))
}

/// Ends a WebSocket that belongs to no session yet.
pub(crate) async fn refuse(socket: &Socket, code: u16) {
    // The client may be gone already.
    let _ = socket.try_write(&encode_close(code, ""));
    socket.linger().await;
}

/// Writes a few hundred bytes to a socket to which little or nothing was written before.
pub(crate) fn write_whole(socket: &Socket, bytes: &[u8]) -> bool {
    matches!(socket.try_write(bytes), Ok(written) if written == bytes.len()) && !socket.has_unsent()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function returns, without calling it.
    fn returned<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Every open connection holds one of these tasks: each variable that lives across an await takes
    /// memory in every connection.
    #[test]
    fn the_task_of_a_connection_is_small() {
        assert!(returned(run) <= 144, "{} bytes", returned(run));
        assert!(size_of::<Connection>() <= 208, "{} bytes", size_of::<Connection>());
    }
}
