//! Polling payloads of text: the bodies of POST requests and of answers to GET.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Malformed, Packet, Version, v3, v4};

/// Decodes the body of a polling POST: at least one packet, at most `packets_max`.
///
/// # Errors
/// The rule that `body` breaks. None of its packets is returned then.
pub fn decode_payload(
    version: Version,
    body: &str,
    packets_max: usize,
) -> Result<Vec<Packet<'_>>, Malformed> {
    match version {
        Version::V3 => v3::decode_payload(body, packets_max),
        Version::V4 => v4::decode_payload(body, packets_max),
    }
}

/// Builds the body of a polling answer.
///
/// ```
/// use turted_core::wire::engineio::{PayloadEncoder, Version};
/// let mut payload = PayloadEncoder::new(Version::V3);
/// payload.push("42[\"é\"]");
/// payload.push("6");
/// assert_eq!(payload.finish(), "7:42[\"é\"]1:6");
/// ```
#[derive(Debug)]
pub struct PayloadEncoder {
    version: Version,
    body: String,
}

/// What stands before a packet in the body of a polling answer; it depends on whether the packet is the
/// first. A caller can so send a large packet without copying it into a body.
///
/// ```
/// use turted_core::wire::engineio::{Version, before_packet};
/// assert_eq!(before_packet(Version::V3, "42[\"é\"]", true), "7:");
/// assert_eq!(before_packet(Version::V4, "6", true), "");
/// assert_eq!(before_packet(Version::V4, "6", false), "\u{1e}");
/// ```
#[must_use]
pub fn before_packet(version: Version, packet: &str, is_first: bool) -> String {
    match version {
        Version::V3 => v3::before_packet(packet),
        Version::V4 => v4::before_packet(is_first).to_owned(),
    }
}

/// A packet whose text is JSON, in ASCII alone. Its values are the same for every reader, however often the
/// reader decodes UTF-8. Outside of strings JSON has no other characters.
///
/// ```
/// use turted_core::wire::engineio::escape_non_ascii;
/// assert_eq!(escape_non_ascii("42[\"\u{f6}\u{1f600}\"]"), r#"42["\u00f6\ud83d\ude00"]"#);
/// ```
#[must_use]
pub fn escape_non_ascii(packet: &str) -> Cow<'_, str> {
    if packet.is_ascii() {
        return Cow::Borrowed(packet);
    }
    let mut escaped = String::with_capacity(packet.len() * 2);
    for character in packet.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").expect("a string takes all that is written to it");
        }
    }
    Cow::Owned(escaped)
}

impl PayloadEncoder {
    /// An empty payload.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { version, body: String::new() }
    }

    /// Appends a packet that is encoded as text, `42["EVENT",{}]` or `b4AQID` say.
    pub fn push(&mut self, packet: &str) {
        self.body.push_str(&before_packet(self.version, packet, self.body.is_empty()));
        self.body.push_str(packet);
    }

    /// The body.
    #[must_use]
    pub fn finish(self) -> String {
        self.body
    }
}
