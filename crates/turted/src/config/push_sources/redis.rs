//! `type = "redis-stream"` and `type = "redis-pubsub"`.

use std::time::Duration;

use rustix::system::uname;

use super::broker::{self, Schemes};
use super::keys::SourceSettings;
use super::kind::{Kind, blame};
use super::model::SourceKind;
use super::servers::{MessageFormat, REDIS, REDIS_TLS, RedisPubSubSource, RedisStreamSource};
use crate::config::collect::Collected;
use crate::io::redis::RedisServer;
use turted_core::push::map::PayloadForm;

const SCHEMES: Schemes = Schemes { plain: (REDIS, 6379), tls: (REDIS_TLS, 6379), example: EXAMPLE };
/// The URL of a server as people write it.
pub(in crate::config) const EXAMPLE: &str = "redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS";
/// Channels and patterns of one source together.
const NAMES_MAX: usize = 1_000;
/// A reply takes as long as light to the other side of the earth and back, and a little more.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// Databases of a server: Redis has 16 unless it is told otherwise.
const DATABASE_MAX: u32 = 65_535;
const DATABASE_EXPECTED: &str = "behind the host comes the number of a database, 0 to 65535";

pub(super) const STREAM: Kind = Kind {
    name: "redis-stream",
    is_built: cfg!(feature = "redis"),
    places: RedisStreamSource::PLACES,
    payload: PayloadForm::Json,
    resolve: resolve_stream,
};

pub(super) const PUBSUB: Kind = Kind {
    name: "redis-pubsub",
    is_built: cfg!(feature = "redis"),
    places: RedisPubSubSource::PLACES,
    payload: PayloadForm::Json,
    resolve: resolve_pubsub,
};

/// The name of this server in a group: others on the machine have other ports.
fn consumer(collected: &Collected) -> String {
    let host = uname();
    format!("{}:{}", host.nodename().to_string_lossy(), collected.settings.config.listen.port())
}

/// The server that a URL names. What is wrong is told without any part of the URL.
pub(in crate::config) fn server_of(url: &str, heartbeat: Duration) -> Result<RedisServer, &'static str> {
    let (broker, path) = broker::parse(url, &SCHEMES)?;
    let database = database(path).ok_or(DATABASE_EXPECTED)?;
    Ok(RedisServer { broker, database, heartbeat })
}

/// The database that the path of a URL names.
fn database(path: Option<String>) -> Option<u32> {
    let path = path.filter(|path| !path.is_empty());
    path.map_or(Some(0), |path| path.parse().ok().filter(|number| *number <= DATABASE_MAX))
}

fn server(collected: &mut Collected, settings: &SourceSettings) -> Option<RedisServer> {
    let (broker, path) = broker::resolve(collected, settings, &SCHEMES)?;
    let Some(database) = database(path) else {
        let what = format!("`sources.url`: {DATABASE_EXPECTED}");
        blame(collected, settings, if settings.url.is_some() { "url" } else { "url_file" }, what);
        return None;
    };
    if settings.heartbeat < HEARTBEAT_MIN {
        let what = "`sources.heartbeat`: at least 100ms, so that a server far away can answer in time";
        blame(collected, settings, "heartbeat", what);
        return None;
    }
    Some(RedisServer { broker, database, heartbeat: settings.heartbeat })
}

fn resolve_stream(collected: &mut Collected, settings: &SourceSettings) -> Option<SourceKind> {
    let server = server(collected, settings);
    let Some(stream) = settings.stream.clone() else {
        blame(collected, settings, "stream", "a source of type \"redis-stream\" needs `stream`");
        return None;
    };
    if settings.dead_stream.as_ref() == Some(&stream) {
        let what = "`sources.dead_stream` is `stream`: refused entries would come again without end";
        blame(collected, settings, "dead_stream", what);
        return None;
    }
    Some(SourceKind::RedisStream(RedisStreamSource {
        server: server?,
        stream,
        group: settings.group.clone(),
        consumer: settings.consumer.clone().unwrap_or_else(|| consumer(collected)),
        from: settings.from,
        prefetch: settings.prefetch,
        dead_stream: settings.dead_stream.clone(),
    }))
}

fn resolve_pubsub(collected: &mut Collected, settings: &SourceSettings) -> Option<SourceKind> {
    let server = server(collected, settings);
    let (channels, patterns) = (&settings.channels, &settings.patterns);
    let fault = match channels.len() + patterns.len() {
        0 => Some("a source of type \"redis-pubsub\" needs `channels` or `patterns`".to_owned()),
        1..=NAMES_MAX => None,
        _ => Some(format!("`sources.channels`: a source has at most {NAMES_MAX} channels and patterns")),
    };
    if let Some(fault) = fault {
        blame(collected, settings, "channels", fault);
        return None;
    }
    if settings.format == MessageFormat::SocketioEmitter {
        for (key, is_set) in [("map", settings.map.is_some()), ("require_auth", settings.require_auth)] {
            if is_set {
                let what = format!("`sources.{key}` has no effect with `format` = \"socketio-emitter\"");
                blame(collected, settings, "format", what);
                return None;
            }
        }
    }
    warn_of_overlaps(collected, settings);
    let (channels, patterns) = (channels.clone(), patterns.clone());
    Some(SourceKind::RedisPubSub(RedisPubSubSource {
        server: server?,
        channels,
        patterns,
        format: settings.format,
    }))
}

/// Redis delivers a message once for each subscription that its channel matches.
fn warn_of_overlaps(collected: &mut Collected, settings: &SourceSettings) {
    let SourceSettings { channels, patterns, .. } = settings;
    let others = channels.iter().chain(patterns);
    let overlap = others.into_iter().find_map(|other| {
        let pattern = patterns
            .iter()
            .find(|pattern| *pattern != other && matches(pattern.as_bytes(), other.as_bytes()));
        Some((other, pattern?))
    });
    if let Some((other, pattern)) = overlap {
        let name = settings.name.as_deref().unwrap_or_default();
        collected.warnings.push(format!(
            "source {name:?}: the pattern {pattern:?} matches {other:?} as well, so its messages arrive twice"
        ));
    }
}

/// Whether a pattern of Redis without brackets matches a text.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Behind the last star, and what is left of the text there: one character more belongs to the star each time.
    let mut star = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            (Some((byte, rest)), Some((first, left))) if byte == first || *byte == b'?' => {
                (pattern, text) = (rest, left);
            }
            (None, None) => return true,
            _ => match star {
                Some((rest, [_, left @ ..])) => {
                    star = Some((rest, left));
                    (pattern, text) = (rest, left);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_in_redis() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("?", "", false),
            ("a?c", "abc", true),
            ("socket.io#/#*", "socket.io#/#chat#", true),
            ("socket.io#/#*", "socket.io#/admin#", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert!(!matches("*a".repeat(1_000).as_bytes(), "a".repeat(999).as_bytes()));
    }
}
