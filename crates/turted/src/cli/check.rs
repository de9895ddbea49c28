//! `turted check`: the effective configuration, or what is wrong with it.

use std::process::ExitCode;

use super::{EXIT_USAGE, complain, print};
use crate::config::{self, Sources};

pub(super) fn run(sources: &Sources) -> ExitCode {
    match config::load(sources) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(format_args!("warning: {warning}"));
            }
            print(loaded.effective().as_bytes())
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
