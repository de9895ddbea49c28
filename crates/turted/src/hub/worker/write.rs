//! Writes a round of the fan-out: the last step from a dispatch to sockets.

use std::array;
use std::cell::Ref;
use std::os::fd::AsFd;
use std::rc::Rc;

use tokio::net::TcpStream;

use super::connection::Connection;
use super::worker::Worker;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::round::{Round, TURNS_MAX};
use crate::io::tcp;

/// Writes every connection of the round once. Until the result is handled a frame may be half sent, which only
/// this function knows: handling the result of one connection must not send to another one of the round.
pub(crate) fn write(round: &Round<Connection>, worker: &Rc<Worker>) {
    let mut turns = round.turns();
    let ready: [_; TURNS_MAX] =
        array::from_fn(|_| turns.next().and_then(|(connection, frames)| look_up(connection, frames)));
    let sends = ready.each_ref().map(|ready| ready.as_ref().map(|(stream, bytes)| (stream.as_fd(), *bytes)));
    let sent = sends.map(|send| send.map(|(socket, bytes)| tcp::send_now(socket, bytes)));
    drop(ready);
    for ((connection, frames), sent) in round.turns().zip(sent) {
        match sent {
            Some(Ok(written)) => connection.wrote(worker, frames, written),
            // A socket that is full or broken is found so again by the second try, which does what follows.
            Some(Err(_)) | None => connection.send(worker, frames),
        }
    }
}

/// The socket and the bytes, if writing is all there is to do: one frame, a socket without TLS, and nothing
/// that waits for it.
fn look_up<'a>(connection: &'a Connection, frames: &'a [Frame]) -> Option<(Ref<'a, TcpStream>, &'a [u8])> {
    let [frame] = frames else { return None };
    let stream = Ref::filter_map(connection.outlet().borrow(), |outlet| match outlet {
        Outlet::Stream(stream) if !stream.is_blocked() => Some(stream),
        _ => None,
    });
    let stream = stream.ok()?;
    let bytes = stream.form().bytes(frame);
    let tcp = Ref::filter_map(stream, |stream| stream.socket.plain());
    Some((tcp.ok()?, bytes))
}
