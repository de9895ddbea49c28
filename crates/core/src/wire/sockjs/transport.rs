//! The transports: what each sends before and around a frame.

use std::borrow::Cow;

use super::quote::push_script_string;
use crate::limits::SOCKJS_CALLBACK_BYTES_MAX;

/// Bytes of `h` before the first frame of `xhr_streaming`: Internet Explorer 8 and 9 show nothing before so
/// many bytes.
const XHR_PRELUDE_BYTES: usize = 2048;
/// Bytes of the page before the first frame of `htmlfile`: Safari runs no script before so many bytes. The
/// protocol's suite asks for more than 1024.
const HTML_PRELUDE_BYTES: usize = 1100;

/// What stands around a frame of `eventsource`.
const EVENT_SOURCE: (&str, &str) = ("data: ", "\r\n\r\n");
/// What stands around the string of a frame of `htmlfile`.
const HTML_FILE: (&str, &str) = ("<script>\np(", ");\n</script>\r\n");

/// How a session receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `websocket`, over which the session also sends.
    WebSocket,
    /// `xhr`: one frame per request.
    XhrPolling,
    /// `xhr_streaming`.
    XhrStreaming,
    /// `eventsource`.
    EventSource,
    /// `htmlfile`: a page of scripts in an iframe.
    HtmlFile,
    /// `jsonp`: one frame per request, as a script.
    JsonpPolling,
}

impl Transport {
    /// The transport of this name in a URL.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "websocket" => Some(Self::WebSocket),
            "xhr" => Some(Self::XhrPolling),
            "xhr_streaming" => Some(Self::XhrStreaming),
            "eventsource" => Some(Self::EventSource),
            "htmlfile" => Some(Self::HtmlFile),
            "jsonp" => Some(Self::JsonpPolling),
            _ => None,
        }
    }

    /// Whether a response ends after one frame.
    #[must_use]
    pub fn is_polling(self) -> bool {
        matches!(self, Self::XhrPolling | Self::JsonpPolling)
    }

    /// The `Content-Type` of responses; a WebSocket has none.
    #[must_use]
    pub fn content_type(self) -> Option<&'static str> {
        match self {
            Self::WebSocket => None,
            Self::XhrPolling | Self::XhrStreaming | Self::JsonpPolling => {
                Some("application/javascript; charset=UTF-8")
            }
            // Without a charset: event streams are UTF-8 anyway, and sockjs-node 0.3.24 sends none.
            Self::EventSource => Some("text/event-stream"),
            Self::HtmlFile => Some("text/html; charset=UTF-8"),
        }
    }

    /// Checks `parameter`, the decoded value of `c` in the query. Transports without a callback get
    /// [`Callback::NONE`], whatever the parameter is.
    ///
    /// # Errors
    /// The parameter is missing, or is no name of a function.
    pub fn callback(self, parameter: Option<&str>) -> Result<Callback, CallbackRefusal> {
        match self {
            Self::HtmlFile | Self::JsonpPolling => Callback::new(parameter),
            _ => Ok(Callback::NONE),
        }
    }

    /// What is sent before the first frame. It does not count towards the limit of a response.
    #[must_use]
    pub fn prelude(self, callback: &Callback) -> String {
        match self {
            Self::WebSocket | Self::XhrPolling | Self::JsonpPolling => String::new(),
            Self::XhrStreaming => "h".repeat(XHR_PRELUDE_BYTES) + "\n",
            // Opera loses the first line of a stream.
            Self::EventSource => "\r\n".to_owned(),
            Self::HtmlFile => html_page(callback),
        }
    }

    /// A frame as this transport sends it. Only JSONP uses the callback, so that connections of other
    /// transports may share the result.
    ///
    /// ```
    /// use turted_core::wire::sockjs::{Callback, OPEN, Transport};
    /// assert_eq!(Transport::EventSource.frame(&Callback::NONE, OPEN), "data: o\r\n\r\n");
    /// let callback = Transport::JsonpPolling.callback(Some("_jp.a1"))?;
    /// assert_eq!(Transport::JsonpPolling.frame(&callback, OPEN), "/**/_jp.a1(\"o\");\r\n");
    /// # Ok::<(), turted_core::wire::sockjs::CallbackRefusal>(())
    /// ```
    #[must_use]
    pub fn frame(self, callback: &Callback, frame: &str) -> String {
        match self {
            Self::WebSocket => frame.to_owned(),
            Self::XhrPolling | Self::XhrStreaming => format!("{frame}\n"),
            Self::EventSource => {
                format!("{}{}{}", EVENT_SOURCE.0, escape_for_eventsource(frame), EVENT_SOURCE.1)
            }
            Self::HtmlFile => script(HTML_FILE.0, frame, HTML_FILE.1),
            // The comment keeps plug-ins from reading the script as one of their own files.
            Self::JsonpPolling => script(&format!("/**/{}(", callback.0), frame, ");\r\n"),
        }
    }

    /// What stands before and behind the messages in an answer of a transport that polls. With the messages
    /// between them, separated by commas, it equals [`frame`](Self::frame) of a frame with all of them.
    #[must_use]
    pub fn around_messages(self, callback: &Callback) -> (String, &'static str) {
        match self {
            Self::JsonpPolling => (format!("/**/{}(\"a[", callback.0), "]\");\r\n"),
            _ => ("a[".to_owned(), "]\n"),
        }
    }

    /// Whether [`frame`](Self::frame) of this transport made `sent`. The beginning decides it: frames begin
    /// with one of four letters.
    #[must_use]
    pub fn has_framed(self, sent: &[u8]) -> bool {
        match self {
            Self::EventSource => sent.starts_with(EVENT_SOURCE.0.as_bytes()),
            Self::HtmlFile => sent.starts_with(HTML_FILE.0.as_bytes()),
            Self::JsonpPolling => sent.starts_with(b"/"),
            Self::WebSocket | Self::XhrPolling | Self::XhrStreaming => {
                matches!(sent, [b'o' | b'h' | b'a' | b'c', ..])
            }
        }
    }
}

/// The frame inside what a transport that streams [made](Transport::frame) of it, for a session that goes on
/// by another transport; `None` if no such transport made it.
///
/// ```
/// use turted_core::wire::sockjs::{Callback, Transport, unframe};
/// let sent = Transport::HtmlFile.frame(&Callback::NONE, r#"a["x"]"#);
/// assert_eq!(unframe(&sent).as_deref(), Some(r#"a["x"]"#));
/// ```
#[must_use]
pub fn unframe(sent: &str) -> Option<Cow<'_, str>> {
    let between = |(before, behind)| sent.strip_prefix(before)?.strip_suffix(behind);
    if Transport::EventSource.has_framed(sent.as_bytes()) {
        between(EVENT_SOURCE).map(unescape_of_eventsource)
    } else if Transport::HtmlFile.has_framed(sent.as_bytes()) {
        serde_json::from_str(between(HTML_FILE)?).ok().map(Cow::Owned)
    } else {
        sent.strip_suffix('\n').map(Cow::Borrowed)
    }
}

/// Escapes the percent sign. `sockjs-client` passes what it receives here to `decodeURI`, which fails at a
/// bare percent sign (sockjs-node, `trans-eventsource.js`). Line breaks and NUL never occur in our frames.
fn escape_for_eventsource(frame: &str) -> String {
    let mut escaped = String::with_capacity(frame.len());
    for char in frame.chars() {
        match char {
            '%' => escaped.push_str("%25"),
            '\r' => escaped.push_str("%0D"),
            '\n' => escaped.push_str("%0A"),
            '\0' => escaped.push_str("%00"),
            char => escaped.push(char),
        }
    }
    escaped
}

fn unescape_of_eventsource(escaped: &str) -> Cow<'_, str> {
    if !escaped.contains('%') {
        return Cow::Borrowed(escaped);
    }
    // The percent sign comes last: what it escaped must not be read as an escape.
    let unescaped = escaped.replace("%0D", "\r").replace("%0A", "\n").replace("%00", "\0");
    Cow::Owned(unescaped.replace("%25", "%"))
}

/// A part of a frame as it stands in a script, between quotation marks.
#[must_use]
pub fn escape_for_script(part: &str) -> String {
    let mut string = String::new();
    push_script_string(&mut string, part);
    string.pop();
    string.remove(0);
    string
}

fn script(start: &str, frame: &str, end: &str) -> String {
    let mut script = start.to_owned();
    push_script_string(&mut script, frame);
    script.push_str(end);
    script
}

/// The page of sockjs-protocol 0.3.3, "HtmlFile", padded with spaces.
fn html_page(callback: &Callback) -> String {
    let head = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent."#;
    let tail = r";
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
";
    let page = format!("{head}{}{tail}", callback.0);
    format!("{page:<HTML_PRELUDE_BYTES$}\r\n\r\n")
}

/// The function of the page that a script calls with a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callback(String);

impl Callback {
    /// For transports without a callback.
    pub const NONE: Self = Self(String::new());

    fn new(parameter: Option<&str>) -> Result<Self, CallbackRefusal> {
        let name = parameter.filter(|name| !name.is_empty()).ok_or(CallbackRefusal::Missing)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.len() > SOCKJS_CALLBACK_BYTES_MAX || !name.bytes().all(is_allowed) {
            return Err(CallbackRefusal::Invalid);
        }
        Ok(Self(name.to_owned()))
    }
}

/// Why a request for a script is refused, with status 500 and this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    /// No `c` in the query, or an empty one.
    #[error("\"callback\" parameter required")]
    Missing,
    /// It has characters other than letters, digits, `-`, `_` and `.`, or is longer than
    /// [`SOCKJS_CALLBACK_BYTES_MAX`].
    #[error("invalid \"callback\" parameter")]
    Invalid,
}
