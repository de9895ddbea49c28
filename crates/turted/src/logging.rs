//! Log lines on standard error: text for people or JSON for machines.

use std::env;
use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogLevel};

/// Libraries that warn of what clients do: anybody could fill the log through them. What matters of it
/// is told by our own lines.
const TALKATIVE: [&str; 3] = ["h2", "hyper", "rustls"];

/// Starts logging for the whole process. Colours are for terminals without `NO_COLOR`.
///
/// # Errors
/// Somebody else, such as a program that embeds turted, already logs; then theirs stays.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), TryInitError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let builder = tracing_subscriber::fmt()
        .with_max_level(filter(level))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none())
        // A closed standard error must not become a panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.finish().with(targets(level)).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(targets(level)).try_init(),
    }
}

/// Who may log what.
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
