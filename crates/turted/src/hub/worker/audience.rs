//! Which clients of this worker are told who is in which channel, and how far they were told.
//!
//! Each client is at a version of each of its channels. Only a client that is at the version before the last one is told what
//! has changed; any other one is told all. So what was not sent, because there was too much or the client does not read, is
//! made up for later.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use turted_core::limits::PRESENCE_PERIOD;
use turted_core::name::Name;
use turted_core::registry::ConnectionKey;
use turted_core::shrink::shrink_map;

use crate::hub::delivery::frame::{Frame, WeakFrame};
use crate::hub::delivery::wire::Wire;

/// Bytes of frames that are kept for the next client of this second.
const RECENT_BYTES_MAX: usize = 1024 * 1024;

/// The clients of one worker that are told who is in their channels.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    listeners: RefCell<Listeners>,
    /// Wakes what tells them.
    news: Notify,
}

#[derive(Debug, Default)]
struct Listeners {
    channels: HashMap<Name, Channel>,
    /// The channels of each connection.
    connections: HashMap<ConnectionKey, Vec<Name>>,
    /// When a connection has asked last, within a second.
    asked: HashMap<ConnectionKey, Instant>,
    /// Channels that a connection has left within this second, and was told of.
    left: HashMap<ConnectionKey, Vec<Name>>,
    /// Channels whose listeners are to be told something.
    due: VecDeque<Name>,
    /// Those of which that is left for the next second.
    deferred: HashSet<Name>,
    /// Connections that are told more when they have taken what waits for them.
    behind: HashSet<ConnectionKey>,
    /// Frames of all that is told of a channel, so that the next client shares them.
    recent: VecDeque<Frame>,
    recent_bytes: usize,
}

/// One channel.
#[derive(Debug, Default)]
struct Channel {
    listeners: Vec<Listener>,
    /// Where each one stands.
    places: HashMap<ConnectionKey, usize>,
    /// Where the next round goes on.
    next: usize,
    /// Whether it is among those that are due.
    is_due: bool,
    /// Whether one has moved, so that a round may not have seen it.
    has_moved: bool,
    /// What is told of it, with the version.
    wholes: Vec<(Wire, u64, WeakFrame)>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    key: ConnectionKey,
    at: At,
    wish: Wish,
}

/// For how long a client wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Once,
    Always,
}

/// What a client was told of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Nothing, and it waits for the answer to its request first.
    Unanswered,
    /// It has to be told all.
    Nothing,
    /// It has to be told all in the next second: it was told of the channel in this one, and has left it since.
    Later,
    Version(u64),
}

/// Which channels something is told of.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Of(Arc<[Name]>),
    /// Perhaps any: a worker did not take what it was told before.
    Any,
}

impl Audience {
    /// A client wants to be told, once it has its answer. One that is told again and again, and wants that once more, is told
    /// nothing more: it may say so more often than once a second.
    pub(crate) fn add(&self, key: ConnectionKey, name: &Name, wish: Wish) {
        let listeners = &mut *self.listeners.borrow_mut();
        let channel = listeners.channels.entry(name.clone()).or_default();
        if let Some(place) = channel.places.get(&key) {
            let listener = &mut channel.listeners[*place];
            match wish {
                Wish::Once => listener.at = At::Unanswered,
                Wish::Always => listener.wish = wish,
            }
            return;
        }
        channel.places.insert(key, channel.listeners.len());
        channel.listeners.push(Listener { key, at: At::Unanswered, wish });
        listeners.connections.entry(key).or_default().push(name.clone());
    }

    /// A client has its answer.
    pub(crate) fn answered(&self, key: ConnectionKey) {
        let Listeners { channels, connections, left, deferred, .. } = &mut *self.listeners.borrow_mut();
        let left = left.get(&key);
        for name in connections.get(&key).into_iter().flatten() {
            let listener = channels.get_mut(name).and_then(|channel| channel.get_mut(key));
            let Some(listener) = listener.filter(|listener| listener.at == At::Unanswered) else { continue };
            listener.at = if left.is_some_and(|left| left.contains(name)) {
                deferred.insert(name.clone());
                At::Later
            } else {
                At::Nothing
            };
        }
    }

    /// The channels of which a client has to be told all.
    pub(crate) fn owed(&self, key: ConnectionKey) -> Vec<Name> {
        self.of_that(key, |listener| listener.at == At::Nothing)
    }

    /// A client has left a channel.
    pub(crate) fn leave(&self, key: ConnectionKey, name: &Name) {
        let listeners = &mut *self.listeners.borrow_mut();
        let listener = listeners.channels.get(name).and_then(|channel| channel.get(key));
        if listener.is_some_and(|listener| matches!(listener.at, At::Version(_))) {
            listeners.left.entry(key).or_default().push(name.clone());
        }
        listeners.stop(key, name);
    }

    /// A connection has ended, or its session is another one.
    pub(crate) fn forget(&self, key: ConnectionKey) {
        let listeners = &mut *self.listeners.borrow_mut();
        listeners.asked.remove(&key);
        listeners.left.remove(&key);
        listeners.behind.remove(&key);
        for name in listeners.connections.remove(&key).unwrap_or_default() {
            listeners.remove(key, &name);
        }
        shrink_map(&mut listeners.connections);
    }

    /// The channels of which a client is told again and again.
    pub(crate) fn of(&self, key: ConnectionKey) -> Vec<Name> {
        self.of_that(key, |listener| listener.wish == Wish::Always)
    }

    /// The channels of a client where its entry is of a kind.
    fn of_that(&self, key: ConnectionKey, is_it: impl Fn(&Listener) -> bool) -> Vec<Name> {
        let listeners = self.listeners.borrow();
        let is_it = |name: &&Name| {
            let listener = listeners.channels.get(*name).and_then(|channel| channel.get(key));
            listener.is_some_and(&is_it)
        };
        let names = listeners.connections.get(&key).into_iter().flatten();
        names.filter(is_it).cloned().collect()
    }

    /// Whether a client may ask now. It may not again within a second.
    pub(crate) fn may_ask(&self, key: ConnectionKey, now: Instant) -> bool {
        let asked = &mut self.listeners.borrow_mut().asked;
        let may =
            asked.get(&key).is_none_or(|asked| now.saturating_duration_since(*asked) >= PRESENCE_PERIOD);
        if may {
            asked.insert(key, now);
        }
        may
    }

    /// A client is told this version now. One that wanted to be told once wants nothing any more.
    pub(crate) fn told(&self, key: ConnectionKey, name: &Name, version: u64) {
        let listeners = &mut *self.listeners.borrow_mut();
        let listener = listeners.channels.get_mut(name).and_then(|channel| channel.get_mut(key));
        let Some(listener) = listener else { return };
        listener.at = At::Version(version);
        if listener.wish == Wish::Once {
            listeners.stop(key, name);
        }
    }

    /// A client does not take what it is sent: it is told all of a channel when it has.
    pub(crate) fn postpone(&self, key: ConnectionKey, name: &Name) {
        let listeners = &mut *self.listeners.borrow_mut();
        if let Some(listener) = listeners.channels.get_mut(name).and_then(|channel| channel.get_mut(key)) {
            listener.at = At::Nothing;
            listeners.behind.insert(key);
        }
    }

    /// Lets what tells clients look after those that are behind.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }

    /// The clients that were told less because they do not take it; they are not among them any more.
    pub(crate) fn take_behind(&self) -> Vec<ConnectionKey> {
        let listeners = &mut *self.listeners.borrow_mut();
        std::mem::take(&mut listeners.behind).into_iter().collect()
    }

    /// Whether there are such clients.
    pub(crate) fn has_behind(&self) -> bool {
        !self.listeners.borrow().behind.is_empty()
    }

    /// Whether a client is one of them.
    pub(crate) fn is_behind(&self, key: ConnectionKey) -> bool {
        self.listeners.borrow().behind.contains(&key)
    }

    /// A second begins, and of these channels something is told.
    pub(crate) fn announce(&self, news: &News) {
        let listeners = &mut *self.listeners.borrow_mut();
        let now = Instant::now();
        listeners.asked.retain(|_, asked| now.saturating_duration_since(*asked) < PRESENCE_PERIOD);
        listeners.left = HashMap::new();
        (listeners.recent, listeners.recent_bytes) = (VecDeque::new(), 0);
        for name in std::mem::take(&mut listeners.deferred) {
            listeners.add_due(&name);
        }
        match news {
            News::Of(names) => names.iter().for_each(|name| listeners.add_due(name)),
            News::Any => {
                let names: Vec<_> = listeners.channels.keys().cloned().collect();
                names.iter().for_each(|name| listeners.add_due(name));
            }
        }
        if !listeners.due.is_empty() {
            self.news.notify_one();
        }
    }

    /// Waits until there is something to tell. For one waiter. Cancel safe.
    pub(crate) async fn something(&self) {
        self.news.notified().await;
    }

    /// Takes the channel that is due next, with the number of its listeners.
    pub(crate) fn next_due(&self) -> Option<(Name, usize)> {
        let listeners = &mut *self.listeners.borrow_mut();
        loop {
            let name = listeners.due.pop_front()?;
            // Its last listener may have left meanwhile.
            if let Some(channel) = listeners.channels.get_mut(&name) {
                (channel.is_due, channel.has_moved) = (false, false);
                return Some((name, channel.listeners.len()));
            }
        }
    }

    /// A round through a channel has ended: one that may not have seen all is repeated in the next second.
    pub(crate) fn end_round(&self, name: &Name) {
        let listeners = &mut *self.listeners.borrow_mut();
        if listeners.channels.get(name).is_some_and(|channel| channel.has_moved) {
            listeners.deferred.insert(name.clone());
        }
    }

    /// The listeners of a channel are told the rest when others had their turn.
    pub(crate) fn give_turn(&self, name: &Name) {
        self.listeners.borrow_mut().add_due(name);
    }

    /// The listeners of a channel are told the rest in the next second.
    pub(crate) fn defer(&self, name: &Name) {
        self.listeners.borrow_mut().deferred.insert(name.clone());
    }

    /// The next listener that was not told this version, among as many as `visits`, which it counts down.
    pub(crate) fn next_late(
        &self,
        name: &Name,
        version: u64,
        visits: &mut usize,
    ) -> Option<(ConnectionKey, At)> {
        let listeners = &mut *self.listeners.borrow_mut();
        let channel = listeners.channels.get_mut(name)?;
        while *visits > 0 {
            *visits -= 1;
            let place = if channel.next < channel.listeners.len() { channel.next } else { 0 };
            channel.next = place + 1;
            let Listener { key, at, .. } = *channel.listeners.get(place)?;
            if at != At::Version(version) && at != At::Unanswered {
                return Some((key, at));
            }
        }
        None
    }

    /// The last listener was not told: the next round begins with it.
    pub(crate) fn step_back(&self, name: &Name) {
        if let Some(channel) = self.listeners.borrow_mut().channels.get_mut(name) {
            channel.next = channel.next.saturating_sub(1);
        }
    }

    /// The frame of all that is told of a channel, and its version, if a client has it still or got it in this second.
    pub(crate) fn whole(&self, name: &Name, wire: Wire) -> Option<(u64, Frame)> {
        let listeners = self.listeners.borrow();
        let wholes = &listeners.channels.get(name)?.wholes;
        let (_, version, frame) = wholes.iter().find(|(own, ..)| *own == wire)?;
        Some((*version, frame.upgrade()?))
    }

    /// Keeps such a frame for the next client.
    pub(crate) fn keep_whole(&self, name: &Name, wire: Wire, (version, frame): (u64, &Frame)) {
        let listeners = &mut *self.listeners.borrow_mut();
        let Some(channel) = listeners.channels.get_mut(name) else { return };
        channel.wholes.retain(|(own, other, frame)| *own != wire && *other == version && frame.is_alive());
        channel.wholes.push((wire, version, frame.downgrade()));
        listeners.recent_bytes += frame.bytes().len();
        listeners.recent.push_back(frame.clone());
        while listeners.recent_bytes > RECENT_BYTES_MAX
            && let Some(oldest) = listeners.recent.pop_front()
        {
            listeners.recent_bytes -= oldest.bytes().len();
        }
    }

    /// How many connections are told who is in their channels.
    pub(crate) fn connections(&self) -> usize {
        self.listeners.borrow().connections.len()
    }
}

impl Listeners {
    /// A client is told of a channel no longer.
    fn stop(&mut self, key: ConnectionKey, name: &Name) {
        let Some(names) = self.connections.get_mut(&key) else { return };
        names.retain(|own| own != name);
        if names.is_empty() {
            self.connections.remove(&key);
        }
        self.remove(key, name);
    }

    fn remove(&mut self, key: ConnectionKey, name: &Name) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        let Some(place) = channel.places.remove(&key) else { return };
        shrink_map(&mut channel.places);
        channel.listeners.swap_remove(place);
        if channel.listeners.len() < channel.listeners.capacity() / 8 {
            channel.listeners.shrink_to(2 * channel.listeners.len());
        }
        if let Some(moved) = channel.listeners.get(place) {
            channel.places.insert(moved.key, place);
            channel.has_moved = true;
        }
        if channel.listeners.is_empty() {
            self.channels.remove(name);
            shrink_map(&mut self.channels);
            self.deferred.remove(name);
        }
    }

    fn add_due(&mut self, name: &Name) {
        if let Some(channel) = self.channels.get_mut(name).filter(|channel| !channel.is_due) {
            channel.is_due = true;
            self.due.push_back(name.clone());
        }
    }
}

impl Channel {
    fn get(&self, key: ConnectionKey) -> Option<&Listener> {
        self.listeners.get(*self.places.get(&key)?)
    }

    fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Listener> {
        self.listeners.get_mut(*self.places.get(&key)?)
    }
}
