//! What a request takes from its session: a frame of SockJS, whose messages may be shared with other
//! sessions.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use turted_core::wire::sockjs::{Callback, Transport, escape_for_script, merge_messages, messages, unframe};

use crate::http::Body;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::OnItsWay;
use crate::io::backlogs::{Backlogs, Held};
use crate::transport::parts::{Parts, SHARED_BYTES_MIN};

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

    /// Frames as `transport` streams them: shared, unless they came while the session received by another
    /// transport.
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
    ) -> Body {
        let Self { content, _answer } = self;
        let mut parts = match content {
            Content::Text(frame) => return transport.frame(callback, &frame).into(),
            Content::Messages(frames) => answer(&frames, (transport, callback), backlogs),
        };
        let last = parts.pop().unwrap_or_default();
        parts.push(Bytes::from_owner(Held { bytes: last, _held: _answer }));
        Body::of_parts(parts)
    }
}

/// The messages of these frames in one answer. Other answers share large ones.
fn answer(
    frames: &[Frame],
    (transport, callback): (Transport, &Callback),
    backlogs: &Arc<Backlogs>,
) -> Vec<Bytes> {
    let (before, behind) = transport.around_messages(callback);
    let mut parts = Parts::default();
    parts.copy(before.as_bytes());
    let mut is_first = true;
    for frame in frames {
        let own = unframe(frame.message());
        let Some(list) = own.as_deref().and_then(messages).filter(|list| !list.is_empty()) else { continue };
        if !std::mem::take(&mut is_first) {
            parts.copy(b",");
        }
        let is_script = transport == Transport::JsonpPolling;
        match list.len() {
            0..SHARED_BYTES_MIN if is_script => parts.copy(escape_for_script(list).as_bytes()),
            _ if is_script => parts.push(frame.shared_script(backlogs, || escape_for_script(list))),
            // A stream of `xhr_streaming` writes a frame as an answer does: `a[`, the messages, `]` and a newline.
            SHARED_BYTES_MIN.. if Transport::XhrStreaming.has_framed(frame.data()) => {
                parts.push(frame.shared_data().slice(2..2 + list.len()));
            }
            _ => parts.copy(list.as_bytes()),
        }
    }
    parts.copy(behind.as_bytes());
    parts.finish(backlogs)
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
    use crate::hub::delivery::outlet::LastAnswer;
    use crate::hub::delivery::wire::Framing;

    fn answer(transport: Transport, framing: Framing, messages: &[&str]) -> String {
        let frames = messages.iter().map(|message| framing.wrap(message, 0)).collect();
        let callback = transport.callback(Some("f")).unwrap();
        let taken = Taken::messages(frames, None);
        text(taken.into_answer((transport, &callback), &Backlogs::new(usize::MAX)))
    }

    fn text(mut answer: Body) -> String {
        String::from_utf8(parts(&mut answer).concat()).unwrap()
    }

    fn parts(answer: &mut Body) -> Vec<Bytes> {
        std::iter::from_fn(|| answer.take_part()).collect()
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
    fn answers_share_large_messages_also_in_scripts_and_look_like_one_frame_of_all() {
        let (backlogs, callback) =
            (Backlogs::new(usize::MAX), Transport::JsonpPolling.callback(Some("f")).unwrap());
        let large = "</script>\u{2028}\"%é".repeat(SHARED_BYTES_MIN);
        for framing in [Framing::SockJsXhr, Framing::SockJsEventSource, Framing::SockJsHtmlFile] {
            let frames = ["a", &large, "b"].map(|message| framing.wrap(message, 0)).to_vec();
            for transport in [Transport::XhrPolling, Transport::JsonpPolling] {
                let take = || {
                    let taken = Taken::messages(frames.clone(), None);
                    parts(&mut taken.into_answer((transport, &callback), &backlogs))
                };
                let (first, second) = (take(), take());
                let expected = transport.frame(&callback, &merge(&frames));
                assert_eq!(String::from_utf8(first.concat()).unwrap(), expected, "{framing:?} {transport:?}");
                let is_shared = first.len() > 1 && first[1].as_ptr() == second[1].as_ptr();
                let can_be = transport == Transport::JsonpPolling || framing == Framing::SockJsXhr;
                assert_eq!(is_shared, can_be, "{framing:?} {transport:?}");
            }
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
        assert!(close.is_last());
        assert!(close.framed(Transport::XhrStreaming)[0].message().ends_with("]\n"));
    }

    #[test]
    fn an_answer_that_is_not_taken_keeps_the_session_and_counts() {
        let backlogs = Backlogs::new(usize::MAX);
        let (mut last, callback) = (LastAnswer::default(), Callback::NONE);
        for count in [1, 2] {
            let frames = vec![Framing::SockJsXhr.wrap(&"x".repeat(SHARED_BYTES_MIN), 0); count];
            frames[0].count(&backlogs);
            let taken = Taken::messages(frames, Some(last.give()));
            let answer = taken.into_answer((Transport::XhrPolling, &callback), &backlogs);
            assert!(last.is_on_its_way(), "{count}");
            assert!(backlogs.bytes() > 0, "{count}");
            drop(answer);
            assert!(!last.is_on_its_way(), "{count}");
            assert_eq!(backlogs.bytes(), 0, "{count}");
        }
    }
}
