//! A session of Socket.IO that begins by polling, on one connection that is kept, until a WebSocket takes over.
//!
//! As socket.io-client does it: the handshake, the packet that connects, a poll that is answered, and one that waits while
//! the WebSocket is opened. Browsers may use a second connection for the packet.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::channel::Channel;
use super::client::ClientError;
use super::plan::Target;
use super::transport::{Broken, polling};

/// The connection that a poll waits on.
#[derive(Debug)]
pub(crate) struct Polling {
    stream: Channel,
    /// What has arrived of an answer.
    buffer: Vec<u8>,
}

impl Polling {
    /// Opens a session with this request. Returns the name of the session too.
    ///
    /// # Errors
    /// The connection breaks, or the server refuses.
    pub(crate) async fn open(
        stream: Channel,
        handshake: &[u8],
        (target, path): (&Target, &str),
    ) -> Result<(Self, String), ClientError> {
        let mut own = Self { stream, buffer: Vec::new() };
        let session = polling::session(&own.ask(handshake).await?)?;
        let poll = polling::poll_request(&target.authority, path, &session);
        own.ask(&polling::packet_request(&target.authority, path, &session, "40")).await?;
        let connected = own.ask(&poll).await?;
        if !connected.starts_with(b"40") {
            return Err(Broken::Refused(String::from_utf8_lossy(&connected).into_owned()).into());
        }
        own.stream.write_all(&poll).await?;
        own.stream.flush().await?;
        Ok((own, session))
    }

    /// Waits until the poll is answered, which the server does when a WebSocket wants to take over.
    ///
    /// # Errors
    /// The connection breaks, or the server refuses.
    pub(crate) async fn end(&mut self) -> Result<(), ClientError> {
        self.answer().await.map(drop)
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Some((body, bytes)) = polling::answer(&self.buffer)? {
                let body = body.to_vec();
                self.buffer.drain(..bytes);
                return Ok(body);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Broken::Closed.into());
            }
        }
    }
}
