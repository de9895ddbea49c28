//! `turted serve`: loads the configuration, starts logging and hands over to the server.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::output::{EXIT_USAGE, complain, print};
use crate::auth::Rotation;
use crate::cli::banner::{self, banner};
use crate::cli::logging;
use crate::cli::systemd;
use crate::config::secrets::Secrets;
use crate::config::{self, Config, Flag, Loaded, LogStart, LogStore, Sources};
use crate::hub::hooks::Hooks;
use crate::io::tls::Certificates;
use crate::server::descriptors::{self, Room};
use crate::server::{Server, ServerBuilder, ServerError};

pub(super) fn run(mut sources: Sources, start: LogStart) -> ExitCode {
    let socket = match take_socket(&mut sources) {
        Ok(socket) => socket,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut loaded = match config::load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match &mut loaded.config.log {
        LogStore::Disk(disk) => disk.start = start,
        LogStore::Memory | LogStore::Redis if start == LogStart::Continue => {}
        LogStore::Memory | LogStore::Redis => {
            complain("--new-epoch needs `log.store` = \"disk\"");
            return ExitCode::from(EXIT_USAGE);
        }
    }
    let logging = logging::init(loaded.config.log_level, loaded.config.log_format);
    match &logging {
        Ok(()) => logging::log_panics(),
        Err(error) => complain(format_args!("cannot start logging: {error}")),
    }
    for warning in &loaded.warnings {
        warn!(%warning, "configuration");
    }
    let room = Room::of(&loaded.config.limits, descriptors::limit());
    if let Some(warning) = room.warning() {
        warn!(%warning, "configuration");
    }
    let ended = serve((loaded.config, room), socket, sources);
    match &ended {
        Ok(_) => {}
        // Behind all that was logged. Like the log, it is lost if standard error is not read.
        Err(error) if logging.is_ok() => logging::write_line(&format!("turted: {error}")),
        Err(error) => complain(error),
    }
    systemd::flush();
    logging::flush();
    ended.unwrap_or(ExitCode::FAILURE)
}

/// The socket that systemd opened for us, if it did. Its address takes the place of `listen`, with the same rules.
fn take_socket(sources: &mut Sources) -> Result<Option<TcpListener>, String> {
    let Some(socket) = systemd::socket()? else { return Ok(None) };
    let address = socket.local_addr().map_err(|error| format!("LISTEN_FDS: {error}"))?;
    sources.flags.retain(|flag| flag.key != "listen");
    sources.flags.push(Flag { key: "listen", name: "LISTEN_FDS", value: address.to_string() });
    Ok(Some(socket))
}

/// Prints in a thread of its own: standard output may be read by no program, and the server is to serve all
/// the same. At the end of the program the thread ends, whatever it waits for.
fn print_aside(text: String) {
    let printing = move || {
        // A failure to print is no reason to end.
        let _ = print(text.as_bytes());
    };
    if let Err(error) = thread::Builder::new().name("turted-banner".into()).spawn(printing) {
        warn!(%error, "cannot start a thread: what is served is not printed");
    }
}

/// Starts a node of a cluster, which waits for Redis, however long that takes. `None` if a signal ends it before.
async fn bind(builder: ServerBuilder, signals: &mut Signals) -> Result<Option<Server>, ServeError> {
    let (done, bound) = oneshot::channel();
    // A thread that still waits ends with the process.
    let start = move || drop(done.send(builder.bind()));
    thread::Builder::new().name("turted-start".to_owned()).spawn(start).map_err(ServerError::Start)?;
    tokio::select! {
        bound = bound => match bound {
            Ok(bound) => Ok(Some(bound?)),
            Err(_) => Err(ServeError::Runtime(io::Error::other("the start of the server panicked"))),
        },
        signal = signals.end() => {
            info!(signal, "stopping before the server has started");
            Ok(None)
        }
    }
}

/// Runs the server until a signal ends it.
fn serve(
    (config, room): (Config, Room),
    socket: Option<TcpListener>,
    sources: Sources,
) -> Result<ExitCode, ServeError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(ServeError::Runtime)?;
        let mut builder = Server::builder(config.clone());
        if let Some(socket) = socket {
            builder = builder.listener(socket);
        }
        let bound = match config.cluster {
            None => Some(builder.bind()?),
            Some(_) => bind(builder, &mut signals).await?,
        };
        let Some(server) = bound else { return Ok(ExitCode::SUCCESS) };
        let banner = banner(&config, server.address(), server.admin_address());
        let log = server.log_found().map(|found| format!("{found}\n")).unwrap_or_default();
        let place = config.cluster.as_ref().zip(server.node_number());
        let place = place.map(|(cluster, number)| banner::cluster(cluster, number, server.nodes_address()));
        let place = place.unwrap_or_default();
        print_aside(format!("{banner}{place}{log}room for {room}\n"));
        systemd::ready();
        let (stop, monitor) = (CancellationToken::new(), server.monitor());
        let reload = Reload {
            sources,
            secrets: server.secrets(),
            hooks: server.hooks(),
            certificates: server.certificates(),
            cluster_certificates: server.cluster_certificates(),
            keys: server.keys(),
        };
        tokio::select! {
            ended = server.run(stop.clone().cancelled_owned()) => Ok(ended.map(|()| ExitCode::SUCCESS)?),
            code = signals.watch(&stop, &reload) => Ok(code),
            never = systemd::watch(monitor) => match never {},
        }
    })
}

/// SIGXFSZ, whose number is the same on all machines that Linux runs on but MIPS.
const FILE_SIZE_SIGNAL: i32 = 25;

/// The signals that mean something to us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    quit: Signal,
    /// Signals that make other servers reopen their logs, or that are not sent on purpose. By default they would
    /// end the process without a drain.
    ignored: [Signal; 3],
    /// A file is as large as the system lets it be (`ulimit -f`): the write fails, which the log deals with.
    _file_size: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            ignored: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
                signal(SignalKind::alarm())?,
            ],
            _file_size: signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))?,
        })
    }

    /// Waits for a signal to end while the server starts: nothing is there that would have to end in good order.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }

    /// The first signal to end cancels `stop`. With the second one the process is to end at once:
    /// the exit code is the one of a process that the signal killed.
    async fn watch(&mut self, stop: &CancellationToken, reload: &Reload) -> ExitCode {
        let [usr1, usr2, alarm] = &mut self.ignored;
        loop {
            let (name, number) = tokio::select! {
                _ = self.terminate.recv() => ("SIGTERM", 15),
                _ = self.interrupt.recv() => ("SIGINT", 2),
                _ = self.quit.recv() => ("SIGQUIT", 3),
                _ = self.hangup.recv() => {
                    reload.run();
                    continue;
                }
                () = any(usr1, usr2, alarm) => {
                    info!("SIGUSR1, SIGUSR2 and SIGALRM are ignored: there is no log file to reopen");
                    continue;
                }
            };
            if stop.is_cancelled() {
                warn!(signal = name, "stopping at once");
                return ExitCode::from(128 + number);
            }
            info!(signal = name, "stopping");
            systemd::stopping();
            stop.cancel();
        }
    }
}

/// Waits for any of these signals. Cancel safe, as `Signal::recv` is.
async fn any(one: &mut Signal, other: &mut Signal, third: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
        _ = third.recv() => {}
    }
}

/// What SIGHUP reads anew: the certificates, the keys of JSON Web Tokens, the passwords for pushes, the admin tokens, the
/// secrets of hooks.
struct Reload {
    sources: Sources,
    secrets: Secrets,
    hooks: Hooks,
    certificates: Option<Certificates>,
    cluster_certificates: Option<Certificates>,
    keys: Option<Rotation>,
}

impl Reload {
    fn run(&self) {
        match self.certificates.as_ref().map(Certificates::reload) {
            Some(Ok(())) => info!("the certificate was reloaded"),
            Some(Err(error)) => error!(%error, "the certificate was not reloaded, the old one stays"),
            None => {}
        }
        match self.cluster_certificates.as_ref().map(Certificates::reload) {
            Some(Ok(())) => info!("the certificate for other nodes was reloaded"),
            Some(Err(error)) => {
                error!(%error, "the certificate for other nodes was not reloaded, the old one stays")
            }
            None => {}
        }
        match self.keys.as_ref().map(Rotation::reload) {
            Some(Ok(Some(keys))) => info!(keys, "the keys of auth.key_file were reloaded"),
            Some(Err(error)) => {
                error!(%error, "the keys of auth.key_file were not reloaded, the old ones stay");
            }
            None | Some(Ok(None)) => {}
        }
        match config::load(&self.sources) {
            Ok(loaded) => self.take(&loaded),
            Err(error) => error!(%error, "the configuration cannot be read, the old secrets stay"),
        }
    }

    /// Exchanges secrets, and tells what takes a restart.
    fn take(&self, Loaded { config, warnings, .. }: &Loaded) {
        for warning in warnings {
            warn!(%warning, "configuration");
        }
        let changed = self.secrets.replace(config).join(", ");
        info!(changed, "the passwords for pushes and the admin tokens were read again");
        let changed = self.hooks.replace_secrets(&config.hooks).join(", ");
        if !changed.is_empty() {
            info!(changed, "the secrets of hooks were read again");
        }
        let hooks = self.hooks.other_than(&config.hooks).into_iter().map(|name| format!("[[hooks]] {name}"));
        let secrets = self.secrets.other_than(config).into_iter().map(str::to_owned);
        let changed = hooks.chain(secrets).collect::<Vec<_>>().join(", ");
        if !changed.is_empty() {
            warn!(changed, "these changes of the configuration take a restart");
        }
    }
}

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
}
