//! What the operating system tells of changes, which only makes the next scan come sooner.
//!
//! It is inotify, by the library that the program has anyway: a crate for several systems would bring eight more and a
//! thread, for what a scan each second decides. Events are thrown away unread, so none is kept: their number does not
//! matter, nor does that of those the kernel drops. Where there is no inotify the scan alone decides.

use std::path::PathBuf;

#[cfg(target_os = "linux")]
use rustix::fs::inotify;
#[cfg(target_os = "linux")]
use tokio::net::unix::pipe::Receiver;

/// Directories that are watched; changes in others are seen by the scan.
const DIRECTORIES_MAX: usize = 128;

/// Tells that something has changed.
#[derive(Debug)]
pub(super) struct Wake {
    /// No pipe, but a descriptor that is waited for and read like one. `AsyncFd` cannot be made without `unsafe`.
    #[cfg(target_os = "linux")]
    events: Option<Receiver>,
}

#[cfg(target_os = "linux")]
impl Wake {
    /// Without events if the user has too many of these already.
    pub(super) fn new() -> Self {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        let events =
            inotify::init(flags).ok().and_then(|events| Receiver::from_owned_fd_unchecked(events).ok());
        Self { events }
    }

    /// Watches these directories. One that is watched already is no second watch; one that was made again is.
    pub(super) fn watch(&self, directories: impl Iterator<Item = PathBuf>) {
        use inotify::WatchFlags;
        let Some(events) = &self.events else { return };
        let changes = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        for directory in directories.take(DIRECTORIES_MAX) {
            // A directory that is not there, and one watch too many, are left to the scan.
            let _ = inotify::add_watch(events, &directory, changes);
        }
    }

    /// Waits for a change. Cancel safe: events are read and thrown away in one go.
    pub(super) async fn wait(&self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        if events.readable().await.is_err() {
            return std::future::pending().await;
        }
        let mut thrown_away = [0; 4096];
        while events.try_read(&mut thrown_away).is_ok_and(|bytes| bytes > 0) {}
    }
}

#[cfg(not(target_os = "linux"))]
impl Wake {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn watch(&self, directories: impl Iterator<Item = PathBuf>) {
        drop(directories.take(DIRECTORIES_MAX));
    }

    pub(super) async fn wait(&self) {
        std::future::pending().await
    }
}
