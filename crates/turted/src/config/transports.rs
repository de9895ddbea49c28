//! The sections of the transports, validated, and their defaults.

use std::time::Duration;

use turted_core::limits;

/// `[socketio]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketIo {
    /// The path, with a slash at both ends. Default: `/socket.io/`.
    pub path: String,
    /// Time between two heartbeats. Default: 25 s.
    pub ping_interval: Duration,
    /// How long the answer to a heartbeat may take. Default: 20 s.
    pub ping_timeout: Duration,
    /// Bytes of one polling body. Default: 1,000,000.
    pub max_payload: usize,
    /// How long a session may stay without its first packet. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long the upgrade to WebSocket may take. Default: 10 s.
    pub upgrade_timeout: Duration,
}

/// `[websocket]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// The path, with a slash in front and none behind. Default: `/ws`.
    pub path: String,
    /// Time between two pings. Default: 25 s.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take. Default: 20 s.
    pub ping_timeout: Duration,
}

/// `[sse]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sse {
    /// The path, with a slash in front and none behind. Default: `/sse`.
    pub path: String,
    /// Every path below this one that is not served otherwise is an event stream too, as TURTED for reactphp
    /// sent it; a slash in front and none behind, so empty for every path. Default: none.
    pub reactphp_path: Option<String>,
    /// How long clients wait before they reconnect. Default: 3 s.
    pub retry: Duration,
    /// Time between two heartbeats. Default: 25 s.
    pub heartbeat: Duration,
    /// Whether credentials may stand in the query. Default: no.
    pub query_credentials: bool,
}

impl Sse {
    /// Whether a path that is not served otherwise is one of TURTED for reactphp.
    pub(crate) fn is_reactphp(&self, path: &str) -> bool {
        let below = self.reactphp_path.as_deref().and_then(|base| path.strip_prefix(base));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// `[sockjs]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockJs {
    /// The path, with a slash in front and none behind. Default: `/turted`.
    pub path: String,
    /// Time between two heartbeats. Default: 25 s.
    pub heartbeat: Duration,
    /// How long a session lives without a request that receives. Default: 5 s.
    pub disconnect_delay: Duration,
    /// Bytes after which a streaming response ends and the client asks for the next. Default: 128 KiB.
    pub response_bytes: usize,
    /// Where the page for iframes loads sockjs-client from; `None` is `sockjs.min.js` below the path,
    /// a file of `assets_dir`. Default: `None`.
    pub sockjs_url: Option<String>,
    /// Whether load balancers find the cookie `JSESSIONID`. Default: no.
    pub cookie: bool,
    /// Whether clients may use WebSockets. Default: yes.
    pub websocket: bool,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            path: "/socket.io/".into(),
            ping_interval: limits::PING_INTERVAL,
            ping_timeout: limits::PING_TIMEOUT,
            max_payload: limits::POLLING_BODY_BYTES_MAX,
            connect_timeout: limits::CONNECT_WAIT_MAX,
            upgrade_timeout: limits::UPGRADE_WAIT_MAX,
        }
    }
}

impl Default for WebSocket {
    fn default() -> Self {
        Self { path: "/ws".into(), ping_interval: limits::PING_INTERVAL, ping_timeout: limits::PING_TIMEOUT }
    }
}

impl Default for Sse {
    fn default() -> Self {
        Self {
            path: "/sse".into(),
            reactphp_path: None,
            retry: limits::SSE_RETRY,
            heartbeat: limits::SSE_HEARTBEAT,
            query_credentials: false,
        }
    }
}

impl Default for SockJs {
    fn default() -> Self {
        Self {
            path: "/turted".into(),
            heartbeat: limits::PING_INTERVAL,
            disconnect_delay: limits::SOCKJS_DISCONNECT_DELAY,
            response_bytes: limits::SOCKJS_RESPONSE_BYTES_MAX,
            sockjs_url: None,
            cookie: false,
            websocket: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_the_path_of_reactphp_is_a_stream() {
        let is_reactphp = |base: Option<&str>, path| {
            Sse { reactphp_path: base.map(str::to_owned), ..Sse::default() }.is_reactphp(path)
        };
        for path in ["/", "/sse2", "/a/b"] {
            assert!(is_reactphp(Some(""), path), "{path}");
            assert!(!is_reactphp(None, path), "{path}");
        }
        for (path, expected) in [("/e", true), ("/e/", true), ("/e/x", true), ("/ee", false), ("/", false)] {
            assert_eq!(is_reactphp(Some("/e"), path), expected, "{path}");
        }
    }
}
