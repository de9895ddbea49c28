//! Bodies of polling answers: frames that waited, as one client reads them.

use turted_core::wire::engineio::{Packet, PayloadEncoder, Version, encode_binary_payload, encode_jsonp};

use crate::frame::Frame;

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

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PollingBody {
    pub(super) bytes: Vec<u8>,
    /// Whether it is a binary payload of version 3.
    pub(super) is_binary: bool,
}

impl PollingFormat {
    /// A body with the packets of these frames.
    pub(crate) fn encode(self, frames: &[Frame]) -> PollingBody {
        if frames.iter().any(Frame::is_binary) {
            return self.encode_mixed(frames);
        }
        self.encode_text(frames.iter().map(Frame::message))
    }

    /// A body with one packet.
    pub(crate) fn encode_packet(self, packet: &str) -> PollingBody {
        self.encode_text([packet].into_iter())
    }

    /// A body with packets that are text.
    pub(super) fn encode_text<'a>(self, packets: impl Iterator<Item = &'a str>) -> PollingBody {
        let mut payload = PayloadEncoder::new(self.version);
        packets.for_each(|packet| payload.push(packet));
        let bytes = match self.reader {
            PollingReader::Text | PollingReader::TextOrBytes => payload.finish(),
            PollingReader::Script(index) => {
                encode_jsonp(index, &String::from_utf8_lossy(&payload.finish())).into_bytes()
            }
        };
        PollingBody { bytes, is_binary: false }
    }

    /// A body with packets of which some are binary; only a test service sends such.
    fn encode_mixed(self, frames: &[Frame]) -> PollingBody {
        let packets: Vec<_> = frames.iter().map(|frame| packet(self.version, frame)).collect();
        if self.reader == PollingReader::TextOrBytes {
            return PollingBody { bytes: encode_binary_payload(&packets), is_binary: true };
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

    fn mixed(version: Version, reader: PollingReader) -> PollingBody {
        let frames = [Frame::text("4hé", 0), Frame::binary(&encode_binary(version, &[1, 2, 3, 4]))];
        PollingFormat { version, reader }.encode(&frames)
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
            let body = mixed(version, reader);
            assert_eq!(String::from_utf8_lossy(&body.bytes), expected, "{version:?} {reader:?}");
            assert!(!body.is_binary);
        }
        let body = mixed(V3, TextOrBytes);
        let expected = b"\x00\x04\xFF4h\xC3\xA9\x01\x05\xFF\x04\x01\x02\x03\x04";
        assert_eq!(body, PollingBody { bytes: expected.to_vec(), is_binary: true });
    }

    #[test]
    fn a_client_that_reads_bytes_is_sent_text_where_that_is_enough() {
        let format = PollingFormat { version: Version::V3, reader: PollingReader::TextOrBytes };
        let body = format.encode(&[Frame::text("4hi", 0), Frame::text("3", 0)]);
        assert_eq!(body, PollingBody { bytes: b"3:4hi1:3".to_vec(), is_binary: false });
    }
}
