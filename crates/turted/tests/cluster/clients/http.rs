//! Requests over connections of their own that wait for nothing else: thousands of clients share a thread.

use std::io::{Error, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// The head has not come yet.
    Head,
    Bytes(usize),
    Chunks,
    /// All of it is here.
    Over,
}

/// A request that was sent, and what has come of its answer.
pub(super) struct Exchange {
    stream: TcpStream,
    buffer: Vec<u8>,
    rest: Rest,
    status: u16,
    body: Vec<u8>,
}

impl Exchange {
    /// Sends a request. `headers` are whole lines.
    pub(super) async fn begin(address: SocketAddr, line: &str, headers: &str, body: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        Ok(Self { stream, buffer: Vec::new(), rest: Rest::Head, status: 0, body: Vec::new() })
    }

    /// The status of the answer. It is cancel safe.
    pub(super) async fn status(&mut self) -> Result<u16> {
        while matches!(self.rest, Rest::Head) && !self.take_head()? {
            self.fill().await?;
        }
        Ok(self.status)
    }

    /// The whole body of an answer with status 200 or 204. It is cancel safe.
    pub(super) async fn text(&mut self) -> Result<String> {
        let status = self.status().await?;
        while self.more().await? {}
        let text = String::from_utf8_lossy(&self.body).into_owned();
        if matches!(status, 200 | 204) { Ok(text) } else { Err(Error::other(format!("{status}: {text}"))) }
    }

    /// The next line of the body, without its end; `None` at the end of the body. It is cancel safe.
    pub(super) async fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.body.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.body.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Takes more of the body; whether there was any. It is cancel safe.
    async fn more(&mut self) -> Result<bool> {
        self.status().await?;
        loop {
            match self.rest {
                Rest::Head | Rest::Over | Rest::Bytes(0) => return Ok(false),
                Rest::Bytes(left) if !self.buffer.is_empty() => {
                    let taken = left.min(self.buffer.len());
                    self.body.extend(self.buffer.drain(..taken));
                    self.rest = Rest::Bytes(left - taken);
                    return Ok(true);
                }
                Rest::Bytes(_) => self.fill().await?,
                Rest::Chunks => {
                    if self.take_chunk()? {
                        return Ok(!matches!(self.rest, Rest::Over));
                    }
                    self.fill().await?;
                }
            }
        }
    }

    /// Takes the head, if all of it is here.
    fn take_head(&mut self) -> Result<bool> {
        let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(false);
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        self.status = status.ok_or_else(|| Error::other(format!("no status: {head}")))?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        self.rest = match length {
            Some(length) => Rest::Bytes(length.parse().map_err(Error::other)?),
            None if head.contains("\r\ntransfer-encoding: chunked\r\n") => Rest::Chunks,
            None => Rest::Bytes(0),
        };
        Ok(true)
    }

    /// Takes a chunk, if all of it is here.
    fn take_chunk(&mut self) -> Result<bool> {
        let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else { return Ok(false) };
        let digits = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
        let length = usize::from_str_radix(&digits, 16).map_err(Error::other)?;
        let end = at + 2 + length + 2;
        if self.buffer.len() < end {
            return Ok(false);
        }
        self.body.extend_from_slice(&self.buffer[at + 2..end - 2]);
        self.buffer.drain(..end);
        if length == 0 {
            self.rest = Rest::Over;
        }
        Ok(true)
    }

    async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::other("the end")),
            _ => Ok(()),
        }
    }
}
