//! Paths below the prefix of a service.

use super::transport::Transport;
use crate::limits::SOCKJS_SESSION_BYTES_MAX;

/// What a path asks for. The caller checks the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The greeting.
    Greeting,
    /// `/info`.
    Info,
    /// `/iframe*.html`.
    Iframe,
    /// `/websocket`: messages without frames.
    RawWebSocket,
    /// `/<server>/<session>/<transport>`. The server is there for load balancers, and is ignored.
    Receive {
        /// The id of the session as it stands in the path.
        session: &'a str,
        /// How it receives.
        transport: Transport,
    },
    /// `/<server>/<session>/xhr_send` or `jsonp_send`.
    Send {
        /// The id of the session as it stands in the path.
        session: &'a str,
        /// How it sends.
        sender: Sender,
    },
}

/// How a session sends, if it does not use a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// `xhr_send`.
    Xhr,
    /// `jsonp_send`.
    Jsonp,
}

impl<'a> Route<'a> {
    /// Reads the part of a path behind the prefix, without the query; `None` is a 404.
    ///
    /// One slash at the end is ignored, as in sockjs-node.
    ///
    /// ```
    /// use turted_core::wire::sockjs::{Route, Transport};
    /// let route = Route::parse("/000/abc/xhr");
    /// assert_eq!(route, Some(Route::Receive { session: "abc", transport: Transport::XhrPolling }));
    /// ```
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "" => return Some(Self::Greeting),
            "/info" => return Some(Self::Info),
            "/websocket" => return Some(Self::RawWebSocket),
            _ => {}
        }
        let path = path.strip_prefix('/')?;
        if is_iframe(path) {
            return Some(Self::Iframe);
        }
        let (server, path) = path.split_once('/')?;
        let (session, last) = path.split_once('/')?;
        if !is_segment(server) || !is_segment(session) || session.len() > SOCKJS_SESSION_BYTES_MAX {
            return None;
        }
        let sender = match last {
            "xhr_send" => Sender::Xhr,
            "jsonp_send" => Sender::Jsonp,
            name => return Transport::from_name(name).map(|transport| Self::Receive { session, transport }),
        };
        Some(Self::Send { session, sender })
    }
}

/// `iframe.html` with any version in it: `iframe-1.6.1.html` (sockjs-node, `/iframe[0-9-.a-z_]*.html`).
fn is_iframe(segment: &str) -> bool {
    let version = segment.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html"));
    let is_allowed =
        |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.' | b'_');
    version.is_some_and(|version| version.bytes().all(is_allowed))
}

/// Whether a segment is neither empty nor has a dot, so that no session looks like a file.
fn is_segment(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains('.')
}
