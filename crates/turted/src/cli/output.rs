//! Results on standard output, complaints on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config::Loaded;

/// Wrong usage or a configuration that does not hold; `clap` uses the same code.
pub(super) const EXIT_USAGE: u8 = 2;

/// Writes a result. A reader that has seen enough (`turted check | head`) is no failure.
pub(super) fn print(result: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(result).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells what a configuration contains that is allowed but not advisable.
pub(super) fn warn_of(loaded: &Loaded) {
    loaded.warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
}

/// Tells what went wrong, one line per problem.
pub(super) fn complain(message: impl Display) {
    let mut err = io::stderr().lock();
    for line in message.to_string().lines() {
        // If this cannot be printed, there is no other place to say so.
        let _closed = writeln!(err, "turted: {line}");
    }
}
