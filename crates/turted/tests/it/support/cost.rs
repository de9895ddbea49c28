//! What strangers cost a program that runs as a child: its peak of resident memory, above what was so before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Child, Http, eventually};

/// What a connection may cost until its first answer: two buffers of hyper's, 8 and 16 KiB. A session
/// without one, of polling or SockJS, may cost no more.
pub(crate) const CONNECTION_BYTES: usize = 20_000;
/// What each byte of a stranger may cost beyond that.
pub(crate) const PER_BYTE: usize = 20;
/// Pools that fill once, of two workers.
pub(crate) const SLACK_BYTES: usize = 8 << 20;
/// How long nothing happens before a server is at rest, and how long that is waited for.
pub(crate) const REST: Duration = Duration::from_millis(400);
pub(crate) const REST_WAIT_MAX: Duration = Duration::from_secs(4);

/// What strangers did to a child, and what that cost.
pub(crate) struct Cost<'a> {
    pub(crate) child: &'a Child,
    pub(crate) before: usize,
    pub(crate) sent: usize,
    pub(crate) connections: usize,
    pub(crate) each: usize,
    /// What a backend pushed, of which the log keeps a copy and workers make frames.
    pub(crate) pushed: usize,
}

impl<'a> Cost<'a> {
    pub(crate) fn of(child: &'a Child) -> Self {
        child.forget_most_memory();
        Self { child, before: child.memory(), sent: 0, connections: 0, each: CONNECTION_BYTES, pushed: 0 }
    }

    /// A connection that counts, of a client that does not read.
    pub(crate) fn unread(&mut self, address: SocketAddr, bytes: &[u8]) -> Http {
        let mut http = Http::connect_narrow(address);
        self.connections += 1;
        self.send(&mut http, bytes);
        http
    }

    pub(crate) fn send(&mut self, http: &mut Http, bytes: &[u8]) {
        http.send(bytes);
        self.sent += bytes.len();
    }

    pub(crate) fn gained(&self) -> usize {
        self.child.most_memory().saturating_sub(self.before)
    }

    /// What connections and bytes may cost where nothing else is said.
    pub(crate) fn assert_fair(&self) {
        self.assert_below(self.connections * self.each + self.sent * PER_BYTE + self.pushed * 4);
    }

    /// Waits until memory does not grow any more, and compares.
    pub(crate) fn assert_below(&self, bound: usize) {
        settle(self.child);
        let (gained, allowed) = (self.gained(), SLACK_BYTES + bound);
        let Self { sent, connections, .. } = self;
        println!("{gained} bytes gained of {allowed}: {sent} sent on {connections} connections");
        assert!(gained <= allowed, "{gained} bytes for {sent} on {connections} connections, not {allowed}");
    }
}

/// Waits until the peak has been the same for a while and nothing is worked at; a server that works on and
/// on is not waited for.
pub(crate) fn settle(child: &Child) {
    let started = Instant::now();
    let (mut most, mut since, mut cpu) = (child.most_memory(), started, child.cpu());
    eventually("memory and work come to rest", || {
        let (now, used) = (child.most_memory(), child.cpu());
        if now > most || used > cpu + Duration::from_millis(10) {
            (most, cpu, since) = (now, used, Instant::now());
        }
        since.elapsed() > REST || started.elapsed() > REST_WAIT_MAX
    });
}
