//! Log lines on standard error: text for people or JSON for machines. They are written by a thread of
//! their own, see `log_lines`.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::time::Duration;
use std::{env, thread};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogLevel};
use crate::io::log_lines::{QUEUE, Queue};

/// Libraries that warn of what clients do, so that any client could fill the log through them. Our own
/// lines tell what matters of it.
const TALKATIVE: [&str; 3] = ["h2", "hyper", "rustls"];

/// How long the end of the program waits for lines that are still to be written. If standard error is
/// read, the lines of a stop are read in milliseconds.
const LAST_LINES_WAIT: Duration = Duration::from_secs(1);

/// Stack of the thread that writes: it formats one line at most, in some 10 kB.
const STACK_BYTES: usize = 256 * 1024;

/// Why logging does not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The process already logs, because it is a program that embeds turted, say. Its logging stays.
    #[error(transparent)]
    Taken(#[from] TryInitError),
    /// The operating system refuses the thread that writes.
    #[error("cannot start a thread: {0}")]
    Start(#[source] io::Error),
}

/// Starts logging for the whole process. Colours are for terminals without `NO_COLOR`.
///
/// Logging never waits for standard error: lines that are not read are dropped and counted, as soon as
/// 1 MiB of them waits. [`flush`] is for the end.
///
/// # Errors
/// The process already logs, or the operating system refuses the thread that writes.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), LoggingError> {
    let queue = QUEUE.get_or_init(Queue::default);
    subscribe((level, format), queue)?;
    let write = || queue.write(Unlocked, tell_dropped);
    let thread = thread::Builder::new().name("turted-log".into()).stack_size(STACK_BYTES);
    thread.spawn(write).map_err(LoggingError::Start)?;
    Ok(())
}

/// Waits until every line is written, but at most a second: a standard error that is not read does not
/// keep a program alive.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        // What was not read until now is not waited for any longer.
        let _ = queue.flush(LAST_LINES_WAIT);
    }
}

/// Writes a line as it is, behind those that were logged.
pub(crate) fn write_line(line: &str) {
    let queue = QUEUE.get_or_init(Queue::default);
    queue.put(format!("{line}\n").as_bytes());
}

/// Has panics logged. The standard library would write them to standard error itself. If that is not
/// read, a thread that panics would hang instead of ending.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = text_of(panic.payload());
    let location = panic.location().map(tracing::field::display);
    let thread = thread::current();
    // Asked for by `RUST_BACKTRACE`, as ever.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let backtrace = backtrace.as_ref().map(tracing::field::display);
    tracing::error!(thread = thread.name(), location, backtrace, "panicked: {message}");
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref().copied()).unwrap_or("no message")
}

fn tell_dropped(lines: u64) {
    tracing::warn!(lines, "log lines were dropped: standard error was not read");
}

/// Standard error without the lock of the standard library. That lock would be held as long as standard
/// error is not read, and every other thread that writes would wait for it.
struct Unlocked;

impl Write for Unlocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stderr(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts what is logged into the queue, a line at a time.
struct Lines(&'static Queue);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn subscribe((level, format): (LogLevel, LogFormat), queue: &'static Queue) -> Result<(), TryInitError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let builder = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .with_writer(move || Lines(queue))
        .with_ansi(io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none())
        // A closed standard error must not become a panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.finish().with(targets(level)).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(targets(level)).try_init(),
    }
}

/// Which crates may log what.
fn targets(level: LogLevel) -> Targets {
    let quiet = TALKATIVE.map(|library| (library, LevelFilter::ERROR));
    Targets::new().with_default(filter(level)).with_targets(quiet)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn clients_cannot_fill_the_log_through_libraries() {
        let targets = targets(LogLevel::Trace);
        for library in ["h2::proto::streams", "hyper::proto::h1", "rustls::conn"] {
            assert!(targets.would_enable(library, &Level::ERROR), "{library}");
            assert!(!targets.would_enable(library, &Level::WARN), "{library}");
        }
        assert!(targets.would_enable("turted::connection", &Level::TRACE));
    }
}
