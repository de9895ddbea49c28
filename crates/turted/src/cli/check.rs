//! `turted check`: the effective configuration, or what is wrong with it.

use std::process::ExitCode;

use super::output::{EXIT_USAGE, complain, print, warn_of};
use crate::config::{self, Sources};
use crate::server::descriptors::{self, Room};

pub(super) fn run(sources: &Sources) -> ExitCode {
    match config::load(sources) {
        Ok(loaded) => {
            warn_of(&loaded);
            let room = Room::of(&loaded.config.limits, descriptors::limit());
            if let Some(warning) = room.warning() {
                complain(format_args!("warning: {warning}"));
            }
            let memory = config::show_memory(&loaded.config, room.connections + room.spare);
            print(format!("{}{memory}\n# Room for {room}\n", loaded.effective()).as_bytes())
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
