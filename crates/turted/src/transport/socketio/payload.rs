//! Bodies of polling answers: frames that waited, as one client reads them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use turted_core::wire::engineio::{
    AFTER_SCRIPT, Packet, PayloadEncoder, Version, before_packet, before_script, before_text_in_bytes,
    encode_binary_payload, encode_jsonp, escape_for_script, escape_non_ascii,
};

use crate::hub::delivery::frame::Frame;
use crate::io::backlogs::{Backlogs, Held};
use crate::transport::parts::{Parts, SHARED_BYTES_MIN};

/// Bytes of a packet above which a client that reads bytes gets bytes, even if the packet is ASCII. Pages with
/// engine.io-client 1 make a string of a text answer by a call with one argument for each byte, and engines
/// take 64 thousand arguments.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// How a client reads the answers to its polling requests. Its handshake says so for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PollingFormat {
    pub(super) version: Version,
    pub(super) reader: PollingReader,
    pub(super) content: Content,
}

/// What the packets hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// JSON behind digits, which can be written in ASCII alone.
    Json,
    /// Anything: what the packets of other services than turted hold.
    Any,
}

/// What a polling client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollingReader {
    /// Text; binary packets as base64 in it.
    Text,
    /// Text, but bytes where a packet is binary: version 3 without `b64=1`.
    TextOrBytes,
    /// A script that calls the callback with this number.
    Script(u32),
}

/// The body of an answer: its parts, of which large ones are shared with other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PollingBody {
    pub(super) parts: Vec<Bytes>,
    /// Whether it is a binary payload of version 3.
    pub(super) is_binary: bool,
}

impl PollingBody {
    fn of(parts: Vec<Bytes>) -> Self {
        Self { parts, is_binary: false }
    }

    fn text(bytes: impl Into<Bytes>) -> Self {
        Self::of(vec![bytes.into()])
    }

    /// Keeps something until the last part has been taken.
    pub(super) fn holding<H: Send + 'static>(mut self, held: H) -> Self {
        let last = self.parts.pop().unwrap_or_default();
        self.parts.push(Bytes::from_owner(Held { bytes: last, _held: held }));
        self
    }
}

impl PollingFormat {
    /// A body with the packets of these frames.
    pub(super) fn encode(self, frames: &[Frame], backlogs: &Arc<Backlogs>) -> PollingBody {
        if frames.iter().any(Frame::is_binary) {
            return self.encode_mixed(frames);
        }
        match self.reader {
            PollingReader::TextOrBytes if self.needs_bytes(frames) => share_bytes(frames, backlogs),
            PollingReader::Text | PollingReader::TextOrBytes => self.share(frames, backlogs),
            PollingReader::Script(index) if self.content == Content::Json => {
                self.share_script(index, frames, backlogs)
            }
            PollingReader::Script(_) => self.encode_text(frames.iter().map(Frame::message)),
        }
    }

    /// A body with one packet.
    pub(super) fn encode_packet(self, packet: &str) -> PollingBody {
        self.encode_text([packet].into_iter())
    }

    /// A body with packets that are text.
    pub(super) fn encode_text<'a>(self, packets: impl Iterator<Item = &'a str>) -> PollingBody {
        let payload = self.payload(packets);
        PollingBody::text(match self.reader {
            PollingReader::Text | PollingReader::TextOrBytes => payload.into_bytes(),
            PollingReader::Script(index) => encode_jsonp(index, &payload).into_bytes(),
        })
    }

    /// Whether the client may be socket.io-client 1, which decodes UTF-8 twice where later ones decode it once.
    /// Until a client has sent something, nothing tells them apart.
    fn may_be_old(self) -> bool {
        self.version == Version::V3 && self.content == Content::Json
    }

    /// Whether these frames go out as bytes to a client that reads bytes. Old clients and new ones read bytes
    /// alike, but text only if it is ASCII and short.
    fn needs_bytes(self, frames: &[Frame]) -> bool {
        let is_hard = |frame: &Frame| frame.data().len() > TEXT_BYTES_MAX || !frame.data().is_ascii();
        self.may_be_old() && frames.iter().any(is_hard)
    }

    /// A packet as text that every client of this format reads alike. Scripts have it alike in both versions, so
    /// that they can share it.
    fn readable(self, packet: &str) -> Cow<'_, str> {
        let is_script = matches!(self.reader, PollingReader::Script(_)) && self.content == Content::Json;
        if is_script || self.may_be_old() { escape_non_ascii(packet) } else { Cow::Borrowed(packet) }
    }

    /// A body of parts: large packets are shared, small ones and those that have to be escaped are copied.
    fn share(self, frames: &[Frame], backlogs: &Arc<Backlogs>) -> PollingBody {
        let mut parts = Parts::default();
        for (index, frame) in frames.iter().enumerate() {
            let packet = self.readable(frame.message());
            parts.copy(before_packet(self.version, &packet, index == 0).as_bytes());
            match packet {
                Cow::Borrowed(_) => parts.share(frame),
                Cow::Owned(packet) => parts.copy(packet.as_bytes()),
            }
        }
        PollingBody::of(parts.finish(backlogs))
    }

    /// A body that is a script: large packets are shared with other scripts.
    fn share_script(self, callback: u32, frames: &[Frame], backlogs: &Arc<Backlogs>) -> PollingBody {
        let mut parts = Parts::default();
        parts.copy(before_script(callback).as_bytes());
        for (index, frame) in frames.iter().enumerate() {
            let packet = self.readable(frame.message());
            let before = before_packet(self.version, &packet, index == 0);
            parts.copy(escape_for_script(&before).as_bytes());
            let escape = || escape_for_script(&packet);
            if packet.len() < SHARED_BYTES_MIN {
                parts.copy(escape().as_bytes());
            } else {
                parts.push(frame.shared_script(backlogs, escape));
            }
        }
        parts.copy(AFTER_SCRIPT.as_bytes());
        PollingBody::of(parts.finish(backlogs))
    }

    fn payload<'a>(self, packets: impl Iterator<Item = &'a str>) -> String {
        let mut payload = PayloadEncoder::new(self.version);
        packets.for_each(|packet| payload.push(&self.readable(packet)));
        payload.finish()
    }

    /// A body with packets of which some are binary; turted sends none.
    fn encode_mixed(self, frames: &[Frame]) -> PollingBody {
        let packets: Vec<_> = frames.iter().map(|frame| packet(self.version, frame)).collect();
        if self.reader == PollingReader::TextOrBytes {
            let bytes = encode_binary_payload(&packets);
            return PollingBody { parts: vec![bytes.into()], is_binary: true };
        }
        let packets: Vec<_> = packets.iter().map(|packet| packet.encode_text(self.version)).collect();
        self.encode_text(packets.iter().map(String::as_str))
    }
}

/// A body of bytes with packets that are text: small ones are copied, large ones shared.
fn share_bytes(frames: &[Frame], backlogs: &Arc<Backlogs>) -> PollingBody {
    let mut parts = Parts::default();
    for frame in frames {
        parts.copy(&before_text_in_bytes(frame.data().len()));
        parts.share(frame);
    }
    PollingBody { is_binary: true, parts: parts.finish(backlogs) }
}

fn packet(version: Version, frame: &Frame) -> Packet<'_> {
    let packet = if frame.is_binary() {
        Packet::decode_binary(version, frame.data())
    } else {
        Packet::decode_text(version, frame.message())
    };
    packet.expect("frames hold packets")
}

#[cfg(test)]
mod tests {
    use turted_core::wire::engineio::encode_binary;

    use super::*;

    fn format(version: Version, reader: PollingReader) -> PollingFormat {
        PollingFormat { version, reader, content: Content::Json }
    }

    fn encode(format: PollingFormat, frames: &[Frame]) -> (Vec<u8>, bool) {
        let body = format.encode(frames, &Backlogs::new(usize::MAX));
        (body.parts.concat(), body.is_binary)
    }

    fn mixed(version: Version, reader: PollingReader) -> (Vec<u8>, bool) {
        let frames = [Frame::text("4hé", 0), Frame::binary(&encode_binary(version, &[1, 2, 3, 4]))];
        encode(PollingFormat { version, reader, content: Content::Any }, &frames)
    }

    /// engine.io protocol v3 and v4, "Payload"; the first and third in the words of their examples.
    #[test]
    fn a_binary_packet_is_written_as_its_client_reads_it() {
        use PollingReader::{Script, Text, TextOrBytes};
        use Version::{V3, V4};
        let text: [(Version, PollingReader, &str); 4] = [
            (V3, Text, "3:4hé10:b4AQIDBA=="),
            (V4, Text, "4hé\u{1e}bAQIDBA=="),
            (V3, Script(7), r#"___eio[7]("3:4hé10:b4AQIDBA==");"#),
            (V4, Script(0), "___eio[0](\"4hé\\u001ebAQIDBA==\");"),
        ];
        for (version, reader, expected) in text {
            let (bytes, is_binary) = mixed(version, reader);
            assert_eq!(String::from_utf8_lossy(&bytes), expected, "{version:?} {reader:?}");
            assert!(!is_binary);
        }
        let expected = b"\x00\x04\xFF4h\xC3\xA9\x01\x05\xFF\x04\x01\x02\x03\x04";
        assert_eq!(mixed(V3, TextOrBytes), (expected.to_vec(), true));
    }

    #[test]
    fn a_client_that_reads_bytes_is_sent_text_where_that_is_enough() {
        let format = format(Version::V3, PollingReader::TextOrBytes);
        let body = encode(format, &[Frame::text("4hi", 0), Frame::text("3", 0)]);
        assert_eq!(body, (b"3:4hi1:3".to_vec(), false));
    }

    /// engine.io-parser 1.3.2 and 2.2.1 read each of these bodies as the same packet.
    #[test]
    fn clients_that_decode_utf8_twice_and_once_are_sent_what_both_read_alike() {
        use PollingReader::{Script, Text, TextOrBytes};
        let text = "42[\"ö\"]";
        let bytes = b"\x00\x08\xFF42[\"\xC3\xB6\"]";
        for (version, reader, expected) in [
            (Version::V3, Text, &br#"12:42["\u00f6"]"#[..]),
            (Version::V3, TextOrBytes, bytes),
            (Version::V3, Script(3), br#"___eio[3]("12:42[\"\\u00f6\"]");"#),
            (Version::V4, Text, text.as_bytes()),
        ] {
            let (body, _) = encode(format(version, reader), &[Frame::text(text, 0)]);
            let shown = String::from_utf8_lossy(&body);
            assert_eq!(shown, String::from_utf8_lossy(expected), "{version:?} {reader:?}");
        }
        let at_most = |length: usize| {
            encode(format(Version::V3, TextOrBytes), &[Frame::text(&"4".repeat(length), 0)]).1
        };
        assert!(!at_most(TEXT_BYTES_MAX));
        assert!(at_most(TEXT_BYTES_MAX + 1));
    }

    #[test]
    fn what_is_copied_for_one_client_counts_until_it_is_taken() {
        let backlogs = Backlogs::new(usize::MAX);
        let escaped = Frame::text(&format!("42[\"{}\"]", "ö".repeat(1_000)), 0);
        let small = vec![Frame::text(&"4".repeat(100), 0); 100];
        for (version, frames) in [(Version::V3, vec![escaped]), (Version::V4, small)] {
            let body = format(version, PollingReader::Text).encode(&frames, &backlogs);
            assert_eq!(backlogs.bytes(), body.parts.concat().len(), "{version:?}");
            drop(body);
            assert_eq!(backlogs.bytes(), 0);
        }
    }

    #[test]
    fn large_packets_are_shared_by_answers_and_look_like_copied_ones() {
        let large = format!("4{}é", "x".repeat(SHARED_BYTES_MIN));
        let packets = ["4a", &large, "4b", &large, &large, "4c"];
        let frames = packets.map(|packet| Frame::text(packet, 0));
        for (version, content) in [(Version::V3, Content::Any), (Version::V4, Content::Json)] {
            let format = PollingFormat { version, reader: PollingReader::Text, content };
            let body = format.encode(&frames, &Backlogs::new(usize::MAX));
            assert_eq!(body.parts.concat(), format.payload(packets.into_iter()).into_bytes(), "{version:?}");
            let shared = body.parts.iter().find(|part| part.len() == large.len()).unwrap();
            assert_eq!(shared.as_ptr(), frames[1].data().as_ptr());
        }
    }

    #[test]
    fn scripts_share_what_is_escaped_for_them_and_it_counts_once() {
        let backlogs = Backlogs::new(usize::MAX);
        let large = format!("42[\"{}ö\u{2028}\"]", "x\\\"".repeat(SHARED_BYTES_MIN));
        let packets = ["42[\"a\"]", &large, "42[\"ö\"]"];
        let frames = packets.map(|packet| Frame::text(packet, 0));
        let bodies = [Version::V3, Version::V4].map(|version| {
            let format = format(version, PollingReader::Script(7));
            let body = format.encode(&frames, &backlogs);
            let expected = encode_jsonp(7, &format.payload(packets.into_iter()));
            assert_eq!(String::from_utf8(body.parts.concat()).unwrap(), expected, "{version:?}");
            body
        });
        let largest = |body: &PollingBody| body.parts.iter().max_by_key(|part| part.len()).cloned().unwrap();
        assert_eq!(largest(&bodies[0]).as_ptr(), largest(&bodies[1]).as_ptr());
        assert!((1..2 * largest(&bodies[0]).len()).contains(&backlogs.bytes()));
        drop((bodies, frames));
        assert_eq!(backlogs.bytes(), 0);
    }
}
