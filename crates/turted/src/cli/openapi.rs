//! `turted openapi`: the OpenAPI document of pushes and of the admin API.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::args::{Variables, sources_of};
use super::output::{EXIT_USAGE, complain, print, warn_of};
use crate::admin::openapi;
use crate::config;

/// Arguments of `turted openapi`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenapiArgs {
    /// Read this file instead of turted.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  turted openapi > turted.openapi.json
  turted openapi --config /etc/turted/turted.toml
  curl http://127.0.0.1:7118/openapi.json    the same of a running server

Addresses, the path of pushes and limits are those of the configuration.";

pub(super) fn run(args: OpenapiArgs, variables: Variables) -> ExitCode {
    match config::load(&sources_of(args.config, variables)) {
        Ok(loaded) => {
            warn_of(&loaded);
            let config = &loaded.config;
            let document = openapi::document(config, config.listen, config.admin.listen.address());
            print(document.as_bytes())
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
