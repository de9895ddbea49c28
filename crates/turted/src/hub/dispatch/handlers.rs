//! Functions of an embedding program that listen to dispatched events: `dispatcher.on(..)`.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use turted_core::dispatch::Dispatch;

use crate::hub::dispatch::inbox::Deliveries;

/// The event name that stands for every event.
const WILDCARD: &str = "*";

/// How long handlers may take at a stop to hear what was accepted.
const HEARING_MAX: Duration = Duration::from_secs(5);

type Handler = Arc<dyn Fn(&Dispatch) + Send + Sync>;

/// Names a handler, to take it away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerId(u64);

/// All handlers of a dispatcher.
#[derive(Default)]
pub(crate) struct Handlers {
    /// Read for each dispatch, written when a handler comes or goes.
    by_event: RwLock<HashMap<String, Vec<(HandlerId, Handler)>>>,
    next: AtomicU64,
    /// Whether there is any handler at all: a server that is not embedded takes no lock here.
    any: AtomicBool,
}

/// The end of the thread of the handlers.
#[derive(Debug)]
pub(crate) struct HandlersEnd(Receiver<()>);

impl HandlersEnd {
    /// Waits for it, on this thread, because the runtime of an embedding program may have no timers.
    pub(crate) fn wait(self) {
        // Nothing is sent: the thread drops its side.
        if self.0.recv_timeout(HEARING_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a handler of the embedding program does not return: not every event was heard");
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").finish_non_exhaustive()
    }
}

impl Handlers {
    /// Starts a thread that calls them with all that comes into an inbox, until it is closed and empty. `None` if the system
    /// refuses one.
    pub(crate) fn start(self: &Arc<Self>, mut inbox: Deliveries) -> Option<HandlersEnd> {
        let (handlers, (end, ended)) = (Arc::clone(self), sync_channel::<()>(0));
        let listen = move || {
            let _end = end;
            while let Some(delivery) = inbox.blocking_recv() {
                handlers.call(&delivery.accepted.dispatch);
                if let Some(handled) = &delivery.reached {
                    // The source that asked may have stopped waiting.
                    let _ = handled.try_send(0);
                }
            }
        };
        match thread::Builder::new().name("turted-handlers".to_owned()).spawn(listen) {
            Ok(_) => Some(HandlersEnd(ended)),
            Err(error) => {
                tracing::error!(%error, "the thread of the handlers cannot start: they hear nothing");
                None
            }
        }
    }

    pub(crate) fn add(&self, event: &str, handler: Box<dyn Fn(&Dispatch) + Send + Sync>) -> HandlerId {
        let id = HandlerId(self.next.fetch_add(1, Ordering::Relaxed));
        let mut by_event = self.by_event.write().unwrap_or_else(PoisonError::into_inner);
        by_event.entry(event.to_owned()).or_default().push((id, handler.into()));
        self.any.store(true, Ordering::Release);
        id
    }

    pub(crate) fn remove(&self, handler: HandlerId) {
        let mut by_event = self.by_event.write().unwrap_or_else(PoisonError::into_inner);
        by_event.values_mut().for_each(|handlers| handlers.retain(|(id, _)| *id != handler));
        by_event.retain(|_, handlers| !handlers.is_empty());
        self.any.store(!by_event.is_empty(), Ordering::Release);
    }

    /// Calls the handlers of the event, then those of the wildcard. No lock is held meanwhile, so
    /// a handler may dispatch, add and remove handlers. A handler that panics is logged and stays.
    pub(crate) fn call(&self, dispatch: &Dispatch) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        for handler in self.matching(dispatch.event.as_str()) {
            if catch_unwind(AssertUnwindSafe(|| handler(dispatch))).is_err() {
                tracing::error!("a handler of an event panicked");
            }
        }
    }

    fn matching(&self, event: &str) -> Vec<Handler> {
        let by_event = self.by_event.read().unwrap_or_else(PoisonError::into_inner);
        let wildcard = (event != WILDCARD).then_some(WILDCARD);
        let lists = [Some(event), wildcard].into_iter().flatten().filter_map(|name| by_event.get(name));
        lists.flatten().map(|(_, handler)| Arc::clone(handler)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use turted_core::dispatch::Targets;
    use turted_core::name::Name;

    fn dispatch(event: &str) -> Dispatch {
        let payload = serde_json::value::to_raw_value(&1).unwrap();
        Dispatch { event: Name::new(event).unwrap(), payload, targets: Targets::broadcast() }
    }

    #[test]
    fn handlers_hear_their_event_and_the_wildcard_hears_all() {
        let handlers = Handlers::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listen = |label: &'static str| {
            let heard = Arc::clone(&heard);
            Box::new(move |dispatch: &Dispatch| {
                heard.lock().unwrap().push((label, dispatch.event.as_str().to_owned()));
            })
        };
        handlers.call(&dispatch("a"));
        let on_a = handlers.add("a", listen("a"));
        handlers.add(WILDCARD, listen("*"));
        handlers.add("panics", Box::new(|_| panic!("a handler panics on purpose")));
        for event in ["a", "b", "*", "panics"] {
            handlers.call(&dispatch(event));
        }
        handlers.remove(on_a);
        handlers.call(&dispatch("a"));
        let heard: Vec<_> = heard.lock().unwrap().iter().map(|(l, e)| format!("{l}:{e}")).collect();
        assert_eq!(heard, ["a:a", "*:a", "*:b", "*:*", "*:panics", "*:a"]);
    }
}
