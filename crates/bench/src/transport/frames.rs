//! WebSocket frames on the client's side: those of the server, and those of the client.

use super::Broken;

/// The mask of the client's frames. Servers do not mask theirs (RFC 6455 5.3). It is fixed: a random mask
/// protects proxies from scripts in browsers, and there are neither here.
const MASK: [u8; 4] = [0x74, 0x75, 0x72, 0x74];
const FIN_TEXT: u8 = 0x81;
const FIN_PONG: u8 = 0x8A;
const MASKED: u8 = 0x80;

/// One frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFrame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    /// A pong, or binary data that no client here expects.
    Other,
    Close,
}

/// The first frame of `input` and its length in bytes; `None` if it is not complete.
///
/// # Errors
/// The frame is fragmented or masked. The servers that are measured send no such frames.
pub(super) fn decode(input: &[u8]) -> Result<Option<(ServerFrame<'_>, usize)>, Broken> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    let (payload_bytes, header_bytes): (usize, usize) = match second {
        126 => match rest.first_chunk() {
            Some(&bytes) => (usize::from(u16::from_be_bytes(bytes)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(&bytes) => (usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        0..126 => (usize::from(*second), 2),
        _ => return Err(Broken::NotUnderstood("masked frame")),
    };
    let end = header_bytes.saturating_add(payload_bytes);
    let Some(payload) = input.get(header_bytes..end) else { return Ok(None) };
    let frame = match first {
        0x81 => ServerFrame::Text(payload),
        0x88 => ServerFrame::Close,
        0x89 => ServerFrame::Ping(payload),
        0x82 | 0x8A => ServerFrame::Other,
        _ => return Err(Broken::NotUnderstood("fragmented frame")),
    };
    Ok(Some((frame, end)))
}

/// Appends a text frame.
pub(super) fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode(FIN_TEXT, text.as_bytes(), out);
}

/// Appends the answer to a ping (RFC 6455 5.5.3).
pub(super) fn encode_pong(payload: &[u8], out: &mut Vec<u8>) {
    encode(FIN_PONG, payload, out);
}

fn encode(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(MASKED | length),
        _ => {
            let length = u16::try_from(payload.len()).expect("a client of a benchmark says little");
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Opcode, encode_frame};

    #[test]
    fn the_server_reads_what_the_client_writes() {
        for text in ["40".to_owned(), "x".repeat(125), "x".repeat(126), "x".repeat(60_000)] {
            let mut frame = Vec::new();
            encode_text(&text, &mut frame);
            let mut decoder = Decoder::new(DecoderLimits { message_bytes: 65_536, fragments: 1 });
            let decoded = decoder.decode(&mut frame).unwrap().unwrap();
            assert_eq!(decoded.message, Some(Message::Text(&text)));
        }
    }

    #[test]
    fn the_client_reads_what_the_server_writes_once_it_is_complete() {
        for text in ["40".to_owned(), "x".repeat(125), "x".repeat(126), "x".repeat(70_000)] {
            let frame = encode_frame(Opcode::Text, text.as_bytes());
            assert_eq!(decode(&frame), Ok(Some((ServerFrame::Text(text.as_bytes()), frame.len()))));
            for cut in [0, 1, 2, frame.len() - 1] {
                assert_eq!(decode(&frame[..cut]), Ok(None), "{cut}");
            }
        }
        assert_eq!(decode(&encode_frame(Opcode::Close, b"")), Ok(Some((ServerFrame::Close, 2))));
        assert!(decode(&[0x01, 0]).is_err());
        assert!(decode(&[0x81, 0x80]).is_err());
    }
}
