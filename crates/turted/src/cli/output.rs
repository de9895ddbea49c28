//! Results on standard output, complaints on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::Loaded;

/// Wrong usage or a configuration that does not hold; `clap` uses the same code.
pub(super) const EXIT_USAGE: u8 = 2;

/// Writes a result. A reader that has seen enough (`turted check | head`) is no failure.
pub(super) fn print(result: &[u8]) -> ExitCode {
    match write(result) {
        Printed::Whole | Printed::Closed => ExitCode::SUCCESS,
        Printed::Failed(error) => {
            complain(format_args!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What became of a part of a result.
#[derive(Debug)]
pub(super) enum Printed {
    Whole,
    /// The reader has seen enough.
    Closed,
    Failed(io::Error),
}

/// Writes a part of a result, at once.
pub(super) fn print_on(part: &str) -> Printed {
    write(part.as_bytes())
}

/// Whether nobody reads standard output any more: the other end of the pipe is closed.
pub(super) fn is_closed() -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let known = poll(&mut asked, Some(&Timespec::default()));
    known.is_ok() && asked[0].revents().contains(PollFlags::ERR)
}

fn write(bytes: &[u8]) -> Printed {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Printed::Whole,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Printed::Closed,
        Err(error) => Printed::Failed(error),
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
