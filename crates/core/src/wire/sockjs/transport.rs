//! The transports: what each sends before and around a frame.

use super::quote::push_script_string;
use crate::limits::SOCKJS_CALLBACK_BYTES_MAX;

/// Bytes of `h` before the first frame of `xhr_streaming`: Internet Explorer 8 and 9 show nothing
/// earlier.
const XHR_PRELUDE_BYTES: usize = 2048;
/// Bytes of the page before the first frame of `htmlfile`: Safari runs nothing earlier. The
/// protocol's suite wants more than 1024.
const HTML_PRELUDE_BYTES: usize = 1100;

/// How a session receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `websocket`, which sends as well.
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
            Self::EventSource => Some("text/event-stream"),
            Self::HtmlFile => Some("text/html; charset=UTF-8"),
        }
    }

    /// Checks `parameter`, the decoded value of `c` in the query. Transports that call nothing
    /// get [`Callback::NONE`] whatever it is.
    ///
    /// # Errors
    /// It is missing, or no name of a function.
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
            // Opera lost the first line.
            Self::EventSource => "\r\n".to_owned(),
            Self::HtmlFile => html_page(callback),
        }
    }

    /// A frame as this transport sends it. The callback matters to JSONP alone, so that others
    /// may share the result.
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
            Self::EventSource => format!("data: {}\r\n\r\n", escape_for_eventsource(frame)),
            Self::HtmlFile => script("<script>\np", frame, ");\n</script>\r\n"),
            // The comment keeps plug-ins from taking the script for one of their files.
            Self::JsonpPolling => script(&format!("/**/{}", callback.0), frame, ");\r\n"),
        }
    }
}

/// `sockjs-client` passes what it receives here to `decodeURI`, which a bare percent sign breaks
/// (sockjs-node, `trans-eventsource.js`). Line breaks and NUL never occur in our frames.
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

fn script(function: &str, frame: &str, end: &str) -> String {
    let mut script = format!("{function}(");
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
    /// For transports that call nothing.
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

/// Why a request for a script is answered 500 with this text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    /// No `c` in the query, or an empty one.
    #[error("\"callback\" parameter required")]
    Missing,
    /// Other characters than letters, digits, `-`, `_` and `.`, or more than
    /// [`SOCKJS_CALLBACK_BYTES_MAX`].
    #[error("invalid \"callback\" parameter")]
    Invalid,
}
