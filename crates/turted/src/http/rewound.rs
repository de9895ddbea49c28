//! A byte channel of which something was read already: that comes first, then what the channel has.
//!
//! While nobody parses requests, nothing but this is kept of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turted_core::limits::UNPARSED_BYTES_MAX;

/// A channel, and what was read of it before its reader asks.
#[derive(Debug)]
pub(crate) struct Rewound<C> {
    channel: C,
    /// Bytes of their own, in as little room as can be: most connections have none.
    unread: Box<[u8]>,
}

impl<C> Rewound<C> {
    /// A channel of which this was read already.
    pub(super) fn new(channel: C, unread: Vec<u8>) -> Self {
        Self { channel, unread: unread.into() }
    }

    /// Gives back bytes that a reader took and did not use: they come before all others.
    pub(super) fn rewind(&mut self, taken: &[u8]) {
        if !taken.is_empty() {
            self.unread = [taken, &self.unread].concat().into();
        }
    }

    /// The channel, and what is unread of it.
    pub(super) fn into_parts(self) -> (C, Bytes) {
        (self.channel, self.unread.into())
    }
}

impl<C: AsyncRead + Unpin> Rewound<C> {
    /// Waits until something is unread. `scratch` is what a read goes into. Nothing more is read, so a client cannot
    /// make the server keep more than [`UNPARSED_BYTES_MAX`]. Cancel safe.
    ///
    /// # Errors
    /// The peer has ended the connection, or its side of it.
    pub(super) fn poll_unread(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let room = scratch.len().min(UNPARSED_BYTES_MAX);
        let mut read = ReadBuf::new(&mut scratch[..room]);
        std::task::ready!(Pin::new(&mut self.channel).poll_read(context, &mut read))?;
        if read.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.unread = read.filled().into();
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Rewound<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.channel).poll_read(context, buffer);
        }
        let (taken, rest) = self.unread.split_at(self.unread.len().min(buffer.remaining()));
        buffer.put_slice(taken);
        self.unread = rest.into();
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Rewound<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.channel.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_and_in_its_order() {
        let (near, mut far) = duplex(1_000);
        far.write_all(b"GET").await.unwrap();
        let mut channel = Rewound::new(near, Vec::new());
        let mut scratch = [0; 64];
        poll_fn(|context| channel.poll_unread(context, &mut scratch)).await.unwrap();
        channel.rewind(b"before ");
        far.write_all(b" /").await.unwrap();
        let (mut first, mut rest) = ([0; 4], [0; 10]);
        channel.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"befo");
        channel.rewind(b"fo");
        channel.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"fore GET /");
    }

    #[tokio::test]
    async fn no_more_is_read_ahead_than_may_be_kept() {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(&vec![b'x'; UNPARSED_BYTES_MAX * 2]).await.unwrap();
        let (mut channel, mut scratch) = (Rewound::new(near, Vec::new()), vec![0; 1 << 20]);
        for _ in 0..3 {
            poll_fn(|context| channel.poll_unread(context, &mut scratch)).await.unwrap();
            assert_eq!(channel.unread.len(), UNPARSED_BYTES_MAX);
        }
    }

    #[tokio::test]
    async fn the_end_of_a_peer_shows_once_all_is_read() {
        let (near, mut far) = duplex(1_000);
        far.write_all(b"x").await.unwrap();
        drop(far);
        let (mut channel, mut scratch) = (Rewound::new(near, Vec::new()), [0; 64]);
        poll_fn(|context| channel.poll_unread(context, &mut scratch)).await.unwrap();
        assert_eq!(channel.read_u8().await.unwrap(), b'x');
        let ended = poll_fn(|context| channel.poll_unread(context, &mut scratch)).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
