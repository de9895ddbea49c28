//! `turted subscribe`: a client of turted.v1 that prints what it receives, or runs a command for each event.
//!
//! | file | what |
//! |---|---|
//! | `session` | one client over its connections: who it is, what it joins, how it comes back |
//! | `event` | the messages of turted.v1, as a client reads them |
//! | `command` | the command that is run for an event |
//! | `websocket` | the side of a client of a WebSocket |

mod session;
mod event;
mod command;
mod websocket;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use hyper::Uri;

use self::session::{Plan, Session};
use super::args::Variables;
use super::operator::{connector, secret};
use super::output::{EXIT_USAGE, complain};
use super::push::authority;
use super::records::Style;
use super::watch::EndArgs;

/// Arguments of `turted subscribe`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("who").required(true).multiple(true)))]
pub(super) struct SubscribeArgs {
    /// The endpoint of turted.v1, ws or wss
    #[arg(long, default_value = "ws://127.0.0.1:7117/ws")]
    url: Uri,
    /// Trust the certificates in this file instead of the system's (wss)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Be this user
    #[arg(long, value_name = "NAME", group = "who")]
    user: Option<String>,
    /// Join this channel; may be repeated
    #[arg(long = "channel", value_name = "NAME", group = "who")]
    channels: Vec<String>,
    /// Read the token or password of the user from this file instead of TURTED_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print each event as it came, one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    end: EndArgs,
    /// Run this command for each event instead, without a shell: the payload is its standard input. The last flag
    #[arg(long, value_name = "CMD ARGS", num_args = 1.., allow_hyphen_values = true, conflicts_with = "json")]
    exec: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  turted subscribe --channel chat
  turted subscribe --user adam --token-file adam.token --channel chat --json
  turted subscribe --channel orders --count 1 --timeout 30s
  turted subscribe --channel deploy --exec /usr/local/bin/deploy --verbose

A command finds TURTED_EVENT, TURTED_VIA and TURTED_CURSOR in its environment. One runs at a time.
Exit codes: 0 done or the pipe was closed, 1 refused or the time was over before --count, 2 wrong usage, 3 no server reached.";

pub(super) fn run(args: SubscribeArgs, variables: &Variables) -> ExitCode {
    let (style, end) = (Style::of(args.json), args.end);
    match plan(args, variables) {
        Ok(plan) => end.run(|reach| Session::new(plan, style, end.count, reach).run()),
        Err(message) => {
            complain(message);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn plan(args: SubscribeArgs, variables: &Variables) -> Result<Plan, String> {
    let SubscribeArgs { url, ca, user, channels, token_file, exec, .. } = args;
    let authority = authority(&url, &["ws", "wss"], "TURTED_TOKEN")?.to_owned();
    let secret = secret(("--token-file", token_file), "TURTED_TOKEN", variables)?;
    let tls = connector(&url, "wss", ca)?;
    Ok(Plan { url, authority, tls, user, secret, channels, exec })
}
