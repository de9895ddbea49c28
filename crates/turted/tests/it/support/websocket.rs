//! A WebSocket client by hand: it masks, and breaks every rule if told to.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::http::read_some;
use super::{Http, Response};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// The bytes of a frame of a client, masked; `first` is FIN, RSV and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl WebSocket {
    /// Asks for a WebSocket.
    ///
    /// # Errors
    /// The answer, if it is not 101.
    pub(crate) fn connect(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        Self::over(Http::connect(address), target, headers)
    }

    pub(crate) fn over(mut http: Http, target: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        let mut all = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        all.extend_from_slice(headers);
        http.send_request("GET", target, &all, b"");
        let head = http.read_head().expect("an answer");
        if head.status != 101 {
            return Err(head);
        }
        assert_eq!(head.header("sec-websocket-accept"), Some(ACCEPT));
        let (stream, buffer) = http.into_parts();
        Ok(Self { stream, buffer })
    }

    /// The connection, to read without decoding, and what was read of it already.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Sends bytes as they are; a server that has closed may not take them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(crate) fn send_text(&mut self, text: impl AsRef<[u8]>) {
        self.send(frame(0x81, text.as_ref()));
    }

    /// The next frame; `None` at the end.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, bytes)) = decode(&self.buffer) {
                self.buffer.drain(..bytes);
                return Some(frame);
            }
            if read_some(&mut self.stream, &mut self.buffer) == 0 {
                return None;
            }
        }
    }

    /// The next text, past everything else; `None` at the end.
    pub(crate) fn text(&mut self) -> Option<String> {
        loop {
            let frame = self.read()?;
            match frame.opcode {
                1 => return Some(String::from_utf8(frame.payload).unwrap()),
                8 => return None,
                _ => {}
            }
        }
    }

    /// Reads to the end: the code of the close frame, if one came. Nothing may come behind it.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        self.close_reason().map(|(code, _)| code)
    }

    /// The same, and the text behind the code.
    pub(crate) fn close_reason(&mut self) -> Option<(u16, String)> {
        let mut reason = None;
        while let Some(frame) = self.read() {
            assert_eq!(reason, None, "a frame behind the close frame: {frame:?}");
            if frame.opcode == 8 {
                let (code, text) = frame.payload.split_first_chunk()?;
                reason = Some((u16::from_be_bytes(*code), String::from_utf8(text.to_vec()).unwrap()));
            }
        }
        reason
    }
}

/// The frame of a server that `bytes` begin with, and its length there.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xF0, 0x80, "a server neither fragments nor uses extensions");
    assert!(second < 0x80, "a server does not mask");
    let (length, at) = match second {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).unwrap(), 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(at..at + length)?.to_vec();
    Some((Frame { opcode: first & 0x0F, payload }, at + length))
}
