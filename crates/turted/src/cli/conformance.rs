//! `turted conformance`: the test services of the official protocol suites, on this machine only.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{EXIT_USAGE, complain, print};
use crate::config::{LogFormat, LogLevel};
use crate::conformance::settings;
use crate::logging;
use crate::server::{Server, ServerError};

/// The command. It is no part of `Cli`, so that neither help nor completions offer it.
pub(super) const COMMAND: &str = "conformance";

/// Run the test services of the official protocol suites, for this machine only
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "turted conformance")]
pub(super) struct Conformance {
    /// Serve /engine.io/, /socket.io/ and /ws-echo here, where the suites expect them
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Serve them and the SockJS services here too, where the suite expects those
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8081")]
    sockjs_listen: SocketAddr,
}

pub(super) fn run(args: &Conformance) -> ExitCode {
    for address in [args.listen, args.sockjs_listen] {
        if !address.ip().is_loopback() {
            complain(format_args!("{address} is not a loopback address: no other machine may use these"));
            return ExitCode::from(EXIT_USAGE);
        }
    }
    if let Err(error) = logging::init(LogLevel::Warn, LogFormat::Text) {
        complain(format_args!("cannot start logging: {error}"));
    }
    let ended = serve(args);
    logging::flush();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal ends it.
fn serve(args: &Conformance) -> Result<(), ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Start)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Start)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Start)?;
        let bind = |listen| Server::builder(settings::config(listen)).conformance().bind();
        let (server, sockjs) = (bind(args.listen)?, bind(args.sockjs_listen)?);
        let addresses =
            format!("test services on http://{} and http://{}\n", server.address(), sockjs.address());
        print(addresses.as_bytes());
        let stop = CancellationToken::new();
        let stopped = || stop.clone().cancelled_owned();
        let mut ended = Box::pin(async { tokio::try_join!(server.run(stopped()), sockjs.run(stopped())) });
        tokio::select! {
            ended = &mut ended => return ended.map(drop),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        ended.await.map(drop)
    })
}
