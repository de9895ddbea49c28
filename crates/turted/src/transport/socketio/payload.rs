//! Bodies of polling answers: frames that waited, as one client reads them.

use std::sync::Arc;

use bytes::Bytes;
use turted_core::wire::engineio::{
    Packet, PayloadEncoder, Version, before_packet, encode_binary_payload, encode_jsonp,
};

use crate::backlogs::{Backlogs, Held};
use crate::frame::Frame;

/// Bytes from which a packet is shared with other answers instead of copied: a part of its own takes
/// about 100.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// How a client reads the answers to its polling requests. Its handshake says so for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollingFormat {
    pub(super) version: Version,
    pub(super) reader: PollingReader,
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
pub(crate) struct PollingBody {
    pub(super) parts: Vec<Bytes>,
    /// Whether it is a binary payload of version 3.
    pub(super) is_binary: bool,
}

impl PollingBody {
    fn text(bytes: impl Into<Bytes>) -> Self {
        Self { parts: vec![bytes.into()], is_binary: false }
    }

    /// Keeps something for as long as the last part has not been taken.
    pub(crate) fn holding<H: Send + 'static>(mut self, held: H) -> Self {
        let last = self.parts.pop().unwrap_or_default();
        self.parts.push(Bytes::from_owner(Held { bytes: last, _held: held }));
        self
    }
}

impl PollingFormat {
    /// A body with the packets of these frames.
    pub(crate) fn encode(self, frames: &[Frame], backlogs: &Arc<Backlogs>) -> PollingBody {
        if frames.iter().any(Frame::is_binary) {
            return self.encode_mixed(frames);
        }
        match self.reader {
            PollingReader::Text | PollingReader::TextOrBytes => self.share(frames),
            PollingReader::Script(_) => self.encode_script(frames.iter().map(Frame::message), backlogs),
        }
    }

    /// A body with one packet.
    pub(crate) fn encode_packet(self, packet: &str) -> PollingBody {
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

    /// A body of parts: small packets are copied, large ones shared.
    fn share(self, frames: &[Frame]) -> PollingBody {
        let (mut parts, mut copied) = (Vec::new(), Vec::new());
        for (index, frame) in frames.iter().enumerate() {
            copied.extend_from_slice(before_packet(self.version, frame.message(), index == 0).as_bytes());
            if frame.data().len() < SHARED_BYTES_MIN {
                copied.extend_from_slice(frame.data());
            } else {
                parts.push(std::mem::take(&mut copied).into());
                parts.push(frame.shared_data());
            }
        }
        parts.push(copied.into());
        parts.retain(|part: &Bytes| !part.is_empty());
        PollingBody { parts, is_binary: false }
    }

    /// A body that is a script, escaped for its client alone: it counts until it is taken.
    fn encode_script<'a>(
        self,
        packets: impl Iterator<Item = &'a str>,
        backlogs: &Arc<Backlogs>,
    ) -> PollingBody {
        let body = self.encode_text(packets);
        let bytes = body.parts.iter().map(Bytes::len).sum();
        body.holding(backlogs.count(bytes))
    }

    fn payload<'a>(self, packets: impl Iterator<Item = &'a str>) -> String {
        let mut payload = PayloadEncoder::new(self.version);
        packets.for_each(|packet| payload.push(packet));
        payload.finish()
    }

    /// A body with packets of which some are binary; only a test service sends such.
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

    fn encode(format: PollingFormat, frames: &[Frame]) -> (Vec<u8>, bool) {
        let body = format.encode(frames, &Backlogs::new(usize::MAX));
        (body.parts.concat(), body.is_binary)
    }

    fn mixed(version: Version, reader: PollingReader) -> (Vec<u8>, bool) {
        let frames = [Frame::text("4hé", 0), Frame::binary(&encode_binary(version, &[1, 2, 3, 4]))];
        encode(PollingFormat { version, reader }, &frames)
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
        let format = PollingFormat { version: Version::V3, reader: PollingReader::TextOrBytes };
        let body = encode(format, &[Frame::text("4hi", 0), Frame::text("3", 0)]);
        assert_eq!(body, (b"3:4hi1:3".to_vec(), false));
    }

    #[test]
    fn large_packets_are_shared_by_answers_and_look_like_copied_ones() {
        let large = format!("4{}é", "x".repeat(SHARED_BYTES_MIN));
        let packets = ["4a", &large, "4b", &large, &large, "4c"];
        let frames = packets.map(|packet| Frame::text(packet, 0));
        for version in [Version::V3, Version::V4] {
            let format = PollingFormat { version, reader: PollingReader::Text };
            let body = format.encode(&frames, &Backlogs::new(usize::MAX));
            assert_eq!(body.parts.concat(), format.payload(packets.into_iter()).into_bytes(), "{version:?}");
            let shared = body.parts.iter().find(|part| part.len() == large.len()).unwrap();
            assert_eq!(shared.as_ptr(), frames[1].data().as_ptr());
        }
    }

    #[test]
    fn a_script_counts_until_it_is_taken() {
        let backlogs = Backlogs::new(usize::MAX);
        let format = PollingFormat { version: Version::V4, reader: PollingReader::Script(1) };
        let body = format.encode(&[Frame::text("4hi", 0)], &backlogs);
        assert_eq!(backlogs.bytes(), body.parts.concat().len());
        drop(body);
        assert_eq!(backlogs.bytes(), 0);
    }
}
