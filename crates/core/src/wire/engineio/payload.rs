//! Polling payloads of text: the bodies of POST requests and of answers to GET.

use super::{Malformed, Packet, Version, v3, v4};

/// Decodes the body of a polling POST: at least one packet, at most `packets_max`.
///
/// # Errors
/// The rule that `body` breaks; nothing of such a body counts.
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
/// assert_eq!(payload.finish(), "7:42[\"é\"]1:6".as_bytes());
/// ```
#[derive(Debug)]
pub struct PayloadEncoder {
    version: Version,
    body: String,
}

impl PayloadEncoder {
    /// An empty payload.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self { version, body: String::new() }
    }

    /// Appends a packet that is encoded as text, `42["EVENT",{}]` or `b4AQID` say.
    pub fn push(&mut self, packet: &str) {
        match self.version {
            Version::V3 => v3::push_packet(&mut self.body, packet),
            Version::V4 => v4::push_packet(&mut self.body, packet),
        }
    }

    /// The body.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.body.into_bytes()
    }
}
