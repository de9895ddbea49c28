//! One hook of a node: its lock, who is woken, and what it counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use turted_core::name::Name;
use turted_core::secret::Secret;

use super::heard::{Heard, RECORDS_OF_BATCH};
use super::record::Waiting;
use crate::config::Hook as Settings;

/// One hook. Workers and the dispatcher tell it what happens; its sender takes records out.
#[derive(Debug)]
pub(crate) struct Hook {
    settings: Settings,
    /// What batches are signed with from now on. The lock is held for a copy.
    secrets: RwLock<Arc<[Secret]>>,
    /// Held for one change, or for one portion that is taken out; never across an await. Nothing else is locked under it.
    heard: Mutex<Heard>,
    /// Whether the backend wants to hear more.
    is_open: AtomicBool,
    /// Whether the backend took what it was sent last.
    is_up: AtomicBool,
    /// Wakes the sender: the first record waits, or as many as a batch has.
    news: Notify,
    /// Wakes what watches the grace: a connection has ended, the first one.
    ended: Notify,
    sent: AtomicU64,
    failures: AtomicU64,
}

impl Hook {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            heard: Mutex::new(Heard::new(&settings.clients)),
            secrets: RwLock::new(settings.secrets.clone().into()),
            settings: settings.clone(),
            is_open: AtomicBool::new(true),
            is_up: AtomicBool::new(false),
            news: Notify::new(),
            ended: Notify::new(),
            sent: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What batches are signed with.
    pub(crate) fn secrets(&self) -> Arc<[Secret]> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs with these secrets from now on. Returns whether it did with others until now.
    pub(super) fn replace_secrets(&self, secrets: &[Secret]) -> bool {
        let mut current = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = **current != *secrets;
        *current = secrets.into();
        is_new
    }

    pub(super) fn grace(&self) -> Duration {
        self.settings.grace
    }

    /// Whether it hears of clients.
    pub(super) fn has_clients(&self) -> bool {
        !self.settings.clients.is_empty() && self.is_open()
    }

    /// Whether it hears of dispatches of this event.
    pub(super) fn hears(&self, event: &Name) -> bool {
        self.settings.dispatches.iter().any(|pattern| pattern.covers(event)) && self.is_open()
    }

    /// Whether the backend wants to hear more.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether the backend took what it was sent last.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Notes something that happened.
    pub(super) fn change(&self, change: impl FnOnce(&mut Heard)) {
        let (news, ended) = {
            let mut heard = self.heard();
            let (before, had_ended) = (heard.waiting().0, heard.next_expiry().is_some());
            let (was_idle, was_telling) = (heard.is_idle(), heard.is_telling());
            change(&mut heard);
            let is_first = was_idle && !heard.is_idle();
            let is_full = before < RECORDS_OF_BATCH && heard.waiting().0 >= RECORDS_OF_BATCH;
            let is_whole = is_full || !was_telling && heard.is_telling();
            (is_first || is_whole, !had_ended && heard.next_expiry().is_some())
        };
        if news {
            self.news.notify_one();
        }
        if ended {
            self.ended.notify_one();
        }
    }

    /// The server has started: who was online before has its grace from now on.
    pub(crate) fn start(&self) {
        self.change(|heard| heard.hold(Instant::now() + self.grace()));
    }

    /// Another node is gone without a word.
    pub(crate) fn node_gone(&self, node: &str) {
        self.change(|heard| heard.node_gone(node));
    }

    /// All who are online are told anew, as behind a start.
    pub(crate) fn tell_anew(&self) {
        self.change(Heard::tell_anew);
    }

    /// Nothing happens any more.
    pub(crate) fn stop(&self) {
        self.change(Heard::stop);
    }

    /// Waits until there is something to send. For one waiter.
    pub(crate) async fn something(&self) {
        while self.heard().is_idle() {
            self.news.notified().await;
        }
    }

    /// Waits until there is enough for a whole batch. For one waiter.
    pub(crate) async fn enough(&self, bytes: usize) {
        let is_enough = |heard: &Heard| {
            let (records, waiting) = heard.waiting();
            records >= RECORDS_OF_BATCH || waiting >= bytes || heard.is_telling()
        };
        while !is_enough(&self.heard()) {
            self.news.notified().await;
        }
    }

    /// Takes out as many records as one batch still has room for.
    pub(crate) fn take(&self, room: usize, bytes_max: usize) -> Vec<Waiting> {
        self.heard().take(room, bytes_max)
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.heard().is_idle()
    }

    /// Waits for the end of the grace of connections, again and again.
    pub(crate) async fn watch_grace(&self) {
        loop {
            let mut next = None;
            self.change(|heard| next = heard.expire(Instant::now()));
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => self.ended.notified().await,
            }
            // Workers that want the lock have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// The backend took so many records.
    pub(crate) fn count_sent(&self, records: u64) {
        self.sent.fetch_add(records, Ordering::Relaxed);
        self.is_up.store(true, Ordering::Relaxed);
    }

    /// The backend did not take what it was sent.
    pub(crate) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.is_up.store(false, Ordering::Relaxed);
    }

    /// The backend refused so many records, which are not sent again, and misses so many of them.
    pub(crate) fn count_refused(&self, records: u64, missed: u64) {
        self.heard().refused(records, missed);
    }

    /// The backend wants to hear nothing any more.
    pub(crate) fn end(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        self.heard().clear();
    }

    /// Records that the backend took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Batches that the backend did not take.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Records that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.heard().dropped
    }

    /// How many records wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.heard().waiting()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
