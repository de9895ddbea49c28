//! What a run says to a server: the transport of its clients, their messages on top of it, and its pushes.
//!
//! All of it is text with placeholders, so that a server that this program does not know needs no code. Servers
//! that many people run have presets.
//!
//! | file | what |
//! |---|---|
//! | `args` | the options of the command line, and what must hold between them |
//! | `presets` | turted itself, and what the options are for servers of others |
//! | `header`, `keep` | one field of a request; what a client remembers to come back |
//! | `show` | a protocol as options, for `--show` |

mod args;
mod header;
mod keep;
mod presets;
mod show;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::AUTHORIZATION;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub use args::ProtocolArgs;
pub use header::Header;
pub use keep::Keep;
pub use presets::Preset;

use super::transport::Transport;
use turted_core::secret::Secret;

/// Stands for the name of a channel.
pub const CHANNEL: &str = "{channel}";
/// Stands for the payload, which is JSON.
pub const PAYLOAD: &str = "{payload}";
/// Stands for the payload as a string of JSON, quotes included.
pub const PAYLOAD_STRING: &str = "{payload_string}";
/// Stands for the password of pushes, in a field of a push.
pub const PASSWORD: &str = "{password}";
/// Bytes of the longest text of an option. A client sends it in one frame, whose length then has 16 bits, and
/// the name of a channel is a little longer than its placeholder.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The type of a body in which values are percent-encoded (URL Standard, 5).
const FORM: &str = "application/x-www-form-urlencoded";

/// What a run says to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// The transport of the clients.
    pub transport: Transport,
    /// Where clients connect.
    pub path: String,
    /// What clients say and hear on it.
    pub speech: Arc<Speech>,
    /// How the backend pushes.
    pub push: PushForm,
}

/// What clients say and hear on the transports `plain` and `sse`, which have no protocol of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// Further fields of the request that opens a connection.
    pub headers: Vec<Header>,
    /// What a client says: the first text at once, each further one when it heard the next of `awaits`. An empty
    /// text is not sent.
    pub says: Vec<String>,
    /// A client is ready once it heard a message with each of these texts, in their order. An empty text is
    /// not waited for.
    pub awaits: Vec<String>,
    /// A message with one of these texts, before the client is ready, is a refusal.
    pub refusals: Vec<String>,
    /// How a sign of life of the server begins.
    pub ping: Option<String>,
    /// What a client answers to it.
    pub pong: Option<String>,
    /// Whether each line of a frame is a message.
    pub lines: bool,
    /// What a client remembers, to come back to what it missed.
    pub keeps: Vec<Keep>,
    /// What differs for a client that comes back.
    pub again: Again,
}

/// What a client that comes back does differently. `{name}` is replaced by what it kept under that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// Where it connects, if elsewhere.
    pub path: Option<String>,
    /// Fields that its request has as well.
    pub headers: Vec<Header>,
    /// What it says, if something else.
    pub says: Vec<String>,
}

/// How the backend pushes: a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushForm {
    /// Its path.
    pub path: String,
    /// Further fields. One with `{password}` is left out if there is no password.
    pub headers: Vec<Header>,
    /// The type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Protocol {
    /// Whether clients of it can come back to what they missed.
    #[must_use]
    pub fn comes_back(&self) -> bool {
        match self.transport {
            Transport::SocketIo | Transport::WebSocket => true,
            Transport::SockJs | Transport::Polling => false,
            Transport::Plain | Transport::Sse => self.speech.again != Again::default(),
        }
    }
}

impl PushForm {
    /// The path of a push to a channel. Some servers have a path for each channel.
    pub(crate) fn path_to(&self, channel: Option<&str>) -> Cow<'_, str> {
        fill(&self.path, channel)
    }

    /// The body of a push to a channel. In a form the payload is percent-encoded.
    pub(crate) fn body_to(&self, channel: Option<&str>, payload: &str) -> String {
        let encode = |text: &str| match self.is_form() {
            true => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
            false => text.to_owned(),
        };
        let mut body = fill(&self.body, channel).into_owned();
        if body.contains(PAYLOAD_STRING) {
            let string = serde_json::to_string(payload).expect("a string is JSON");
            body = body.replace(PAYLOAD_STRING, &encode(&string));
        }
        body.replace(PAYLOAD, &encode(payload))
    }

    /// The fields of a push with this password: in the fields that name it, else as `Authorization: Bearer`.
    pub(crate) fn fields(&self, password: Option<&Secret>) -> Vec<Header> {
        let names_it = |field: &&Header| field.value.contains(PASSWORD);
        let Some(password) = password.map(Secret::reveal) else {
            return self.headers.iter().filter(|field| !names_it(field)).cloned().collect();
        };
        let with =
            |field: &Header| Header { value: field.value.replace(PASSWORD, password), ..field.clone() };
        let mut fields: Vec<Header> = self.headers.iter().map(with).collect();
        if !self.headers.iter().any(|field| names_it(&field)) {
            fields.push(Header { name: AUTHORIZATION, value: format!("Bearer {password}") });
        }
        fields
    }

    fn is_form(&self) -> bool {
        self.content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
    }
}

/// A text with the name of the channel in its place.
pub(crate) fn fill<'a>(text: &'a str, channel: Option<&str>) -> Cow<'a, str> {
    match channel {
        Some(channel) if text.contains(CHANNEL) => Cow::Owned(text.replace(CHANNEL, channel)),
        _ => Cow::Borrowed(text),
    }
}
