//! `[[sources]]`: where pushes are fetched from, a list that only a file can hold.
//!
//! A type of source is a row in `KINDS`, its keys are rows in `keys::KEYS`, and what its keys mean together is decided
//! by a file beside this one.
//!
//! | file | what |
//! |---|---|
//! | `model`, `servers` | sources as the rest of the program reads them; the brokers that some of them are at |
//! | `keys` | every key once, with the types that have it |
//! | `kind` | what a type says of itself |
//! | `map` | the key `map` |
//! | `tail` | `type = "tail"` |
//! | `broker` | keys of all brokers: where it is, and who we are there |
//! | `rabbitmq` | `type = "rabbitmq"` |
//! | `redis` | `type = "redis-stream"`, `type = "redis-pubsub"` |

pub(super) mod model;
pub(super) mod servers;
pub(super) mod keys;
mod kind;
mod map;
mod tail;
pub(super) mod broker;
pub(super) mod redis;
mod rabbitmq;

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::collect::Collected;
use super::error::{Origin, Problem};
use super::file_source::{FileSource, input};
use super::settings::PushMethod;
use super::suggest::nearest_name;
use super::text::quote;
use keys::{Keyed, MapSettings, SourceKey, SourceSettings};
use kind::{Kind, blame};
use model::PushSource;

/// Sources of one server. Each has a thread and its share of memory; more than a few are a mistake.
const SOURCES_MAX: usize = 64;
/// Bytes of the name of a source, which is part of every metric of it, and of the names of its files.
const NAME_BYTES_MAX: usize = 63;
/// What counts dispatches of other origins.
const NAMES_TAKEN: [&str; 2] = ["embed", "rest"];

/// Every type of source.
const KINDS: &[Kind] = &[tail::KIND, redis::STREAM, redis::PUBSUB, rabbitmq::KIND];

fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Reads the value of `sources`.
pub(super) fn read(source: &FileSource<'_>, collected: &mut Collected, value: &Spanned<DeValue<'_>>) {
    let list = value.get_ref().as_array();
    let tables: Option<Vec<_>> =
        list.and_then(|list| list.iter().map(|item| Some((item.span().start, table(item)?))).collect());
    let Some(tables) = tables else {
        let what = "`sources` is a list: write [[sources]] and the keys of one source below";
        return collected.problem(Problem::at(source.origin(value.span().start), what));
    };
    for (start, table) in tables {
        read_source(source, collected, (source.origin(start), table));
    }
}

pub(super) fn table<'a, 'b>(item: &'a Spanned<DeValue<'b>>) -> Option<&'a DeTable<'b>> {
    match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn read_source(source: &FileSource<'_>, collected: &mut Collected, (origin, table): (Origin, &DeTable<'_>)) {
    let Some(kind) = read_type(source, collected, &origin, table) else { return };
    let mut settings = SourceSettings::new(kind.name, origin);
    let is_inner = |key: &str, value: &DeValue<'_>| key == "map" && matches!(value, DeValue::Table(_));
    let rest = table.iter().filter(|(key, value)| {
        let key = key.get_ref().as_ref();
        key != "type" && !is_inner(key, value.get_ref())
    });
    let section = Section { source, name: "sources", keys: keys::of(kind.name) };
    let mut sound = section.read(collected, rest, &mut settings);
    let inner = table.iter().find(|(key, value)| is_inner(key.get_ref(), value.get_ref()));
    if let Some((key, value)) = inner
        && let DeValue::Table(inner) = value.get_ref()
    {
        let section = Section { source, name: "sources.map", keys: keys::of_map() };
        let mut map = MapSettings::new(source.origin(key.span().start));
        sound &= section.read(collected, inner.iter(), &mut map);
        settings.map = Some(map);
    }
    if sound {
        collected.sources.push(settings);
    }
}

/// The type of a source, which says what its other keys are.
fn read_type(
    source: &FileSource<'_>,
    collected: &mut Collected,
    origin: &Origin,
    table: &DeTable<'_>,
) -> Option<&'static Kind> {
    let names = || KINDS.iter().map(|kind| quote(kind.name)).collect::<Vec<_>>().join(", ");
    let Some(value) = table.get("type") else {
        let what = format!("a source needs `type`: {}", names());
        collected.problem(Problem::at(origin.clone(), what));
        return None;
    };
    let place = source.origin(value.span().start);
    let Some(name) = value.get_ref().as_str() else {
        collected.problem(Problem::at(place, "`sources.type`: expected a string"));
        return None;
    };
    let found = kind(name);
    let what = match found {
        None => {
            let near = nearest_name(name, KINDS.iter().map(|kind| kind.name));
            format!("`sources.type`: expected one of {}, found {name:?}{near}", names())
        }
        Some(kind) if !kind.is_built => {
            format!("`sources.type`: this program was built without the feature {name:?}")
        }
        Some(_) => return found,
    };
    collected.problem(Problem::at(place, what));
    None
}

/// The keys of one table of the file.
pub(super) struct Section<'a, S: 'static> {
    pub(super) source: &'a FileSource<'a>,
    pub(super) name: &'static str,
    pub(super) keys: Vec<&'static SourceKey<S>>,
}

impl<S: Keyed> Section<'_, S> {
    /// Reads the keys into `settings`. Returns whether all of them can be used.
    pub(super) fn read<'t>(
        &self,
        collected: &mut Collected,
        table: impl Iterator<Item = (&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)>,
        settings: &mut S,
    ) -> bool {
        let mut sound = true;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let place = self.source.origin(value.span().start);
            let Some(known) = self.keys.iter().find(|known| known.key == name) else {
                collected.problem(Problem::at(self.source.origin(key.span().start), self.unknown(name)));
                sound = false;
                continue;
            };
            match known.field.set(settings, &input(value.get_ref()), self.source.base()) {
                Ok(()) => drop(settings.origins().insert(known.key, place)),
                Err(mismatch) => {
                    let what = format!("`{}.{name}`: {mismatch}", self.name);
                    collected.problem(Problem::at(place, what));
                    sound = false;
                }
            }
        }
        sound
    }

    fn unknown(&self, name: &str) -> String {
        let near = nearest_name(name, self.keys.iter().map(|key| key.key));
        match keys::kinds(name).filter(|_| self.name == "sources") {
            Some(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| quote(kind)).collect();
                format!("`sources.{name}` is a key of sources of type {}", kinds.join(", "))
            }
            None => format!("unknown key `{}.{name}`{near}", self.name),
        }
    }
}

/// Makes the sources of what was read.
pub(super) fn resolve(collected: &mut Collected) {
    let all = std::mem::take(&mut collected.sources);
    if let Some(first) = all.get(SOURCES_MAX) {
        let what = format!("a server has at most {SOURCES_MAX} sources");
        collected.problem(Problem::at(first.origin.clone(), what));
    }
    for (index, settings) in all.iter().enumerate() {
        if let Some(source) = resolve_one(collected, settings, &all[..index]) {
            collected.settings.config.sources.push(source);
        }
    }
    collected.sources = all;
}

fn resolve_one(
    collected: &mut Collected,
    settings: &SourceSettings,
    before: &[SourceSettings],
) -> Option<PushSource> {
    let kind = kind(settings.kind)?;
    let others = before.iter().map(|other| (other.name.as_ref(), &other.origin));
    let name = check_name("source", settings.name.as_ref(), others).and_then(refuse_taken);
    let name = name.map_err(|what| blame(collected, settings, "name", what)).ok();
    if settings.require_auth && collected.settings.push.method != PushMethod::Password {
        let what = "`sources.require_auth` needs `push.password_file` or [[push.keys]]: there is no password \
                    to ask for";
        blame(collected, settings, "require_auth", what);
    }
    if settings.require_auth && settings.map.is_some() {
        let what = "`sources.require_auth` has no effect with `map`: only the body of a push has a password";
        blame(collected, settings, "require_auth", what);
    }
    let map = match &settings.map {
        None => Some(None),
        Some(map) => map::resolve(collected, map, (kind.places, kind.payload)).map(Some),
    };
    let resolved = (kind.resolve)(collected, settings);
    Some(PushSource { name: name?, require_auth: settings.require_auth, map: map?, kind: resolved? })
}

/// The name of one of a list: it is there, can stand in a metric, and no other one has it.
pub(super) fn check_name<'a>(
    what: &str,
    name: Option<&String>,
    mut others: impl Iterator<Item = (Option<&'a String>, &'a Origin)>,
) -> Result<String, String> {
    let name = name.ok_or_else(|| format!("a {what} needs `name`"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let most = NAME_BYTES_MAX;
        return Err(format!(
            r#"`{what}s.name`: expected at most {most} letters, digits, "-" and "_", found {name:?}"#
        ));
    }
    match others.find(|(other, _)| *other == Some(name)) {
        Some((_, origin)) => Err(format!("there is a {what} {name:?} at {origin}; choose another name")),
        None => Ok(name.clone()),
    }
}

fn refuse_taken(name: String) -> Result<String, String> {
    match NAMES_TAKEN.contains(&&*name) {
        true => Err(format!("`sources.name`: {name:?} counts dispatches that come from no source")),
        false => Ok(name),
    }
}

/// The sources as TOML.
pub(super) fn show(text: &mut String, sources: &mut [SourceSettings]) {
    for settings in sources {
        let _infallible = writeln!(text, "\n{:<40} # from {}", "[[sources]]", settings.origin);
        let _infallible = writeln!(text, "type = {}", quote(settings.kind));
        show_keys(text, &keys::of(settings.kind), settings);
        if let Some(map) = &mut settings.map {
            let _infallible = writeln!(text, "[sources.map]");
            show_keys(text, &keys::of_map(), map);
        }
    }
}

pub(super) fn show_keys<S>(text: &mut String, keys: &[&'static SourceKey<S>], settings: &mut S) {
    for SourceKey { key, field, .. } in keys {
        if let Some(value) = field.show(settings) {
            let _infallible = writeln!(text, "{key} = {value}");
        }
    }
}
