//! What members of a channel are told, as a JSON object that stands in a message of each wire.

use super::channel::{Change, Numbers};
use crate::name::Name;
use crate::wire::json;

/// All users of a channel.
///
/// ```
/// use turted_core::{name::Name, presence::{Numbers, encode_users}};
/// let (chat, adam) = (Name::new("chat").unwrap(), Name::new("adam").unwrap());
/// assert_eq!(
///     encode_users(&chat, &[adam], Numbers { count: 1, anonymous: 2, silent: 0 }),
///     r#"{"channel":"chat","users":["adam"],"count":1,"anonymous":2}"#
/// );
/// ```
#[must_use]
pub fn encode_users(channel: &Name, users: &[Name], numbers: Numbers) -> String {
    let mut message = begin(channel, bytes_of(users));
    push_names(&mut message, "users", users);
    end(message, numbers)
}

/// What has changed since the message before.
///
/// ```
/// use turted_core::{name::Name, presence::{Change, Numbers, encode_change}};
/// let name = |text| Name::new(text).unwrap();
/// let change = Change { joined: vec![name("eve")], left: vec![] };
/// assert_eq!(
///     encode_change(&name("chat"), &change, Numbers { count: 2, anonymous: 0, silent: 1 }),
///     r#"{"channel":"chat","joined":["eve"],"left":[],"count":2,"anonymous":0,"silent":1}"#
/// );
/// ```
#[must_use]
pub fn encode_change(channel: &Name, change: &Change, numbers: Numbers) -> String {
    let mut message = begin(channel, bytes_of(&change.joined) + bytes_of(&change.left));
    push_names(&mut message, "joined", &change.joined);
    push_names(&mut message, "left", &change.left);
    end(message, numbers)
}

/// How many are in a channel that has too many users to name them.
///
/// ```
/// use turted_core::{name::Name, presence::{Numbers, encode_numbers}};
/// let message = encode_numbers(&Name::new("chat").unwrap(), Numbers { count: 1_001, anonymous: 0, silent: 0 });
/// assert_eq!(message, r#"{"channel":"chat","count":1001,"anonymous":0}"#);
/// ```
#[must_use]
pub fn encode_numbers(channel: &Name, numbers: Numbers) -> String {
    end(begin(channel, 0), numbers)
}

/// Bytes of a message beside names, rounded up, and room for what stands around it on its wire.
const OVERHEAD_BYTES: usize = 160;

/// About how many bytes a list of names takes.
fn bytes_of(names: &[Name]) -> usize {
    names.iter().map(|name| name.as_str().len() + 3).sum()
}

fn begin(channel: &Name, bytes: usize) -> String {
    let mut message = String::with_capacity(bytes + channel.as_str().len() + OVERHEAD_BYTES);
    message.push_str(r#"{"channel":"#);
    json::push_string(&mut message, channel.as_str());
    message
}

fn push_names(message: &mut String, member: &'static str, names: &[Name]) {
    message.push_str(&format!(r#","{member}":["#));
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            message.push(',');
        }
        json::push_string(message, name.as_str());
    }
    message.push(']');
}

fn end(mut message: String, Numbers { count, anonymous, silent }: Numbers) -> String {
    message.push_str(&format!(r#","count":{count},"anonymous":{anonymous}"#));
    if silent > 0 {
        message.push_str(&format!(r#","silent":{silent}"#));
    }
    message.push('}');
    message
}
