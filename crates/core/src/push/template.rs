//! A text with placeholders, of which a [map](super::map) makes names: `log.{file}`.
//!
//! `{{` and `}}` are braces. What a placeholder stands for is not looked at again: a brace in it is a brace.

use std::fmt;

use regex::Captures;

use crate::limits::NAME_BYTES_MAX;
use crate::name::{Name, NameRefusal};

/// What a source tells of a message beside its body. A source fills some of it, and a template names no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `{channel}`: the channel a broker delivered the message on.
    Channel,
    /// `{key}`: its routing key.
    Key,
    /// `{file}`: the name of the file that it is a line of.
    File,
    /// `{header.NAME}`: one of its headers.
    Header,
}

impl Place {
    /// The placeholder as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Key => "key",
            Self::File => "file",
            Self::Header => "header.NAME",
        }
    }
}

/// What the placeholders of one message stand for. What a message does not have is an empty text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// `{channel}`
    pub channel: &'a str,
    /// `{key}`
    pub key: &'a str,
    /// `{file}`
    pub file: &'a str,
    /// `{header.NAME}`
    pub headers: &'a [(String, String)],
}

impl Values<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// Nothing fills this placeholder.
    #[error("nothing fills {{{0}}}")]
    Unknown(String),
    /// A brace that belongs to no placeholder.
    #[error("a single {0:?} belongs to no placeholder; a brace itself is written twice")]
    Brace(char),
}

/// A text with placeholders.
///
/// ```
/// use turted_core::push::template::{Place, Template, Values};
/// let template = Template::parse("log.{file}", &[Place::File], &[]).unwrap();
/// let values = Values { file: "app.log", ..Values::default() };
/// assert_eq!(template.fill(&values, None).unwrap().as_str(), "log.app.log");
/// assert!(Template::parse("log.{key}", &[Place::File], &[]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Channel,
    Key,
    File,
    Header(String),
    /// By its number in the expression.
    Capture(usize),
}

impl Template {
    /// Reads a template for messages that have these `places`, and the captures of an expression: one entry for each
    /// group, in their order, with the name of those that have one. The first group is the whole match.
    ///
    /// # Errors
    /// It has a placeholder that nothing fills, or a brace that belongs to none.
    pub fn parse(text: &str, places: &[Place], captures: &[Option<&str>]) -> Result<Self, TemplateFault> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
            rest = match behind.as_bytes().first() {
                Some(next) if *next == brace => {
                    plain.push(char::from(brace));
                    &behind[1..]
                }
                _ => {
                    let end = behind.find('}').filter(|_| brace == b'{');
                    let end = end.ok_or(TemplateFault::Brace(char::from(brace)))?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::of(&behind[..end], places, captures)?);
                    &behind[end + 1..]
                }
            };
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The name that the template becomes.
    ///
    /// # Errors
    /// The rule of names that it breaks. A placeholder may be empty, the name may not.
    pub fn fill(&self, values: &Values<'_>, captures: Option<&Captures<'_>>) -> Result<Name, NameRefusal> {
        Name::new(&self.text(values, captures)?)
    }

    /// The text that the template becomes, which need not be a name.
    ///
    /// # Errors
    /// It is longer than any name: its values may be as long as a message, and no more of them is copied.
    pub(super) fn text(
        &self,
        values: &Values<'_>,
        captures: Option<&Captures<'_>>,
    ) -> Result<String, NameRefusal> {
        let mut text = String::new();
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => text,
                Part::Channel => values.channel,
                Part::Key => values.key,
                Part::File => values.file,
                Part::Header(name) => values.header(name),
                Part::Capture(number) => {
                    captures.and_then(|captures| captures.get(*number)).map_or("", |found| found.as_str())
                }
            };
            if text.len() + value.len() > NAME_BYTES_MAX {
                return Err(NameRefusal::TooLong);
            }
            text.push_str(value);
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Part {
    fn of(name: &str, places: &[Place], captures: &[Option<&str>]) -> Result<Self, TemplateFault> {
        let unknown = || TemplateFault::Unknown(name.to_owned());
        if let Some(number) = captures.iter().position(|capture| *capture == Some(name)) {
            return Ok(Self::Capture(number));
        }
        if let Ok(number) = name.parse::<usize>() {
            return if number < captures.len() { Ok(Self::Capture(number)) } else { Err(unknown()) };
        }
        let (place, part) = match name {
            "channel" => (Place::Channel, Self::Channel),
            "key" => (Place::Key, Self::Key),
            "file" => (Place::File, Self::File),
            _ => match name.strip_prefix("header.") {
                Some(header) if !header.is_empty() => (Place::Header, Self::Header(header.to_owned())),
                _ => return Err(unknown()),
            },
        };
        if places.contains(&place) { Ok(part) } else { Err(unknown()) }
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    const PLACES: [Place; 4] = [Place::Channel, Place::Key, Place::File, Place::Header];

    fn filled(template: &str) -> Result<String, NameRefusal> {
        let expression = Regex::new(r"^(?<level>\w+) (\d+)?").unwrap();
        let names: Vec<_> = expression.capture_names().collect();
        let template = Template::parse(template, &PLACES, &names).unwrap();
        let headers = [("Tenant".to_owned(), "7".to_owned())];
        let values = Values { channel: "c", key: "a.b", file: "x{key}.log", headers: &headers };
        let captures = expression.captures("WARN rest");
        template.fill(&values, captures.as_ref()).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn placeholders_are_filled_once_and_doubled_braces_are_braces() {
        for (template, expected) in [
            ("plain", "plain"),
            ("{channel}-{key}", "c-a.b"),
            ("log.{file}", "log.x{key}.log"),
            ("{header.Tenant}{header.tenant}", "7"),
            ("{level}:{1}", "WARN:WARN"),
            ("{{{key}}}", "{a.b}"),
            ("{{key}}", "{key}"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_name_that_comes_out_empty_or_too_long_breaks_its_rule() {
        assert_eq!(filled("{2}"), Err(NameRefusal::Empty), "a group that took no part");
        assert_eq!(filled(&"{key}".repeat(85)).map(|name| name.len()), Ok(255));
        assert_eq!(filled(&"{key}".repeat(86)), Err(NameRefusal::TooLong));
    }

    #[test]
    fn what_nothing_fills_and_single_braces_are_refused() {
        let unknown = |name: &str| Err(TemplateFault::Unknown(name.to_owned()));
        for (template, expected) in [
            ("{levle}", unknown("levle")),
            ("{}", unknown("")),
            ("{1}", unknown("1")),
            ("{key}", unknown("key")),
            ("{header.}", unknown("header.")),
            ("a{file", Err(TemplateFault::Brace('{'))),
            ("a}", Err(TemplateFault::Brace('}'))),
        ] {
            assert_eq!(Template::parse(template, &[Place::File, Place::Header], &[None]), expected);
        }
    }
}
