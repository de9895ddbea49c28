//! What a request takes from its session: a frame of SockJS, whose messages may be shared with other
//! sessions.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use turted_core::wire::sockjs::{Callback, Transport, merge_messages, unframe};

use crate::backlogs::{Backlogs, Held};
use crate::frame::Frame;
use crate::outlet::OnItsWay;

/// One frame for a client.
#[derive(Debug)]
pub(crate) struct Taken {
    content: Content,
    /// Held until the client has taken it.
    _answer: Option<OnItsWay>,
}

#[derive(Debug)]
enum Content {
    /// A frame without messages.
    Text(String),
    /// The messages of these frames.
    Messages(Vec<Frame>),
}

impl From<String> for Taken {
    fn from(frame: String) -> Self {
        Self { content: Content::Text(frame), _answer: None }
    }
}

impl Taken {
    /// The messages of frames that waited, in one frame.
    pub(super) fn messages(frames: Vec<Frame>, answer: Option<OnItsWay>) -> Self {
        Self { content: Content::Messages(frames), _answer: answer }
    }

    /// The frame.
    pub(super) fn frame(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Text(frame) => Cow::Borrowed(frame),
            Content::Messages(frames) => Cow::Owned(merge(frames)),
        }
    }

    /// Frames as `transport` streams them: shared, unless they came while the session received by another.
    pub(super) fn framed(&self, transport: Transport) -> Vec<Frame> {
        match &self.content {
            Content::Text(frame) => vec![Frame::chunk(&transport.frame(&Callback::NONE, frame), 0)],
            Content::Messages(frames) => frames.iter().map(|frame| reframe(transport, frame)).collect(),
        }
    }

    /// Whether it is the last one of its session.
    pub(super) fn is_last(&self) -> bool {
        matches!(&self.content, Content::Text(frame) if frame.starts_with('c'))
    }

    /// The answer to a request of `transport` that takes it.
    pub(super) fn into_answer(
        self,
        (transport, callback): (Transport, &Callback),
        backlogs: &Arc<Backlogs>,
    ) -> Bytes {
        match &self.content {
            // A stream writes a frame as an answer to `xhr` does: it can be shared.
            Content::Messages(frames) if transport == Transport::XhrPolling && frames.len() == 1 => {
                let shared = frames[0].shared_data();
                let is_as_is = Transport::XhrStreaming.has_framed(&shared);
                if is_as_is {
                    return Bytes::from_owner(Held { bytes: shared, _held: self });
                }
                self.copy((transport, callback), backlogs)
            }
            Content::Messages(_) => self.copy((transport, callback), backlogs),
            Content::Text(frame) => transport.frame(callback, frame).into(),
        }
    }

    /// An answer for this client alone: it counts until it is taken.
    fn copy(self, (transport, callback): (Transport, &Callback), backlogs: &Arc<Backlogs>) -> Bytes {
        let answer = backlogs.count_answer(transport.frame(callback, &self.frame()).into_bytes());
        let Self { _answer, .. } = self;
        Bytes::from_owner(Held { bytes: answer, _held: _answer })
    }
}

/// A frame as `transport` streams it. It may have come while the session received by another one.
pub(super) fn reframe(transport: Transport, frame: &Frame) -> Frame {
    if transport.has_framed(frame.data()) {
        return frame.clone();
    }
    let own = unframe(frame.message()).expect("frames are made by a transport that streams");
    Frame::chunk(&transport.frame(&Callback::NONE, &own), frame.sequence())
}

/// One frame with the messages of several.
pub(super) fn merge(frames: &[Frame]) -> String {
    let frames: Vec<Cow<'_, str>> = frames.iter().filter_map(|frame| unframe(frame.message())).collect();
    merge_messages(frames.iter().map(AsRef::as_ref))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::LastAnswer;
    use crate::wire::Framing;

    fn answer(transport: Transport, framing: Framing, messages: &[&str]) -> String {
        let frames = messages.iter().map(|message| framing.wrap(message, 0)).collect();
        let callback = transport.callback(Some("f")).unwrap();
        let taken = Taken::messages(frames, None);
        let answer = taken.into_answer((transport, &callback), &Backlogs::new(usize::MAX));
        String::from_utf8(answer.to_vec()).unwrap()
    }

    #[test]
    fn an_answer_is_the_same_whether_its_frame_is_shared_or_made_anew() {
        use Transport::{JsonpPolling, XhrPolling};
        for framing in [Framing::SockJsXhr, Framing::SockJsEventSource, Framing::SockJsHtmlFile] {
            assert_eq!(answer(XhrPolling, framing, &["a%"]), "a[\"a%\"]\n", "{framing:?}");
            assert_eq!(answer(XhrPolling, framing, &["a", "b"]), "a[\"a\",\"b\"]\n", "{framing:?}");
            assert_eq!(answer(JsonpPolling, framing, &["a"]), "/**/f(\"a[\\\"a\\\"]\");\r\n", "{framing:?}");
        }
    }

    #[test]
    fn a_response_of_http_2_shares_the_frames_of_its_session() {
        let transports = [
            (Transport::XhrStreaming, Framing::SockJsXhr),
            (Transport::EventSource, Framing::SockJsEventSource),
            (Transport::HtmlFile, Framing::SockJsHtmlFile),
        ];
        for (transport, own) in transports {
            for (_, framing) in transports {
                let frame = framing.wrap("a%\"", 0);
                let framed = Taken::messages(vec![frame.clone()], None).framed(transport);
                assert_eq!(framed[0].message(), own.wrap("a%\"", 0).message());
                assert_eq!(framed[0].data().as_ptr() == frame.data().as_ptr(), framing == own);
            }
        }
        let close = Taken::from("c[3000,\"Go away!\"]".to_owned());
        assert!(close.is_last() && close.framed(Transport::XhrStreaming)[0].message().ends_with("]\n"));
    }

    #[test]
    fn an_answer_that_is_not_taken_keeps_the_session_and_counts() {
        let backlogs = Backlogs::new(usize::MAX);
        let (mut last, callback) = (LastAnswer::default(), Callback::NONE);
        for count in [1, 2] {
            let frames = vec![Framing::SockJsXhr.wrap("x", 0); count];
            frames[0].count(&backlogs);
            let taken = Taken::messages(frames, Some(last.give()));
            let answer = taken.into_answer((Transport::XhrPolling, &callback), &backlogs);
            assert!(last.is_on_its_way() && backlogs.bytes() > 0, "{count}");
            drop(answer);
            assert!(!last.is_on_its_way() && backlogs.bytes() == 0, "{count}");
        }
    }
}
