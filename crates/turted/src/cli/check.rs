//! `turted check`: the effective configuration, or what is wrong with it.

use std::process::ExitCode;

use super::{EXIT_USAGE, complain, print, warn_of};
use crate::config::{self, Sources};

pub(super) fn run(sources: &Sources) -> ExitCode {
    match config::load(sources) {
        Ok(loaded) => {
            warn_of(&loaded);
            print(loaded.effective().as_bytes())
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
