//! A client of turted.v1 (docs/protocol-v1.md), as far as a benchmark needs one: waits for the
//! welcome, joins, receives events.

use super::{Broken, Memory, Recall, frames};
use crate::memory::value_after;

const WELCOME: &[u8] = br#"{"welcome":"#;
/// How every event begins.
const EVENT: &[u8] = br#"{"event":"#;
/// How the replies to the first request begin, which is the only one of a client that does not begin anew.
const REPLY: &[u8] = br#"{"reply":1,"#;
const JOINED: &[u8] = br#"{"reply":1,"ok":true"#;
/// How the reply begins to a client that could not resume and joins its channel again.
const JOINED_ANEW: &[u8] = br#"{"reply":2,"ok":true"#;
/// What a client needs to resume.
const SESSION: &str = "session";
const CURSOR: &str = "cursor";

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the welcome.
    Opening,
    /// Waits for what it was and what it missed.
    Resuming,
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

    /// Handles a message of the server.
    pub(super) fn message(
        &mut self,
        message: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if message.starts_with(EVENT) {
            if self.recall.is_kept() {
                self.recall.note(CURSOR, value_after(message, r#""cursor":""#));
            }
            event(message);
            return Ok(());
        }
        match self.state {
            State::Opening if message.starts_with(WELCOME) => match self.resume() {
                Some(request) => {
                    frames::encode_text(&request, out);
                    self.state = State::Resuming;
                }
                None => {
                    self.recall.note(SESSION, value_after(message, r#""session":""#));
                    self.recall.note(CURSOR, value_after(message, r#""cursor":""#));
                    self.join(1, out);
                }
            },
            State::Resuming if message.starts_with(JOINED) => self.state = State::Ready,
            // It begins anew.
            State::Resuming if message.starts_with(REPLY) => self.join(2, out),
            State::Joining if message.starts_with(JOINED_ANEW) => self.state = State::Ready,
            State::Joining if message.starts_with(JOINED) => self.state = State::Ready,
            State::Joining => return Err(Broken::refused(message)),
            // Other messages are ignored, as the protocol requires.
            State::Opening | State::Resuming | State::Ready => {}
        }
        Ok(())
    }
    /// Joins the channel, if there is one.
    fn join(&mut self, id: u32, out: &mut Vec<u8>) {
        self.state = match self.channel.take() {
            Some(channel) => {
                frames::encode_text(&format!(r#"{{"id":{id},"do":"join","channel":"{channel}"}}"#), out);
                State::Joining
            }
            None => State::Ready,
        };
    }

    /// The request of a client that comes back.
    fn resume(&self) -> Option<String> {
        let memory = self.recall.back()?;
        let (session, cursor) = (memory.get(SESSION)?, memory.get(CURSOR)?);
        Some(format!(r#"{{"id":1,"do":"resume","session":"{session}","cursor":"{cursor}"}}"#))
    }
}
