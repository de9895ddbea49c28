//! What a subscriber was sent and did not take yet: bounded in messages and bytes. What does not fit is dropped and
//! counted, because Redis ends the connection of a subscriber that does not read, and drops without counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::push::intake::Status;

/// Messages that wait: a second of 10,000 a second.
const MESSAGES_MAX: usize = 10_000;
/// Their bytes, but for the last one: what waits in an inbox by default is four times as much.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A message, and the channel that it was published in.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) channel: Bytes,
    pub(super) payload: Bytes,
}

impl Published {
    fn bytes(&self) -> usize {
        self.channel.len() + self.payload.len()
    }
}

/// Puts messages into the queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Published>,
    bytes: Arc<AtomicUsize>,
    status: Arc<Status>,
}

/// Takes messages out of it.
#[derive(Debug)]
pub(super) struct Taker {
    receiver: mpsc::Receiver<Published>,
    bytes: Arc<AtomicUsize>,
}

pub(super) fn queue(status: Arc<Status>) -> (Queue, Taker) {
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
    let bytes = Arc::default();
    (Queue { sender, bytes: Arc::clone(&bytes), status }, Taker { receiver, bytes })
}

impl Queue {
    /// Puts a copy of the message: the buffer that it was read into holds others too.
    pub(super) fn put(&self, message: &Published) {
        if self.bytes.load(Ordering::Relaxed) > BYTES_MAX {
            return self.status.count_gap(1);
        }
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let copied = Published { channel: copy(&message.channel), payload: copy(&message.payload) };
        let bytes = copied.bytes();
        match self.sender.try_send(copied) {
            Ok(()) => drop(self.bytes.fetch_add(bytes, Ordering::Relaxed)),
            Err(_) => self.status.count_gap(1),
        }
    }
}

impl Taker {
    /// Waits for messages, and takes at most so many. None: no more will come.
    ///
    /// # Cancel safety
    /// No message is lost.
    pub(super) async fn take(&mut self, most: usize) -> Vec<Published> {
        let mut taken = Vec::new();
        self.receiver.recv_many(&mut taken, most).await;
        let bytes = taken.iter().map(Published::bytes).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }
}
