//! Bodies of unknown length in HTTP/1.1 (RFC 9112 7.1), without trailers and extensions.

use std::io::Write as _;

/// Ends a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `data` as one chunk. For empty data it appends nothing, because an empty chunk ends the body.
///
/// ```
/// use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};
/// let mut body = Vec::new();
/// encode_chunk(b"data: 0123456789\n\n", &mut body);
/// body.extend_from_slice(LAST_CHUNK);
/// assert_eq!(body, b"12\r\ndata: 0123456789\n\n\r\n0\r\n\r\n");
/// ```
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    push_length(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Makes data, which are not empty, a chunk in the same memory. Returns the bytes before the data.
pub fn wrap_chunk(data: &mut Vec<u8>) -> usize {
    let data_bytes = data.len();
    push_length(data_bytes, data);
    let header_bytes = data.len() - data_bytes;
    data.rotate_right(header_bytes);
    data.extend_from_slice(b"\r\n");
    header_bytes
}

fn push_length(bytes: usize, out: &mut Vec<u8>) {
    write!(out, "{bytes:x}\r\n").expect("writing to a vector does not fail");
}
