//! A way to a server that holds back what is sent on it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How long it takes at most to deliver what was held back.
const DELIVERED: Duration = Duration::from_secs(3);

/// A proxy, until the end of the test.
pub(super) struct Proxy {
    pub(super) port: u16,
    /// Whether connections that come now are held back.
    gate: Arc<Mutex<watch::Sender<bool>>>,
    _accepting: AbortOnDropHandle<()>,
}

/// Connections that are held back.
pub(super) struct Held(watch::Sender<bool>);

impl Proxy {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let gate = Arc::new(Mutex::new(watch::Sender::new(false)));
        let gates = Arc::clone(&gate);
        let tasks = TaskTracker::new();
        let spawner = tasks.clone();
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let gate = gates.lock().unwrap().subscribe();
                spawner.spawn(pass(from_client, to_server, Some(gate)));
                spawner.spawn(pass(from_server, to_client, None));
            }
        };
        Self { port: own, gate, _accepting: AbortOnDropHandle::new(tasks.spawn(accepting)) }
    }

    /// Holds back what is sent on the connections that there are. Later ones pass.
    pub(super) fn hold(&self) -> Held {
        let held = std::mem::replace(&mut *self.gate.lock().unwrap(), watch::Sender::new(false));
        held.send_replace(true);
        Held(held)
    }
}

impl Held {
    /// Delivers what was held back, and waits until it is: until the connections have ended, or long enough.
    pub(super) async fn release(self) {
        self.0.send_replace(false);
        let _ = timeout(DELIVERED, self.0.closed()).await;
    }
}

/// Passes bytes on. What was read is delivered, though the reader may be gone long since.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Option<watch::Receiver<bool>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(gate) = &mut gate
            && gate.wait_for(|is_held| !is_held).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
