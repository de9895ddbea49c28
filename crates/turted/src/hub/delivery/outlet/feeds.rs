//! Which connections are being sent something of the past: what they missed, or history that they asked for. A connection
//! asks for more history only when it has taken what it got.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;
use turted_core::registry::ConnectionKey;

/// The connections of one worker that are being sent something of the past.
#[derive(Debug, Default)]
pub(crate) struct Feeds(RefCell<HashMap<ConnectionKey, UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    feeds: usize,
    ended: Rc<Notify>,
}

/// Something of the past is under way to a connection as long as this is held.
#[derive(Debug)]
pub(crate) struct Feed {
    feeds: Rc<Feeds>,
    key: ConnectionKey,
}

impl Feeds {
    pub(crate) fn begin(self: &Rc<Self>, key: ConnectionKey) -> Feed {
        self.0.borrow_mut().entry(key).or_default().feeds += 1;
        Feed { feeds: Rc::clone(self), key }
    }

    /// Whether something is under way to a connection.
    pub(crate) fn has(&self, key: ConnectionKey) -> bool {
        self.0.borrow().contains_key(&key)
    }

    /// Waits until nothing is under way to a connection. Cancel safe.
    pub(crate) async fn ended(&self, key: ConnectionKey) {
        loop {
            let Some(ended) = self.0.borrow().get(&key).map(|under_way| Rc::clone(&under_way.ended)) else {
                return;
            };
            ended.notified().await;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut feeds = self.feeds.0.borrow_mut();
        let Some(under_way) = feeds.get_mut(&self.key) else { return };
        under_way.feeds -= 1;
        if under_way.feeds == 0 {
            under_way.ended.notify_waiters();
            feeds.remove(&self.key);
            if feeds.is_empty() {
                feeds.shrink_to_fit();
            }
        }
    }
}
