//! The side of a client of a WebSocket (RFC 6455): the handshake, masked frames out, messages in.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use turted_core::wire::websocket::accept_key;

use super::super::exchange::{Channel, Failure, dial, in_time};

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a message, above any sensible payload.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a server may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open connection.
pub(super) struct WebSocket {
    channel: Box<dyn Channel>,
    /// What was read and is not understood yet.
    buffer: Vec<u8>,
    /// The beginning of a message whose end is still to come.
    message: Vec<u8>,
}

/// What comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Text(String),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// A code and a reason, if the server gives them.
    Closed(Option<u16>, String),
}

/// Why there is no connection.
pub(super) enum NotOpen {
    /// The server answered something else.
    Refused {
        status: u16,
        reason: String,
    },
    Failed(Failure),
}

impl<T: Into<Failure>> From<T> for NotOpen {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

impl WebSocket {
    /// Connects to the endpoint of `url`.
    pub(super) async fn open(
        (url, authority): (&Uri, &str),
        tls: Option<&TlsConnector>,
    ) -> Result<Self, NotOpen> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let key = STANDARD.encode(random);
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let path = if path == "/" { "/ws" } else { path };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: turted.v1\r\n\r\n"
        );
        let opening = async {
            let mut channel = dial(url, tls).await?;
            channel.write_all(request.as_bytes()).await?;
            channel.flush().await?;
            let (mut buffer, mut end) = (Vec::new(), None);
            while end.is_none() && buffer.len() <= HEAD_BYTES_MAX && channel.read_buf(&mut buffer).await? > 0
            {
                end = memchr::memmem::find(&buffer, b"\r\n\r\n");
            }
            let end = end.ok_or("it does not speak HTTP")?;
            let rest = buffer.split_off(end + 4);
            Ok::<_, Failure>((channel, String::from_utf8_lossy(&buffer).into_owned(), rest))
        };
        let (channel, head, rest) = in_time(opening).await?;
        let (status, is_accepted) = read_head(&head, &accept_key(&key)).ok_or("it does not speak HTTP")?;
        if status != 101 {
            let reason = String::from_utf8_lossy(&rest).trim().to_owned();
            return Err(NotOpen::Refused { status, reason });
        }
        if !is_accepted {
            return Err("it does not speak WebSocket".into());
        }
        Ok(Self { channel, buffer: rest, message: Vec::new() })
    }

    /// The next message. Cancel safe.
    pub(super) async fn told(&mut self) -> Result<Told, Failure> {
        loop {
            while let Some(frame) = Frame::take(&mut self.buffer)? {
                if let Some(told) = self.put(frame)? {
                    return Ok(told);
                }
            }
            if self.channel.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// Sends a message.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.send(TEXT, text.as_bytes()).await
    }

    /// Answers a ping.
    pub(super) async fn pong(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.send(PONG, payload).await
    }

    /// Says that the client goes, and waits a moment for the answer (RFC 6455 7.1.1).
    pub(super) async fn close(&mut self) {
        let closing = async {
            self.send(CLOSE, &1000_u16.to_be_bytes()).await?;
            while !matches!(self.told().await?, Told::Closed(..)) {}
            Ok::<_, Failure>(())
        };
        // The server may be gone already.
        let _ = timeout(CLOSE_WAIT, closing).await;
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Failure> {
        let mut mask = [0; 4];
        getrandom::fill(&mut mask)?;
        self.channel.write_all(&masked(opcode, payload, mask)).await?;
        self.channel.flush().await?;
        Ok(())
    }

    fn put(&mut self, Frame { is_last, opcode, payload }: Frame) -> Result<Option<Told>, Failure> {
        match opcode {
            PING => return Ok(Some(Told::Ping(payload))),
            CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default();
                return Ok(Some(Told::Closed(code, String::from_utf8_lossy(reason).into_owned())));
            }
            TEXT | CONTINUATION => {}
            _ => return Ok(None),
        }
        if self.message.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err("the server sent too large a message".into());
        }
        self.message.extend_from_slice(&payload);
        Ok(match is_last {
            true => Some(Told::Text(String::from_utf8(std::mem::take(&mut self.message))?)),
            false => None,
        })
    }
}

/// The status of an answer, and whether it accepts the key.
fn read_head(head: &str, accept: &str) -> Option<(u16, bool)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let is_accepted = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept);
    Some((status, is_accepted))
}

struct Frame {
    is_last: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off, if it is whole.
    fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, Failure> {
        let [first, second, ..] = **buffer else { return Ok(None) };
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err("the server broke the rules of WebSocket".into());
        }
        let behind = |bytes: usize| buffer.get(2..2 + bytes);
        let (header, length) = match second {
            126 => match behind(2).and_then(|length| length.first_chunk()) {
                Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match behind(8).and_then(|length| length.first_chunk()) {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            length => (2, u64::from(length)),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX);
        let length = length.ok_or("the server sent too large a message")?;
        if buffer.len() < header + length {
            return Ok(None);
        }
        let payload = buffer[header..header + length].to_vec();
        buffer.drain(..header + length);
        Ok(Some(Self { is_last: first & 0x80 != 0, opcode: first & 0x0f, payload }))
    }
}

/// A frame of a client, which is masked (RFC 6455 5.3).
fn masked(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        frame.push(0x80 | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(0x80 | 127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use turted_core::wire::websocket::{Opcode, encode_frame};

    use super::*;

    #[test]
    fn frames_of_the_server_are_read_whatever_comes_at_once() {
        for bytes in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; bytes];
            let frame = encode_frame(Opcode::Text, &payload);
            for cut in [0, 1, 2, 3, 9, frame.len() - 1] {
                let mut part = frame[..cut.min(frame.len() - 1)].to_vec();
                assert!(Frame::take(&mut part).unwrap().is_none(), "{cut} of {bytes}");
            }
            let mut two = [&*frame, b"\x89\x01p"].concat();
            let first = Frame::take(&mut two).unwrap().unwrap();
            assert_eq!((first.is_last, first.opcode, first.payload), (true, TEXT, payload));
            assert_eq!(Frame::take(&mut two).unwrap().unwrap().payload, b"p");
            assert!(two.is_empty());
        }
        for broken in [&b"\xc1\x00"[..], b"\x81\x80", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(Frame::take(&mut broken.to_vec()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        assert_eq!(
            masked(TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]),
            *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(masked(TEXT, &[0; 126], [0; 4])[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(masked(TEXT, &[0; 65_536], [0; 4])[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
