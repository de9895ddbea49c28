//! A byte channel of which something was read already: what was read comes first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A channel, and what was read of it.
#[derive(Debug)]
pub(crate) struct Rewound<C> {
    channel: C,
    /// Empty once it was read again.
    read: Bytes,
}

impl<C> Rewound<C> {
    pub(crate) fn new(channel: C, read: Bytes) -> Self {
        Self { channel, read }
    }

    /// The channel itself, and what was not read again.
    pub(crate) fn into_parts(self) -> (C, Bytes) {
        (self.channel, self.read)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Rewound<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.channel).poll_read(context, buffer);
        }
        let bytes = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..bytes]);
        self.read.advance(bytes);
        if self.read.is_empty() {
            // Or its memory would stay as long as the connection.
            self.read = Bytes::new();
        }
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_and_its_memory_goes() {
        let (near, mut far) = duplex(100);
        far.write_all(b"new").await.unwrap();
        let mut rewound = Rewound::new(near, Bytes::from(b"read".to_vec()));
        let mut bytes = [0; 3];
        rewound.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, rewound.read.len()), (b"rea", 1));
        rewound.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, rewound.read.len()), (b"dne", 0));
        rewound.write_all(b"x").await.unwrap();
        assert_eq!((far.read_u8().await.unwrap(), rewound.into_parts().1.len()), (b'x', 0));
    }
}
