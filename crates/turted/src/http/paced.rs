//! A byte channel below HTTP that keeps a peer from taking too much time. A peer that stops taking what
//! is written ends the connection. A peer that never stops sending is read with pauses, in which other
//! connections have their turn.
//!
//! hyper alone would wait for the first one without an end and read the second one without a pause. A
//! channel that leaves HTTP is not paced, because outlets watch their readers themselves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use turted_core::limits::{PROGRESS_BYTES, READ_TURN_BYTES};

use crate::http::Patience;
use crate::http::fragment::FirstLine;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// A channel with a watch over its writes and a pause in its reads. An idle one costs 32 bytes.
#[derive(Debug)]
pub(crate) struct Paced<C> {
    channel: C,
    /// Runs while bytes wait for the peer to take them.
    stall: Option<Pin<Box<Sleep>>>,
    /// How long the peer may take without progress, in milliseconds.
    stall_millis: u32,
    /// Bytes taken since `stall` runs.
    taken: u32,
    /// Bytes read since the channel last had nothing to read.
    read: u32,
    is_stalled: bool,
    /// Set where the targets of requests are looked at.
    line: Option<FirstLine>,
    /// Is told that bytes have come, and whether all is written.
    patience: Option<Patience>,
}

impl<C> Paced<C> {
    /// `stall` is how long the peer may take for [`PROGRESS_BYTES`], or for all there is.
    pub(crate) fn new(channel: C, stall: Duration) -> Self {
        let stall_millis = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
        Self {
            channel,
            stall: None,
            stall_millis,
            taken: 0,
            read: 0,
            is_stalled: false,
            line: None,
            patience: None,
        }
    }

    /// The same for requests of HTTP/1: a `#` in a target is refused, and `patience` is told when bytes come.
    pub(crate) fn for_requests(channel: C, stall: Duration, patience: Patience) -> Self {
        Self { line: Some(FirstLine::Begin), patience: Some(patience), ..Self::new(channel, stall) }
    }

    /// Whether writes failed because the peer took too little.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// The channel itself.
    pub(crate) fn into_inner(self) -> C {
        self.channel
    }

    fn stall_wait(&self) -> Duration {
        Duration::from_millis(self.stall_millis.into())
    }

    /// Notes what came of a write of `offered` bytes.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(patience) = &self.patience {
            patience.flushed(false);
        }
        match written {
            Poll::Ready(Ok(taken)) => {
                // What is read from now on is the next request.
                self.line = self.line.map(|_| FirstLine::Begin);
                self.took(taken, offered);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return self.wait(context).map(Err),
        }
        written
    }

    /// The same for a flush, which takes all there is or waits.
    fn flushed(&mut self, context: &mut Context<'_>, flushed: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if let Some(patience) = &self.patience {
            patience.flushed(flushed.is_ready());
        }
        match flushed {
            Poll::Ready(_) => self.stall = None,
            Poll::Pending => return self.wait(context).map(Err),
        }
        flushed
    }

    fn took(&mut self, taken: usize, offered: usize) {
        let wait = self.stall_wait();
        let Some(stall) = &mut self.stall else { return };
        self.taken = self.taken.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        if taken == offered {
            self.stall = None;
        } else if self.taken as usize >= PROGRESS_BYTES {
            self.taken = 0;
            stall.as_mut().reset(Instant::now() + wait);
        }
    }

    /// Waits for the peer; an error if it has taken too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let wait = self.stall_wait();
        if self.stall.is_none() {
            self.taken = 0;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(wait)));
        if !self.is_stalled {
            std::task::ready!(stall.as_mut().poll(context));
            self.is_stalled = true;
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))
    }
}

/// Ends a connection whose channel [was stalled](Paced::is_stalled), or was not.
pub(super) async fn end(worker: &Worker, socket: Socket, is_stalled: bool) {
    if is_stalled {
        // A client that does not read would not read the end either. A reset frees what the kernel holds for it.
        worker.metrics.unread_answers.add(1);
        socket.reset();
    } else {
        socket.linger().await;
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Paced<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read as usize >= READ_TURN_BYTES {
            self.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.channel).poll_read(context, buffer);
        if let Some(line) = &mut self.line {
            line.read(&mut buffer.filled_mut()[before..]);
        }
        let more = u32::try_from(buffer.filled().len() - before).unwrap_or(u32::MAX);
        if more > 0
            && let Some(patience) = &self.patience
        {
            patience.read();
        }
        self.read = if read.is_pending() { 0 } else { self.read.saturating_add(more) };
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Paced<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.channel).poll_write(context, bytes);
        self.written(context, bytes.len(), written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = buffers.iter().map(|buffer| buffer.len()).sum();
        let written = Pin::new(&mut self.channel).poll_write_vectored(context, buffers);
        self.written(context, offered, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.channel.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.channel).poll_flush(context);
        self.flushed(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.channel).poll_shutdown(context);
        self.flushed(context, shut_down)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const STALL: Duration = Duration::from_secs(10);

    #[test]
    fn an_idle_channel_costs_32_bytes() {
        assert!(size_of::<Paced<u64>>() - size_of::<u64>() <= 32);
        assert!(Paced::new((), STALL).stall.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_the_writes() {
        let (near, _far) = duplex(1_000);
        let mut paced = Paced::new(near, STALL);
        paced.write_all(&[0; 1_000]).await.unwrap();
        assert!(paced.stall.is_none(), "all was taken");
        assert!(!paced.is_stalled(), "all was taken");
        let refused = paced.write_all(b"x").await.unwrap_err();
        assert_eq!((refused.kind(), paced.is_stalled()), (io::ErrorKind::TimedOut, true));
        assert_eq!(paced.write(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut, "from then on");
    }

    /// Takes so many bytes in each half of the time there is.
    async fn take_by_halves(mut far: tokio::io::DuplexStream, bytes: usize) {
        let mut buffer = vec![0; bytes];
        for _ in 0..6 {
            sleep(STALL / 2).await;
            far.read_exact(&mut buffer).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_16_kib_within_the_time() {
        for (bytes, is_enough) in [(PROGRESS_BYTES, true), (1, false)] {
            let (near, far) = duplex(1_000);
            let mut paced = Paced::new(near, STALL);
            let endless = vec![0; 1_000_000];
            tokio::select! {
                ended = paced.write_all(&endless) => {
                    assert!(ended.is_err(), "{bytes} bytes");
                    assert!(!is_enough, "{bytes} bytes");
                }
                () = take_by_halves(far, bytes) => assert!(is_enough, "{bytes} bytes"),
            }
            assert_eq!(paced.is_stalled(), !is_enough);
        }
    }
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_stops_sending_gives_way_every_64_kib() {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(&vec![0; READ_TURN_BYTES * 2]).await.unwrap();
        let mut paced = Paced::new(near, STALL);
        let mut storage = vec![0; READ_TURN_BYTES];
        let mut poll = async || {
            poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut storage);
                let polled = Pin::new(&mut paced).poll_read(context, &mut buffer);
                Poll::Ready(polled.map(|_| buffer.filled().len()))
            })
            .await
        };
        assert_eq!(poll().await, Poll::Ready(READ_TURN_BYTES));
        assert_eq!(poll().await, Poll::Pending, "other tasks have their turn");
        assert_eq!(poll().await, Poll::Ready(READ_TURN_BYTES), "it goes on without a sign from the peer");
    }
}
