//! The threads of the sources of a server, one for each.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{CLOSE_WAIT, Failure, STOP_WAIT, SourceType, Start};
use crate::auth::passwords::Passwords;
use crate::config::secrets::Current;
use crate::config::{Config, PushSource};
use crate::hub::cluster::Cluster;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::log::disk::FoundKey;
use crate::io::threads::Threads;
use crate::push::intake::{Intake, Reading, Status};

/// How long a stop waits for the threads, beside what they may take themselves. A thread that hangs in the operating
/// system does not keep the server.
const END_WAIT: Duration = Duration::from_secs(1);

/// Sources that have what only one server may have, and are not running yet.
pub(crate) struct Opened {
    statuses: Arc<[Arc<Status>]>,
    /// Never locked: only so that a server that is not running can be looked at by several threads.
    starts: Mutex<Vec<(Start, Reading)>>,
    /// What was accepted before this start.
    known: Vec<FoundKey>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("statuses", &self.statuses).finish_non_exhaustive()
    }
}

impl Opened {
    /// Opens all sources of the configuration, which are of these types.
    ///
    /// # Errors
    /// The name of the source that cannot be opened, and why.
    pub(crate) fn open(
        config: &Config,
        passwords: &Current<Passwords>,
        types: &[SourceType],
    ) -> Result<Self, (String, Failure)> {
        let statuses: Arc<[_]> = config.sources.iter().map(Status::new).collect();
        let open = |(source, status): (&PushSource, &Arc<Status>)| {
            let opened = types.iter().find_map(|row| (row.open)(source, status));
            let opened = opened.unwrap_or_else(|| Err(super::not_built(source)));
            let start = opened.map_err(|failure| (source.name.clone(), failure))?;
            Ok((start, Reading::new(source, config, passwords)))
        };
        let starts = config.sources.iter().zip(&*statuses).map(open).collect::<Result<_, _>>()?;
        Ok(Self { statuses, starts: Mutex::new(starts), known: Vec::new() })
    }

    /// Notes the keys of messages that were accepted before this start.
    pub(crate) fn restore(&mut self, keys: Vec<FoundKey>) {
        self.known = keys;
    }

    pub(crate) fn statuses(&self) -> Arc<[Arc<Status>]> {
        Arc::clone(&self.statuses)
    }

    /// Starts their threads. In a cluster a source that all nodes would hear is read by one of them.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn start(
        self,
        dispatcher: &Dispatcher,
        cluster: Option<&Cluster>,
    ) -> std::io::Result<SourceThreads> {
        // Complete before the first thread runs: if another one cannot start, dropping it stops those that run.
        let mut threads = Threads::new("source");
        let starts = self.starts.into_inner().unwrap_or_else(PoisonError::into_inner);
        for ((start, reading), status) in starts.into_iter().zip(&*self.statuses) {
            let (status, stop) = (Arc::clone(status), threads.stopping());
            let mut intake = Intake::new(reading, dispatcher, Arc::clone(&status));
            intake.restore(&self.known);
            let cluster = cluster.cloned();
            threads.spawn(move || {
                let run = AssertUnwindSafe(|| run(start, intake, cluster, stop));
                if catch_unwind(run).is_err() {
                    status.set_failure("the source ended by a fault of this program".to_owned());
                    error!(source = status.name(), "the source has ended and does not come back");
                }
                status.set_up(false);
            })?;
        }
        Ok(SourceThreads(threads))
    }
}

fn run(start: Start, intake: Intake, cluster: Option<Cluster>, stop: CancellationToken) {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(start(intake, cluster, stop));
            // A name look-up that hangs in the resolver must not keep the thread.
            runtime.shutdown_background();
        }
        Err(error) => error!(source = intake.status().name(), %error, "cannot start a runtime"),
    }
}

/// The threads of running sources. Dropping it tells them to stop.
#[derive(Debug)]
pub(crate) struct SourceThreads(Threads);

impl SourceThreads {
    /// Stops all sources: they read nothing more, have accepted what they read, and acknowledge it.
    pub(crate) async fn stop(self) {
        self.0.stop(STOP_WAIT + CLOSE_WAIT + END_WAIT).await;
    }
}
