//! A SockJS client on a WebSocket with the protocol of turted 0.1, `{"type":T,"data":D}`, as far as
//! a benchmark needs one: join, receive events.

use super::{Broken, frames};

/// How an event of a benchmark begins within a frame, in which its quotes are escaped.
const EVENT: &[u8] = br#"{\"type\":\"BENCH\""#;
/// How the answer to `echo` begins.
const ECHO: &[u8] = br#"{\"type\":\"message\""#;
const ERROR: &[u8] = br#"{\"type\":\"ERR\""#;

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the frame `o`.
    Opening,
    /// Waits for the answer to `echo`. Joining is not answered, but a later command is.
    Joining,
    Ready,
}

/// The conversation of one client with the server.
#[derive(Debug)]
pub(super) struct Dialogue {
    state: State,
    channel: Option<String>,
}

impl Dialogue {
    pub(super) fn new(channel: Option<String>) -> Self {
        Self { state: State::Opening, channel }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Handles a frame of the server.
    pub(super) fn frame(
        &mut self,
        frame: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        match frame {
            [b'a', messages @ ..] => Strings(messages).try_for_each(|message| self.message(message, event)),
            b"o" => {
                self.join(out);
                Ok(())
            }
            b"h" => Ok(()),
            [b'c', ..] => Err(Broken::Closed),
            _ => Err(Broken::NotUnderstood("SockJS frame")),
        }
    }

    fn join(&mut self, out: &mut Vec<u8>) {
        let Some(channel) = self.channel.take() else {
            self.state = State::Ready;
            return;
        };
        let messages = [
            format!(r#"{{"type":"join","data":{{"channel":"{channel}"}}}}"#),
            r#"{"type":"echo","data":{}}"#.to_owned(),
        ];
        let frame = serde_json::to_string(&messages).expect("strings are always JSON");
        frames::encode_text(&frame, out);
        self.state = State::Joining;
    }

    /// Handles a message, encoded as it stands in a frame.
    fn message(&mut self, message: &[u8], event: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        if message.starts_with(EVENT) {
            event(message);
            return Ok(());
        }
        if message.starts_with(ERROR) {
            return Err(Broken::refused(message));
        }
        if message.starts_with(ECHO) {
            self.state = State::Ready;
        }
        Ok(())
    }
}

/// The strings of a JSON array of strings, without their quotes, and with their escapes.
struct Strings<'a>(&'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|&byte| byte == b'"')? + 1;
        let text = &self.0[start..];
        let mut end = 0;
        while text.get(end).copied()? != b'"' {
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        self.0 = &text[end + 1..];
        Some(&text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::Strings;

    #[test]
    fn strings_end_where_json_ends_them() {
        let strings = |frame: &'static str| Strings(frame.as_bytes()).collect::<Vec<_>>();
        assert_eq!(strings(r#"["a","b\"c","\\"]"#), [&b"a"[..], br#"b\"c"#, br"\\"]);
        assert!(strings("[]").is_empty());
        assert!(strings(r#"["a\"#).is_empty());
    }
}
