//! A protocol as options, for `--show`: a line for each, quoted for a shell. Whoever copies it and changes a line
//! loads a server of his own.

use std::fmt::{self, Display, Formatter};

use super::Protocol;
use clap::ValueEnum;

/// The options, one a line, each but the last with the sign that a command goes on.
impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self
            .options()
            .into_iter()
            .map(|Shown { name, value }| match value {
                Some(value) => format!("  --{name} {}", quote(&value)),
                None => format!("  --{name}"),
            })
            .collect();
        f.write_str(&lines.join(" \\\n"))
    }
}

/// One option, with its value if it has one.
struct Shown {
    name: &'static str,
    value: Option<String>,
}

impl Protocol {
    fn options(&self) -> Vec<Shown> {
        let mut all = Vec::new();
        let mut add = |name, value: &dyn Display| all.push(Shown { name, value: Some(value.to_string()) });
        let (speech, push) = (&self.speech, &self.push);
        let transport = self.transport.to_possible_value();
        add("transport", &transport.as_ref().map_or("", |value| value.get_name()));
        add("path", &self.path);
        speech.headers.iter().for_each(|header| add("header", header));
        speech.says.iter().for_each(|text| add("say", text));
        speech.awaits.iter().for_each(|text| add("await", text));
        speech.refusals.iter().for_each(|text| add("refused", text));
        speech.ping.iter().for_each(|text| add("ping", text));
        speech.pong.iter().for_each(|text| add("pong", text));
        speech.keeps.iter().for_each(|keep| add("keep", keep));
        speech.again.path.iter().for_each(|path| add("path-again", path));
        speech.again.headers.iter().for_each(|header| add("header-again", header));
        speech.again.says.iter().for_each(|text| add("say-again", text));
        add("push-path", &push.path);
        push.headers.iter().for_each(|header| add("push-header", header));
        add("push-type", &push.content_type);
        add("push-body", &push.body);
        if speech.lines {
            all.push(Shown { name: "lines", value: None });
        }
        all
    }
}

/// A text as one word of a POSIX shell.
fn quote(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:,=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
