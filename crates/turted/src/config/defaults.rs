//! The configuration where the operator sets nothing. Limits come from [`turted_core::limits`].

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::available_parallelism;

use turted_core::channel::ChannelRules;
use turted_core::history::HistoryRules;
use turted_core::limits;
use turted_core::presence::PresenceRules;

use super::log::LogStore;
use super::model::{
    Admin, AdminListen, AllowOrigins, Auth, Config, IdentMode, Limits, LogFormat, LogLevel, Presence, Push,
    Recovery, TrustedProxies,
};
use super::transports::{SockJs, SocketIo, Sse, WebSocket};
use crate::auth::ClientAuth;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7117)),
            tls: None,
            trusted_proxies: TrustedProxies::default(),
            proxy_protocol: false,
            workers: available_parallelism().map_or(1, usize::from).min(limits::WORKERS_MAX),
            insecure: false,
            allow_origins: AllowOrigins::Any,
            log_level: LogLevel::Warn,
            log_format: LogFormat::Text,
            assets_dir: None,
            demo: None,
            drain_delay: limits::DRAIN_DELAY,
            drain_timeout: limits::DRAIN_WAIT_MAX,
            admin: Admin {
                listen: AdminListen::IfFree(SocketAddr::from((Ipv4Addr::LOCALHOST, 7118))),
                token: None,
                write_token: None,
            },
            socketio: SocketIo::default(),
            websocket: WebSocket::default(),
            sse: Sse::default(),
            sockjs: SockJs::default(),
            auth: Auth::default(),
            channels: ChannelRules::default(),
            history: HistoryRules::default(),
            presence: Presence::default(),
            push: Push::default(),
            sources: Vec::new(),
            hooks: Vec::new(),
            limits: Limits::default(),
            recovery: Recovery::default(),
            log: LogStore::default(),
            cluster: None,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            method: ClientAuth::Accept,
            ca: None,
            ident: IdentMode::Replace,
            timeout: limits::VERIFICATION_WAIT_MAX,
            concurrency: limits::VERIFICATIONS_MAX,
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self { channels: PresenceRules::default(), grace: limits::PRESENCE_GRACE }
    }
}

impl Default for Push {
    fn default() -> Self {
        Self {
            path: "/push".into(),
            password: None,
            keys: Vec::new(),
            url: None,
            ca: None,
            timeout: limits::VERIFICATION_WAIT_MAX,
            concurrency: limits::VERIFICATIONS_MAX,
            allow_origins: AllowOrigins::Only(Vec::new()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: limits::MESSAGE_BYTES_MAX,
            message_fragments: limits::MESSAGE_FRAGMENTS_MAX,
            polling_packets: limits::POLLING_PACKETS_MAX,
            message_rate: limits::MESSAGE_RATE_PER_SECOND,
            message_burst: limits::MESSAGE_BURST,
            channels_per_connection: limits::CHANNELS_PER_CONNECTION_MAX,
            users_per_connection: limits::USERS_PER_CONNECTION_MAX,
            outbox_bytes: limits::OUTBOX_BYTES_MAX,
            outbox_frames: limits::OUTBOX_FRAMES_MAX,
            outbox_stall: limits::OUTBOX_STALL_MAX,
            backlog_bytes: None,
            push_body_bytes: limits::PUSH_BODY_BYTES_MAX,
            bodies_bytes: limits::BODIES_BYTES_MAX,
            targets: limits::TARGETS_MAX,
            expansion_bytes: limits::EXPANSION_BYTES_MAX,
            batch_dispatches: limits::BATCH_DISPATCHES_MAX,
            inbox_dispatches: limits::INBOX_DISPATCHES_MAX,
            inbox_bytes: limits::INBOX_BYTES_MAX,
            history_bytes: limits::HISTORY_BYTES_MAX,
            connections: None,
            spare_connections: limits::CONNECTIONS_SPARE,
            sessions_per_address: limits::SESSIONS_PER_ADDRESS_MAX,
            request_head_bytes: limits::REQUEST_HEAD_BYTES_MAX,
            request_headers: limits::REQUEST_HEADERS_MAX,
            request_uri_bytes: limits::REQUEST_URI_BYTES_MAX,
            request_head_wait: limits::REQUEST_HEAD_WAIT_MAX,
            idle_wait: limits::IDLE_WAIT_MAX,
            request_body_wait: limits::REQUEST_BODY_WAIT_MAX,
            wrong_passwords: limits::WRONG_PASSWORDS_MAX,
            wrong_idents: limits::WRONG_IDENTS_MAX,
            password_window: limits::PASSWORD_WINDOW,
            password_addresses: limits::PASSWORD_ADDRESSES_MAX,
            idempotency_age: limits::IDEMPOTENCY_AGE_MAX,
            idempotency_keys: limits::IDEMPOTENCY_KEYS_MAX,
            idempotency_bytes: limits::IDEMPOTENCY_BYTES_MAX,
            listen_backlog: limits::LISTEN_BACKLOG,
            send_buffer_bytes: limits::SEND_BUFFER_BYTES,
            tcp_user_timeout: limits::TCP_USER_TIMEOUT,
        }
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            enabled: true,
            max_age: limits::RECOVERY_AGE_MAX,
            sessions: limits::RECOVERY_SESSIONS_MAX,
            session_bytes: limits::RECOVERY_BYTES_MAX,
            log_dispatches: limits::LOG_DISPATCHES_MAX,
            log_bytes: limits::LOG_BYTES_MAX,
            replay: limits::REPLAY_DISPATCHES_MAX,
        }
    }
}
