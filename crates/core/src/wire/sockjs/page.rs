//! The pages beside the sessions: the greeting, `/info` and the iframe.

use md5::{Digest as _, Md5};

/// The body of the greeting, `text/plain`.
pub const GREETING: &str = "Welcome to SockJS!\n";

/// What `/info` tells a client before it chooses a transport.
///
/// ```
/// use turted_core::wire::sockjs::Info;
/// let info = Info { websocket: true, cookie_needed: false, entropy: 7 };
/// assert_eq!(
///     info.to_json(),
///     r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":7}"#
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether the service accepts WebSockets.
    pub websocket: bool,
    /// Whether load balancers need the cookie `JSESSIONID`.
    pub cookie_needed: bool,
    /// A random number, new in every answer: old browsers have no good random numbers of their own.
    pub entropy: u32,
}

impl Info {
    /// The body of the answer. The protocol fixes `origins`.
    #[must_use]
    pub fn to_json(self) -> String {
        let Self { websocket, cookie_needed, entropy } = self;
        format!(
            r#"{{"websocket":{websocket},"origins":["*:*"],"cookie_needed":{cookie_needed},"entropy":{entropy}}}"#
        )
    }
}

/// The page that transports without cross-origin requests load into an iframe. It is made once per service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IframePage {
    html: String,
    etag: String,
}

impl IframePage {
    /// The page that loads `sockjs-client` from `sockjs_url`. That build must be compatible with the one in
    /// the pages of the users.
    #[must_use]
    pub fn new(sockjs_url: &str) -> Self {
        let url = sockjs_url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let html = format!(
            r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{url}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#
        );
        let etag = format!("\"{}\"", hex::encode(Md5::digest(&html)));
        Self { html, etag }
    }

    /// The page, `text/html; charset=UTF-8`.
    #[must_use]
    pub fn html(&self) -> &str {
        &self.html
    }

    /// The value of `ETag`, quotes included.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// Whether a client with this `If-None-Match` has the page already (RFC 9110 13.1.2).
    #[must_use]
    pub fn is_known(&self, if_none_match: &str) -> bool {
        let is_ours = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == self.etag;
        if_none_match.trim() == "*" || if_none_match.split(',').any(|tag| is_ours(tag.trim()))
    }
}
