//! `turted conformance`: the test services of the official protocol suites, on this machine only.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{EXIT_USAGE, complain, print};
use crate::config::{LogFormat, LogLevel};
use crate::conformance::settings;
use crate::logging;
use crate::server::{Server, ServerError};

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ConformanceArgs {
    /// Serve /engine.io/, /socket.io/ and /ws-echo here, where the suites expect them
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

pub(super) fn run(args: &ConformanceArgs) -> ExitCode {
    if !args.listen.ip().is_loopback() {
        complain(format_args!("{} is not a loopback address: no other machine may use these", args.listen));
        return ExitCode::from(EXIT_USAGE);
    }
    if let Err(error) = logging::init(LogLevel::Warn, LogFormat::Text) {
        complain(format_args!("cannot start logging: {error}"));
    }
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal ends it.
fn serve(args: &ConformanceArgs) -> Result<(), ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Start)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Start)?;
        let server = Server::builder(settings::config(args.listen)).conformance().bind()?;
        print(format!("test services on http://{}\n", server.address()).as_bytes());
        server
            .run(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await
    })
}
