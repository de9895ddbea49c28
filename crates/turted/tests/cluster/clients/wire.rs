//! A WebSocket that waits for nothing else: thousands of them share a thread.

use std::io::{Error, Result};
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::frame;
use crate::support::websocket::decode;

const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) struct WebSocket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl WebSocket {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, buffer: Vec::new() };
        wire.stream.write_all(REQUEST).await?;
        let head = loop {
            if let Some(end) = wire.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break wire.buffer.drain(..end + 4).collect::<Vec<_>>();
            }
            wire.fill().await?;
        };
        let status = String::from_utf8_lossy(&head[..12.min(head.len())]).into_owned();
        if status == "HTTP/1.1 101" { Ok(wire) } else { Err(Error::other(status)) }
    }

    pub(crate) async fn send(&mut self, message: &Value) -> Result<()> {
        self.stream.write_all(&frame(0x81, message.to_string().as_bytes())).await
    }

    /// The next message. The error is the end, with the code of the close frame if one came. It is cancel safe.
    pub(crate) async fn message(&mut self) -> Result<Value> {
        loop {
            let Some((frame, bytes)) = decode(&self.buffer) else {
                self.fill().await?;
                continue;
            };
            self.buffer.drain(..bytes);
            match frame.opcode {
                1 => return Ok(serde_json::from_slice(&frame.payload).expect("a server sends JSON")),
                8 => return Err(Error::other(format!("closed with {:?}", code(&frame.payload)))),
                // What is lost of a pong is that of a connection which is given up.
                9 => self.stream.write_all(&crate::support::frame(0x8A, &frame.payload)).await?,
                _ => {}
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::other("the end")),
            _ => Ok(()),
        }
    }
}

fn code(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|code| u16::from_be_bytes(*code))
}
