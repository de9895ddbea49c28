//! The way out over a socket: frames are written as they come, and what the socket does not take
//! waits in a bounded backlog (`backlog`).

mod backlog;

use std::io::{self, IoSlice};
use std::rc::{Rc, Weak};

use tokio::time::{Instant, sleep, timeout};
use turted_core::close::Close;
use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};

use self::backlog::Backlog;
use super::ledger::{Flushed, Ledger, Sent, Waiting};
use super::missed::Missed;
use super::waitlist::Waitlist;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::{Carrier, WorkerMetrics};
use crate::io::socket::{LINGER, Socket};
use crate::io::tasks::Tasks;

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
            // Only the end of the connection ends the response.
            Self::Plain => Some(farewell.unwrap_or_default()),
        }
    }
}

/// A socket and what it did not take yet. Below TLS up to 32 KiB more may wait as ciphertext
/// (`UNSENT_BYTES_MAX` of `io/tls/session`).
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: Rc<Socket>,
    form: Form,
    backlog: Option<Box<Backlog>>,
}

impl Stream {
    pub(crate) fn new(socket: Rc<Socket>, form: Form) -> Self {
        Self { socket, form, backlog: None }
    }

    /// Goes on with what has waited for another outlet. The caller has to flush it.
    pub(crate) fn going_on(socket: Rc<Socket>, form: Form, waiting: Waitlist) -> Self {
        let backlog = (!waiting.is_empty()).then(|| Box::new(Backlog { form, waiting, sent: 0 }));
        Self { socket, form, backlog }
    }

    /// What of a frame goes onto the socket.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Whether frames wait for the socket.
    pub(crate) fn is_blocked(&self) -> bool {
        self.backlog.is_some()
    }

    /// Since when something has waited; `None` if nothing waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.backlog.as_ref()?.waiting.since()
    }

    /// Sends the last bytes if they can arrive, and makes the task that reads the socket see the end.
    pub(crate) fn end(mut self, tasks: &Tasks, farewell: Option<Vec<u8>>, close: Close) {
        let last = if close == Close::TransportLost { None } else { self.form.end(farewell) };
        if last.is_some() && close != Close::Drain {
            tasks.spawn(cut_off(Rc::downgrade(&self.socket)));
        }
        match last {
            // A slow client may still learn why its connection ends.
            Some(last) if self.is_blocked() && close == Close::SlowReader => tasks.spawn(self.say_last(last)),
            // A client that does not read would keep the kernel's buffer alive until the last byte is sent.
            _ if self.is_blocked() => self.socket.reset(),
            Some(mut last) => {
                let written = self.socket.try_write(&last).unwrap_or(0);
                last.drain(..written);
                if last.is_empty() && !self.socket.has_unsent() {
                    return self.socket.finish();
                }
                // Nothing waits, but what was written last has filled the socket; or it is broken.
                tasks.spawn(self.say_last(last));
            }
            None => self.socket.shutdown(),
        }
    }

    /// Writes last bytes when there is room for them, behind the rest of a frame that is half sent, and
    /// finishes the socket. If the client does not take them within a [`LINGER`], the socket is reset.
    fn say_last(&mut self, farewell: Vec<u8>) -> impl Future<Output = ()> + use<> {
        let (socket, form) = (Rc::clone(&self.socket), self.form);
        let backlog = self.backlog.as_mut().filter(|backlog| backlog.sent > 0);
        let half_sent = backlog.and_then(|backlog| Some((backlog.waiting.pop()?, backlog.sent)));
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

    /// Gives up the socket and all that waits for it.
    pub(crate) fn give_up(&mut self) {
        self.socket.reset();
        self.backlog = None;
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        self.backlog.as_ref().map_or(Waiting::default(), |backlog| backlog.waiting.waiting())
    }

    /// Bytes of the first frame that waits which are sent already.
    pub(crate) fn under_way(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.sent)
    }

    pub(crate) fn send(&mut self, frames: &[Frame], ledger: &Rc<Ledger>) -> Sent {
        match &mut self.backlog {
            Some(backlog) => backlog.put(|waiting| waiting.add(frames)),
            None => self.write(frames, None, ledger),
        }
    }

    /// Sends a frame of the server's own, behind all other frames. The limits of the client are not looked at
    /// for it.
    pub(crate) fn send_own(&mut self, frame: &Frame, ledger: &Rc<Ledger>) -> Sent {
        match &mut self.backlog {
            Some(backlog) => backlog.put(|waiting| {
                waiting.push(frame);
                Sent::Yes
            }),
            None => self.write(std::slice::from_ref(frame), None, ledger),
        }
    }

    /// Sends a frame of the server's own: before all that waits, but behind a frame that is half sent.
    pub(crate) fn send_ahead(&mut self, frame: &Frame, ledger: &Rc<Ledger>) -> Sent {
        match &mut self.backlog {
            Some(backlog) => {
                let under_way = usize::from(backlog.sent > 0);
                backlog.put(|waiting| {
                    waiting.push_ahead(frame, under_way);
                    Sent::Yes
                })
            }
            None => self.write(std::slice::from_ref(frame), None, ledger),
        }
    }

    /// Sends what the client missed, as it takes it.
    pub(crate) fn replay(&mut self, missed: Missed, ledger: &Rc<Ledger>) -> Sent {
        if let Some(backlog) = &mut self.backlog {
            return backlog.put(|waiting| {
                waiting.miss(missed);
                Sent::Yes
            });
        }
        let mut backlog = Box::new(Backlog::new(self.form, ledger));
        backlog.waiting.miss(missed);
        self.backlog = Some(backlog);
        self.flush(ledger).sent
    }

    /// Goes on sending frames, after `written` bytes of the first one were written.
    pub(super) fn wrote(&mut self, frames: &[Frame], written: usize, ledger: &Rc<Ledger>) -> Sent {
        self.write(frames, Some(written), ledger)
    }

    fn write(&mut self, frames: &[Frame], first: Option<usize>, ledger: &Rc<Ledger>) -> Sent {
        let (done, sent) = match write_frames(self, frames, first, &ledger.metrics) {
            Ok(written) => written,
            Err(_) => return Sent::Gone,
        };
        if done == frames.len() && !self.socket.has_unsent() {
            return Sent::Yes;
        }
        // A backlog without frames stands for ciphertext that the kernel did not take.
        let mut backlog = Box::new(Backlog { sent, ..Backlog::new(self.form, ledger) });
        // A worker that is behind hands over much in one go. A client that had nothing waiting is
        // not to blame for that: it is judged when more comes, or when it takes nothing.
        backlog.waiting.add(&frames[done..]);
        self.backlog = Some(backlog);
        Sent::Blocked
    }

    /// Writes what waits. `Yes`: nothing waits any more; `Blocked`: the socket is full again, or other clients
    /// are to have a turn.
    pub(crate) fn flush(&mut self, ledger: &Ledger) -> Flushed {
        let Some(backlog) = &mut self.backlog else { return Flushed { sent: Sent::Yes, bytes: 0 } };
        let mut bytes = 0;
        let sent = match backlog.write(&self.socket, &ledger.metrics, &mut bytes) {
            Ok(true) => {
                self.backlog = None;
                Sent::Yes
            }
            Ok(false) => Sent::Blocked,
            Err(_) => Sent::Gone,
        };
        Flushed { sent, bytes }
    }
}

/// Ends a socket whose client had time to answer the last bytes: otherwise the task that reads it would wait
/// for a client that never answers. When the server stops, no task waits so long.
async fn cut_off(socket: Weak<Socket>) {
    sleep(LINGER).await;
    if let Some(socket) = socket.upgrade() {
        socket.shutdown();
    }
}

/// Writes frames until all are written or the socket is full. Returns how many are written whole, and how many
/// bytes of the next one. `first` is how much of the first frame the socket took, if it was written already.
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
    use crate::io::permits::Permits;

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
    async fn the_first_frame_behind_ciphertext_alone_begins_to_wait() {
        let (mut stream, _, _client) = full().await;
        let ledger = Ledger::of(100, 10);
        stream.backlog = Some(Box::new(Backlog::new(Form::WebSocket, &ledger)));
        assert!(stream.is_blocked());
        assert!(stream.since().is_none());
        assert_eq!(stream.send(&[Frame::text("a", 1)], &ledger), Sent::Kept, "relief has to know");
        assert_eq!(stream.send(&[Frame::text("b", 2)], &ledger), Sent::Yes);
    }

    #[tokio::test]
    async fn a_last_word_waits_for_a_socket_that_is_full() {
        let (mut stream, taken, mut client) = full().await;
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
        let (mut stream, taken, mut client) = full().await;
        let said = stream.say_last(b"last".to_vec());
        // As a connection that ends does.
        drop(stream);
        said.await;
        let mut all = Vec::new();
        let end = spawn_blocking(move || client.read_to_end(&mut all)).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "not {taken} bytes and an end");
    }
}
