//! What becomes of a message that is no push: its event, targets and payload by the `map` of its source.

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};
use serde_json::value::RawValue;

use super::fault;
use super::refusal::PushRefusal;
use super::targets;
use super::template::{Template, Values};
use crate::dispatch::{Dispatch, Targets};
use crate::name::Name;

/// Bytes of memory that one compiled expression may take: a page of alternatives. The default of the library,
/// 10 MiB, is more than all sources together should.
const EXPRESSION_BYTES_MAX: usize = 1024 * 1024;

/// An expression that finds its matches in linear time, whatever strangers write into a message.
#[derive(Clone, Debug)]
pub struct Expression(Regex);

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(text).size_limit(EXPRESSION_BYTES_MAX).build();
        compiled.map(Self).map_err(|error| {
            // The library quotes the expression first, with the place of the fault below it.
            let said = error.to_string();
            let last = said.lines().next_back().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })
    }

    /// The names of its groups, as [`Template::parse`] takes them.
    #[must_use]
    pub fn captures(&self) -> Vec<Option<&str>> {
        self.0.capture_names().collect()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Expression {}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

/// What of a message is the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadForm {
    /// The message, which is JSON.
    Json,
    /// The message as a string.
    Text,
    /// The named captures of the expression as an object of strings; `null` for a group that took no part.
    Captures,
}

/// How a message becomes a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Which messages count, and the captures of those. `None`: all do.
    pub expression: Option<Expression>,
    /// The event.
    pub event: Template,
    /// Its users.
    pub users: Vec<Template>,
    /// Its channels.
    pub channels: Vec<Template>,
    /// Whether it is for everyone, as a text like that of a push: `true`, `false`, `1`, `0` or nothing.
    pub broadcast: Template,
    /// Its payload.
    pub payload: PayloadForm,
}

impl Map {
    /// The dispatch that a message becomes; `None` if the expression does not match it.
    ///
    /// ```
    /// use turted_core::push::map::{Expression, Map, PayloadForm};
    /// use turted_core::push::template::{Template, Values};
    /// let expression = Expression::new(r"^(?<level>\w+) ").unwrap();
    /// let template = |text| Template::parse(text, &[], &expression.captures()).unwrap();
    /// let map = Map {
    ///     event: template("LOG:{level}"),
    ///     users: vec![],
    ///     channels: vec![template("log")],
    ///     broadcast: template(""),
    ///     payload: PayloadForm::Text,
    ///     expression: Some(expression.clone()),
    /// };
    /// let dispatch = map.dispatch(b"WARN disk full", &Values::default()).unwrap().unwrap();
    /// assert_eq!((dispatch.event.as_str(), dispatch.payload.get()), ("LOG:WARN", r#""WARN disk full""#));
    /// assert!(map.dispatch(b"?", &Values::default()).unwrap().is_none());
    /// ```
    ///
    /// # Errors
    /// The rule that the message or a name breaks.
    pub fn dispatch(&self, body: &[u8], values: &Values<'_>) -> Result<Option<Dispatch>, PushRefusal> {
        let text = simdutf8::basic::from_utf8(body).map_err(|_| not_text())?;
        let captures = match &self.expression {
            None => None,
            Some(expression) => match expression.0.captures(text) {
                None => return Ok(None),
                captures => captures,
            },
        };
        let filling = Filling { values, captures: captures.as_ref() };
        Ok(Some(Dispatch {
            event: filling.name(&self.event, || "/event".to_owned())?,
            targets: Targets {
                users: filling.names(&self.users, "/targets/users")?,
                channels: filling.names(&self.channels, "/targets/channels")?,
                broadcast: filling.flag(&self.broadcast)?,
            },
            payload: self.payload(text, captures.as_ref())?,
        }))
    }

    fn payload(&self, text: &str, captures: Option<&Captures<'_>>) -> Result<Box<RawValue>, PushRefusal> {
        match self.payload {
            PayloadForm::Json => serde_json::from_str::<&RawValue>(text)
                .map(ToOwned::to_owned)
                .map_err(|_| PushRefusal::not_json().because(&fault::describe(text.as_bytes()))),
            PayloadForm::Text => Ok(raw(text)),
            PayloadForm::Captures => Ok(self.captured(captures)),
        }
    }

    fn captured(&self, captures: Option<&Captures<'_>>) -> Box<RawValue> {
        let names = self.expression.iter().flat_map(|expression| expression.0.capture_names().flatten());
        let value = |name: &str| captures.and_then(|found| Some(found.name(name)?.as_str()));
        let mut object = serde_json::Map::new();
        for name in names {
            object.insert(name.to_owned(), value(name).into());
        }
        raw(&object)
    }
}

fn raw(value: &(impl serde::Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("texts can be written as JSON")
}

fn not_text() -> PushRefusal {
    PushRefusal::rule("text-not-utf8", "", "the message is no text in UTF-8")
}

/// The templates of one message are being filled.
struct Filling<'a> {
    values: &'a Values<'a>,
    captures: Option<&'a Captures<'a>>,
}

impl Filling<'_> {
    fn name(&self, template: &Template, field: impl Fn() -> String) -> Result<Name, PushRefusal> {
        template.fill(self.values, self.captures).map_err(|refusal| targets::no_name(refusal, &field()))
    }

    /// Names, each once, in their order.
    fn names(&self, templates: &[Template], field: &str) -> Result<Vec<Name>, PushRefusal> {
        let mut names = Vec::with_capacity(templates.len());
        for (index, template) in templates.iter().enumerate() {
            let name = self.name(template, || format!("{field}/{index}"))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn flag(&self, template: &Template) -> Result<bool, PushRefusal> {
        let text = template.text(self.values, self.captures);
        targets::flag(text.as_deref().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::template::Place;

    fn map(payload: PayloadForm, expression: Option<&str>, broadcast: &str) -> Map {
        let expression = expression.map(|text| Expression::new(text).unwrap());
        let captures = expression.as_ref().map(Expression::captures).unwrap_or_default();
        let template = |text: &str| Template::parse(text, &[Place::Key], &captures).unwrap();
        Map {
            event: template("E:{key}"),
            users: vec![template("{key}"), template("u"), template("{key}")],
            channels: vec![],
            broadcast: template(broadcast),
            payload,
            expression: expression.clone(),
        }
    }

    fn dispatch(map: &Map, body: &[u8]) -> Result<Option<Dispatch>, String> {
        let values = Values { key: "k", ..Values::default() };
        map.dispatch(body, &values).map_err(|refusal| refusal.to_string())
    }

    fn payload(map: &Map, body: &[u8]) -> Result<String, String> {
        dispatch(map, body).map(|dispatch| dispatch.expect("it matches").payload.get().to_owned())
    }

    #[test]
    fn a_message_becomes_a_payload_of_each_form() {
        let json = map(PayloadForm::Json, None, "");
        assert_eq!(payload(&json, b" {\"a\":1} ").as_deref(), Ok(r#"{"a":1}"#));
        assert_eq!(payload(&json, br#""\ud800""#).as_deref(), Ok(r#""\ud800""#), "as a push has it");
        assert!(payload(&json, b"a").is_err());
        let text = map(PayloadForm::Text, None, "");
        assert_eq!(payload(&text, b"a\"\0").as_deref(), Ok(r#""a\"\u0000""#));
        assert_eq!(payload(&text, b"\xff"), Err("the message is no text in UTF-8 (text-not-utf8)".into()));
        let captures = map(PayloadForm::Captures, Some(r"^(?<a>\d+)(?<b>x)?(y)?"), "");
        assert_eq!(payload(&captures, b"12y").as_deref(), Ok(r#"{"a":"12","b":null}"#));
    }

    #[test]
    fn names_come_once_and_in_order_and_the_broadcast_is_a_flag() {
        let read = dispatch(&map(PayloadForm::Text, None, ""), b"").unwrap().unwrap();
        let users: Vec<_> = read.targets.users.iter().map(Name::as_str).collect();
        assert_eq!((users, read.targets.broadcast, read.event.as_str()), (vec!["k", "u"], false, "E:k"));
        let flag = |text| {
            dispatch(&map(PayloadForm::Text, None, text), b"").map(|read| read.unwrap().targets.broadcast)
        };
        assert_eq!([flag("true"), flag("1"), flag("0")], [Ok(true), Ok(true), Ok(false)]);
        assert!(flag("yes").unwrap_err().ends_with("(broadcast-not-a-boolean)"));
    }

    #[test]
    fn an_expression_that_would_take_too_much_memory_is_refused() {
        assert!(Expression::new(r"(?i)^\w{20} x").is_ok());
        assert!(Expression::new(r"(\w{100}){1000}").is_err());
        assert!(Expression::new("(").err().as_deref() == Some("unclosed group"));
    }
}
