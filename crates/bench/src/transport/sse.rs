//! A client of event streams (HTML, "Server-sent events"), as far as a benchmark needs one: the
//! body of the response, in chunks or not, cut into events.

use super::Broken;

/// What ends an event. Servers may also end lines with CR, but the servers that are measured do not.
const END: &[u8] = b"\n\n";
/// The sign of life that turted sends to clients of turted for PHP.
const PING: &[u8] = b"event: ping\n";
/// Bytes of the longest line before a chunk: its size, and room for extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// The body of one response.
#[derive(Debug, Default)]
pub(super) struct Stream {
    is_chunked: bool,
    /// Whether something that ends like an event has arrived. From then on the server sends the client its
    /// events.
    is_ready: bool,
    /// The part of an event that came with earlier chunks.
    rest: Vec<u8>,
}

impl Stream {
    /// The head of the response has arrived.
    pub(super) fn open(&mut self, is_chunked: bool) {
        self.is_chunked = is_chunked;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// See [`super::Conversation::receive`].
    pub(super) fn receive(&mut self, input: &[u8], event: &mut dyn FnMut(&[u8])) -> Result<usize, Broken> {
        if !self.is_chunked {
            return Ok(self.events(input, event));
        }
        let mut used = 0;
        while let Some((data, bytes)) = chunk(&input[used..])? {
            if data.is_empty() {
                return Err(Broken::Closed);
            }
            used += bytes;
            self.take(data, event);
        }
        Ok(used)
    }

    fn take(&mut self, data: &[u8], event: &mut dyn FnMut(&[u8])) {
        if self.rest.is_empty() {
            let used = self.events(data, event);
            self.rest.extend_from_slice(&data[used..]);
            return;
        }
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(data);
        let used = self.events(&rest, event);
        rest.drain(..used);
        // An empty vector allocates no memory.
        self.rest = if rest.is_empty() { Vec::new() } else { rest };
    }

    /// Handles the complete events. Returns how many bytes they have.
    fn events(&mut self, data: &[u8], event: &mut dyn FnMut(&[u8])) -> usize {
        let mut used = 0;
        while let Some(end) = data[used..].windows(END.len()).position(|bytes| bytes == END) {
            let block = &data[used..used + end];
            used += end + END.len();
            self.is_ready = true;
            let has_data = block.starts_with(b"data:") || block.windows(6).any(|bytes| bytes == b"\ndata:");
            if has_data && !block.starts_with(PING) {
                event(block);
            }
        }
        used
    }
}

/// The first chunk of `input` and its length in bytes; `None` if it is not complete.
fn chunk(input: &[u8]) -> Result<Option<(&[u8], usize)>, Broken> {
    const MALFORMED: Broken = Broken::NotUnderstood("chunk");
    let Some(line) = input.windows(2).take(CHUNK_LINE_BYTES_MAX).position(|bytes| bytes == b"\r\n") else {
        return if input.len() > CHUNK_LINE_BYTES_MAX { Err(MALFORMED) } else { Ok(None) };
    };
    let size = str::from_utf8(&input[..line]).map_err(|_| MALFORMED)?;
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| MALFORMED)?;
    let start = line + 2;
    let end = start.checked_add(size).and_then(|end| end.checked_add(2)).ok_or(MALFORMED)?;
    let Some(data) = input.get(start..end) else { return Ok(None) };
    data.strip_suffix(b"\r\n").map(|data| Some((data, end))).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};

    fn receive(stream: &mut Stream, input: &[u8]) -> (Result<usize, Broken>, Vec<String>) {
        let mut events = Vec::new();
        let result = stream.receive(input, &mut |event| events.push(String::from_utf8_lossy(event).into()));
        (result, events)
    }

    fn chunked(parts: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        parts.iter().for_each(|part| encode_chunk(part.as_bytes(), &mut body));
        body
    }

    #[test]
    fn events_are_found_however_they_are_cut_into_chunks() {
        let text =
            "retry: 3000\nid: ff-1\n\nevent: BENCH\ndata: 1\n\n:\n\nevent: ping\ndata: {}\n\ndata: 2\n\n";
        for bytes in 1..=text.len() {
            let parts: Vec<_> =
                text.as_bytes().chunks(bytes).map(|part| str::from_utf8(part).unwrap()).collect();
            let body = chunked(&parts);
            let mut stream = Stream { is_chunked: true, ..Stream::default() };
            let (used, events) = receive(&mut stream, &body);
            assert_eq!(
                (used, events),
                (Ok(body.len()), vec!["event: BENCH\ndata: 1".into(), "data: 2".into()])
            );
            assert!(stream.rest.is_empty());
            assert!(stream.is_ready());
        }
    }

    #[test]
    fn a_chunk_counts_once_it_is_complete() {
        let body = chunked(&["data: 1\n\n"]);
        for cut in 0..body.len() {
            assert_eq!(chunk(&body[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(chunk(&body), Ok(Some((&b"data: 1\n\n"[..], body.len()))));
        assert_eq!(chunk(b"1;a=b\r\nx\r\n"), Ok(Some((&b"x"[..], 10))));
        for malformed in [&b"g\r\n"[..], b"\r\n", b"1\r\nxyz", b"ffffffffffffffff\r\n", &[b'0'; 300]] {
            assert_eq!(chunk(malformed), Err(Broken::NotUnderstood("chunk")), "{malformed:?}");
        }
    }

    #[test]
    fn the_last_chunk_ends_the_conversation() {
        let mut stream = Stream { is_chunked: true, ..Stream::default() };
        assert_eq!(receive(&mut stream, LAST_CHUNK).0, Err(Broken::Closed));
    }

    #[test]
    fn a_body_without_chunks_is_left_where_an_event_is_not_complete() {
        let mut stream = Stream::default();
        assert_eq!(receive(&mut stream, b":hi\n\ndata: 1\n\ndat"), (Ok(14), vec!["data: 1".into()]));
    }
}
