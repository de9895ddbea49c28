//! `turted serve`: loads the configuration, starts logging and hands over to the server.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{EXIT_USAGE, complain, print};
use crate::banner::banner;
use crate::config::{self, Config, Sources};
use crate::logging;
use crate::server::{Server, ServerError};
use crate::tls::Certificates;

pub(super) fn run(sources: &Sources) -> ExitCode {
    let loaded = match config::load(sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(error) = logging::init(loaded.config.log_level, loaded.config.log_format) {
        complain(format_args!("cannot start logging: {error}"));
    }
    for warning in &loaded.warnings {
        warn!(%warning, "configuration");
    }
    match serve(loaded.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// Runs the server until a signal ends it.
fn serve(config: Config) -> Result<(), ServeError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
        let hangup = signal(SignalKind::hangup()).map_err(ServeError::Runtime)?;
        let server = Server::bind(config.clone())?;
        print(banner(&config, server.address()).as_bytes());
        let reloading = reload(hangup, server.certificates());
        let stop = async {
            tokio::select! {
                () = stop(&mut terminate, &mut interrupt) => {}
                never = reloading => match never {},
            }
        };
        server.run(stop).await?;
        Ok(())
    })
}

/// Reads the certificate anew on each SIGHUP.
async fn reload(mut hangup: Signal, certificates: Option<Certificates>) -> Infallible {
    while hangup.recv().await.is_some() {
        match certificates.as_ref().map(Certificates::reload) {
            Some(Ok(())) => info!("the certificate was reloaded"),
            Some(Err(error)) => error!(%error, "the certificate was not reloaded, the old one stays"),
            None => info!("SIGHUP reloads the certificate, and there is none"),
        }
    }
    pending().await
}

/// Waits for the first signal. The second one ends the process at once.
async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal = name, "stopping");
}

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
}
