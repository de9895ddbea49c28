//! Handshakes on one connection, one behind the other, which nobody comes back to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{Http, Kind, eventually};

/// Requests that are sent before an answer is read.
const PIPELINED: usize = 100;

/// Makes the next handshake.
type Handshake = Box<dyn FnMut() -> String + Send>;

pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    /// How many handshakes it may still make.
    left: Arc<AtomicUsize>,
    /// How many were answered, by status.
    answered: Arc<Mutex<BTreeMap<u16, usize>>>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Sessions of Socket.IO.
    pub(crate) fn of_polling(address: SocketAddr, kind: Kind) -> Self {
        let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", kind.target("polling", ""));
        Self::start(address, Box::new(move || request.clone()))
    }

    /// Sessions of SockJS: a method, and what is behind their names.
    pub(crate) fn of_sockjs(address: SocketAddr, method: &'static str, way: &'static str) -> Self {
        let mut number = 0;
        let next = move || {
            number += 1;
            format!("{method} /turted/0/{way}{number}/{way} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                .replace("/jsonp ", "/jsonp?c=cb ")
        };
        Self::start(address, Box::new(next))
    }

    fn start(address: SocketAddr, mut next: Handshake) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered: Arc<Mutex<BTreeMap<u16, usize>>> = Arc::default();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let (stopped, counts, may) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&left));
        let thread = std::thread::spawn(move || {
            let mut http = Http::connect(address);
            while !stopped.load(Ordering::Relaxed) {
                let taken =
                    may.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(PIPELINED));
                if taken.is_err() {
                    std::thread::yield_now();
                    continue;
                }
                http.send((0..PIPELINED).map(|_| next()).collect::<String>());
                for _ in 0..PIPELINED {
                    let status = http.read().expect("an answer").status;
                    *counts.lock().unwrap().entry(status).or_default() += 1;
                }
            }
        });
        Self { stop, left, answered, thread: Some(thread) }
    }

    /// How many handshakes were answered with this status.
    pub(crate) fn answered(&self, status: u16) -> usize {
        self.answered.lock().unwrap().get(&status).copied().unwrap_or(0)
    }

    /// Lets it make so many more handshakes, and no others: a flood that does not overtake a test that a busy machine
    /// holds up.
    pub(crate) fn grant(&self, handshakes: usize) {
        self.left.store(handshakes, Ordering::SeqCst);
    }

    /// Waits until so many more were answered.
    pub(crate) fn go_on(&self, handshakes: usize) {
        let all = || self.answered.lock().unwrap().values().sum::<usize>();
        let before = all();
        eventually("the flood goes on", || all() >= before + handshakes);
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || ended.is_none_or(|ended| ended.is_ok()),
            "the flood was answered"
        );
    }
}
