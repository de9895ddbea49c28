//! Tells clients who is in their channels: all of it behind the answer to a request, then what changes, once a second.
//!
//! A client is sent a portion, and more when it has taken that, so that one that asks about 128 channels and does not read
//! makes no more wait than one that asks about one. What the [budget](crate::hub::presence) of a second does not allow is told
//! in the next one; channels have their turns.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, timeout};
use turted_core::limits::PRESENCE_PERIOD;
use turted_core::name::Name;
use turted_core::presence::{PresenceRefusal, Told, encode_change, encode_numbers, encode_users};
use turted_core::registry::ConnectionKey;

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::audience::{At, News, Wish};
use crate::hub::worker::connection::Client;
use crate::hub::worker::worker::Worker;

/// Bytes that may wait for a client that is told more, and bytes that it is sent at a time.
const PORTION_BYTES: usize = 64 * 1024;
/// Time between two looks whether a client has taken what waits for it: short beside the second between two versions.
const LOOK: Duration = Duration::from_millis(50);
/// Clients that are told something before others have a turn: a message takes some 5 us.
const SLICE: usize = 64;
/// Clients of one channel that are told before other channels have a turn.
const ROUND: usize = 2_500;

/// What came of telling a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was sent so many bytes.
    Sent(usize),
    /// There is nothing to tell, or the client has to take something first.
    Nothing,
    /// This second has no more messages.
    Exhausted,
}

/// Lets a client that is in a channel hear who is in it, from its [answer](begin) on.
pub(crate) fn listen(client: Client<'_>, channel: &Name) {
    client.worker.audience.add(client.connection.key, channel, Wish::Always);
}

/// The same for a client that has got back a session, instead of what it heard before.
pub(super) fn listen_again(client: Client<'_>, channels: &[Name]) {
    client.worker.audience.forget(client.connection.key);
    let is_member = |channel: &&Name| {
        let registry = client.worker.registry.borrow();
        registry.since(client.connection.key, channel).is_some()
            && client.worker.shared.presence.check(channel).is_ok()
    };
    channels.iter().filter(is_member).for_each(|channel| listen(client, channel));
}

/// A client asks once who is in a channel. It is told behind its [answer](begin).
///
/// # Errors
/// It may not.
pub(super) fn ask(client: Client<'_>, channel: &Name) -> Result<(), PresenceRefusal> {
    let (worker, key) = (client.worker, client.connection.key);
    worker.shared.presence.check(channel)?;
    if worker.registry.borrow().since(key, channel).is_none() {
        return Err(PresenceRefusal::NotMember);
    }
    if !worker.audience.may_ask(key, Instant::now()) {
        return Err(PresenceRefusal::TooOften);
    }
    worker.audience.add(key, channel, Wish::Once);
    Ok(())
}

/// A client was answered: it is told of the channels that it does not know.
pub(crate) fn begin(client: Client<'_>) {
    let (audience, key) = (&client.worker.audience, client.connection.key);
    audience.answered(key);
    let was_behind = audience.has_behind();
    feed(client);
    if !was_behind && audience.is_behind(key) {
        audience.wake();
    }
}

/// Tells a client of the channels that it does not know, as much as it is sent at a time.
fn feed(client: Client<'_>) {
    let mut room = PORTION_BYTES;
    for channel in client.worker.audience.owed(client.connection.key) {
        if room == 0 || is_behind(client) {
            client.worker.audience.postpone(client.connection.key, &channel);
            continue;
        }
        match tell_all(client, &channel) {
            Outcome::Sent(bytes) => room = room.saturating_sub(bytes),
            Outcome::Nothing => {}
            Outcome::Exhausted => client.worker.audience.defer(&channel),
        }
    }
}

/// Whether more waits for a client than is sent at a time, or too much for all of them.
fn is_behind(client: Client<'_>) -> bool {
    let waits = client.connection.outlet().borrow().waiting().bytes;
    waits >= PORTION_BYTES || client.worker.shared.backlogs.is_full()
}

/// Tells clients of this worker what has changed, as long as the server runs.
pub(crate) async fn run(worker: Rc<Worker>) {
    if worker.shared.presence.is_off() {
        return;
    }
    loop {
        // A client that is behind may have taken something meanwhile.
        let longest = if worker.audience.has_behind() { LOOK } else { Duration::MAX };
        if timeout(longest, worker.audience.something()).await.is_ok() {
            tell_due(&worker).await;
        }
        for key in worker.audience.take_behind() {
            let connection = worker.registry.borrow().get(key).cloned();
            if let Some(connection) = connection {
                feed(Client::of(&worker, &connection));
                yield_now().await;
            }
        }
    }
}

/// Makes a version of each channel that has changed, each second, and lets all workers know. One worker does it for all.
pub(crate) async fn tick(worker: Rc<Worker>) {
    let presence = &worker.shared.presence;
    if presence.is_off() {
        return;
    }
    let mut seconds = interval(PRESENCE_PERIOD);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = vec![false; worker.peers.len()];
    loop {
        seconds.tick().await;
        if let Some(cluster) = worker.shared.cluster.get() {
            presence.look_around(cluster, Instant::now());
            while presence.tell_nodes(cluster, Instant::now()) {
                yield_now().await;
            }
        }
        while presence.expire(Instant::now()) {
            yield_now().await;
        }
        presence.begin_period();
        let mut told = Vec::new();
        while presence.tell(&mut told) {
            yield_now().await;
        }
        let told: Arc<[Name]> = told.into();
        for (peer, missed) in worker.peers.iter().zip(&mut missed) {
            let news = if *missed { News::Any } else { News::Of(Arc::clone(&told)) };
            let announce = move |worker: &Rc<Worker>| worker.audience.announce(&news);
            // A worker whose box is full looks at all of its channels when it has room again.
            *missed = peer.try_send(Box::new(announce)).is_err();
        }
    }
}

/// Tells the listeners of all channels that are due, as far as this second allows.
async fn tell_due(worker: &Rc<Worker>) {
    while let Some((channel, listeners)) = worker.audience.next_due() {
        if tell_channel(worker, &channel, listeners).await == Outcome::Exhausted {
            worker.metrics.presence_postponed.add(1);
            return;
        }
        yield_now().await;
    }
}

/// Tells the listeners of a channel, beginning with those who were told longest ago.
async fn tell_channel(worker: &Rc<Worker>, channel: &Name, listeners: usize) -> Outcome {
    let Some(told) = worker.shared.presence.told(channel) else { return Outcome::Nothing };
    let mut change = ChangeFrames { channel, told: &told, frames: Vec::new() };
    let (mut visits, mut steps, mut sent) = (listeners, 0, 0);
    while let Some((key, at)) = worker.audience.next_late(channel, told.version, &mut visits) {
        match tell_one(worker, (key, at), &mut change) {
            Outcome::Sent(_) => sent += 1,
            Outcome::Nothing => {}
            Outcome::Exhausted => {
                worker.audience.step_back(channel);
                worker.audience.defer(channel);
                return Outcome::Exhausted;
            }
        }
        if sent == ROUND {
            worker.audience.give_turn(channel);
            return Outcome::Nothing;
        }
        steps += 1;
        if steps % SLICE == 0 {
            yield_now().await;
        }
    }
    worker.audience.end_round(channel);
    Outcome::Nothing
}

/// Tells one listener what has changed, or all if it does not know the version before.
fn tell_one(worker: &Rc<Worker>, (key, at): (ConnectionKey, At), change: &mut ChangeFrames<'_>) -> Outcome {
    let connection = worker.registry.borrow().get(key).cloned();
    let Some(connection) = connection else { return Outcome::Nothing };
    let client = Client::of(worker, &connection);
    if is_behind(client) {
        worker.audience.postpone(key, change.channel);
        return Outcome::Nothing;
    }
    match change.frame(at, connection.wire()) {
        Some(frame) => send(client, change.channel, (change.told.version, frame)),
        None => tell_all(client, change.channel),
    }
}

/// Tells a client all of a channel.
fn tell_all(client: Client<'_>, channel: &Name) -> Outcome {
    match whole(client.worker, channel, client.connection.wire()) {
        Some(whole) => send(client, channel, whole),
        None => Outcome::Nothing,
    }
}

/// All that is told of a channel, and its version. Clients with the same wire share the frame.
fn whole(worker: &Worker, channel: &Name, wire: Wire) -> Option<(u64, Frame)> {
    let kept = worker.audience.whole(channel, wire);
    let whole = worker.shared.presence.whole(channel, kept.as_ref().map(|(version, _)| *version))?;
    let Some(users) = whole.users else { return kept };
    let told = match whole.told.is_large {
        true => encode_numbers(channel, whole.told.numbers),
        false => encode_users(channel, &users, whole.told.numbers),
    };
    let (version, frame) = (whole.told.version, wire.encode_presence(&told));
    worker.audience.keep_whole(channel, wire, (version, &frame));
    Some((version, frame))
}

fn send(client: Client<'_>, channel: &Name, (version, frame): (u64, Frame)) -> Outcome {
    let bytes = frame.bytes().len();
    if !client.worker.shared.presence.budget.take(bytes) {
        return Outcome::Exhausted;
    }
    // Before it is sent: that may close the connection.
    client.worker.audience.told(client.connection.key, channel, version);
    client.worker.metrics.presence_deliveries.add(1);
    client.send(&[frame]);
    Outcome::Sent(bytes)
}

/// What has changed in a channel, encoded once for each wire.
struct ChangeFrames<'a> {
    channel: &'a Name,
    told: &'a Told,
    frames: Vec<(Wire, Frame)>,
}

impl ChangeFrames<'_> {
    /// What a client on this wire is told that is at this version; `None` if it has to be told all.
    fn frame(&mut self, at: At, wire: Wire) -> Option<Frame> {
        let change = self.told.change.as_ref().filter(|_| at == At::Version(self.told.before))?;
        if let Some((_, frame)) = self.frames.iter().find(|(own, _)| *own == wire) {
            return Some(frame.clone());
        }
        let told = encode_change(self.channel, change, self.told.numbers);
        let frame = wire.encode_presence(&told);
        self.frames.push((wire, frame.clone()));
        Some(frame)
    }
}
