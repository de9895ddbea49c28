//! A Socket.IO client on a WebSocket (Engine.IO 4, Socket.IO protocol 5), as far as a benchmark
//! needs one: connect, JOIN, receive events, answer heartbeats.

use super::Broken;
use super::frames::{self, ServerFrame};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// How every event begins.
const EVENT: &[u8] = br#"42["EVENT""#;
/// How the answer to JOIN begins.
const JOINED: &[u8] = br#"42["OK""#;
const REFUSED: &[u8] = br#"42["ERROR""#;

/// How far the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the WebSocket.
    Upgrading,
    /// Waits for the Engine.IO handshake.
    Opening,
    /// Waits for the Socket.IO connection.
    Connecting,
    /// Waits for its channel.
    Joining,
    Ready,
}

/// What one client and the server say.
#[derive(Debug)]
pub(crate) struct Conversation {
    state: State,
    channel: Option<String>,
}

/// What the client says first.
pub(super) fn opening(authority: &str) -> Vec<u8> {
    frames::upgrade_request(authority, PATH)
}

impl Conversation {
    pub(super) fn new(channel: Option<String>) -> Self {
        Self { state: State::Upgrading, channel }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// See [`super::Conversation::receive`].
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        if self.state == State::Upgrading {
            let Some(bytes) = frames::upgrade_answer(input)? else { return Ok(0) };
            self.state = State::Opening;
            used = bytes;
        }
        while let Some((frame, bytes)) = frames::decode(&input[used..])? {
            used += bytes;
            match frame {
                ServerFrame::Text(packet) if packet.starts_with(EVENT) => event(packet),
                ServerFrame::Text(b"2") => frames::encode_text("3", out),
                ServerFrame::Text(packet) => self.advance(packet, out)?,
                ServerFrame::Ping(payload) => frames::encode_pong(payload, out),
                ServerFrame::Other => {}
                ServerFrame::Close => return Err(Broken::Closed),
            }
        }
        Ok(used)
    }

    /// Takes a packet of the opening.
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
                return Err(Broken::Refused(String::from_utf8_lossy(packet).into_owned()));
            }
            _ if packet == b"1" || packet == b"41" => return Err(Broken::Closed),
            State::Ready => {}
            _ => return Err(Broken::NotUnderstood("packet out of order")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turted_core::wire::websocket::{Opcode, encode_frame};

    fn text(packet: &str) -> Vec<u8> {
        encode_frame(Opcode::Text, packet.as_bytes())
    }

    /// Plays the server's side: what the client sends to each packet, unmasked by its length.
    fn play(conversation: &mut Conversation, input: &[u8]) -> (Result<usize, Broken>, usize, usize) {
        let (mut out, mut events) = (Vec::new(), 0);
        let result = conversation.receive(input, &mut out, &mut |_| events += 1);
        (result, out.len(), events)
    }

    #[test]
    fn a_client_connects_joins_and_receives() {
        let mut client = Conversation::new(Some("c".into()));
        let mut greeting = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        greeting.extend(text(r#"0{"sid":"s"}"#));
        assert_eq!(play(&mut client, &greeting), (Ok(greeting.len()), 8, 0));
        assert_eq!(play(&mut client, &text(r#"40{"sid":"s"}"#)).1, 6 + r#"42["JOIN",{"channel":"c"}]"#.len());
        assert!(!client.is_ready());
        play(&mut client, &text(r#"42["OK",{"channel":"c"}]"#)).0.unwrap();
        assert!(client.is_ready());
        let mut both = text(r#"42["EVENT",{}]"#);
        both.extend(text("2"));
        assert_eq!(play(&mut client, &both), (Ok(both.len()), 7, 1));
    }

    #[test]
    fn a_client_that_is_refused_says_so() {
        let mut client = Conversation { state: State::Connecting, channel: None };
        let refused = play(&mut client, &text(r#"44{"message":"no"}"#)).0;
        assert_eq!(refused, Err(Broken::Refused(r#"44{"message":"no"}"#.into())));
    }
}
