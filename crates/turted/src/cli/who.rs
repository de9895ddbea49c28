//! `turted who`: users and channels of a running server, one of them, or one connection.

use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;

use super::args::Variables;
use super::ask::{self, Asking, Stop, show};
use super::operator::{EXIT_REFUSED, OperatorArgs, encoded};
use super::shown::{plain, plain_json};

/// Entries of one page.
const PAGE: usize = 1_000;
/// Connections of a user or a channel that are described.
const DESCRIBED_MAX: usize = 20;

/// Arguments of `turted who`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WhoArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// A user, a channel, or the id of a connection; without one all users and channels are listed
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  turted who
  turted who adam
  turted who 0-17-3
  turted who --url https://turted.example.com/admin --token-file admin.token

Exit codes: 0 shown, 1 refused or nobody has this name, 2 wrong usage, 3 no server reached.";

pub(super) fn run(args: WhoArgs, variables: &Variables) -> ExitCode {
    ask::run(args.operator, variables, async |asking| match &args.name {
        None => list(asking).await,
        Some(name) => one(asking, name).await,
    })
}

/// Lists users and channels, a page at a time.
async fn list(asking: &mut Asking) -> Result<(), Stop> {
    for kind in ["users", "channels"] {
        show(&format!("{kind}\n"))?;
        let mut after = String::new();
        loop {
            let page = asking.get(&format!("/api/v1/{kind}?limit={PAGE}{after}")).await?;
            let entries = page[kind].as_array().map_or(&[][..], Vec::as_slice);
            for entry in entries {
                let name = plain(entry["name"].as_str().unwrap_or_default());
                show(&format!("  {name:<40} {:>8}\n", entry["connections"]))?;
            }
            let last = entries.last().and_then(|entry| entry["name"].as_str());
            match last.filter(|_| page["more"] == true) {
                Some(last) => after = format!("&after={}", encoded(last)),
                None => break,
            }
        }
    }
    Ok(())
}

/// Shows whatever has this name.
async fn one(asking: &mut Asking, name: &str) -> Result<(), Stop> {
    let mut is_found = false;
    for (kind, word) in [("users", "user"), ("channels", "channel")] {
        let group = asking.get(&format!("/api/v1/{kind}/{}", encoded(name))).await?;
        let connections = group["connections"].as_u64().unwrap_or_default();
        if connections == 0 {
            continue;
        }
        is_found = true;
        let plural = if connections == 1 { "" } else { "s" };
        show(&format!("{word} {}: {connections} connection{plural}\n", plain(name)))?;
        let ids = group["connection_ids"].as_array().map_or(&[][..], Vec::as_slice);
        for id in ids.iter().filter_map(Value::as_str).take(DESCRIBED_MAX) {
            connection(asking, id).await?;
        }
        if connections > DESCRIBED_MAX as u64 {
            show(&format!("  and {} others\n", connections - DESCRIBED_MAX as u64))?;
        }
    }
    if connection(asking, name).await? || is_found {
        return Ok(());
    }
    let message = format!("no user, channel or connection {} is there now", plain(name));
    Err(Stop::Failed(message, EXIT_REFUSED))
}

/// Shows a connection. Returns whether it is there.
async fn connection(asking: &mut Asking, id: &str) -> Result<bool, Stop> {
    let Some(connection) = asking.find(&format!("/api/v1/connections/{}", encoded(id))).await? else {
        return Ok(false);
    };
    let member = |key: &str| match &connection[key] {
        Value::String(text) => plain(text),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(", ")
        }
        other => plain_json(&other.to_string()),
    };
    show(&format!("  connection {}\n", member("id")))?;
    for key in [
        "public_id",
        "address",
        "transport",
        "version",
        "carrier",
        "users",
        "channels",
        "connected_since",
        "sent",
        "sent_bytes",
        "outbox_frames",
        "outbox_bytes",
    ] {
        show(&format!("    {:<16} {}\n", key.replace('_', " "), member(key)))?;
    }
    Ok(true)
}
