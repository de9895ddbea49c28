//! A client that takes what waits for it by and by: never so little that it is cut, and not all before it is told.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Http, Kind, WebSocket, pause, read_some};

/// Time between two portions of 16 KiB.
const BEAT: Duration = Duration::from_millis(20);

pub(crate) struct SlowReader {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<(TcpStream, Vec<u8>)>>,
}

impl SlowReader {
    /// A client of Socket.IO 4 on a WebSocket.
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::with(address, BEAT)
    }

    /// The same with this time between two portions.
    pub(crate) fn with(address: SocketAddr, beat: Duration) -> Self {
        let target = Kind::V3_WEBSOCKET.target("websocket", "");
        let socket = WebSocket::over(Http::connect_narrow(address), &target, &[]).unwrap();
        let (mut stream, mut received) = socket.into_parts();
        let enough = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&enough);
        let read = move || {
            while !own.load(Ordering::Relaxed) && read_some(&mut stream, &mut received) > 0 {
                pause(beat);
            }
            (stream, received)
        };
        Self { enough, thread: Some(thread::spawn(read)) }
    }

    /// Takes all that is left, to the end: what it was sent.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.enough.store(true, Ordering::Relaxed);
        let (mut stream, mut received) = self.thread.take().unwrap().join().unwrap();
        while read_some(&mut stream, &mut received) > 0 {}
        received
    }
}

impl Drop for SlowReader {
    fn drop(&mut self) {
        // The thread ends with its next portion.
        self.enough.store(true, Ordering::Relaxed);
    }
}
