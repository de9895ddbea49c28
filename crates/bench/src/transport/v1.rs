//! A client of turted.v1 (docs/protocol-v1.md), as far as a benchmark needs one: waits for the
//! welcome, joins or says who it is, receives events.

use super::{Ask, Broken, Memory, Recall, frames};
use crate::memory::value_after;

const WELCOME: &[u8] = br#"{"welcome":"#;
/// How every event begins.
const EVENT: &[u8] = br#"{"event":"#;
/// How every reply begins. The number of its request follows.
const REPLY: &[u8] = br#"{"reply":"#;
/// What follows the number where the request was granted.
const GRANTED: &[u8] = br#","ok":true"#;
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
                    self.ask(1, out);
                }
            },
            State::Resuming if is_granted(message) => self.state = State::Ready,
            // It begins anew.
            State::Resuming if message.starts_with(REPLY) => self.ask(2, out),
            State::Asking(answers) if is_granted(message) => self.state = waits_for(answers - 1),
            State::Asking(_) => return Err(Broken::refused(message)),
            // Other messages are ignored, as the protocol requires.
            State::Opening | State::Resuming | State::Ready => {}
        }
        Ok(())
    }

    /// Asks for everything at once. The requests are numbered from `first` on.
    fn ask(&mut self, first: u32, out: &mut Vec<u8>) {
        let asks = std::mem::take(&mut self.asks);
        for (id, ask) in (first..).zip(&asks) {
            let what = match ask {
                Ask::Join(channel) => format!(r#""do":"join","channel":"{channel}""#),
                Ask::Ident(user) => format!(r#""do":"ident","data":{{"username":"{user}"}}"#),
            };
            frames::encode_text(&format!(r#"{{"id":{id},{what}}}"#), out);
        }
        self.state = waits_for(asks.len());
    }

    /// The request of a client that comes back.
    fn resume(&self) -> Option<String> {
        let memory = self.recall.back()?;
        let (session, cursor) = (memory.get(SESSION)?, memory.get(CURSOR)?);
        Some(format!(r#"{{"id":1,"do":"resume","session":"{session}","cursor":"{cursor}"}}"#))
    }
}

/// The state of a client to which so many answers are missing.
fn waits_for(answers: usize) -> State {
    if answers == 0 { State::Ready } else { State::Asking(answers) }
}

fn is_granted(message: &[u8]) -> bool {
    let Some(rest) = message.strip_prefix(REPLY) else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest[digits..].starts_with(GRANTED)
}
