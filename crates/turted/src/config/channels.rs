//! `[[channels]]`: rules for which clients may join a channel, what it keeps for those who join later, and whether its
//! members are told who is in it: a list that only a file can hold.

use std::fmt::Write as _;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::choices::{names, show_choice};
use super::collect::Collected;
use super::error::{Origin, Problem};
use super::file_source::{FileSource, input};
use super::settings::{ChannelSetting, ClientMethod};
use super::text::quote;
use super::units::{parse_duration, show_duration};
use turted_core::channel::{ChannelPattern, ChannelRules, Join};
use turted_core::history::{Depth, HistoryRules};
use turted_core::limits::{HISTORY_AGE, HISTORY_EVENTS_MAX};
use turted_core::name::{Name, NameRefusal};
use turted_core::presence::PresenceRules;

/// What has been read of a rule.
#[derive(Default)]
struct Draft {
    name: Option<ChannelPattern>,
    prefix: Option<ChannelPattern>,
    join: Option<Join>,
    history: Option<usize>,
    history_age: Option<Duration>,
    presence: bool,
}

/// Reads the value of `channels`.
pub(super) fn read(source: &FileSource<'_>, collected: &mut Collected, value: &Spanned<DeValue<'_>>) {
    let list = value.get_ref().as_array();
    let tables: Option<Vec<_>> =
        list.and_then(|list| list.iter().map(|item| Some((item.span().start, table(item)?))).collect());
    let Some(tables) = tables else {
        let what = "`channels` is a list of rules: write [[channels]] and the keys of one rule below";
        return collected.problem(Problem::at(source.origin(value.span().start), what));
    };
    for (start, table) in tables {
        read_rule(source, collected, (source.origin(start), table));
    }
}

fn table<'a, 'b>(item: &'a Spanned<DeValue<'b>>) -> Option<&'a DeTable<'b>> {
    match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn read_rule(source: &FileSource<'_>, collected: &mut Collected, (origin, table): (Origin, &DeTable<'_>)) {
    let mut draft = Draft::default();
    let mut sound = true;
    for (key, value) in table {
        let (name, value_start) = (key.get_ref().as_ref(), value.span().start);
        if let Err((start, what)) = read_key(&mut draft, name, value.get_ref()) {
            let start = if start == Blame::Key { key.span().start } else { value_start };
            collected.problem(Problem::at(source.origin(start), what));
            sound = false;
        }
    }
    if !sound {
        return;
    }
    if draft.history_age.is_some() && draft.history.is_none() {
        return collected.problem(Problem::at(origin, "`channels.history_age` needs `history`"));
    }
    let history = Depth { events: draft.history.unwrap_or(0), age: draft.history_age.unwrap_or(HISTORY_AGE) };
    let presence = draft.presence;
    let (pattern, join) = match draft {
        Draft { name: Some(pattern), prefix: None, join: Some(join), .. }
        | Draft { name: None, prefix: Some(pattern), join: Some(join), .. } => (pattern, join),
        Draft { join: None, .. } => {
            return collected.problem(Problem::at(origin, "a rule of `channels` needs `join`"));
        }
        _ => {
            let what = "a rule of `channels` needs either `name` or `prefix`";
            return collected.problem(Problem::at(origin, what));
        }
    };
    if let Some(first) = collected.settings.channels.iter().find(|rule| rule.pattern == pattern) {
        let what = format!("there is a rule for the same channels at {}; keep one of the two", first.origin);
        return collected.problem(Problem::at(origin, what));
    }
    collected.settings.channels.push(ChannelSetting { pattern, join, history, presence, origin });
}

/// Which part of a key a problem is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blame {
    Key,
    Value,
}

fn read_key(draft: &mut Draft, key: &str, value: &DeValue<'_>) -> Result<(), (Blame, String)> {
    let wrong = |what: String| (Blame::Value, format!("`channels.{key}`: {what}"));
    let value = input(value);
    let text = || value.text().ok_or_else(|| wrong("expected a string".to_owned()));
    match key {
        "name" => draft.name = Some(pattern(text()?).map_err(|refusal| wrong(refusal.to_string()))?),
        "prefix" => {
            let prefix = ChannelPattern::prefix(text()?).map_err(|refusal| wrong(refusal.to_string()))?;
            draft.prefix = Some(prefix);
        }
        "join" => {
            let text = text()?;
            let join = value.choice();
            draft.join =
                Some(join.ok_or_else(|| wrong(format!("expected {}, found {text:?}", names::<Join>())))?);
        }
        "history" => {
            let count = value.count().filter(|count| *count <= HISTORY_EVENTS_MAX);
            let expected = || wrong(format!("expected a whole number from 0 to {HISTORY_EVENTS_MAX}"));
            draft.history = Some(count.ok_or_else(expected)?);
        }
        "history_age" => {
            let age = parse_duration(text()?);
            let expected = || wrong(r#"expected a duration from "1ms" to "168h", such as "1h""#.to_owned());
            draft.history_age = Some(age.ok_or_else(expected)?);
        }
        "presence" => {
            draft.presence = value.flag().ok_or_else(|| wrong("expected true or false".to_owned()))?;
        }
        _ => {
            let what = format!(
                "unknown key `channels.{key}`; a rule has `name` or `prefix`, `join`, and perhaps `history`, \
                 `history_age` and `presence`"
            );
            return Err((Blame::Key, what));
        }
    }
    Ok(())
}

fn pattern(name: &str) -> Result<ChannelPattern, NameRefusal> {
    Name::new(name).map(ChannelPattern::Name)
}

/// Makes the rules of what was read. A rule for channels that no authenticator can grant is a mistake.
pub(super) fn resolve(collected: &mut Collected) {
    let rules = std::mem::take(&mut collected.settings.channels);
    let auth = &collected.settings.auth;
    let granting = match auth.method {
        ClientMethod::Jwt => auth.claims.channels.is_some(),
        ClientMethod::Http => true,
        ClientMethod::Accept | ClientMethod::Password | ClientMethod::Token => false,
    };
    if let Some(rule) = rules.iter().find(|rule| rule.join == Join::Claim && !granting)
        && !collected.is_broken(&["auth"])
    {
        let what = "`join` = \"claim\" needs a method that grants channels: `auth.method` = \"jwt\" with \
                    `auth.channels_claim`, or \"http\"";
        collected.problem(Problem::at(rule.origin.clone(), what));
    }
    let pairs = rules.iter().map(|rule| (rule.pattern.clone(), rule.join));
    collected.settings.config.channels = ChannelRules::new(pairs);
    let depths = rules.iter().map(|rule| (rule.pattern.clone(), rule.history));
    collected.settings.config.history = HistoryRules::new(depths);
    let presence = rules.iter().map(|rule| (rule.pattern.clone(), rule.presence));
    collected.settings.config.presence.channels = PresenceRules::new(presence);
    collected.settings.channels = rules;
}

/// The rules as TOML.
pub(super) fn show(text: &mut String, rules: &[ChannelSetting]) {
    for ChannelSetting { pattern, join, history, presence, origin } in rules {
        let channels = match pattern {
            ChannelPattern::Name(name) => format!("name = {}", quote(name.as_str())),
            ChannelPattern::Prefix(prefix) => format!("prefix = {}", quote(prefix)),
        };
        let join = show_choice(*join);
        let _infallible =
            write!(text, "\n{:<40} # from {origin}\n{channels}\njoin = {join}\n", "[[channels]]");
        if history.events > 0 {
            let (events, age) = (history.events, quote(&show_duration(history.age)));
            let _infallible = write!(text, "history = {events}\nhistory_age = {age}\n");
        }
        if *presence {
            text.push_str("presence = true\n");
        }
    }
}
