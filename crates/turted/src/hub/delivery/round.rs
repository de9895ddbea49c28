//! A round of the fan-out: a few connections whose turn it is, written one after the other.
//!
//! A fan-out visits thousands of connections, none of them in the processor's cache, and the kernel's
//! work for each write drives our own code out of it. So a round does three things, each for all of
//! its connections: it looks up where to write, with many reads from memory under way at a time;
//! it writes, in a loop of a few instructions that reads descriptors and bytes and nothing else; then
//! it sees to what came of it.

use std::array;
use std::cell::Ref;
use std::os::fd::AsFd;
use std::rc::Rc;

use tokio::net::TcpStream;

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;
use crate::io::socket;

/// Connections in one round: more cost less each, but others wait until the round is over, 300 us.
pub(crate) const TURNS_MAX: usize = 32;

/// Connections, and the frames each gets. Keeps its memory.
#[derive(Debug)]
pub(crate) struct Round<C> {
    connections: Vec<Rc<C>>,
    /// For each connection, where its frames end.
    ends: Vec<usize>,
    pub(crate) frames: Vec<Frame>,
}

impl<C> Default for Round<C> {
    fn default() -> Self {
        Self { connections: Vec::new(), ends: Vec::new(), frames: Vec::new() }
    }
}

impl<C> Round<C> {
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Adds a connection, which gets all frames behind those of the one before. A connection may be
    /// in a round once.
    pub(crate) fn push(&mut self, connection: Rc<C>) {
        self.connections.push(connection);
        self.ends.push(self.frames.len());
    }

    pub(crate) fn clear(&mut self) {
        self.connections.clear();
        self.ends.clear();
        self.frames.clear();
    }

    /// Every connection with its frames.
    pub(crate) fn turns(&self) -> impl Iterator<Item = (&Rc<C>, &[Frame])> {
        let mut start = 0;
        self.connections.iter().zip(&self.ends).map(move |(connection, &end)| {
            let frames = &self.frames[start..end];
            start = end;
            (connection, frames)
        })
    }
}

impl Round<Connection> {
    /// Writes every connection of the round once. Until what came of it is seen to, a frame may be half sent
    /// and only this function knows: seeing to one connection must not send to another of the round.
    pub(crate) fn write(&self, worker: &Rc<Worker>) {
        let mut turns = self.turns();
        let ready: [_; TURNS_MAX] =
            array::from_fn(|_| turns.next().and_then(|(connection, frames)| look_up(connection, frames)));
        let sends = ready.each_ref().map(|ready| ready.as_ref().map(|(tcp, bytes)| (tcp.as_fd(), *bytes)));
        let sent = sends.map(|send| send.map(|(socket, bytes)| socket::send_now(socket, bytes)));
        drop(ready);
        for ((connection, frames), sent) in self.turns().zip(sent) {
            match sent {
                Some(Ok(written)) => connection.wrote(worker, frames, written),
                // A socket that is full or broken is so the second time too, and what follows is done there.
                Some(Err(_)) | None => connection.send(worker, frames),
            }
        }
    }
}

/// Where to write what, if that is all there is to do: one frame, a socket without TLS, and nothing
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
