//! Flags that several commands take, and the sources of a configuration that follow from them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::config::{ConfigFile, Flag, LogStart, Sources};

/// The environment.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// Flags that override the configuration.
#[derive(Clone, Debug, Args)]
pub(super) struct ServeArgs {
    /// Read this file instead of turted.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here; port 0 takes any free one [default: 127.0.0.1:7117]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Worker threads [default: the number of cores]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Let other machines in although no credentials are needed
    #[arg(long)]
    insecure: bool,
    /// Serve the demo page, also where credentials are needed
    #[arg(long)]
    demo: bool,
    /// error, warn, info, debug or trace [default: warn]
    #[arg(long, value_name = "LEVEL", ignore_case = true, hide_possible_values = true)]
    #[arg(value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: Option<String>,
}

/// Flags of the server itself.
#[derive(Clone, Debug, Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// Begin a new epoch of the log on disk: for a directory that was repaired, restored, or unused while another server served
    #[arg(long)]
    new_epoch: bool,
}

impl StartArgs {
    pub(super) fn log_start(&self) -> LogStart {
        if self.new_epoch { LogStart::NewEpoch } else { LogStart::Continue }
    }
}

impl ServeArgs {
    pub(super) fn sources(self, variables: Variables) -> Sources {
        let flag = |key, name, value: Option<String>| value.map(|value| Flag { key, name, value });
        let flags = [
            flag("listen", "--listen", self.listen),
            flag("workers", "--workers", self.workers),
            flag("insecure", "--insecure", self.insecure.then(|| "true".to_owned())),
            flag("demo", "--demo", self.demo.then(|| "true".to_owned())),
            flag("log_level", "--log-level", self.log_level),
        ];
        let mut sources = sources_of(self.config, variables);
        sources.flags = flags.into_iter().flatten().collect();
        sources
    }
}

/// The file that `--config` names, or the usual one, and the environment.
pub(super) fn sources_of(config: Option<PathBuf>, variables: Variables) -> Sources {
    let file = config.map_or_else(|| ConfigFile::IfPresent("turted.toml".into()), ConfigFile::Named);
    Sources { file, variables, flags: Vec::new() }
}
