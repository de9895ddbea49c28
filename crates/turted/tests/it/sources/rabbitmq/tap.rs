//! A relay between a server and its broker, which keeps what the broker delivers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use turted_core::wire::amqp::{FRAME_BYTES_MAX, Frame, FrameKind, Method};

/// What the broker said on each connection, the oldest first.
type Said = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) struct Tap {
    address: SocketAddr,
    said: Said,
}

/// One delivery of a message.
pub(super) struct Delivered {
    pub(super) body: Vec<u8>,
    /// Whether the broker says that it may have been delivered before.
    pub(super) is_redelivered: bool,
}

impl Tap {
    /// Relays every connection to the broker at this address. It ends with the test's process.
    pub(super) fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tap = Self { address: listener.local_addr().unwrap(), said: Said::default() };
        let said = Arc::clone(&tap.said);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(broker) = TcpStream::connect(broker) else { continue };
                let number = {
                    let mut said = said.lock().unwrap();
                    said.push(Vec::new());
                    said.len() - 1
                };
                let said = Arc::clone(&said);
                thread::spawn(move || {
                    relay(client, broker, |bytes| said.lock().unwrap()[number].extend(bytes))
                });
            }
        });
        tap
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was delivered so far, as far as it is whole.
    pub(super) fn delivered(&self) -> Vec<Delivered> {
        self.said.lock().unwrap().iter().flat_map(|said| delivered(said)).collect()
    }
}

/// What was delivered on one connection. Each body is one frame.
fn delivered(mut said: &[u8]) -> Vec<Delivered> {
    let (mut delivered, mut is_redelivered) = (Vec::new(), false);
    while let Some((frame, bytes)) = Frame::decode(said, FRAME_BYTES_MAX).unwrap() {
        said = &said[bytes..];
        if frame.kind == FrameKind::Body {
            delivered.push(Delivered { body: frame.payload.to_vec(), is_redelivered });
        } else if frame.kind == FrameKind::Method
            && let Method::Deliver(delivery) = Method::decode(frame.payload).unwrap()
        {
            is_redelivered = delivery.is_redelivered;
        }
    }
    delivered
}

/// Relays both ways until one of them ends.
fn relay(client: TcpStream, broker: TcpStream, keep: impl Fn(&[u8])) {
    let (mut from_client, mut to_broker) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_broker);
        // Of a client that was killed too: the broker has its messages back then.
        let _ = to_broker.shutdown(Shutdown::Both);
    });
    let (mut broker, mut client) = (broker, client);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = broker.read(&mut buffer) {
        keep(&buffer[..read]);
        if client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = broker.shutdown(Shutdown::Both);
}
