//! A client of a server that this program does not know: it says and hears what the options of the run
//! describe. The texts of a WebSocket and the events of a stream are its messages.

use std::sync::Arc;

use memchr::memmem;

use super::{Broken, Memory, Recall, frames};
use crate::memory::value_after;
use crate::protocol::{Speech, fill};
use crate::stamp::Stamp;

/// The conversation of one client with the server.
#[derive(Debug)]
pub(super) struct Talk {
    speech: Arc<Speech>,
    channel: Option<String>,
    /// How many of the awaited texts were heard.
    heard: usize,
    recall: Recall,
}

impl Talk {
    pub(super) fn new(speech: Arc<Speech>, channel: Option<String>, recall: Recall) -> Self {
        Self { speech, channel, heard: 0, recall }
    }

    pub(super) fn into_memory(self) -> Memory {
        self.recall.into_memory()
    }

    /// Whether everything that the client waits for was heard.
    pub(super) fn is_ready(&self) -> bool {
        self.awaited().is_none()
    }

    /// Whether the options name something to wait for.
    pub(super) fn waits(&self) -> bool {
        !self.speech.awaits.is_empty()
    }

    /// The text that the client waits for.
    pub(super) fn awaited(&self) -> Option<&str> {
        self.speech.awaits.get(self.heard).map(String::as_str)
    }

    /// The connection is open.
    pub(super) fn open(&mut self, out: &mut Vec<u8>) {
        self.say(out);
        self.pass(out);
    }

    /// Handles the text of a frame.
    pub(super) fn frame(
        &mut self,
        text: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if !self.speech.lines {
            return self.message(text, text, out, event);
        }
        let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.try_for_each(|line| self.message(line, line, out, event))
    }

    /// Handles an event of a stream.
    pub(super) fn block(&mut self, block: &[u8], event: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let data = match block.strip_prefix(b"data:") {
            Some(data) => data,
            None => memmem::find(block, b"\ndata:").map_or(block, |at| &block[at + b"\ndata:".len()..]),
        };
        let data = data.trim_ascii_start();
        self.message(data, block, &mut Vec::new(), event)
    }

    /// Handles a message, which `whole` has with what is around it.
    fn message(
        &mut self,
        message: &[u8],
        whole: &[u8],
        out: &mut Vec<u8>,
        event: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        if self.speech.ping.as_ref().is_some_and(|ping| message.starts_with(ping.as_bytes())) {
            if let Some(pong) = &self.speech.pong {
                frames::encode_text(pong, out);
            }
            return Ok(());
        }
        self.remember(whole);
        let Some(awaited) = self.awaited() else {
            event(whole);
            return Ok(());
        };
        let has = |text: &str| memmem::find(message, text.as_bytes()).is_some();
        if self.speech.refusals.iter().any(|text| has(text)) {
            return Err(Broken::refused(message));
        }
        if has(awaited) {
            self.heard += 1;
            // Some servers answer with what a client missed.
            if self.recall.back().is_some() && Stamp::is_in(message) {
                event(whole);
            }
            self.say(out);
            self.pass(out);
        }
        Ok(())
    }

    /// Keeps what the client needs to come back.
    fn remember(&mut self, message: &[u8]) {
        if self.recall.is_kept() {
            for keep in &self.speech.keeps {
                self.recall.note(&keep.name, value_after(message, &keep.after));
            }
        }
    }

    /// Passes texts that are not waited for.
    fn pass(&mut self, out: &mut Vec<u8>) {
        while self.awaited() == Some("") {
            self.heard += 1;
            self.say(out);
        }
    }

    /// Says what is to be said after what was heard.
    fn say(&self, out: &mut Vec<u8>) {
        let (back, again) = (self.recall.back(), &self.speech.again.says);
        let says = if back.is_some() && !again.is_empty() { again } else { &self.speech.says };
        let Some(text) = says.get(self.heard).filter(|text| !text.is_empty()) else { return };
        match back {
            Some(memory) => frames::encode_text(&fill(&memory.fill(text), self.channel.as_deref()), out),
            None => frames::encode_text(&fill(text, self.channel.as_deref()), out),
        }
    }
}
