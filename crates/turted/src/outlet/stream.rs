//! The way out over a socket: frames are written as they come, and what the socket does not take
//! waits in a bounded backlog.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use tokio::time::timeout;
use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};

use super::{Outbox, Sent, Waiting};
use crate::frame::Frame;
use crate::metrics::{Carrier, WorkerMetrics};
use crate::socket::{LINGER, Socket};

/// Frames handed to the kernel in one call; Linux takes 1,024, more than 64 gain nothing.
const WRITE_FRAMES_MAX: usize = 64;

/// What of a frame goes onto a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it: a WebSocket.
    WebSocket,
    /// All of it: a response in chunks (HTTP/1.1).
    Chunked,
    /// The message alone: a response that lasts until the connection ends (HTTP/1.0).
    Plain,
}

impl Form {
    pub(super) fn carrier(self) -> Carrier {
        match self {
            Self::WebSocket => Carrier::WebSocket,
            Self::Chunked | Self::Plain => Carrier::Streaming,
        }
    }

    /// What of a frame goes out.
    pub(crate) fn bytes(self, frame: &Frame) -> &[u8] {
        match self {
            Self::WebSocket | Self::Chunked => frame.bytes(),
            Self::Plain => frame.data(),
        }
    }

    /// The last bytes on a socket, given those that the protocol wants; `None` if there are none.
    pub(crate) fn end(self, farewell: Option<Vec<u8>>) -> Option<Vec<u8>> {
        match self {
            Self::WebSocket => farewell,
            Self::Chunked => {
                let mut end = Vec::new();
                encode_chunk(&farewell.unwrap_or_default(), &mut end);
                end.extend_from_slice(LAST_CHUNK);
                Some(end)
            }
            // Nothing ends the response but the end of the connection.
            Self::Plain => Some(farewell.unwrap_or_default()),
        }
    }
}

/// A socket and what it did not take yet. Below TLS up to
/// [`UNSENT_BYTES_MAX`](crate::tls::UNSENT_BYTES_MAX) more may wait as ciphertext.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: Rc<Socket>,
    form: Form,
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug)]
struct Backlog {
    form: Form,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Bytes of the first frame that are sent already.
    sent: usize,
}

impl Stream {
    pub(crate) fn new(socket: Rc<Socket>, form: Form) -> Self {
        Self { socket, form, backlog: None }
    }

    /// What of a frame goes onto the socket.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Whether frames wait for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.backlog.is_some()
    }

    /// Writes last bytes when there is room for them, behind the rest of a frame that is half sent, and
    /// finishes the socket. Who does not take them within a [`LINGER`] does not hear them.
    pub(crate) fn say_last(&self, farewell: Vec<u8>) -> impl Future<Output = ()> + use<> {
        let (socket, form) = (Rc::clone(&self.socket), self.form);
        let backlog = self.backlog.as_ref().filter(|backlog| backlog.sent > 0);
        let half_sent = backlog.and_then(|backlog| Some((backlog.frames.front()?.clone(), backlog.sent)));
        async move {
            let said = async {
                if let Some((frame, sent)) = &half_sent {
                    socket.write_all(&form.bytes(frame)[*sent..]).await?;
                }
                socket.write_all(&farewell).await
            };
            match timeout(LINGER, said).await {
                Ok(Ok(())) => socket.finish(),
                // The kernel's buffer would stay alive until the last byte is sent.
                _ => socket.reset(),
            }
        }
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        self.backlog.as_ref().map_or(Waiting::default(), |backlog| backlog.waiting())
    }

    pub(crate) fn send(&mut self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        if let Some(backlog) = &mut self.backlog {
            return backlog.add(frames, outbox);
        }
        self.write(frames, None, outbox)
    }

    /// Goes on sending frames, after so many bytes of the first one were written.
    pub(super) fn wrote(&mut self, frames: &[Frame], written: usize, outbox: Outbox<'_>) -> Sent {
        self.write(frames, Some(written), outbox)
    }

    fn write(&mut self, frames: &[Frame], first: Option<usize>, outbox: Outbox<'_>) -> Sent {
        let (done, sent) = match write_frames(self, frames, first, outbox.metrics) {
            Ok(written) => written,
            Err(_) => return Sent::Gone,
        };
        if done == frames.len() && !self.socket.has_unsent() {
            return Sent::Yes;
        }
        // Without frames it stands for ciphertext that the kernel did not take.
        let mut backlog = Box::new(Backlog::new(self.form, sent));
        let added = backlog.add(&frames[done..], outbox);
        outbox.metrics.outbox_bytes.subtract(sent);
        self.backlog = Some(backlog);
        match added {
            // A worker that is behind hands over much in one go. A client that had nothing waiting is
            // not to blame for that: it is judged when more comes, or when it takes nothing.
            Sent::Yes | Sent::Full => Sent::Blocked,
            other => other,
        }
    }

    /// Writes what waits. `Yes`: nothing waits any more; `Blocked`: the socket is full again.
    pub(crate) fn flush(&mut self, metrics: &WorkerMetrics) -> Sent {
        let Some(backlog) = &mut self.backlog else { return Sent::Yes };
        match backlog.write(&self.socket, metrics) {
            Ok(true) => {
                self.backlog = None;
                Sent::Yes
            }
            Ok(false) => Sent::Blocked,
            Err(_) => Sent::Gone,
        }
    }
}

impl Backlog {
    fn new(form: Form, sent: usize) -> Self {
        Self { form, frames: VecDeque::new(), bytes: 0, sent }
    }

    fn waiting(&self) -> Waiting {
        Waiting { frames: self.frames.len(), bytes: self.bytes - self.sent }
    }

    fn add(&mut self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        let bytes: usize = frames.iter().map(|frame| self.form.bytes(frame).len()).sum();
        outbox.metrics.outbox_bytes.add(bytes);
        self.bytes += bytes;
        self.frames.extend(frames.iter().cloned());
        let full = outbox.is_exceeded_by(self.waiting());
        if full { Sent::Full } else { Sent::Yes }
    }

    fn write(&mut self, socket: &Socket, metrics: &WorkerMetrics) -> io::Result<bool> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
            let mut skip = self.sent;
            let count = self.frames.len().min(WRITE_FRAMES_MAX);
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                *slice = IoSlice::new(&self.form.bytes(frame)[skip..]);
                skip = 0;
            }
            match socket.try_write_vectored(&slices[..count]) {
                Ok(written) => {
                    metrics.wrote(written);
                    metrics.outbox_bytes.subtract(written);
                    self.forget(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match socket.try_flush() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn forget(&mut self, written: usize) {
        self.sent += written;
        while let Some(first) = self.frames.front()
            && self.sent >= self.form.bytes(first).len()
        {
            let bytes = self.form.bytes(first).len();
            self.sent -= bytes;
            self.bytes -= bytes;
            self.frames.pop_front();
        }
    }
}

/// Writes frames until all are written or the socket is full: how many are written whole, and how
/// many bytes of the next one. `first` is how much of the first frame the socket took, if it was written already.
fn write_frames(
    stream: &Stream,
    frames: &[Frame],
    mut first: Option<usize>,
    metrics: &WorkerMetrics,
) -> io::Result<(usize, usize)> {
    let mut done = 0;
    while done < frames.len() {
        let frames_max = if first.is_some() { 1 } else { WRITE_FRAMES_MAX };
        let batch = &frames[done..frames.len().min(done + frames_max)];
        let mut written = match first.take().map_or_else(|| write_batch(stream, batch), Ok) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((done, 0)),
            Err(error) => return Err(error),
        };
        metrics.wrote(written);
        for frame in batch {
            let bytes = stream.form.bytes(frame).len();
            if written < bytes {
                return Ok((done, written));
            }
            written -= bytes;
            done += 1;
        }
    }
    Ok((done, 0))
}

fn write_batch(Stream { socket, form, .. }: &Stream, frames: &[Frame]) -> io::Result<usize> {
    if let [frame] = frames {
        return socket.try_write(form.bytes(frame));
    }
    let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
    for (slice, frame) in slices.iter_mut().zip(frames) {
        *slice = IoSlice::new(form.bytes(frame));
    }
    socket.try_write_vectored(&slices[..frames.len()])
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::task::{spawn_blocking, yield_now};
    use tokio::time::sleep;

    use super::*;
    use crate::shared::Permits;

    /// A stream whose socket takes nothing more, how many bytes it took, and its client.
    async fn full() -> (Stream, usize, std::net::TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = Rc::new(Socket::new(stream, Permits::new(1).take().unwrap()));
        let mut taken = 0;
        // The kernel moves bytes to the client meanwhile: it is full when it stays so.
        for _ in 0..100 {
            while let Ok(written) = socket.try_write(&[b'x'; 4096]) {
                taken += written;
            }
            yield_now().await;
        }
        (Stream::new(socket, Form::WebSocket), taken, client)
    }

    #[tokio::test]
    async fn a_last_word_waits_for_a_socket_that_is_full() {
        let (stream, taken, mut client) = full().await;
        let read = async {
            sleep(Duration::from_millis(50)).await;
            let mut all = Vec::new();
            spawn_blocking(move || client.read_to_end(&mut all).map(|_| all)).await.unwrap().unwrap()
        };
        let ((), all) = tokio::join!(stream.say_last(b"last".to_vec()), read);
        assert_eq!((all.len(), &all[all.len() - 4..]), (taken + 4, &b"last"[..]));
    }

    #[tokio::test]
    async fn who_never_reads_is_not_waited_for() {
        let (stream, taken, mut client) = full().await;
        let said = stream.say_last(b"last".to_vec());
        // As a connection does that ends.
        drop(stream);
        said.await;
        let mut all = Vec::new();
        let end = spawn_blocking(move || client.read_to_end(&mut all)).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "not {taken} bytes and an end");
    }
}
