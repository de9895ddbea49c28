//! `turted check`: the effective configuration, or what is wrong with it.

use std::process::ExitCode;

use super::{EXIT_USAGE, complain, print, warn_of};
use crate::config::{self, Sources};
use crate::server::connection_limit;

pub(super) fn run(sources: &Sources) -> ExitCode {
    match config::load(sources) {
        Ok(loaded) => {
            warn_of(&loaded);
            let memory = config::show_memory(&loaded.config, connection_limit(&loaded.config));
            print((loaded.effective() + &memory).as_bytes())
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
