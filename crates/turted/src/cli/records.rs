//! Records of the live view as lines for people.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};

use serde_json::value::RawValue;

use super::shown::{plain, plain_json};

/// The members of a record in the order in which they are shown; what is not among them comes behind.
const ORDER: [&str; 29] = [
    "node",
    "cluster_node",
    "action",
    "event",
    "users",
    "channels",
    "broadcast",
    "more",
    "bytes",
    "reached",
    "count",
    "connection",
    "public_id",
    "channel",
    "method",
    "rule",
    "field",
    "reason",
    "transport",
    "version",
    "carrier",
    "seconds",
    "sent_bytes",
    "source",
    "address",
    "key",
    "position",
    "payload",
    "payload_start",
];
const DIM: &str = "2";

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Json,
    Plain,
    Coloured,
}

impl Style {
    /// Colours are for terminals without `NO_COLOR`.
    pub(super) fn of(is_json: bool) -> Self {
        match is_json {
            true => Self::Json,
            false if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() => Self::Coloured,
            false => Self::Plain,
        }
    }

    pub(super) fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Json | Self::Plain => text.to_owned(),
        }
    }
}

/// A record as it came.
pub(super) struct ShownRecord<'a> {
    json: &'a str,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> ShownRecord<'a> {
    /// `None` if it is no record.
    pub(super) fn read(json: &'a str) -> Option<Self> {
        Some(Self { json, members: serde_json::from_str(json).ok()? })
    }

    /// Its type.
    pub(super) fn kind(&self) -> String {
        self.members.get("type").map(|kind| value(kind)).unwrap_or_default()
    }

    /// Whether it tells something that happened.
    pub(super) fn counts(&self) -> bool {
        !matches!(&*self.kind(), "watching" | "silent" | "dropped")
    }

    /// As one line.
    pub(super) fn line(&self, style: Style) -> String {
        if let Style::Json = style {
            return plain_json(self.json) + "\n";
        }
        let kind = self.kind();
        let at = self.members.get("at").and_then(|at| at.get().parse().ok());
        let time = style.paint(DIM, &at.map_or_else(|| "-".repeat(13), time));
        let mut line = format!("{time} {}", style.paint(colour(&kind), &format!("{kind:<13}")));
        let targets =
            self.members.get("targets").and_then(|targets| serde_json::from_str(targets.get()).ok());
        let targets: BTreeMap<String, &RawValue> = targets.unwrap_or_default();
        let known = ORDER.iter().filter_map(|key| {
            let member = self.members.get(*key).or_else(|| targets.get(*key))?;
            Some((*key, *member))
        });
        let others = self.members.iter().map(|(key, member)| (key.as_str(), *member));
        let is_other = |key: &str| !ORDER.contains(&key) && !["type", "at", "targets"].contains(&key);
        for (key, member) in known.chain(others.filter(|(key, _)| is_other(key))) {
            let is_nothing =
                ["[]", "false", "null"].contains(&member.get()) || (key, member.get()) == ("more", "0");
            if !is_nothing || key == "payload" {
                line.push_str(&format!(
                    " {}{}",
                    style.paint(DIM, &format!("{}=", plain(key))),
                    value(member)
                ));
            }
        }
        line.trim_end().to_owned() + "\n"
    }
}

/// A text as it is, in quotes where it would not be seen where it ends; names as a list; everything else as JSON.
fn value(member: &RawValue) -> String {
    if let Ok(text) = serde_json::from_str::<String>(member.get()) {
        return quoted(&text);
    }
    match serde_json::from_str::<Vec<String>>(member.get()) {
        Ok(names) => names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","),
        Err(_) => plain_json(member.get()),
    }
}

fn quoted(text: &str) -> String {
    let is_bare = !text.is_empty() && !text.contains([' ', '"', ',', '=', '\\']);
    let shown = plain(text);
    if is_bare && shown == text { shown } else { format!("\"{}\"", shown.replace('"', "\\\"")) }
}

/// The time of the day, in UTC.
fn time(millis: u64) -> String {
    let (seconds, millis) = (millis / 1_000 % 86_400, millis % 1_000);
    format!("{:02}:{:02}:{:02}.{millis:03}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn colour(kind: &str) -> &'static str {
    match kind {
        "push" => "32",
        "connected" | "identified" | "joined" => "36",
        "left" | "closed" => "33",
        "dropped" | "silent" => "35",
        _ if kind.ends_with("-refused") => "31",
        _ => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str, style: Style) -> String {
        ShownRecord::read(json).unwrap().line(style)
    }

    #[test]
    fn a_record_is_a_line_of_members() {
        let push = r#"{"type":"push","at":1795899603004,"source":"rest","event":"MESSAGE:NEW","targets":{"users":["adam","a b"],"channels":[],"broadcast":false,"more":0},"reached":0,"payload":{"a":[1.0]}}"#;
        assert_eq!(
            line(push, Style::Plain),
            "21:00:03.004Z push          event=MESSAGE:NEW users=adam,\"a b\" reached=0 source=rest payload={\"a\":[1.0]}\n"
        );
        assert_eq!(line(push, Style::Json), format!("{push}\n"));
        assert!(line(push, Style::Coloured).contains("\x1b[32mpush"));
    }

    #[test]
    fn what_is_known_of_nodes_is_shown_and_does_not_count() {
        let silent = r#"{"type":"silent","at":0,"cluster_node":7,"reason":"no-answer"}"#;
        assert_eq!(
            line(silent, Style::Plain),
            "00:00:00.000Z silent        cluster_node=7 reason=no-answer\n"
        );
        assert!(!ShownRecord::read(silent).unwrap().counts());
    }

    #[test]
    fn names_cannot_steer_the_terminal_or_look_like_other_members() {
        let json = "{\"type\":\"joined\",\"at\":0,\"users\":[\"\u{9b}31m\"],\"channel\":\"x reason=\u{202e}ok\",\"\u{9b}\":1}";
        let shown = line(json, Style::Plain);
        assert!(!shown.contains(['\u{9b}', '\u{202e}']), "{shown}");
        assert!(shown.contains(r#"channel="x reason=\u{202e}ok""#), "{shown}");
        assert!(shown.contains(r#"users="\u{9b}31m""#), "{shown}");
        assert!(!line(json, Style::Json).contains(['\u{9b}', '\u{202e}']));
    }
}
