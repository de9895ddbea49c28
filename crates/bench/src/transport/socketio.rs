//! A Socket.IO client on a WebSocket (Engine.IO 4, Socket.IO protocol 5), as far as a benchmark
//! needs one: connect, or take over a session that began by polling, JOIN or IDENT, receive events, answer heartbeats.

use super::{Ask, Broken, Memory, Recall, frames};
use crate::memory::value_after;

/// How every event begins.
const EVENT: &[u8] = br#"42["EVENT""#;
/// How the answer to JOIN or IDENT begins.
const GRANTED: &[u8] = br#"42["OK""#;
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
    /// Waits for the answer to the probe of a WebSocket that takes over (Engine.IO protocol v4, "Upgrade").
    Probing,
    /// The WebSocket may take over once no poll waits any more.
    Probed,
    /// Waits for so many answers to what it asked for.
    Asking(usize),
    Ready,
}

/// The conversation of one client with the server.
#[derive(Debug)]
pub(super) struct Dialogue {
    state: State,
    asks: Vec<Ask>,
    recall: Recall,
}

impl Dialogue {
    pub(super) fn new(asks: Vec<Ask>, recall: Recall) -> Self {
        Self { state: State::Opening, asks, recall }
    }

    /// Takes over a session that began by polling.
    pub(super) fn upgrading(asks: Vec<Ask>) -> Self {
        Self { state: State::Probing, asks, recall: Recall::Nothing }
    }

    /// The WebSocket is open.
    pub(super) fn open(&self, out: &mut Vec<u8>) {
        if self.state == State::Probing {
            frames::encode_text("2probe", out);
        }
    }

    pub(super) fn is_probed(&self) -> bool {
        self.state == State::Probed
    }

    /// No poll waits any more: the WebSocket takes over.
    pub(super) fn upgrade(&mut self, out: &mut Vec<u8>) {
        frames::encode_text("5", out);
        self.ask(out);
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
                if is_back {
                    self.state = State::Ready;
                } else {
                    self.ask(out);
                }
            }
            State::Probing if packet == b"3probe" => self.state = State::Probed,
            State::Asking(answers) if packet.starts_with(GRANTED) => self.state = waits_for(answers - 1),
            _ if packet.starts_with(b"44") || packet.starts_with(REFUSED) => {
                return Err(Broken::refused(packet));
            }
            _ if packet == b"1" || packet == b"41" => return Err(Broken::Closed),
            State::Ready => {}
            // Events that are none of the benchmark: `reconnect` of a client that is back, and begins anew.
            State::Asking(_) if packet.starts_with(b"42") => {}
            _ => return Err(Broken::NotUnderstood("packet out of order")),
        }
        Ok(())
    }

    /// Asks for everything at once.
    fn ask(&mut self, out: &mut Vec<u8>) {
        let asks = std::mem::take(&mut self.asks);
        for ask in &asks {
            let packet = match ask {
                Ask::Join(channel) => format!(r#"42["JOIN",{{"channel":"{channel}"}}]"#),
                Ask::Ident(user) => format!(r#"42["IDENT",{{"username":"{user}"}}]"#),
            };
            frames::encode_text(&packet, out);
        }
        self.state = waits_for(asks.len());
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

/// The state of a client to which so many answers are missing.
fn waits_for(answers: usize) -> State {
    if answers == 0 { State::Ready } else { State::Asking(answers) }
}

/// The position at the end of an event.
fn offset(packet: &[u8]) -> Option<&[u8]> {
    let text = packet.strip_suffix(br#""]"#)?;
    let start = memchr::memrchr(b'"', text)? + 1;
    Some(&text[start..])
}
