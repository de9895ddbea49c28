//! The validated configuration as the rest of the program reads it.
//!
//! `docs/configuration.md` says for each key what it means and why the default is what it is; a
//! test keeps the two equal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::cluster::model::ClusterConfig;
use super::hooks::model::Hook;
use super::log::LogStore;
use super::push_sources::model::PushSource;
use super::transports::{SockJs, SocketIo, Sse, WebSocket};
use crate::auth::{ClientAuth, HttpUrl};
use crate::io::tls::Tls;
use turted_core::channel::ChannelRules;
use turted_core::history::HistoryRules;
use turted_core::origin::Origin;
use turted_core::presence::PresenceRules;
use turted_core::push::Scope;
pub use turted_core::registry::IdentMode;
use turted_core::secret::Secret;
pub use turted_core::trust::TrustedProxies;

/// Everything an operator may decide, validated: no later check is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients and backends connect; port 0 takes any free one. Default: 127.0.0.1:7117.
    pub listen: SocketAddr,
    /// The files of TLS; `None` serves in the clear. Default: none.
    pub tls: Option<Tls>,
    /// The proxies that are believed when they name the address of a client. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// Whether each connection starts with a PROXY header of a trusted proxy. Default: no.
    pub proxy_protocol: bool,
    /// Worker threads. Default: the number of cores.
    pub workers: usize,
    /// Whether other machines may connect without credentials. Default: no.
    pub insecure: bool,
    /// The origins whose pages may connect, beside the own host. Default: any.
    pub allow_origins: AllowOrigins,
    /// The least important level that is logged. Default: warn.
    pub log_level: LogLevel,
    /// How log lines are written. Default: text.
    pub log_format: LogFormat,
    /// The directory from which the browser client is served. Default: none.
    pub assets_dir: Option<PathBuf>,
    /// Whether `/demo` is there; `None` if it is where nothing needs credentials and `listen` is a loopback
    /// address. Default: `None`.
    pub demo: Option<bool>,
    /// How long everything but `/ready` goes on after a signal, before connections are closed. Default: 0.
    pub drain_delay: Duration,
    /// The time over which connections are closed after a signal. Default: 30 s.
    pub drain_timeout: Duration,
    /// The listener for operators.
    pub admin: Admin,
    /// The Socket.IO transport.
    pub socketio: SocketIo,
    /// The WebSocket transport.
    pub websocket: WebSocket,
    /// Event streams.
    pub sse: Sse,
    /// The SockJS transport.
    pub sockjs: SockJs,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Which channels a client may join. Default: all.
    pub channels: ChannelRules,
    /// Which channels keep their last events for those who join later. Default: none.
    pub history: HistoryRules,
    /// Which channels tell their members who is in them, and for how long a user counts that is gone.
    pub presence: Presence,
    /// How backends push.
    pub push: Push,
    /// Where pushes are fetched from. Default: nowhere.
    pub sources: Vec<PushSource>,
    /// Where backends hear what happens. Default: nowhere.
    pub hooks: Vec<Hook>,
    /// What one peer may take of the server.
    pub limits: Limits,
    /// What is kept for clients that lost their connection.
    pub recovery: Recovery,
    /// Where the log stands. Default: in memory.
    pub log: LogStore,
    /// The cluster, if the log is in Redis. Default: none.
    pub cluster: Option<ClusterConfig>,
}

/// `admin_listen`, `admin_token` and `admin_write_token`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where metrics, health and the read-only API are. Default: 127.0.0.1:7118 if it is free.
    pub listen: AdminListen,
    /// What a request must carry to see more than health. Default: nothing.
    pub token: Option<Secret>,
    /// What a request must carry to change something; it reads as well. Default: nothing, so nothing can be changed.
    pub write_token: Option<Secret>,
}

/// `admin_listen`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// Nowhere.
    Off,
    /// Here, or nowhere if another program has the port: it is a default, which the operator did not set.
    IfFree(SocketAddr),
    /// Here; port 0 takes any free one.
    At(SocketAddr),
}

impl AdminListen {
    /// The address, unless it is off.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::IfFree(address) | Self::At(address) => Some(address),
        }
    }
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What a client must show to be a user. Default: nothing.
    pub method: ClientAuth,
    /// The file of the authorities that vouch for a backend over TLS; `None` for those of the system. Default: none.
    pub ca: Option<PathBuf>,
    /// What a second IDENT does. Default: replace.
    pub ident: IdentMode,
    /// How long the backend or the embedding program may take to verify an IDENT. Default: 5 s.
    pub timeout: Duration,
    /// IDENTs that the backend or the embedding program is asked about at once. Default: 64.
    pub concurrency: usize,
}

/// `[presence]`, and `presence` of `[[channels]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The channels whose members may hear who is in them. Default: none.
    pub channels: PresenceRules,
    /// How long a user that has lost its last connection is present. Default: 10 s.
    pub grace: Duration,
}

/// `[push]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The path, with a slash in front and none behind; both forms are served. Default: `/push`.
    pub path: String,
    /// A password with which everything may be pushed. Default: none.
    pub password: Option<Secret>,
    /// Passwords with names, each with what it lets through. Default: none.
    pub keys: Vec<PushKey>,
    /// The backend that is asked about each push, instead of passwords. Default: none.
    pub url: Option<HttpUrl>,
    /// The file of the authorities that vouch for that backend over TLS; `None` for those of the system. Default: none.
    pub ca: Option<PathBuf>,
    /// How long that backend may take. Default: 5 s.
    pub timeout: Duration,
    /// Pushes that it is asked about at once. Default: 64.
    pub concurrency: usize,
    /// The origins whose pages may push, beside the own host. Default: none.
    pub allow_origins: AllowOrigins,
}

impl Push {
    /// Whether everyone may push, without a password.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.password.is_none() && self.keys.is_empty() && self.url.is_none()
    }
}

/// `[[push.keys]]`: a password, and what it lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushKey {
    /// Its name in the log.
    pub name: String,
    /// What a push must carry.
    pub password: Secret,
    /// What may be pushed with it.
    pub scope: Scope,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message of a client. Default: 64 KiB.
    pub message_bytes: usize,
    /// WebSocket fragments of one message. Default: 64.
    pub message_fragments: usize,
    /// Packets of one polling body. Default: 256.
    pub polling_packets: usize,
    /// Messages per second of one connection in the long run. Default: 50.
    pub message_rate: u32,
    /// Messages one connection may send at once. Default: 256.
    pub message_burst: u32,
    /// Channels one connection may have joined. Default: 128.
    pub channels_per_connection: usize,
    /// Users one connection may be at once under `auth.ident = "add"`. Default: 8.
    pub users_per_connection: usize,
    /// Bytes waiting for one connection. Default: 16 MiB.
    pub outbox_bytes: usize,
    /// Frames waiting for one connection. Default: 16,384.
    pub outbox_frames: usize,
    /// The time within which a blocked connection must take 16 KiB of what waits, or all of it. Default: 10 s.
    pub outbox_stall: Duration,
    /// Bytes waiting for all connections together; `None` is 512 MiB, or a quarter of the memory that the
    /// process may use if that is less. Default: `None`.
    pub backlog_bytes: Option<usize>,
    /// Bytes of one push body. Default: 1 MiB.
    pub push_body_bytes: usize,
    /// Bytes of all request bodies that are being read. Default: 64 MiB.
    pub bodies_bytes: usize,
    /// Users and channels of one dispatch together. Default: 1,000.
    pub targets: usize,
    /// Bytes of payloads in one push, each times its targets. Default: 64 MiB.
    pub expansion_bytes: usize,
    /// Dispatches of one push body. Default: 1,000.
    pub batch_dispatches: usize,
    /// Dispatches waiting for one worker. Default: 4,096.
    pub inbox_dispatches: usize,
    /// Bytes of dispatches waiting for one worker. Default: 64 MiB.
    pub inbox_bytes: usize,
    /// Bytes of the history of all channels. Default: 64 MiB.
    pub history_bytes: usize,
    /// Open connections; `None` is the number of file descriptors minus 256. Default: `None`.
    pub connections: Option<usize>,
    /// Connections beyond those, for pushes and health checks alone. Default: 64.
    pub spare_connections: usize,
    /// Sessions that live by requests, polling and SockJS, of one address. Default: 1,000.
    pub sessions_per_address: usize,
    /// Bytes of an HTTP request head. Default: 16 KiB.
    pub request_head_bytes: usize,
    /// Headers of an HTTP request. Default: 100.
    pub request_headers: usize,
    /// Bytes of an HTTP request target. Default: 8 KiB.
    pub request_uri_bytes: usize,
    /// How long a request head may take. Default: 10 s.
    pub request_head_wait: Duration,
    /// How long a connection may be without a request after its first one. Default: 75 s.
    pub idle_wait: Duration,
    /// How long a request body may take. Default: 30 s.
    pub request_body_wait: Duration,
    /// Wrong push passwords of one address within `password_window`, and wrong admin tokens. Default: 10.
    pub wrong_passwords: u32,
    /// Wrong IDENTs of one address within `password_window`. Default: 10.
    pub wrong_idents: u32,
    /// The window of `wrong_passwords` and `wrong_idents`. Default: 60 s.
    pub password_window: Duration,
    /// Addresses remembered for `wrong_passwords`, and for `wrong_idents`; the oldest give way.
    /// Default: 100,000.
    pub password_addresses: usize,
    /// How long the answer to an `Idempotency-Key` is kept. Default: 300 s.
    pub idempotency_age: Duration,
    /// Idempotency keys kept at once; one of several passwords has at most half of them. Default: 100,000.
    pub idempotency_keys: usize,
    /// Bytes of idempotency keys and answers, with the same half. Default: 64 MiB.
    pub idempotency_bytes: usize,
    /// Connections the kernel holds before they are accepted. Default: 4,096.
    pub listen_backlog: u32,
    /// Bytes of the kernel's send buffer of a connection. Default: 32 KiB.
    pub send_buffer_bytes: usize,
    /// How long sent bytes may stay unacknowledged. Default: 30 s.
    pub tcp_user_timeout: Duration,
}

/// `[recovery]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether clients resume after a lost connection. Default: yes.
    pub enabled: bool,
    /// How long a lost session is kept. Default: 120 s.
    pub max_age: Duration,
    /// Lost sessions kept at once. Default: 100,000.
    pub sessions: usize,
    /// Bytes of the users, channels and grants of lost sessions. Default: 64 MiB.
    pub session_bytes: usize,
    /// Dispatches kept. Default: 100,000.
    pub log_dispatches: usize,
    /// Bytes of event names, targets and payloads kept. Default: 64 MiB.
    pub log_bytes: usize,
    /// Dispatches replayed to one connection. Default: 300.
    pub replay: usize,
}

/// Which origins may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowOrigins {
    /// Any origin, also pages without one.
    Any,
    /// These, and the page's own host. If the list is empty, only that host.
    Only(Vec<String>),
}

impl AllowOrigins {
    /// Whether no origin is listed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Only(origins) if origins.is_empty())
    }

    /// Whether the page that sent this `Origin` header is listed. The default port of a scheme may be written
    /// or left out.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let Self::Only(listed) = self else { return true };
        let page = Origin::parse(origin);
        let is_page = |listed: &String| match (&page, Origin::parse(listed)) {
            (Some(page), Some(listed)) => page.is(&listed),
            // `null` and `file://`.
            _ => listed.eq_ignore_ascii_case(origin),
        };
        listed.iter().any(is_page)
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// An operator should look.
    Warn,
    /// Life cycle.
    Info,
    /// Per connection.
    Debug,
    /// Per event.
    Trace,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
