//! `turted trace`: what became of an event, as far as the server knows it now.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::args::Variables;
use super::ask::{self, Stop, show};
use super::operator::{OperatorArgs, encoded};
use super::shown::{plain, plain_json};

/// Arguments of `turted trace`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print the answer of the server as it is
    #[arg(long)]
    json: bool,
    /// The position of the event: `id` in the answer to its push, `position` in turted watch
    position: String,
}

const EXAMPLES: &str = "\
Examples:
  turted trace 5d1f2c3a-1042
  turted trace --json 5d1f2c3a-1042

Exit codes: 0 shown, 1 refused or the log does not keep the position, 2 wrong usage, 3 no server reached.";

pub(super) fn run(args: TraceArgs, variables: &Variables) -> ExitCode {
    ask::run(args.operator, variables, async |asking| {
        let trace = asking.get(&format!("/api/v1/trace/{}", encoded(&args.position))).await?;
        match args.json {
            true => show(&(plain_json(&trace.to_string()) + "\n")),
            false => tell(&trace),
        }
    })
}

fn tell(trace: &Value) -> Result<(), Stop> {
    let (event, position) = (text(&trace["event"]), text(&trace["position"]));
    show(&format!("{event} {position}, {} bytes, {} s ago\n", trace["bytes"], trace["seconds"]))?;
    let targets = &trace["targets"];
    for kind in ["users", "channels"] {
        let names = text(&targets[kind]);
        if !names.is_empty() {
            show(&format!("  to {kind} {names}\n"))?;
        }
    }
    if targets["broadcast"] == true {
        show("  to everyone\n")?;
    }
    if targets["more"] != 0 {
        show(&format!("  and to {} others\n", targets["more"]))?;
    }
    for connection in entries(&trace["connections"]) {
        let (id, users, via) = (text(&connection["connection"]), text(&connection["users"]), via(connection));
        show(&format!("{:<16} connection {id} {via} users {users}\n", text(&connection["state"])))?;
    }
    for session in entries(&trace["sessions"]) {
        let (away, users, via) = (&session["away_seconds"], text(&session["users"]), via(session));
        show(&format!("{:<16} session away for {away} s {via} users {users}\n", text(&session["state"])))?;
    }
    if trace["more"] == true {
        show("and others\n")?;
    }
    show("Who is not listed is unknown: the log holds targets, not recipients.\n")
}

fn entries(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn via(entry: &Value) -> String {
    let member = |(kind, name): (&String, &Value)| match name {
        Value::Bool(_) => "by broadcast".to_owned(),
        name => format!("by {} {}", plain(kind), text(name)),
    };
    entry["via"].as_object().and_then(|via| via.iter().next()).map(member).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(", "),
        other => plain_json(&other.to_string()),
    }
}
