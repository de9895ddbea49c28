//! `turted bench`: loads a running server with real clients and reports how it serves them.

use std::ffi::OsStr;
use std::io::{IsTerminal, stderr};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use hyper::Uri;
use hyper::header::HeaderValue;
use indicatif::{ProgressBar, ProgressStyle};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::args::Variables;
use super::operator::connector;
use super::output::{EXIT_USAGE, complain, print};
use crate::config::{Secret, parse_duration};
use turted_bench::plan::{
    CHANNELS_MAX, CHURN_MAX, CONNECTIONS_MAX, Clients, DURATION_MAX, Load, OUTSTANDING_MAX,
    PAYLOAD_BYTES_MAX, PUSHERS_MAX, Plan, RATE_MAX, Spread, THREADS_MAX, TOLD_MAX, Target, Turn,
};
use turted_bench::protocol::{Protocol, ProtocolArgs};
use turted_bench::report::Report;
use turted_bench::{self as bench, Progress, STAMP_BYTES, Tls};
use turted_core::limits::{CHANNELS_PER_CONNECTION_MAX, TARGETS_MAX};

/// Arguments of `turted bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BenchArgs {
    /// The server, http or https
    #[arg(long, default_value = "http://127.0.0.1:7117")]
    url: Uri,
    /// Trust the certificates in this file instead of the system's (https)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Load a server that is not on this machine
    #[arg(long)]
    allow_remote: bool,
    /// Connections that receive
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count(0, CONNECTIONS_MAX))]
    connections: usize,
    /// Spread the connections over so many channels; each dispatch goes to the next one
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, CHANNELS_MAX))]
    channels: usize,
    /// Push to any of the channels instead of the next one
    #[arg(long)]
    random: bool,
    /// Join no channel, push to everyone
    #[arg(long, conflicts_with_all = ["channels", "random"])]
    broadcast: bool,
    /// Join no channel; each client is a user of its own, and each push names all of them
    #[arg(long, conflicts_with_all = ["channels", "random", "broadcast"])]
    users: bool,
    /// Join so many channels with each connection; one of them is pushed to
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, CHANNELS_PER_CONNECTION_MAX), conflicts_with_all = ["broadcast", "users"])]
    joins: usize,
    /// Keep so many dispatches outstanding
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, OUTSTANDING_MAX))]
    inflight: usize,
    /// Push so many dispatches per second, whatever the server does
    #[arg(long, value_name = "N", conflicts_with = "inflight", value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: Option<u32>,
    /// Leave the connections alone for so long before the first push
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    idle: Duration,
    /// All clients lose their connections at once, miss so many events each, and come back to them
    #[arg(long = "return", value_name = "N", default_value = "0", value_parser = clap::value_parser!(u32).range(0..TOLD_MAX as i64))]
    missed: u32,
    /// How long to push; 0s opens and closes connections only
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Bytes of the payload
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = count(STAMP_BYTES, PAYLOAD_BYTES_MAX))]
    payload: usize,
    /// Connections that push
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, PUSHERS_MAX))]
    pushers: usize,
    /// Threads that hold connections
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1, THREADS_MAX))]
    threads: usize,
    /// Connections that each thread opens at once
    #[arg(long, value_name = "N", default_value = "64", value_parser = count(1, CONNECTIONS_MAX))]
    opening: usize,
    /// Further connections that join and then never read
    #[arg(long, value_name = "N", default_value = "0", value_parser = count(0, CONNECTIONS_MAX))]
    stalled: usize,
    /// First open and close so many connections
    #[arg(long, value_name = "N", default_value = "0", value_parser = count(0, CHURN_MAX))]
    churn: usize,
    /// The server's process: measure its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// How long to wait for what does not come: a connection, an answer, a delivery
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = patience)]
    patience: Duration,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    protocol: ProtocolArgs,
}

const EXAMPLES: &str = "\
Examples:
  turted bench --connections 10000 --pid $(pidof -s turted)
  turted bench --channels 100 --inflight 64 --duration 30s --json
  turted bench --connections 0 --churn 100000 --duration 0s
  turted bench --protocol centrifugo --url http://127.0.0.1:8000 --channels 100 --random
  turted bench --connections 5000 --return 100 --duration 0s --pid $(pidof -s turted)
  turted bench --url https://localhost:7117 --ca fullchain.pem
  turted bench --protocol mercure --show

The password of pushes is read from TURTED_PUSH_PASSWORD.
Exit codes: 0 everything arrived once and in order, 1 not so, 2 wrong usage, 3 no server reached.";

/// The run did not come to its end.
const EXIT_UNREACHED: u8 = 3;

fn count(least: usize, most: usize) -> impl clap::builder::TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(least as u64..=most as u64)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = if text == "0s" { Some(Duration::ZERO) } else { parse_duration(text) };
    let duration = duration.filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| format!("expected a time up to {}s, such as 10s or 2m", DURATION_MAX.as_secs()))
}

fn patience(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| match time {
        Duration::ZERO => Err("expected a time above 0s".into()),
        _ => Ok(time),
    })
}

pub(super) fn run(args: &BenchArgs, variables: &Variables) -> ExitCode {
    let plan = match plan(args, variables) {
        Ok(plan) => plan,
        Err(message) => {
            complain(message);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if args.protocol.show {
        return print(format!("turted bench \\\n{}\n", plan.protocol).as_bytes());
    }
    let bar = bar();
    let result = bench::run(plan, |progress| show(&bar, progress));
    bar.finish_and_clear();
    match result {
        Ok(report) => tell(&report, args.json),
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_UNREACHED)
        }
    }
}

fn plan(args: &BenchArgs, variables: &Variables) -> Result<Plan, String> {
    let authority = super::push::authority(&args.url, &["http", "https"], "TURTED_PUSH_PASSWORD")?;
    let address = address(&args.url, args.allow_remote)?;
    let spread = match args {
        BenchArgs { broadcast: true, .. } => Spread::Broadcast,
        BenchArgs { users: true, connections, .. } => Spread::Users(*connections),
        _ => Spread::Channels(args.channels),
    };
    let load = args.rate.map_or(Load::Inflight(args.inflight), Load::Rate);
    let protocol = args.protocol.protocol(spread)?;
    check_asks(args, &protocol)?;
    if args.missed > 0 {
        check_return(args.missed, spread, &protocol)?;
    }
    Ok(Plan {
        target: Target {
            address,
            authority: authority.to_owned(),
            tls: tls(&args.url, args.ca.clone())?,
            password: password(variables)?,
        },
        protocol,
        clients: Clients {
            reading: args.connections,
            stalled: args.stalled,
            churned: args.churn,
            threads: args.threads,
            opening: args.opening,
        },
        spread,
        joins: args.joins,
        turn: if args.random { Turn::Random } else { Turn::Next },
        load,
        idle: args.idle,
        missed: args.missed,
        duration: args.duration,
        payload_bytes: args.payload,
        pushers: args.pushers,
        process: args.pid,
        patience: args.patience,
    })
}

/// Whether clients can ask for what they should.
fn check_asks(args: &BenchArgs, protocol: &Protocol) -> Result<(), String> {
    let option = match args {
        BenchArgs { users: true, .. } => "--users",
        BenchArgs { joins: 2.., .. } => "--joins",
        _ => return Ok(()),
    };
    if !protocol.transport.asks() {
        return Err(format!("{option}: only with --transport socketio, polling or websocket"));
    }
    if args.users && !(1..=TARGETS_MAX).contains(&args.connections) {
        return Err(format!(
            "--users: expected 1 to {TARGETS_MAX} --connections, as many as a push can name"
        ));
    }
    Ok(())
}

/// Whether clients can come back to so many events.
fn check_return(missed: u32, spread: Spread, protocol: &Protocol) -> Result<(), String> {
    if (missed as usize + 1).saturating_mul(spread.groups()) > TOLD_MAX {
        return Err(format!("--return: over all channels at most {TOLD_MAX} events can be missed"));
    }
    if !protocol.comes_back() {
        return Err(
            "--return: nothing says how these clients come back to what they missed; see --keep".to_owned()
        );
    }
    Ok(())
}

/// How the server is spoken to if its URL is https. No session is resumed: each client is another one, and comes
/// for the first time.
fn tls(url: &Uri, ca: Option<PathBuf>) -> Result<Option<Tls>, String> {
    let Some(connector) = connector(url, "https", ca)? else { return Ok(None) };
    let mut config = ClientConfig::clone(connector.config());
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from(host(url).to_owned()).map_err(|error| format!("--url: {error}"))?;
    Ok(Some(Tls { config: Arc::new(config), name }))
}

fn host(url: &Uri) -> &str {
    url.host().unwrap_or_default().trim_matches(['[', ']'])
}

/// The address of the server: one of this machine's own, unless `allow_remote` is set. A load
/// generator that is pointed at another machine by mistake is an attack.
fn address(url: &Uri, allow_remote: bool) -> Result<SocketAddr, String> {
    let host = host(url);
    let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
    let found = (host, url.port_u16().unwrap_or(port)).to_socket_addrs();
    let address = found.map_err(|error| format!("--url: {host}: {error}"))?.next();
    let address = address.ok_or_else(|| format!("--url: {host} has no address"))?;
    if !address.ip().to_canonical().is_loopback() && !allow_remote {
        return Err(format!("--url: {} is another machine; to load it add --allow-remote", address.ip()));
    }
    Ok(address)
}

fn password(variables: &Variables) -> Result<Option<Secret>, String> {
    let variable = variables.iter().find(|(name, _)| name == OsStr::new("TURTED_PUSH_PASSWORD"));
    let Some((_, value)) = variable else { return Ok(None) };
    let text = value.to_str().ok_or("TURTED_PUSH_PASSWORD: expected UTF-8")?;
    HeaderValue::try_from(text).map_err(|_| "the password has characters that no HTTP header can carry")?;
    Ok(Some(Secret::from(text.to_owned())))
}

fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {percent:>3} %");
    ProgressBar::new(0).with_style(style.expect("the template is well-formed"))
}

fn show(bar: &ProgressBar, progress: Progress) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (message, done, all) = match progress {
        Progress::Connecting(done, all) => ("connecting", done as u64, all as u64),
        Progress::LeftAlone(done, all) => ("left alone", millis(done), millis(all)),
        Progress::Pushing(done, all) => ("pushing", millis(done), millis(all)),
    };
    bar.set_message(message);
    bar.set_length(all);
    bar.set_position(done);
}

fn tell(report: &Report, json: bool) -> ExitCode {
    let text = if json {
        serde_json::to_string_pretty(report).expect("a report is plain data") + "\n"
    } else {
        report.to_string()
    };
    let printed = print(text.as_bytes());
    if report.is_clean() { printed } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_loaded_only_on_purpose() {
        let check = |url: &'static str, allow| address(&Uri::from_static(url), allow).is_ok();
        assert!(check("http://127.0.0.1:7117", false));
        assert!(check("http://[::1]:7117", false));
        assert!(!check("http://192.0.2.1:7117", false));
        assert!(check("http://192.0.2.1:7117", true));
    }
}
