//! A client of turted.v1 (docs/protocol-v1.md), as far as a benchmark needs one: waits for the
//! welcome, joins, receives events.

use super::{Broken, frames};

const WELCOME: &[u8] = br#"{"welcome":"#;
/// How every event begins.
const EVENT: &[u8] = br#"{"event":"#;
/// How the reply to the only request begins.
const JOINED: &[u8] = br#"{"reply":1,"ok":true"#;

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the welcome.
    Opening,
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

    /// Handles a message of the server.
    pub(super) fn message(
        &mut self,
        message: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if message.starts_with(EVENT) {
            event(message);
            return Ok(());
        }
        match self.state {
            State::Opening if message.starts_with(WELCOME) => match self.channel.take() {
                Some(channel) => {
                    frames::encode_text(&format!(r#"{{"id":1,"do":"join","channel":"{channel}"}}"#), out);
                    self.state = State::Joining;
                }
                None => self.state = State::Ready,
            },
            State::Joining if message.starts_with(JOINED) => self.state = State::Ready,
            State::Joining => return Err(Broken::refused(message)),
            // Other messages are ignored, as the protocol requires.
            State::Opening | State::Ready => {}
        }
        Ok(())
    }
}
