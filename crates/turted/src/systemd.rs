//! What systemd is told, if it asks (`Type=notify`, `WatchdogSec=`): ready, stopping, alive.

use std::convert::Infallible;
use std::future::pending;

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

fn tell(state: NotifyState<'_>) {
    // Without NOTIFY_SOCKET this does nothing.
    if let Err(error) = notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
