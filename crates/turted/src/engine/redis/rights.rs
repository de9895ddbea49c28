//! Which commands a user may not run, found out by running each of them once on keys of a trial, for `turted check --connect`.
//!
//! A node at its start asks a script. That tells nothing to a user who may not run scripts, or look at the server.

use std::time::Duration;

use turted_core::wire::resp::Reply;

use super::super::Failure;
use super::client::{Client, said};
use super::keys::Keys;

/// How long a key of the trial is kept that cannot be deleted, in milliseconds.
const KEPT_MS: &str = "60000";
/// A script that nobody has.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

/// What this user may not do, of all that a node needs, with what the server says to it. The connection is of no use
/// afterwards: it subscribes at the end.
pub(super) async fn missing(
    mut client: Client,
    keys: &Keys,
    database: u32,
) -> Result<Vec<(String, String)>, Failure> {
    let (database, value) = (database.to_string(), keys.value("session:0"));
    let (log, value, channel) = (&*keys.log, &*value, &*keys.nodes);
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["INFO", "server"],
        vec!["TIME"],
        vec!["XADD", log, "NOMKSTREAM", "*", "d", ""],
        vec!["XREAD", "COUNT", "1", "BLOCK", "1", "STREAMS", log, "0-0"],
        vec!["XRANGE", log, "-", "+"],
        vec!["XTRIM", log, "MINID", "0-0"],
        vec!["XINFO", "STREAM", log],
        vec!["HMGET", &keys.reign, "epoch"],
        vec!["GET", value],
        vec!["SET", value, "", "PX", KEPT_MS],
        // The value is no hash: whoever may do it is told that.
        vec!["HSET", value, "epoch", "0"],
        vec!["PEXPIRE", value, KEPT_MS],
        vec!["DEL", value],
        vec!["EVAL", "return 0", "0"],
        vec!["EVALSHA", NO_SCRIPT, "0"],
        vec!["CLIENT", "ID"],
        // No connection has this number.
        vec!["CLIENT", "KILL", "ID", "0"],
        vec!["WAIT", "0", "1"],
        vec!["PING"],
        vec!["PUBLISH", channel, ""],
    ];
    if database != "0" {
        commands.push(vec!["SELECT", &database]);
    }
    commands.push(vec!["SUBSCRIBE", channel]);
    commands.iter().for_each(|command| client.add(command));
    let replies = client.replies(commands.len(), Duration::ZERO).await?;
    let denied = commands.iter().zip(replies).filter_map(|(command, reply)| match reply {
        Reply::Error(error) if error.starts_with(b"NOPERM") => Some((command.join(" "), said(&error))),
        _ => None,
    });
    Ok(denied.collect())
}
