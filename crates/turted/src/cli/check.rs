//! `turted check`: the effective configuration, or what is wrong with it; and whether its sources can be reached, and its
//! cluster be joined.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::args::{ServeArgs, Variables};
use super::output::{EXIT_USAGE, complain, print, warn_of};
use super::sample::{self, SampleArgs};
use crate::config::{self, ClusterConfig, Config};
#[cfg(feature = "redis")]
use crate::engine::redis::{Checked, RedisEngineSettings, check};
use crate::push::SOURCES;
use crate::push::source::SourceType;
use crate::server::descriptors::{self, Room};

/// Arguments of `turted check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Try whether each source can be reached, and whether Redis has what a cluster needs, and print that alone
    #[arg(long, conflicts_with = "sample")]
    connect: bool,
    #[command(flatten)]
    sample: SampleArgs,
}

const EXAMPLES: &str = "\
Examples:
  turted check --config /etc/turted/turted.toml
  turted check | grep '# from'               only what is no default
  turted check --connect                     whether sources and the cluster can be reached
  turted check --sample app /var/log/app.log
  turted check --sample orders - --set key=order.new < messages

Exit codes: 0 valid, 1 a source or the cluster not reached, or a message refused, 2 wrong usage or configuration.";

pub(super) fn run(args: CheckArgs, variables: Variables) -> ExitCode {
    let loaded = match config::load(&args.serve.sources(variables)) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    warn_of(&loaded);
    if args.connect {
        return connect(&loaded.config);
    }
    if let Some(sample) = args.sample.wanted() {
        return sample::run(&loaded.config, &sample);
    }
    let room = Room::of(&loaded.config.limits, descriptors::limit());
    if let Some(warning) = room.warning() {
        complain(format_args!("warning: {warning}"));
    }
    let memory = config::show_memory(&loaded.config, room.connections + room.spare);
    print(format!("{}{memory}\n# Room for {room}\n", loaded.effective()).as_bytes())
}

/// Tries the cluster and each source, one after the other.
fn connect(config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let (mut text, mut is_reached) = (String::new(), true);
    if let Some(cluster) = &config.cluster {
        is_reached &= runtime.block_on(try_cluster(&mut text, cluster));
    }
    for source in &config.sources {
        let tried = runtime.block_on(SourceType::check(SOURCES, source));
        is_reached &= tried.is_ok();
        let outcome = tried.map_or_else(|failure| failure.to_string(), |()| "can be reached".to_owned());
        let _infallible = writeln!(text, "source {}, {}: {outcome}", source.name, source.kind.name());
    }
    // A name look-up that hangs in the resolver must not keep the process.
    runtime.shutdown_background();
    let printed = print(text.as_bytes());
    if is_reached { printed } else { ExitCode::FAILURE }
}

/// Tries all that a node does in Redis, and writes down what was found. Returns whether a node can start.
#[cfg(feature = "redis")]
async fn try_cluster(text: &mut String, cluster: &ClusterConfig) -> bool {
    // The number is part of the keys of the trial, so that two trials do not meet.
    let settings = RedisEngineSettings::of(cluster, getrandom::u64().unwrap_or_default());
    let place = match &cluster.sentinels {
        None => format!("Redis at {}", cluster.server.broker),
        Some(sentinels) => format!("Redis that sentinels know as {}", sentinels.master),
    };
    let Checked { facts, warnings, problems } = check(&settings).await;
    let outcomes = if problems.is_empty() { vec!["can be used".to_owned()] } else { problems.clone() };
    for outcome in outcomes {
        let _infallible = writeln!(text, "cluster {}, {place}: {outcome}", cluster.prefix);
    }
    for fact in facts {
        let _infallible = writeln!(text, "  {fact}");
    }
    for warning in warnings {
        let _infallible = writeln!(text, "  warning: {warning}");
    }
    problems.is_empty()
}

/// Without the feature no configuration has a cluster.
#[cfg(not(feature = "redis"))]
async fn try_cluster(_text: &mut String, _cluster: &ClusterConfig) -> bool {
    true
}
