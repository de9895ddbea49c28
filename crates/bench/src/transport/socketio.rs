//! A Socket.IO client on a WebSocket (Engine.IO 4, Socket.IO protocol 5), as far as a benchmark
//! needs one: connect, JOIN, receive events, answer heartbeats.

use super::Broken;
use super::frames;

/// How every event begins.
const EVENT: &[u8] = br#"42["EVENT""#;
/// How the answer to JOIN begins.
const JOINED: &[u8] = br#"42["OK""#;
const REFUSED: &[u8] = br#"42["ERROR""#;

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
}

impl Dialogue {
    pub(super) fn new(channel: Option<String>) -> Self {
        Self { state: State::Opening, channel }
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
                frames::encode_text("40", out);
                self.state = State::Connecting;
            }
            State::Connecting if packet.starts_with(b"40") => match self.channel.take() {
                Some(channel) => {
                    frames::encode_text(&format!(r#"42["JOIN",{{"channel":"{channel}"}}]"#), out);
                    self.state = State::Joining;
                }
                None => self.state = State::Ready,
            },
            State::Joining if packet.starts_with(JOINED) => self.state = State::Ready,
            _ if packet.starts_with(b"44") || packet.starts_with(REFUSED) => {
                return Err(Broken::refused(packet));
            }
            _ if packet == b"1" || packet == b"41" => return Err(Broken::Closed),
            State::Ready => {}
            _ => return Err(Broken::NotUnderstood("packet out of order")),
        }
        Ok(())
    }
}
