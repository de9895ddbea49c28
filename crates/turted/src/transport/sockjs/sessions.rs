//! Where the sessions of one worker are that live by requests. Clients choose their ids, so a map is
//! needed, unlike for ids that name their place.
//!
//! Of a session that ended its last words stay for a while, for whoever asks (sockjs-protocol 0.3.3,
//! `test_closeSession`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use turted_core::registry::ConnectionKey;

use crate::shared::Permit;
use crate::worker::Worker;

/// What there is under a key: the path of the mount and the id in it.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Open(ConnectionKey),
    Ended(Rc<Ended>),
}

/// The sessions of one worker. Each entry holds a permit, which bounds how many there are.
#[derive(Debug, Default)]
pub(crate) struct Sessions(RefCell<HashMap<Box<str>, Entry>>);

impl Sessions {
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.0.borrow().get(key).cloned()
    }

    pub(super) fn opened(&self, key: &str, connection: ConnectionKey) {
        self.0.borrow_mut().insert(key.into(), Entry::Open(connection));
    }

    /// Forgets a session.
    pub(super) fn forget(&self, key: &str) {
        let mut entries = self.0.borrow_mut();
        entries.remove(key);
        if entries.len() * 4 < entries.capacity() && entries.capacity() > 1024 {
            entries.shrink_to_fit();
        }
    }

    fn forget_ended(&self, key: &str, ended: &Rc<Ended>) {
        let is_same = |entry| matches!(entry, Entry::Ended(own) if Rc::ptr_eq(&own, ended));
        if self.get(key).is_some_and(is_same) {
            self.forget(key);
        }
    }

    /// Keeps the last words of a session for `delay`.
    pub(super) fn ended(self: &Rc<Self>, worker: &Worker, key: &str, (ended, delay): (Ended, Duration)) {
        let ended = Rc::new(ended);
        self.0.borrow_mut().insert(key.into(), Entry::Ended(Rc::clone(&ended)));
        let (sessions, key) = (Rc::clone(self), Box::<str>::from(key));
        let ending = worker.shared.life.ending.clone();
        worker.spawn(async move {
            ending.run_until_cancelled(sleep(delay)).await;
            sessions.forget_ended(&key, &ended);
        });
    }
}

/// What is left of a session that ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Messages that nobody asked for any more, in one frame.
    pub(super) waiting: RefCell<Option<String>>,
    /// The frame that says why it ended.
    pub(super) close: String,
    /// It counts as a session.
    pub(super) _permit: Option<Permit>,
}

impl Ended {
    /// The next frame for a client that takes one.
    pub(super) fn next(&self) -> String {
        self.waiting.take().unwrap_or_else(|| self.close.clone())
    }

    /// All frames for a client that takes all.
    pub(super) fn all(&self) -> Vec<String> {
        self.waiting.take().into_iter().chain([self.close.clone()]).collect()
    }
}
