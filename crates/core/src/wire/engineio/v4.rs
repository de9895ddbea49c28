//! Text payloads of version 4: packets with a record separator between them.

use super::{Malformed, Packet, Version};

/// engine.io protocol v4, "Payload encoding". JSON text never contains it.
const SEPARATOR: &str = "\x1e";

pub(super) fn decode_payload(body: &str, packets_max: usize) -> Result<Vec<Packet<'_>>, Malformed> {
    let mut packets = Vec::new();
    for element in body.split(SEPARATOR) {
        if packets.len() == packets_max {
            return Err(Malformed::TooManyPackets);
        }
        packets.push(Packet::decode_text(Version::V4, element)?);
    }
    Ok(packets)
}

pub(super) fn before_packet(is_first: bool) -> &'static str {
    if is_first { "" } else { SEPARATOR }
}
