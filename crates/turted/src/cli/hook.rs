//! `turted hook`: one record of type `test` to the backend of a hook, and what it answers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::args::{Variables, sources_of};
use super::output::{EXIT_USAGE, complain, print, warn_of};
use super::shown::plain_lines;
use crate::config::{self, Config, Hook};
use crate::webhook::{Tried, try_once};

/// No backend answered.
const EXIT_UNREACHED: u8 = 3;

/// Arguments of `turted hook`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HookArgs {
    /// The name of the hook in the configuration
    name: String,
    /// Read this file instead of turted.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  turted hook app
  turted hook app --config /etc/turted/turted.toml

Exit codes: 0 the backend took it, 1 it answered something else, 2 wrong usage or configuration, 3 no answer.";

pub(super) fn run(args: HookArgs, variables: Variables) -> ExitCode {
    let loaded = match config::load(&sources_of(args.config, variables)) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    warn_of(&loaded);
    let Some(hook) = loaded.config.hooks.iter().find(|hook| hook.name == args.name) else {
        complain(no_such_hook(&args.name, &loaded.config));
        return ExitCode::from(EXIT_USAGE);
    };
    match try_once(hook, loaded.config.listen) {
        Ok(Ok(tried)) => show(&tried),
        Ok(Err(failure)) => {
            complain(format_args!("{}: {failure}", hook.name));
            if let Some(hint) = hint(hook, &failure) {
                complain(format_args!("hint: {hint}"));
            }
            ExitCode::from(EXIT_UNREACHED)
        }
        Err(error) => {
            complain(format_args!("cannot start the runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What may help against a failure that has to do with TLS.
fn hint(hook: &Hook, failure: &str) -> Option<&'static str> {
    match hook.url.is_https() {
        true if failure.contains("does not speak TLS") => {
            Some("a backend without TLS has a `url` that begins with http://")
        }
        true if failure.contains("no authority that is trusted") => Some(
            "`ca` stands below [[hooks]], beside `url`: a file with the certificate of that authority in PEM",
        ),
        false if failure.contains("the connection broke") => {
            Some("a backend that speaks TLS has a `url` that begins with https://")
        }
        _ => None,
    }
}

fn no_such_hook(name: &str, config: &Config) -> String {
    let names: Vec<_> = config.hooks.iter().map(|Hook { name, .. }| name.as_str()).collect();
    match names.is_empty() {
        true => "the configuration has no [[hooks]]".to_owned(),
        false => format!("there is no hook {name:?}; there are {}", names.join(", ")),
    }
}

/// Prints the answer. A backend chooses its body, so control characters, which could steer a terminal, are escaped.
fn show(Tried { status, body, is_taken }: &Tried) -> ExitCode {
    let lossy = String::from_utf8_lossy(body);
    let printed = print(format!("{status}\n{}", with_end(plain_lines(&lossy))).as_bytes());
    if *is_taken { printed } else { ExitCode::FAILURE }
}

fn with_end(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}
