//! Every key of `[[sources]]`, once. `docs/sources.md` has a row for each; a test compares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::model::StartAt;
use super::servers::{ExchangeKind, Headers, MessageFormat};
use crate::config::error::Origin;
use crate::config::value::Field;
use turted_core::push::map::PayloadForm;
use turted_core::secret::Secret;

/// Bytes of one line, unless the operator sets them: a hundred times a usual one.
const LINE_BYTES: usize = 100 * 1024;

/// Messages that are read at once, unless the operator sets them: few enough to come again, many enough that asking for
/// them costs little.
const PREFETCH: usize = 100;
/// More than these would be more memory than anybody expects.
const PREFETCH_MAX: usize = 10_000;
/// How long a broker may say nothing, unless the operator sets it.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// One key of a source, of its map, or of another list.
pub(in crate::config) struct SourceKey<S> {
    pub(in crate::config) key: &'static str,
    /// The types of sources that have it; all, if the list is empty.
    pub(in crate::config) kinds: &'static [&'static str],
    pub(in crate::config) field: Field<S>,
}

/// Where values came from, by key.
pub(in crate::config) type Origins = BTreeMap<&'static str, Origin>;

/// Something whose keys are read, and that remembers where they came from.
pub(in crate::config) trait Keyed {
    fn origins(&mut self) -> &mut Origins;
}

/// The keys of one source as they were written. Those of other types have their defaults.
#[derive(Clone, Debug)]
pub(in crate::config) struct SourceSettings {
    pub(super) kind: &'static str,
    pub(super) origin: Origin,
    pub(super) origins: Origins,
    pub(super) name: Option<String>,
    pub(super) require_auth: bool,
    pub(super) map: Option<MapSettings>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) from: StartAt,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) line_bytes: usize,
    pub(super) url: Option<Secret>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) heartbeat: Duration,
    pub(super) prefetch: usize,
    pub(super) stream: Option<String>,
    pub(super) group: String,
    pub(super) consumer: Option<String>,
    pub(super) dead_stream: Option<String>,
    pub(super) channels: Vec<String>,
    pub(super) patterns: Vec<String>,
    pub(super) format: MessageFormat,
    pub(super) queue: Option<String>,
    pub(super) exchange: Option<String>,
    pub(super) exchange_kind: ExchangeKind,
    pub(super) keys: Vec<String>,
    pub(super) headers: Headers,
}

/// Keys of every type come first.
const KEYS: &[SourceKey<SourceSettings>] = &[
    all("name", Field::OptionalText(|s| &mut s.name)),
    all("require_auth", Field::Flag(|s| &mut s.require_auth)),
    tail("paths", Field::Paths(|s| &mut s.paths)),
    of_types("from", &["tail", "redis-stream"], Field::StartAt(|s| &mut s.from)),
    tail("state_dir", Field::Path(|s| &mut s.state_dir)),
    tail("line_bytes", Field::Bytes(1, |s| &mut s.line_bytes)),
    broker("url", Field::Secret(|s| &mut s.url)),
    broker("url_file", Field::Path(|s| &mut s.url_file)),
    broker("ca", Field::Path(|s| &mut s.ca)),
    broker("tls_cert", Field::Path(|s| &mut s.tls_cert)),
    broker("tls_key", Field::Path(|s| &mut s.tls_key)),
    broker("heartbeat", Field::Duration(|s| &mut s.heartbeat)),
    stream("stream", Field::OptionalText(|s| &mut s.stream)),
    stream("group", Field::Text(|s| &mut s.group)),
    stream("consumer", Field::OptionalText(|s| &mut s.consumer)),
    of_types(
        "prefetch",
        &["redis-stream", "rabbitmq"],
        Field::CountUpTo(1, PREFETCH_MAX, |s| &mut s.prefetch),
    ),
    stream("dead_stream", Field::OptionalText(|s| &mut s.dead_stream)),
    pubsub("channels", Field::Texts(|s| &mut s.channels)),
    pubsub("patterns", Field::Texts(|s| &mut s.patterns)),
    pubsub("format", Field::MessageFormat(|s| &mut s.format)),
    rabbitmq("queue", Field::OptionalText(|s| &mut s.queue)),
    rabbitmq("exchange", Field::OptionalText(|s| &mut s.exchange)),
    rabbitmq("kind", Field::ExchangeKind(|s| &mut s.exchange_kind)),
    rabbitmq("keys", Field::Texts(|s| &mut s.keys)),
    rabbitmq("headers", Field::Headers(|s| &mut s.headers)),
];

const fn all(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    SourceKey { key, kinds: &[], field }
}

const fn of_types(
    key: &'static str,
    kinds: &'static [&'static str],
    field: Field<SourceSettings>,
) -> SourceKey<SourceSettings> {
    SourceKey { key, kinds, field }
}

const fn tail(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    of_types(key, &["tail"], field)
}

const fn broker(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    of_types(key, &["redis-stream", "redis-pubsub", "rabbitmq"], field)
}

const fn stream(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    of_types(key, &["redis-stream"], field)
}

const fn pubsub(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    of_types(key, &["redis-pubsub"], field)
}

const fn rabbitmq(key: &'static str, field: Field<SourceSettings>) -> SourceKey<SourceSettings> {
    of_types(key, &["rabbitmq"], field)
}

/// The keys of a type of source.
pub(super) fn of(kind: &str) -> Vec<&'static SourceKey<SourceSettings>> {
    KEYS.iter().filter(|key| key.kinds.is_empty() || key.kinds.contains(&kind)).collect()
}

/// The types of sources that have this key.
pub(super) fn kinds(key: &str) -> Option<&'static [&'static str]> {
    KEYS.iter().find(|known| known.key == key).map(|known| known.kinds)
}

impl SourceSettings {
    pub(super) fn new(kind: &'static str, origin: Origin) -> Self {
        Self {
            kind,
            origin,
            origins: Origins::new(),
            name: None,
            require_auth: false,
            map: None,
            paths: Vec::new(),
            from: StartAt::End,
            state_dir: None,
            line_bytes: LINE_BYTES,
            url: None,
            url_file: None,
            ca: None,
            tls_cert: None,
            tls_key: None,
            heartbeat: HEARTBEAT,
            prefetch: PREFETCH,
            stream: None,
            group: "turted".to_owned(),
            consumer: None,
            dead_stream: None,
            channels: Vec::new(),
            patterns: Vec::new(),
            format: MessageFormat::Push,
            queue: None,
            exchange: None,
            exchange_kind: ExchangeKind::Direct,
            keys: Vec::new(),
            headers: Headers::new(),
        }
    }
}

impl Keyed for SourceSettings {
    fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }
}

/// The keys of a map as they were written.
#[derive(Clone, Debug)]
pub(in crate::config) struct MapSettings {
    pub(super) origin: Origin,
    pub(super) origins: Origins,
    pub(super) expression: Option<String>,
    pub(super) event: Option<String>,
    pub(super) users: Vec<String>,
    pub(super) channels: Vec<String>,
    pub(super) broadcast: Option<String>,
    pub(super) payload: Option<PayloadForm>,
}

const MAP_KEYS: &[SourceKey<MapSettings>] = &[
    map("match", Field::OptionalText(|s| &mut s.expression)),
    map("event", Field::OptionalText(|s| &mut s.event)),
    map("users", Field::Texts(|s| &mut s.users)),
    map("channels", Field::Texts(|s| &mut s.channels)),
    map("broadcast", Field::FlagOrText(|s| &mut s.broadcast)),
    map("payload", Field::PayloadForm(|s| &mut s.payload)),
];

const fn map(key: &'static str, field: Field<MapSettings>) -> SourceKey<MapSettings> {
    SourceKey { key, kinds: &[], field }
}

/// Every key of a map.
pub(super) fn of_map() -> Vec<&'static SourceKey<MapSettings>> {
    MAP_KEYS.iter().collect()
}

impl MapSettings {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            origins: Origins::new(),
            expression: None,
            event: None,
            users: Vec::new(),
            channels: Vec::new(),
            broadcast: None,
            payload: None,
        }
    }
}

impl Keyed for MapSettings {
    fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_key_of_a_source_with_its_types() {
        let docs = include_str!("../../../../../docs/sources.md");
        let maps = of_map();
        let keys = KEYS.iter().map(|key| (key.key.to_owned(), key.kinds));
        let maps = maps.iter().map(|key| (format!("map.{}", key.key), key.kinds));
        let rows: Vec<_> = keys
            .chain(maps)
            .map(|(key, kinds)| {
                let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
                (key, if kinds.is_empty() { "all".to_owned() } else { kinds.join(", ") })
            })
            .chain([("type".to_owned(), "all".to_owned())])
            .collect();
        for (key, kinds) in &rows {
            assert!(docs.contains(&format!("\n| `{key}` | {kinds} |")), "{key} of {kinds} is not documented");
        }
        let keys = docs.split("## Keys").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        let documented = keys.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(documented, rows.len(), "a key that does not exist is documented");
    }
}
