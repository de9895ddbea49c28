//! Parts of the configuration for the layers below, which do not know its keys.

use super::model::{Config, Limits};
use crate::auth::GateSettings;
use crate::auth::attempts::AttemptLimits;
use crate::io::bodies::BodyLimits;
use crate::io::listener::SocketOptions;

impl Config {
    /// How IDENTs are verified.
    pub(crate) fn gate(&self) -> GateSettings {
        GateSettings {
            method: self.auth.method.clone(),
            ca: self.auth.ca.clone(),
            timeout: self.auth.timeout,
            concurrency: self.auth.concurrency,
            wrong: self.attempts(self.limits.wrong_idents),
        }
    }

    /// How much bodies of requests may take.
    pub(crate) fn bodies(&self) -> BodyLimits {
        BodyLimits {
            bytes: self.limits.bodies_bytes,
            largest: self.limits.push_body_bytes.max(self.socketio.max_payload),
            spares_private: self.trusted_proxies.networks().is_empty(),
        }
    }

    /// How often one address may guess wrong: `attempts` times in the window.
    pub(crate) fn attempts(&self, attempts: u32) -> AttemptLimits {
        AttemptLimits {
            attempts,
            window: self.limits.password_window,
            addresses: self.limits.password_addresses,
            names_proxies: !self.trusted_proxies.networks().is_empty(),
        }
    }
}

impl Limits {
    /// What listening sockets pass on to the connections that are accepted.
    pub(crate) fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            send_buffer_bytes: self.send_buffer_bytes,
            tcp_user_timeout: self.tcp_user_timeout,
            backlog: i32::try_from(self.listen_backlog).unwrap_or(i32::MAX),
        }
    }
}
