//! What systemd is told, if it asks (`Type=notify`, `WatchdogSec=`): ready, stopping, alive. And the socket that
//! it opened for us, if it did (a unit of type socket).

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::pending;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use std::{env, io};

use listenfd::ListenFd;
use sd_notify::{NotifyState, watchdog_enabled};
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

/// Carries messages to the thread that tells systemd; `None` if systemd did not ask for any.
static TELLER: OnceLock<Option<SyncSender<NotifyState<'static>>>> = OnceLock::new();
/// Messages that may wait for that thread: ready, stopping, and two signs of life.
const UNTOLD_MAX: usize = 4;
/// How many wait, or are being told.
static UNTOLD: Mutex<usize> = Mutex::new(0);
/// Notified when one was told.
static TOLD: Condvar = Condvar::new();
/// How long the end of the program waits for that: a busy machine lets the thread run in that time.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(1);

/// Tells systemd by a thread of its own, because a message waits while systemd reads none.
fn tell(state: NotifyState<'static>) {
    let Some(teller) = TELLER.get_or_init(start) else { return };
    // Counted before the thread can have told it.
    *untold() += 1;
    if teller.try_send(state).is_err() {
        *untold() -= 1;
        tracing::warn!("systemd does not listen");
    }
}

/// Waits until systemd was told everything, but not for long: the program ends, and its threads with it.
pub(crate) fn flush() {
    // However it ends, so does the program.
    let _ = TOLD.wait_timeout_while(untold(), FLUSH_WAIT_MAX, |untold| *untold > 0);
}

fn untold() -> MutexGuard<'static, usize> {
    UNTOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> Option<SyncSender<NotifyState<'static>>> {
    let path = env::var_os("NOTIFY_SOCKET")?;
    let (teller, states) = sync_channel(UNTOLD_MAX);
    let told = thread::Builder::new().name("turted-systemd".into()).spawn(move || tell_all(&path, states));
    if let Err(error) = told {
        tracing::warn!(%error, "cannot start a thread: systemd is told nothing");
        return None;
    }
    Some(teller)
}

fn tell_all(path: &OsString, states: Receiver<NotifyState<'static>>) {
    for state in states {
        if let Err(error) = send(path, &state) {
            tracing::warn!(%error, "cannot tell systemd");
        }
        *untold() -= 1;
        TOLD.notify_all();
    }
}

/// Sends to a path, or behind an `@` to a name without one (sd_notify(3), unix(7) "abstract").
fn send(path: &OsString, state: &NotifyState<'_>) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(format!("{state}\n").as_bytes(), &address)?;
    Ok(())
}

/// The socket that was opened for us (`LISTEN_FDS`, sd_listen_fds(3)), if one was.
///
/// # Errors
/// Why it cannot be served, in words for an operator.
pub(crate) fn socket() -> Result<Option<TcpListener>, String> {
    let mut sockets = ListenFd::from_env();
    match sockets.len() {
        0 => Ok(None),
        1 => sockets.take_tcp_listener(0).map_err(|error| {
            format!("LISTEN_FDS: expected a TCP socket that listens (ListenStream= with a port): {error}")
        }),
        several => Err(format!(
            "LISTEN_FDS: expected one socket, which takes the place of `listen`, found {several}"
        )),
    }
}
