//! A Socket.IO client on a WebSocket (Engine.IO 4, Socket.IO protocol 5), as far as a benchmark
//! needs one: connect, JOIN, receive events, answer heartbeats.

use super::{Broken, Memory, Recall, frames};
use crate::memory::value_after;

/// How every event begins.
const EVENT: &[u8] = br#"42["EVENT""#;
/// How the answer to JOIN begins.
const JOINED: &[u8] = br#"42["OK""#;
const REFUSED: &[u8] = br#"42["ERROR""#;
/// What a client needs to come back: the secret name of its session, and its position, which is the last argument of
/// an event.
const PID: &str = "pid";
const OFFSET: &str = "offset";

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the Engine.IO handshake.
    Opening,
    /// Waits for the Socket.IO connection.
    Connecting,
    /// Waits for its channel.
    Joining,
    Ready,
}

/// The conversation of one client with the server.
#[derive(Debug)]
pub(super) struct Dialogue {
    state: State,
    channel: Option<String>,
    recall: Recall,
}

impl Dialogue {
    pub(super) fn new(channel: Option<String>, recall: Recall) -> Self {
        Self { state: State::Opening, channel, recall }
    }

    pub(super) fn into_memory(self) -> Memory {
        self.recall.into_memory()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Handles a packet of the server.
    pub(super) fn packet(
        &mut self,
        packet: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if packet.starts_with(EVENT) {
            if self.recall.is_kept() {
                self.recall.note(OFFSET, offset(packet));
            }
            event(packet);
            return Ok(());
        }
        if packet == b"2" {
            frames::encode_text("3", out);
            return Ok(());
        }
        self.advance(packet, out)
    }

    /// Handles a packet of the opening.
    fn advance(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        match self.state {
            State::Opening if packet.starts_with(b"0") => {
                frames::encode_text(&self.connect(), out);
                self.state = State::Connecting;
            }
            State::Connecting if packet.starts_with(b"40") => {
                let pid = value_after(packet, r#""pid":""#);
                // A server that knows the session of a client that is back says its name.
                let is_back = pid.is_some()
                    && self.recall.back().and_then(|memory| memory.get(PID)).map(str::as_bytes) == pid;
                self.recall.note(PID, pid);
                match self.channel.take().filter(|_| !is_back) {
                    Some(channel) => {
                        frames::encode_text(&format!(r#"42["JOIN",{{"channel":"{channel}"}}]"#), out);
                        self.state = State::Joining;
                    }
                    None => self.state = State::Ready,
                }
            }
            State::Joining if packet.starts_with(JOINED) => self.state = State::Ready,
            _ if packet.starts_with(b"44") || packet.starts_with(REFUSED) => {
                return Err(Broken::refused(packet));
            }
            _ if packet == b"1" || packet == b"41" => return Err(Broken::Closed),
            State::Ready => {}
            // Events that are none of the benchmark: `reconnect` of a client that is back, and begins anew.
            State::Joining if packet.starts_with(b"42") => {}
            _ => return Err(Broken::NotUnderstood("packet out of order")),
        }
        Ok(())
    }
    /// The packet that connects.
    fn connect(&self) -> String {
        let Some(memory) = self.recall.back() else { return "40".to_owned() };
        match (memory.get(PID), memory.get(OFFSET)) {
            (Some(pid), Some(offset)) => format!(r#"40{{"pid":"{pid}","offset":"{offset}"}}"#),
            (Some(pid), None) => format!(r#"40{{"pid":"{pid}"}}"#),
            (None, _) => "40".to_owned(),
        }
    }
}

/// The position at the end of an event.
fn offset(packet: &[u8]) -> Option<&[u8]> {
    let text = packet.strip_suffix(br#""]"#)?;
    let start = memchr::memrchr(b'"', text)? + 1;
    Some(&text[start..])
}
