//! The sessions of one worker that live by requests, by their ids. Clients choose these ids, so a map is
//! needed; ids that the server makes name the place of a session themselves.
//!
//! What a session has not sent before its end is kept for a while, for later requests
//! (sockjs-protocol 0.3.3, `test_closeSession`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use turted_core::limits::POLLING_ANSWER_BYTES_MAX;
use turted_core::registry::ConnectionKey;

use super::taken::Taken;
use crate::hub::cluster::peers::OpenClaim;
use crate::hub::delivery::outlet::Waitlist;
use crate::hub::worker::places::Place;
use crate::io::tasks::Tasks;

/// What is under a key. A key is the path of the mount with the id of the session.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Open(ConnectionKey),
    Ended(Rc<Ended>),
}

/// The sessions of one worker. Each entry holds a place, which bounds how many there are.
#[derive(Debug, Default)]
pub(super) struct KeyedSessions(RefCell<HashMap<Box<str>, Kept>>);

/// An entry, and what is claimed for it in a cluster as long as it is there.
#[derive(Debug)]
struct Kept {
    entry: Entry,
    claim: Option<OpenClaim>,
}

impl KeyedSessions {
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.0.borrow().get(key).map(|kept| kept.entry.clone())
    }

    /// A session is open. In a cluster its node has claimed its name: `claim` lasts as long as the session is known.
    pub(super) fn opened(&self, key: &str, connection: ConnectionKey, claim: Option<OpenClaim>) {
        self.0.borrow_mut().insert(key.into(), Kept { entry: Entry::Open(connection), claim });
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

    /// Keeps what is left of a session for `delay`.
    pub(super) fn ended(self: &Rc<Self>, tasks: &Tasks, key: &str, (ended, delay): (Ended, Duration)) {
        let ended = Rc::new(ended);
        let entry = Entry::Ended(Rc::clone(&ended));
        let mut entries = self.0.borrow_mut();
        let claim = entries.remove(key).and_then(|kept| kept.claim);
        entries.insert(key.into(), Kept { entry, claim });
        drop(entries);
        let (sessions, key) = (Rc::clone(self), Box::<str>::from(key));
        let own = tasks.clone();
        tasks.spawn(async move {
            own.until_end(sleep(delay)).await;
            sessions.forget_ended(&key, &ended);
        });
    }
}

/// What is left of a session that ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Messages that no request has taken.
    pub(super) waiting: RefCell<Waitlist>,
    /// The frame that says why it ended.
    pub(super) close: String,
    /// What is left counts as a session.
    pub(super) _place: Option<Box<Place>>,
}

impl Ended {
    /// The next frame for a client that takes one.
    pub(super) fn next(&self) -> Taken {
        match &*self.waiting.borrow_mut().take(POLLING_ANSWER_BYTES_MAX) {
            [] => self.close.clone().into(),
            frames => Taken::messages(frames.to_vec(), None),
        }
    }

    /// Frames for a client that takes all. The close frame is among them, unless the client has to come back for
    /// more messages.
    pub(super) fn all(&self) -> Vec<String> {
        let next = self.next().frame().into_owned();
        let is_last = self.waiting.borrow().is_empty() && next != self.close;
        [next].into_iter().chain(is_last.then(|| self.close.clone())).collect()
    }
}
