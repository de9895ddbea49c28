//! The wires a dispatch can leave on, and how each encodes it.
//!
//! A wire is a protocol and the framing below it. Connections on the same wire share frames.

use std::sync::Arc;

use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Via};
use turted_core::wire::sockjs::{Callback, Transport, encode_messages};
use turted_core::wire::{legacy, socketio, sse, v1};

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::dispatch::log::Accepted;

/// What the messages to a client are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Socket.IO.
    SocketIo,
    /// Socket.IO with the position as a last argument, for clients that can resume from it.
    SocketIoWithOffset,
    /// turted.v1.
    V1,
    /// Events of an event stream.
    Sse,
    /// Events of an event stream, with their name and the reason for their delivery as data.
    SseEnvelope,
    /// The messages of turted 0.1.
    Legacy,
}

impl Language {
    /// A dispatch as a message. `position` is where it stands in the log, for clients that can resume.
    fn encode(self, dispatch: &Dispatch, via: Via<'_>, position: Option<Cursor>) -> String {
        match self {
            Self::SocketIo => socketio::encode_dispatch(dispatch, via, None),
            Self::SocketIoWithOffset => socketio::encode_dispatch(dispatch, via, position),
            Self::V1 => v1::encode_dispatch(dispatch, via, position),
            Self::Sse => sse::encode_event(dispatch, position),
            Self::SseEnvelope => sse::encode_envelope(dispatch, via, position),
            Self::Legacy => legacy::encode_dispatch(dispatch, via),
        }
    }
}

/// What a message is wrapped in on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A text frame; polling answers use the message in it.
    WebSocket,
    /// A chunk of an HTTP response.
    Chunked,
    /// A frame of SockJS in a text frame.
    SockJsWebSocket,
    /// A frame of SockJS as a chunk of `xhr_streaming`; polling answers use the frame in it.
    SockJsXhr,
    /// The same for `eventsource`.
    SockJsEventSource,
    /// The same for `htmlfile`.
    SockJsHtmlFile,
}

impl Framing {
    const COUNT: usize = 6;

    /// Wraps a message. `sequence` numbers the dispatch it carries, 0 if it carries none.
    pub(crate) fn wrap(self, message: &str, sequence: u64) -> Frame {
        match self {
            Self::WebSocket => Frame::text(message, sequence),
            Self::Chunked => Frame::chunk(message, sequence),
            Self::SockJsWebSocket => Frame::text_in(encode_messages([message]), sequence),
            Self::SockJsXhr => chunk(Transport::XhrStreaming, message, sequence),
            Self::SockJsEventSource => chunk(Transport::EventSource, message, sequence),
            Self::SockJsHtmlFile => chunk(Transport::HtmlFile, message, sequence),
        }
    }

    /// The same in the memory of the message, where nothing in it changes.
    pub(crate) fn wrap_in(self, message: String, sequence: u64) -> Frame {
        match self {
            Self::WebSocket => Frame::text_in(message, sequence),
            Self::Chunked => Frame::chunk_in(message, sequence),
            _ => self.wrap(&message, sequence),
        }
    }

    /// What the messages of a SockJS session are wrapped in while it receives by `transport`.
    pub(crate) fn of_sockjs(transport: Transport) -> Self {
        match transport {
            Transport::WebSocket => Self::SockJsWebSocket,
            Transport::XhrPolling | Transport::XhrStreaming | Transport::JsonpPolling => Self::SockJsXhr,
            Transport::EventSource => Self::SockJsEventSource,
            Transport::HtmlFile => Self::SockJsHtmlFile,
        }
    }
}

/// A message of a SockJS session that streams.
fn chunk(transport: Transport, message: &str, sequence: u64) -> Frame {
    Frame::chunk_in(transport.frame(&Callback::NONE, &encode_messages([message])), sequence)
}

/// One format on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) language: Language,
    pub(crate) framing: Framing,
}

/// What encoding needs beside the dispatch.
#[derive(Clone, Debug)]
pub(crate) struct WireContext {
    /// Whether clients can resume, and so are told their position.
    pub(crate) has_cursor: bool,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

impl Wire {
    /// How many wires there are.
    pub(crate) const COUNT: usize = 6 * Framing::COUNT;

    /// Socket.IO; polling answers use the same frames.
    pub(crate) const SOCKET_IO: Self = Self { language: Language::SocketIo, framing: Framing::WebSocket };
    /// Socket.IO for clients that can resume.
    pub(crate) const SOCKET_IO_WITH_OFFSET: Self =
        Self { language: Language::SocketIoWithOffset, framing: Framing::WebSocket };
    /// turted.v1 over a WebSocket.
    pub(crate) const V1: Self = Self { language: Language::V1, framing: Framing::WebSocket };

    /// The number of this wire, below [`COUNT`](Self::COUNT).
    pub(crate) fn index(self) -> usize {
        self.language as usize * Framing::COUNT + self.framing as usize
    }

    /// Encodes a dispatch, once for all connections that receive it for this reason.
    pub(crate) fn encode(self, accepted: &Accepted, via: Via<'_>, context: &WireContext) -> Frame {
        context.metrics.frames_encoded.add(1);
        let position = context.has_cursor.then_some(accepted.cursor);
        let message = self.language.encode(&accepted.dispatch, via, position);
        self.framing.wrap_in(message, accepted.sequence())
    }

    /// Encodes a dispatch of the history of a channel. Nothing in it is what a client would resume from.
    pub(crate) fn encode_history(self, accepted: &Accepted, via: Via<'_>, context: &WireContext) -> Frame {
        context.metrics.frames_encoded.add(1);
        let dispatch = &accepted.dispatch;
        let message = match self.language {
            Language::SocketIo | Language::SocketIoWithOffset => socketio::encode_history(dispatch, via),
            Language::V1 => v1::encode_history(dispatch, via, accepted.cursor),
            Language::Sse => sse::encode_event(dispatch, None),
            Language::SseEnvelope => sse::encode_history_envelope(dispatch, via),
            Language::Legacy => legacy::encode_dispatch(dispatch, via),
        };
        self.framing.wrap(&message, 0)
    }

    /// Encodes who is in a channel. Clients of turted 0.1 cannot ask for it.
    pub(crate) fn encode_presence(self, told: &str) -> Frame {
        let message = match self.language {
            Language::SocketIo | Language::SocketIoWithOffset => socketio::encode_presence(told),
            Language::V1 | Language::Legacy => v1::encode_presence(told),
            Language::Sse | Language::SseEnvelope => sse::encode_presence(told),
        };
        self.framing.wrap_in(message, 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use turted_core::dispatch::Targets;
    use turted_core::name::Name;

    use super::*;

    #[test]
    fn a_dispatch_goes_out_in_the_memory_that_it_was_encoded_in() {
        let channel = Name::new("news").unwrap();
        let position = Some(Cursor { epoch: u64::MAX, sequence: u64::MAX });
        for payload_bytes in [1, 200, 70_000] {
            let payload = to_raw_value(&"x".repeat(payload_bytes)).unwrap();
            let event = Name::new("MESSAGE").unwrap();
            let dispatch = Dispatch { event, payload, targets: Targets::broadcast() };
            for (language, framing) in [
                (Language::SocketIo, Framing::WebSocket),
                (Language::SocketIoWithOffset, Framing::WebSocket),
                (Language::V1, Framing::WebSocket),
                (Language::Legacy, Framing::WebSocket),
                (Language::Sse, Framing::Chunked),
                (Language::SseEnvelope, Framing::Chunked),
            ] {
                let message = language.encode(&dispatch, Via::Channel(&channel), position);
                let (text, memory) = (message.clone(), message.as_ptr());
                let frame = framing.wrap_in(message, 7);
                assert_eq!(frame.message(), text);
                assert_eq!(frame.bytes().as_ptr(), memory, "{language:?}, {payload_bytes} bytes");
            }
        }
    }

    #[test]
    fn each_wire_has_a_number_of_its_own_below_the_count() {
        let mut seen = [false; Wire::COUNT];
        use Language::{Legacy, SocketIo, SocketIoWithOffset, Sse, SseEnvelope, V1};
        let languages = [SocketIo, SocketIoWithOffset, V1, Sse, SseEnvelope, Legacy];
        let framings = [
            Framing::WebSocket,
            Framing::Chunked,
            Framing::SockJsWebSocket,
            Framing::SockJsXhr,
            Framing::SockJsEventSource,
            Framing::SockJsHtmlFile,
        ];
        let wires = languages.map(|language| framings.map(|framing| Wire { language, framing }));
        for wire in wires.as_flattened() {
            assert!(!std::mem::replace(&mut seen[wire.index()], true), "{wire:?}");
        }
        assert_eq!(seen, [true; Wire::COUNT]);
    }
}
