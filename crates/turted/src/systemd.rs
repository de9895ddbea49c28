//! What systemd is told, if it asks (`Type=notify`, `WatchdogSec=`): ready, stopping, alive.

use std::convert::Infallible;
use std::env;
use std::future::pending;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::Monitor;

/// The server takes connections.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// The server takes no more connections.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Tells that the server is alive, as long as every worker answers: a server of which one worker
/// hangs serves some clients and not others, and is better restarted.
pub(crate) async fn watch(monitor: Monitor) -> Infallible {
    let Some(patience) = watchdog_enabled() else { return pending().await };
    // Twice as often as asked for, as sd_watchdog_enabled(3) recommends.
    let mut beat = interval(patience / 2);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if monitor.workers_answer().await {
            tell(NotifyState::Watchdog);
        } else {
            tracing::error!("a worker does not answer");
        }
    }
}

/// Whom [`tell`] hands on to; nobody if systemd did not ask.
static TELLER: OnceLock<Option<SyncSender<NotifyState<'static>>>> = OnceLock::new();
/// What may wait to be told: ready, stopping, and two signs of life.
const UNTOLD_MAX: usize = 4;

/// Tells systemd by a thread of its own: the message waits while systemd reads none.
fn tell(state: NotifyState<'static>) {
    if let Some(teller) = TELLER.get_or_init(start)
        && teller.try_send(state).is_err()
    {
        tracing::warn!("systemd does not listen");
    }
}

fn start() -> Option<SyncSender<NotifyState<'static>>> {
    env::var_os("NOTIFY_SOCKET")?;
    let (teller, states) = sync_channel(UNTOLD_MAX);
    let told = thread::Builder::new().name("turted-systemd".into()).spawn(|| tell_all(states));
    if let Err(error) = told {
        tracing::warn!(%error, "cannot start a thread: systemd is told nothing");
        return None;
    }
    Some(teller)
}

fn tell_all(states: Receiver<NotifyState<'static>>) {
    for state in states {
        if let Err(error) = notify(&[state]) {
            tracing::warn!(%error, "cannot tell systemd");
        }
    }
}
