//! Payloads of version 3: every packet has its length before it.
//!
//! In text the length counts UTF-16 code units, as it is JavaScript's `length`; in binary
//! payloads it counts bytes.

use super::{Malformed, Packet, Version, encode_binary};

/// Digits of a length: 999,999,999 is far above the size of any body that is read.
const LENGTH_DIGITS_MAX: usize = 9;
/// Before a text packet in a binary payload.
const TEXT_MARK: u8 = 0;
/// Before a binary packet in a binary payload.
const BINARY_MARK: u8 = 1;
/// Ends the length in a binary payload.
const LENGTH_END: u8 = 0xFF;

pub(super) fn decode_payload(body: &str, packets_max: usize) -> Result<Vec<Packet<'_>>, Malformed> {
    decode_split(body, packets_max, split_code_units)
}

/// The body of a text payload, if it was encoded as UTF-8 twice, with the second encoding undone. Up to 1.x
/// engine.io-parser writes each packet of a text payload as a string of its UTF-8 bytes, which the request
/// then encodes once more. From 2.0 on it does not, and nothing else tells the two apart. `None` if the body
/// cannot be such a payload, or is ASCII, which is the same either way.
///
/// ```
/// use turted_core::wire::engineio::undo_second_utf8;
/// assert_eq!(undo_second_utf8("8:42[\"\u{c3}\u{b6}\"]").as_deref(), Some("8:42[\"\u{f6}\"]"));
/// assert_eq!(undo_second_utf8("7:42[\"\u{f6}\"]"), None);
/// ```
#[must_use]
pub fn undo_second_utf8(body: &str) -> Option<String> {
    if body.is_ascii() {
        return None;
    }
    let bytes = body.chars().map(|character| u8::try_from(character).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

/// Decodes a body that [`undo_second_utf8`] returned: its lengths count the bytes of UTF-8.
///
/// # Errors
/// The rule that `body` breaks. None of its packets is returned then.
pub fn decode_payload_of_bytes(body: &str, packets_max: usize) -> Result<Vec<Packet<'_>>, Malformed> {
    decode_split(body, packets_max, split_bytes)
}

fn decode_split(
    body: &str,
    packets_max: usize,
    split: impl Fn(&str, usize) -> Result<(&str, &str), Malformed>,
) -> Result<Vec<Packet<'_>>, Malformed> {
    if body.is_empty() {
        return Err(Malformed::Empty);
    }
    let mut packets = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        if packets.len() == packets_max {
            return Err(Malformed::TooManyPackets);
        }
        let (length, tail) = split_length(rest)?;
        let (packet, tail) = split(tail, length)?;
        packets.push(Packet::decode_text(Version::V3, packet)?);
        rest = tail;
    }
    Ok(packets)
}

pub(super) fn before_packet(packet: &str) -> String {
    let code_units = if packet.is_ascii() { packet.len() } else { packet.encode_utf16().count() };
    format!("{code_units}:")
}

/// What stands before a text packet of `bytes` bytes in a body of type `application/octet-stream`.
///
/// ```
/// assert_eq!(turted_core::wire::engineio::before_text_in_bytes(12), [0, 1, 2, 0xFF]);
/// ```
#[must_use]
pub fn before_text_in_bytes(bytes: usize) -> Vec<u8> {
    before_in_bytes(TEXT_MARK, bytes)
}

fn before_in_bytes(mark: u8, bytes: usize) -> Vec<u8> {
    let mut before = vec![mark];
    before.extend(bytes.to_string().bytes().map(|digit| digit - b'0'));
    before.push(LENGTH_END);
    before
}

/// Decodes a body of type `application/octet-stream`, which browsers send when a packet is
/// binary (engine.io protocol v3, "Payload"): at most `packets_max` packets.
///
/// # Errors
/// The rule that `body` breaks. None of its packets is returned then.
pub fn decode_binary_payload(body: &[u8], packets_max: usize) -> Result<Vec<Packet<'_>>, Malformed> {
    if body.is_empty() {
        return Err(Malformed::Empty);
    }
    let mut packets = Vec::new();
    let mut rest = body;
    while let Some((&mark, tail)) = rest.split_first() {
        if packets.len() == packets_max {
            return Err(Malformed::TooManyPackets);
        }
        let (length, tail) = split_binary_length(tail)?;
        let (data, tail) = tail.split_at_checked(length).ok_or(Malformed::Truncated)?;
        packets.push(decode_marked(mark, data)?);
        rest = tail;
    }
    Ok(packets)
}

/// Builds a body of type `application/octet-stream`.
#[must_use]
pub fn encode_binary_payload(packets: &[Packet<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for packet in packets {
        let (mark, data) = match packet {
            Packet::Binary(data) => (BINARY_MARK, encode_binary(Version::V3, data)),
            packet => (TEXT_MARK, packet.encode_text(Version::V3).into_bytes()),
        };
        body.extend(before_in_bytes(mark, data.len()));
        body.extend_from_slice(&data);
    }
    body
}

/// Splits `12:rest` into 12 and `rest`.
fn split_length(text: &str) -> Result<(usize, &str), Malformed> {
    let prefix = &text.as_bytes()[..text.len().min(LENGTH_DIGITS_MAX + 1)];
    let colon = prefix.iter().position(|&byte| byte == b':').ok_or(Malformed::InvalidLength)?;
    let digits = prefix[..colon].iter().map(|byte| byte.wrapping_sub(b'0'));
    Ok((decode_length(digits)?, &text[colon + 1..]))
}

/// Reads digits as bytes 0 to 9 up to [`LENGTH_END`]: the number, and what follows.
fn split_binary_length(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let prefix = &bytes[..bytes.len().min(LENGTH_DIGITS_MAX + 1)];
    let end = prefix.iter().position(|&byte| byte == LENGTH_END).ok_or(Malformed::InvalidLength)?;
    Ok((decode_length(prefix[..end].iter().copied())?, &bytes[end + 1..]))
}

/// Reads at most [`LENGTH_DIGITS_MAX`] digits. Packets are never empty, so a zero at the front is padding.
fn decode_length(digits: impl Iterator<Item = u8>) -> Result<usize, Malformed> {
    let mut length = 0;
    for digit in digits {
        if digit > 9 || (digit == 0 && length == 0) {
            return Err(Malformed::InvalidLength);
        }
        length = length * 10 + usize::from(digit);
    }
    if length == 0 { Err(Malformed::InvalidLength) } else { Ok(length) }
}

/// Splits `text` behind `length` bytes.
fn split_bytes(text: &str, length: usize) -> Result<(&str, &str), Malformed> {
    if length > text.len() {
        return Err(Malformed::Truncated);
    }
    text.split_at_checked(length).ok_or(Malformed::SplitCharacter)
}

/// Splits `text` behind `length` UTF-16 code units.
fn split_code_units(text: &str, length: usize) -> Result<(&str, &str), Malformed> {
    // ASCII, the usual case, has one byte per code unit.
    if text.as_bytes().get(..length).is_some_and(<[u8]>::is_ascii) {
        return Ok(text.split_at(length));
    }
    let mut missing = length;
    for (at, character) in text.char_indices() {
        if missing == 0 {
            return Ok(text.split_at(at));
        }
        missing = missing.checked_sub(character.len_utf16()).ok_or(Malformed::SplitCharacter)?;
    }
    if missing == 0 { Ok((text, "")) } else { Err(Malformed::Truncated) }
}

fn decode_marked(mark: u8, data: &[u8]) -> Result<Packet<'_>, Malformed> {
    match mark {
        TEXT_MARK => {
            let text = simdutf8::basic::from_utf8(data).map_err(|_| Malformed::InvalidText)?;
            Packet::decode_text(Version::V3, text)
        }
        BINARY_MARK => Packet::decode_binary(Version::V3, data),
        _ => Err(Malformed::UnknownType),
    }
}
