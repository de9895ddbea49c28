//! A crowd of clients that only listen: each until its server ends the connection, and then until the next
//! server has taken it in.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The close frame of a server that goes away.
pub(crate) const GOOD_BYE: &[u8] = b"\x88\x18\x03\xf4the server is stopping";

/// What became of a client.
pub(crate) struct Life {
    /// All that the server sent.
    received: Vec<u8>,
    /// When that server ended the connection.
    pub(crate) ended: Instant,
    /// When the next server had taken it in.
    pub(crate) again: Instant,
}

impl Life {
    /// The numbers in the payloads of the events it received.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        let text = String::from_utf8_lossy(&self.received);
        let parts = text.split(r#""payload":"#).skip(1);
        parts.map(|part| part.split([',', '}']).next().unwrap().parse().unwrap()).collect()
    }

    /// Whether the last thing it heard is that the server goes away.
    pub(crate) fn was_told(&self) -> bool {
        self.received.ends_with(GOOD_BYE)
    }
}

/// Clients on a thread of their own.
pub(crate) struct Crowd(JoinHandle<Vec<Life>>);

impl Crowd {
    /// So many clients of the server at `address`, which go to the one at `next` afterwards.
    pub(crate) fn start(clients: usize, address: SocketAddr, next: SocketAddr) -> Self {
        Self(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut set = JoinSet::new();
                (0..clients).for_each(|_| drop(set.spawn(live(address, next))));
                set.join_all().await
            })
        }))
    }

    /// Waits until each of them is with the next server.
    pub(crate) fn join(self) -> Vec<Life> {
        self.0.join().unwrap()
    }
}

/// Listens until the server ends the connection, then goes to the next one.
async fn live(address: SocketAddr, next: SocketAddr) -> Life {
    let stream = dial(address).await;
    let mut received = Vec::new();
    read_until(&stream, &mut received, |_| false).await;
    let ended = Instant::now();
    let (stream, mut greeting) = (dial(next).await, Vec::new());
    read_until(&stream, &mut greeting, |greeting| greeting.ends_with(b"40")).await;
    assert!(greeting.ends_with(b"40"), "{}", String::from_utf8_lossy(&greeting));
    Life { received, ended, again: Instant::now() }
}

async fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(stream.try_write(request.as_bytes()).unwrap(), request.len());
    stream
}

/// Reads until the end, or until it is enough.
async fn read_until(stream: &TcpStream, received: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 4096];
    while !enough(received) {
        stream.readable().await.unwrap();
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}
