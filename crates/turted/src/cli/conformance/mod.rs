//! `turted conformance`: the test services of the official protocol suites, on this machine only.
//!
//! They run on the transports of the product: only the services that answer differ. No key of the configuration
//! leads here.
//!
//! | file | what |
//! |---|---|
//! | `routes`, `settings` | which service is under which path; the configuration that the suites take for granted |
//! | `engine` | Engine.IO: echo (engine.io protocol v3 and v4, "Test suite"), and what the suite of engine.io-client asks for |
//! | `socketio` | Socket.IO: two namespaces, echo, acks (socket.io protocol v5, "Test suite") |
//! | `client` | Socket.IO for the suite of socket.io-client |
//! | `guests` | what clients sent over HTTP and expect to be sent back |
//! | `websocket` | plain WebSocket: echo |
//! | `sockjs` | SockJS: echo, in three variants, and what demonstrations use (sockjs-protocol 0.3.3) |

mod routes;
mod settings;
mod engine;
mod socketio;
mod client;
mod guests;
mod websocket;
mod sockjs;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::routes::Suite;
use super::output::{EXIT_USAGE, complain, print};
use crate::cli::logging;
use crate::config::{LogFormat, LogLevel};
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
    /// Serve the same and the SockJS services here, where the suite of SockJS expects them
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8081")]
    sockjs_listen: SocketAddr,
    /// Serve what the suite of engine.io-client expects here; it looks at 127.0.0.1:3000
    #[arg(long, value_name = "ADDR:PORT")]
    engine_client_listen: Option<SocketAddr>,
    /// Serve what the suite of socket.io-client expects here; it looks at 127.0.0.1:3210
    #[arg(long, value_name = "ADDR:PORT")]
    socketio_client_listen: Option<SocketAddr>,
}

impl Conformance {
    /// Which suites are served at which address.
    fn places(&self) -> Vec<(SocketAddr, Suite)> {
        let always = [(self.listen, Suite::Protocols), (self.sockjs_listen, Suite::Protocols)];
        let wanted = [
            (self.engine_client_listen, Suite::EngineClient),
            (self.socketio_client_listen, Suite::SocketIoClient),
        ];
        let wanted = wanted.into_iter().filter_map(|(listen, suite)| Some((listen?, suite)));
        always.into_iter().chain(wanted).collect()
    }
}

pub(super) fn run(args: &Conformance) -> ExitCode {
    for (address, _) in args.places() {
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
        let bind = |(listen, suite)| {
            Server::builder(settings::config(listen, suite)).endpoints(suite.endpoints()).bind()
        };
        let servers = args.places().into_iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = servers.iter().map(|server| format!("http://{}", server.address())).collect();
        print(format!("test services on {}\n", addresses.join(" and ")).as_bytes());
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        for server in servers {
            running.spawn(server.run(stop.clone().cancelled_owned()));
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            // A server that ends by itself ends the other ones.
            Some(Ok(ended)) = running.join_next() => ended?,
        }
        stop.cancel();
        while let Some(ended) = running.join_next().await {
            if let Ok(ended) = ended {
                ended?;
            }
        }
        Ok(())
    })
}
