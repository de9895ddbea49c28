//! `turted serve`: loads the configuration, starts logging and hands over to the server.

use std::process::ExitCode;

use tracing::warn;

use super::{EXIT_USAGE, complain};
use crate::config::{self, Config, Sources};
use crate::logging;

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
fn serve(_config: Config) -> Result<(), &'static str> {
    Err("not wired yet") // The server's start goes here.
}
