//! Every key an operator may write, once: its name and the field it fills.
//!
//! File, environment, flags, `turted check` and the test of `docs/configuration.md` all walk this
//! table. A new key is a field of the model, its default there, a line here and one in the docs.

use super::addresses::Opaque;
use super::cluster::keys::ClusterSettings;
use super::error::Origin;
use super::files::{SecretSetting, TlsSettings};
use super::log::LogSettings;
use super::model::Config;
use super::value::Field;
use crate::auth::{Algorithm, ClaimRules, HttpUrl};
use turted_core::auth::Hash;
use turted_core::channel::{ChannelPattern, Join};
use turted_core::history::Depth;
use turted_core::limits::WORKERS_MAX;

/// One rule of `[[channels]]` as it was written.
#[derive(Clone, Debug)]
pub(super) struct ChannelSetting {
    pub(super) pattern: ChannelPattern,
    pub(super) join: Join,
    pub(super) history: Depth,
    pub(super) presence: bool,
    pub(super) origin: Origin,
}

/// The configuration while it is being collected: what is valid key by key, with credentials
/// not yet read and combinations not yet checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) admin_token: SecretSetting,
    pub(super) admin_write_token: SecretSetting,
    pub(super) tls: TlsSettings,
    pub(super) auth: AuthSettings,
    pub(super) push: PushSettings,
    pub(super) log: LogSettings,
    pub(super) cluster: ClusterSettings,
    /// `[[channels]]`, which only a file can hold.
    pub(super) channels: Vec<ChannelSetting>,
}

/// The keys of `[auth]` as they were written.
#[derive(Clone, Debug)]
pub(super) struct AuthSettings {
    pub(super) method: ClientMethod,
    pub(super) password: SecretSetting,
    pub(super) hash: Hash,
    pub(super) prefix: SecretSetting,
    pub(super) suffix: SecretSetting,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key: SecretSetting,
    pub(super) claims: ClaimRules,
    pub(super) url: Option<HttpUrl>,
}

/// The keys of `[push]` as they were written.
#[derive(Clone, Debug)]
pub(super) struct PushSettings {
    pub(super) method: PushMethod,
    pub(super) password: SecretSetting,
}

/// `auth.method`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientMethod {
    Accept,
    Password,
    Token,
    Jwt,
    Http,
}

/// `push.method`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushMethod {
    None,
    Password,
    Http,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: Config::default(),
            admin_token: SecretSetting::default(),
            admin_write_token: SecretSetting::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings {
                method: ClientMethod::Accept,
                password: SecretSetting::default(),
                hash: Hash::Sha256,
                prefix: SecretSetting::default(),
                suffix: SecretSetting::default(),
                algorithm: None,
                key: SecretSetting::default(),
                claims: ClaimRules::default(),
                url: None,
            },
            push: PushSettings { method: PushMethod::None, password: SecretSetting::default() },
            log: LogSettings::default(),
            cluster: ClusterSettings::default(),
            channels: Vec::new(),
        }
    }
}

/// One key.
pub(super) struct Setting {
    /// `key` or `section.key`.
    pub(super) key: &'static str,
    pub(super) field: Field,
}

impl Setting {
    const fn new(key: &'static str, field: Field) -> Self {
        Self { key, field }
    }

    /// The section, empty for the keys above all sections, and the key inside it.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }

    /// The environment variable that overrides this key.
    pub(super) fn variable(&self) -> String {
        format!("TURTED_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Less than a few events of the largest size would make every push wait for the slowest reader.
const BACKLOG_BYTES_MIN: usize = 1024 * 1024;

/// hyper refuses to read heads into less than this (`hyper::server::conn::http1::Builder`).
const REQUEST_HEAD_BYTES_MIN: usize = 8 * 1024;

/// Replicas of Redis that a push may wait for: more than anybody has.
const REPLICAS_MAX: usize = 16;

/// All keys, in the order in which `turted check` and the docs list them.
pub(super) static SETTINGS: &[Setting] = &[
    Setting::new("listen", Field::Address(|s| &mut s.config.listen)),
    Setting::new("tls_cert", Field::Path(|s| &mut s.tls.cert)),
    Setting::new("tls_key", Field::Path(|s| &mut s.tls.key)),
    Setting::new("trusted_proxies", Field::Networks(|s| &mut s.config.trusted_proxies)),
    Setting::new("proxy_protocol", Field::Flag(|s| &mut s.config.proxy_protocol)),
    Setting::new("workers", Field::CountUpTo(1, WORKERS_MAX, |s| &mut s.config.workers)),
    Setting::new("insecure", Field::Flag(|s| &mut s.config.insecure)),
    Setting::new("allow_origins", Field::Origins(Opaque::Listable, |s| &mut s.config.allow_origins)),
    Setting::new("log_level", Field::LogLevel(|s| &mut s.config.log_level)),
    Setting::new("log_format", Field::LogFormat(|s| &mut s.config.log_format)),
    Setting::new("assets_dir", Field::Path(|s| &mut s.config.assets_dir)),
    Setting::new("demo", Field::OptionalFlag(|s| &mut s.config.demo)),
    Setting::new("drain_delay", Field::Delay(|s| &mut s.config.drain_delay)),
    Setting::new("drain_timeout", Field::Duration(|s| &mut s.config.drain_timeout)),
    Setting::new("admin_listen", Field::AdminListen(|s| &mut s.config.admin.listen)),
    Setting::new("admin_token", Field::Secret(|s| &mut s.admin_token.text)),
    Setting::new("admin_token_file", Field::Path(|s| &mut s.admin_token.file)),
    Setting::new("admin_write_token", Field::Secret(|s| &mut s.admin_write_token.text)),
    Setting::new("admin_write_token_file", Field::Path(|s| &mut s.admin_write_token.file)),
    Setting::new("socketio.path", Field::UrlPath(|s| &mut s.config.socketio.path)),
    Setting::new("socketio.ping_interval", Field::Duration(|s| &mut s.config.socketio.ping_interval)),
    Setting::new("socketio.ping_timeout", Field::Duration(|s| &mut s.config.socketio.ping_timeout)),
    Setting::new("socketio.max_payload", Field::Bytes(1, |s| &mut s.config.socketio.max_payload)),
    Setting::new("socketio.connect_timeout", Field::Duration(|s| &mut s.config.socketio.connect_timeout)),
    Setting::new("socketio.upgrade_timeout", Field::Duration(|s| &mut s.config.socketio.upgrade_timeout)),
    Setting::new("websocket.path", Field::UrlPath(|s| &mut s.config.websocket.path)),
    Setting::new("websocket.ping_interval", Field::Duration(|s| &mut s.config.websocket.ping_interval)),
    Setting::new("websocket.ping_timeout", Field::Duration(|s| &mut s.config.websocket.ping_timeout)),
    Setting::new("sse.path", Field::UrlPath(|s| &mut s.config.sse.path)),
    Setting::new("sse.reactphp_path", Field::BasePath(|s| &mut s.config.sse.reactphp_path)),
    Setting::new("sse.retry", Field::Duration(|s| &mut s.config.sse.retry)),
    Setting::new("sse.heartbeat", Field::Duration(|s| &mut s.config.sse.heartbeat)),
    Setting::new("sse.query_credentials", Field::Flag(|s| &mut s.config.sse.query_credentials)),
    Setting::new("sockjs.path", Field::UrlPath(|s| &mut s.config.sockjs.path)),
    Setting::new("sockjs.heartbeat", Field::Duration(|s| &mut s.config.sockjs.heartbeat)),
    Setting::new("sockjs.disconnect_delay", Field::Duration(|s| &mut s.config.sockjs.disconnect_delay)),
    Setting::new("sockjs.response_bytes", Field::Bytes(1, |s| &mut s.config.sockjs.response_bytes)),
    Setting::new("sockjs.sockjs_url", Field::OptionalText(|s| &mut s.config.sockjs.sockjs_url)),
    Setting::new("sockjs.cookie", Field::Flag(|s| &mut s.config.sockjs.cookie)),
    Setting::new("sockjs.websocket", Field::Flag(|s| &mut s.config.sockjs.websocket)),
    Setting::new("auth.method", Field::ClientMethod(|s| &mut s.auth.method)),
    Setting::new("auth.password", Field::Secret(|s| &mut s.auth.password.text)),
    Setting::new("auth.password_file", Field::Path(|s| &mut s.auth.password.file)),
    Setting::new("auth.hash", Field::Hash(|s| &mut s.auth.hash)),
    Setting::new("auth.prefix", Field::Secret(|s| &mut s.auth.prefix.text)),
    Setting::new("auth.prefix_file", Field::Path(|s| &mut s.auth.prefix.file)),
    Setting::new("auth.suffix", Field::Secret(|s| &mut s.auth.suffix.text)),
    Setting::new("auth.suffix_file", Field::Path(|s| &mut s.auth.suffix.file)),
    Setting::new("auth.algorithm", Field::Algorithm(|s| &mut s.auth.algorithm)),
    Setting::new("auth.key", Field::Secret(|s| &mut s.auth.key.text)),
    Setting::new("auth.key_file", Field::Path(|s| &mut s.auth.key.file)),
    Setting::new("auth.user_claim", Field::Text(|s| &mut s.auth.claims.user)),
    Setting::new("auth.channels_claim", Field::OptionalText(|s| &mut s.auth.claims.channels)),
    Setting::new("auth.issuer", Field::OptionalText(|s| &mut s.auth.claims.issuer)),
    Setting::new("auth.audience", Field::OptionalText(|s| &mut s.auth.claims.audience)),
    Setting::new("auth.leeway", Field::Duration(|s| &mut s.auth.claims.leeway)),
    Setting::new("auth.url", Field::HttpUrl(|s| &mut s.auth.url)),
    Setting::new("auth.ca", Field::Path(|s| &mut s.config.auth.ca)),
    Setting::new("auth.timeout", Field::Duration(|s| &mut s.config.auth.timeout)),
    Setting::new("auth.concurrency", Field::Count(1, |s| &mut s.config.auth.concurrency)),
    Setting::new("auth.ident", Field::Ident(|s| &mut s.config.auth.ident)),
    Setting::new("push.path", Field::UrlPath(|s| &mut s.config.push.path)),
    Setting::new("push.method", Field::PushMethod(|s| &mut s.push.method)),
    Setting::new("push.password", Field::Secret(|s| &mut s.push.password.text)),
    Setting::new("push.password_file", Field::Path(|s| &mut s.push.password.file)),
    Setting::new("push.url", Field::HttpUrl(|s| &mut s.config.push.url)),
    Setting::new("push.ca", Field::Path(|s| &mut s.config.push.ca)),
    Setting::new("push.timeout", Field::Duration(|s| &mut s.config.push.timeout)),
    Setting::new("push.concurrency", Field::Count(1, |s| &mut s.config.push.concurrency)),
    Setting::new("push.allow_origins", Field::Origins(Opaque::Refused, |s| &mut s.config.push.allow_origins)),
    Setting::new("presence.grace", Field::Duration(|s| &mut s.config.presence.grace)),
    Setting::new("limits.message_bytes", Field::Bytes(1, |s| &mut s.config.limits.message_bytes)),
    Setting::new("limits.message_fragments", Field::Count(1, |s| &mut s.config.limits.message_fragments)),
    Setting::new("limits.polling_packets", Field::Count(1, |s| &mut s.config.limits.polling_packets)),
    Setting::new("limits.message_rate", Field::Number(|s| &mut s.config.limits.message_rate)),
    Setting::new("limits.message_burst", Field::Number(|s| &mut s.config.limits.message_burst)),
    Setting::new(
        "limits.channels_per_connection",
        Field::Count(1, |s| &mut s.config.limits.channels_per_connection),
    ),
    Setting::new(
        "limits.users_per_connection",
        Field::Count(1, |s| &mut s.config.limits.users_per_connection),
    ),
    Setting::new("limits.outbox_bytes", Field::Bytes(1, |s| &mut s.config.limits.outbox_bytes)),
    Setting::new("limits.outbox_frames", Field::Count(1, |s| &mut s.config.limits.outbox_frames)),
    Setting::new("limits.outbox_stall", Field::Duration(|s| &mut s.config.limits.outbox_stall)),
    Setting::new(
        "limits.backlog_bytes",
        Field::OptionalBytes(BACKLOG_BYTES_MIN, |s| &mut s.config.limits.backlog_bytes),
    ),
    Setting::new("limits.push_body_bytes", Field::Bytes(1, |s| &mut s.config.limits.push_body_bytes)),
    Setting::new("limits.bodies_bytes", Field::Bytes(1, |s| &mut s.config.limits.bodies_bytes)),
    Setting::new("limits.targets", Field::Count(1, |s| &mut s.config.limits.targets)),
    Setting::new("limits.expansion_bytes", Field::Bytes(1, |s| &mut s.config.limits.expansion_bytes)),
    Setting::new("limits.batch_dispatches", Field::Count(1, |s| &mut s.config.limits.batch_dispatches)),
    Setting::new("limits.inbox_dispatches", Field::Count(1, |s| &mut s.config.limits.inbox_dispatches)),
    Setting::new("limits.inbox_bytes", Field::Bytes(1, |s| &mut s.config.limits.inbox_bytes)),
    Setting::new("limits.history_bytes", Field::Bytes(1, |s| &mut s.config.limits.history_bytes)),
    Setting::new("limits.connections", Field::OptionalCount(|s| &mut s.config.limits.connections)),
    Setting::new("limits.spare_connections", Field::Count(0, |s| &mut s.config.limits.spare_connections)),
    Setting::new(
        "limits.sessions_per_address",
        Field::Count(1, |s| &mut s.config.limits.sessions_per_address),
    ),
    Setting::new(
        "limits.request_head_bytes",
        Field::Bytes(REQUEST_HEAD_BYTES_MIN, |s| &mut s.config.limits.request_head_bytes),
    ),
    Setting::new("limits.request_headers", Field::Count(1, |s| &mut s.config.limits.request_headers)),
    Setting::new("limits.request_uri_bytes", Field::Bytes(1, |s| &mut s.config.limits.request_uri_bytes)),
    Setting::new("limits.request_head_wait", Field::Duration(|s| &mut s.config.limits.request_head_wait)),
    Setting::new("limits.idle_wait", Field::Duration(|s| &mut s.config.limits.idle_wait)),
    Setting::new("limits.request_body_wait", Field::Duration(|s| &mut s.config.limits.request_body_wait)),
    Setting::new("limits.wrong_passwords", Field::Number(|s| &mut s.config.limits.wrong_passwords)),
    Setting::new("limits.wrong_idents", Field::Number(|s| &mut s.config.limits.wrong_idents)),
    Setting::new("limits.password_window", Field::Duration(|s| &mut s.config.limits.password_window)),
    Setting::new("limits.password_addresses", Field::Count(1, |s| &mut s.config.limits.password_addresses)),
    Setting::new("limits.idempotency_age", Field::Duration(|s| &mut s.config.limits.idempotency_age)),
    Setting::new("limits.idempotency_keys", Field::Count(1, |s| &mut s.config.limits.idempotency_keys)),
    Setting::new("limits.idempotency_bytes", Field::Bytes(1, |s| &mut s.config.limits.idempotency_bytes)),
    Setting::new("limits.listen_backlog", Field::Number(|s| &mut s.config.limits.listen_backlog)),
    Setting::new("limits.send_buffer_bytes", Field::Bytes(1, |s| &mut s.config.limits.send_buffer_bytes)),
    Setting::new("limits.tcp_user_timeout", Field::Duration(|s| &mut s.config.limits.tcp_user_timeout)),
    Setting::new("recovery.enabled", Field::Flag(|s| &mut s.config.recovery.enabled)),
    Setting::new("recovery.max_age", Field::Duration(|s| &mut s.config.recovery.max_age)),
    Setting::new("recovery.sessions", Field::Count(1, |s| &mut s.config.recovery.sessions)),
    Setting::new("recovery.session_bytes", Field::Bytes(1, |s| &mut s.config.recovery.session_bytes)),
    Setting::new("recovery.log_dispatches", Field::Count(1, |s| &mut s.config.recovery.log_dispatches)),
    Setting::new("recovery.log_bytes", Field::Bytes(1, |s| &mut s.config.recovery.log_bytes)),
    Setting::new("recovery.replay", Field::Count(1, |s| &mut s.config.recovery.replay)),
    Setting::new("log.store", Field::LogStore(|s| &mut s.log.store)),
    Setting::new("log.directory", Field::Path(|s| &mut s.log.directory)),
    Setting::new("log.sync", Field::LogSync(|s| &mut s.log.sync)),
    Setting::new("log.sync_interval", Field::Duration(|s| &mut s.log.sync_interval)),
    Setting::new("log.required", Field::Flag(|s| &mut s.log.required)),
    Setting::new("cluster.url", Field::Secret(|s| &mut s.cluster.url.text)),
    Setting::new("cluster.url_file", Field::Path(|s| &mut s.cluster.url.file)),
    Setting::new("cluster.sentinels", Field::Texts(|s| &mut s.cluster.sentinels)),
    Setting::new("cluster.master", Field::OptionalText(|s| &mut s.cluster.master)),
    Setting::new("cluster.sentinel_user", Field::OptionalText(|s| &mut s.cluster.sentinel_user)),
    Setting::new("cluster.sentinel_password", Field::Secret(|s| &mut s.cluster.sentinel_password.text)),
    Setting::new("cluster.sentinel_password_file", Field::Path(|s| &mut s.cluster.sentinel_password.file)),
    Setting::new("cluster.ca", Field::Path(|s| &mut s.cluster.ca)),
    Setting::new("cluster.prefix", Field::Text(|s| &mut s.cluster.prefix)),
    Setting::new("cluster.listen", Field::Address(|s| &mut s.cluster.listen)),
    Setting::new("cluster.advertise", Field::OptionalAddress(|s| &mut s.cluster.advertise)),
    Setting::new("cluster.secret_file", Field::Path(|s| &mut s.cluster.secret_file)),
    Setting::new("cluster.replicas", Field::CountUpTo(0, REPLICAS_MAX, |s| &mut s.cluster.replicas)),
    Setting::new("cluster.tls_cert", Field::Path(|s| &mut s.cluster.tls.cert)),
    Setting::new("cluster.tls_key", Field::Path(|s| &mut s.cluster.tls.key)),
];
