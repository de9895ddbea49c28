//! `type = "rabbitmq"`.

use std::time::Duration;

use super::broker::{self, Schemes};
use super::keys::SourceSettings;
use super::kind::{Kind, blame};
use super::model::SourceKind;
use super::servers::{AMQP, AMQP_TLS, ExchangeKind, HeaderValue, RabbitmqBinding, RabbitmqSource};
use crate::config::collect::Collected;
use turted_core::push::map::PayloadForm;

const SCHEMES: Schemes = Schemes {
    plain: (AMQP, 5672),
    tls: (AMQP_TLS, 5671),
    example: "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS",
};
/// Bytes of a name in AMQP 0-9-1: its length is one byte.
const NAME_BYTES_MAX: usize = 255;
/// Bindings of one source. Each is asked for with each connection.
const KEYS_MAX: usize = 100;
/// Entries of `headers`.
const HEADERS_MAX: usize = 100;
/// Bytes of a text in `headers`: all of them together are one frame.
const HEADER_BYTES_MAX: usize = 1_000;
/// Seconds between two heartbeats at most: two bytes say them.
const HEARTBEAT_MAX: Duration = Duration::from_secs(65_535);

pub(super) const KIND: Kind = Kind {
    name: "rabbitmq",
    is_built: cfg!(feature = "rabbitmq"),
    places: RabbitmqSource::PLACES,
    payload: PayloadForm::Json,
    resolve,
};

fn resolve(collected: &mut Collected, settings: &SourceSettings) -> Option<SourceKind> {
    let most = collected.settings.config.limits.push_body_bytes;
    let broker = broker::resolve(collected, settings, &SCHEMES);
    let mut resolving = Resolving { collected, settings, sound: true };
    let binding = resolving.binding();
    resolving.name("queue", settings.queue.as_ref());
    let Some(queue) = settings.queue.clone() else {
        let what = match settings.exchange {
            None => "a source of type \"rabbitmq\" needs `queue`",
            Some(_) => {
                "`sources.exchange` needs `queue`: messages of an exchange wait in a queue that has a name"
            }
        };
        resolving.blame("queue", what);
        return None;
    };
    if settings.heartbeat.subsec_nanos() > 0 || settings.heartbeat > HEARTBEAT_MAX {
        resolving.blame("heartbeat", "`sources.heartbeat`: AMQP counts whole seconds, 1 to 65535");
    }
    let prefetch = u16::try_from(settings.prefetch).unwrap_or(u16::MAX);
    let sound = resolving.sound;
    let (broker, path) = broker?;
    // No path and an empty one are what people mean by `/`.
    let virtual_host = path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
    let heartbeat = settings.heartbeat;
    let source =
        RabbitmqSource { broker, virtual_host, queue, binding, prefetch, heartbeat, message_bytes: most };
    sound.then_some(SourceKind::Rabbitmq(source))
}

struct Resolving<'a> {
    collected: &'a mut Collected,
    settings: &'a SourceSettings,
    sound: bool,
}

impl Resolving<'_> {
    fn blame(&mut self, key: &str, what: &str) {
        blame(self.collected, self.settings, key, what);
        self.sound = false;
    }

    fn name(&mut self, key: &str, name: Option<&String>) {
        if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            self.blame(key, &format!("`sources.{key}`: expected at most {NAME_BYTES_MAX} bytes"));
        }
    }

    fn binding(&mut self) -> Option<RabbitmqBinding> {
        let SourceSettings { exchange, exchange_kind: kind, keys, headers, .. } = self.settings;
        let Some(exchange) = exchange else {
            for key in ["kind", "keys", "headers"] {
                if self.settings.origins.contains_key(key) {
                    self.blame(key, &format!("`sources.{key}` has no effect without `exchange`"));
                }
            }
            return None;
        };
        self.name("exchange", Some(exchange));
        let bound_by_keys = matches!(kind, ExchangeKind::Direct | ExchangeKind::Topic);
        if bound_by_keys && keys.is_empty() {
            self.blame("exchange", "`sources.exchange` needs `keys`: which messages of it go into the queue");
        }
        if !bound_by_keys && !keys.is_empty() {
            let what = "`sources.keys` has no effect with this `kind`: its messages are not chosen by their routing keys";
            self.blame("keys", what);
        }
        let bound_by_headers = *kind == ExchangeKind::Headers;
        if bound_by_headers && headers.is_empty() {
            self.blame(
                "exchange",
                "`sources.kind` = \"headers\" needs `headers`: what those of a message must be",
            );
        }
        if !bound_by_headers && !headers.is_empty() {
            self.blame("headers", "`sources.headers` has no effect without `kind` = \"headers\"");
        }
        if keys.len() > KEYS_MAX || keys.iter().any(|key| key.len() > NAME_BYTES_MAX) {
            let what = format!("`sources.keys`: at most {KEYS_MAX} keys of at most {NAME_BYTES_MAX} bytes");
            self.blame("keys", &what);
        }
        let is_long = |(name, value): &(String, HeaderValue)| {
            let bytes = if let HeaderValue::Text(text) = value { text.len() } else { 0 };
            name.len() > NAME_BYTES_MAX || bytes > HEADER_BYTES_MAX
        };
        if headers.len() > HEADERS_MAX || headers.iter().any(is_long) {
            let what = format!(
                "`sources.headers`: at most {HEADERS_MAX}, with texts of at most {HEADER_BYTES_MAX} bytes"
            );
            self.blame("headers", &what);
        }
        // A binding without a key has the empty one.
        let keys = if bound_by_keys { keys.clone() } else { vec![String::new()] };
        Some(RabbitmqBinding { exchange: exchange.clone(), kind: *kind, keys, headers: headers.clone() })
    }
}
