//! `turted push --lines`: each line of standard input is an event, whose payload is the line as a string.
//!
//! Lines go over one connection, those that are there together in one push. A push that was not answered is repeated with
//! the same `Idempotency-Key`, so nothing is dispatched twice by a server that remembers it; while no server answers, or
//! it answers 503, the input waits.

use std::fmt::Display;
use std::io::{self, Read, stdin};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::exchange::{Failure, Kept, ServerAnswer};
use super::output::complain;
use super::push::{EXIT_REFUSED, Push, detail};
use crate::io::lines::{Line, Lines};

/// Bytes of one line, as for a source of type `tail`.
const LINE_BYTES_MAX: usize = 100 * 1024;
/// Lines that are read ahead of the server: at most 10 MB.
const AHEAD_MAX: usize = 100;
/// Lines, and bytes of them, in one push: far below `limits.batch_dispatches` and `limits.push_body_bytes`.
const BATCH_LINES_MAX: usize = 100;
const BATCH_BYTES_MAX: usize = 128 * 1024;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// A push that is cut off so often while it is sent, and has more bytes than a server reads at once, may be too long.
const CUTS_MAX: u32 = 3;
const LONG_BYTES: usize = 16 * 1024;
/// The first and the longest wait for a server that does not take a push.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A line of the input, and its number.
struct Numbered {
    number: u64,
    line: Line,
}

pub(super) fn run(push: &Push<'_>, tls: Option<&TlsConnector>) -> Result<ExitCode, String> {
    let (sender, lines) = sync_channel(AHEAD_MAX);
    let reading = thread::Builder::new().name("turted-input".into()).spawn(move || {
        let mut number = 0;
        read(stdin().lock(), |line| {
            number += 1;
            sender.send(Numbered { number, line }).is_ok()
        })
    });
    let reading = reading.map_err(|error| format!("cannot start a thread: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    let mut pushing =
        Pushing { push, tls, key: random_key()?, pushed: 0, connection: None, is_refused: false };
    let ended = runtime.block_on(pushing.all(&lines));
    drop(lines);
    if let Err(refused) = ended {
        complain(refused);
        return Ok(ExitCode::from(EXIT_REFUSED));
    }
    match reading.join() {
        Ok(Err(error)) => Err(format!("cannot read standard input: {error}")),
        _ if pushing.is_refused => Ok(ExitCode::from(EXIT_REFUSED)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Reads lines until `take` wants no more. The last one needs no end.
fn read(mut from: impl Read, mut take: impl FnMut(Line) -> bool) -> io::Result<()> {
    let (mut lines, mut chunk) = (Lines::new(LINE_BYTES_MAX), vec![0; CHUNK_BYTES]);
    loop {
        let read = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            let (line, taken) = lines.take(rest);
            rest = &rest[taken..];
            if line.is_some_and(|line| !take(line)) {
                return Ok(());
            }
        }
        if read == 0 {
            lines.end().map(take);
            return Ok(());
        }
    }
}

fn random_key() -> Result<String, String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lines on their way to the server.
struct Pushing<'a> {
    push: &'a Push<'a>,
    tls: Option<&'a TlsConnector>,
    /// With what the keys of this input begin.
    key: String,
    pushed: u64,
    connection: Option<Kept>,
    is_refused: bool,
}

/// A line as a payload, and its number.
struct Payload {
    number: u64,
    text: Box<RawValue>,
}

impl Pushing<'_> {
    /// Pushes all lines.
    ///
    /// # Errors
    /// The server refuses whatever is pushed.
    async fn all(&mut self, lines: &Receiver<Numbered>) -> Result<(), String> {
        // Waiting for a line blocks this thread, which has nothing else to do: a connection that ends meanwhile is
        // noticed by the next push.
        while let Ok(first) = lines.recv() {
            let batch = self.gather(first, lines);
            self.batch(&batch).await?;
        }
        Ok(())
    }

    /// Takes the lines that are there.
    fn gather(&mut self, first: Numbered, lines: &Receiver<Numbered>) -> Vec<Payload> {
        let (mut batch, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(Numbered { number, line }) = next.take() {
            match payload(&line) {
                Ok(text) => {
                    bytes += text.get().len();
                    batch.push(Payload { number, text });
                }
                Err(why) => self.leave_out(number, why),
            }
            if batch.len() < BATCH_LINES_MAX && bytes < BATCH_BYTES_MAX {
                next = lines.try_recv().ok();
            }
        }
        batch
    }

    fn leave_out(&mut self, number: u64, why: impl Display) {
        complain(format_args!("line {number} is left out: {why}"));
        self.is_refused = true;
    }

    /// Pushes some lines. If they are refused together, each by itself, to find the one that is to blame.
    async fn batch(&mut self, batch: &[Payload]) -> Result<(), String> {
        if batch.is_empty() {
            return Ok(());
        }
        let refused = match self.until_answered(batch).await? {
            Some(answer) if answer.status == StatusCode::OK => return Ok(()),
            Some(answer) => {
                let refused = format!("refused, {}: {}", answer.status, detail(&answer));
                if !is_about_the_body(answer.status) {
                    return Err(refused);
                }
                refused
            }
            None => "the server closes the connection instead of reading it (limits.push_body_bytes)".into(),
        };
        if let [line] = batch {
            self.leave_out(line.number, refused);
            return Ok(());
        }
        for line in batch {
            Box::pin(self.batch(std::slice::from_ref(line))).await?;
        }
        Ok(())
    }

    /// Pushes some lines until a server takes or refuses them for good. `None`: it was cut off again and again, and is so
    /// long that its length may be the reason. A server that has answered and closes may reset the connection before the
    /// answer is read.
    async fn until_answered(&mut self, batch: &[Payload]) -> Result<Option<ServerAnswer>, String> {
        let body = self.push.body(batch.iter().map(|line| &*line.text))?;
        let key = format!("{}-{}", self.key, self.pushed);
        self.pushed += 1;
        let (mut wait, mut is_told, mut cuts) = (WAIT_MIN, false, 0);
        loop {
            let (why, after) = match self.ask(self.push.request(body.clone(), Some(&key))?).await {
                Ok(answer) if is_for_later(answer.status) => {
                    (format!("{}: {}", answer.status, detail(&answer)), answer.retry_after)
                }
                Ok(answer) => {
                    if is_told {
                        complain("the server answers again");
                    }
                    return Ok(Some(answer));
                }
                Err(failure) => {
                    cuts = if failure.is::<NotConnected>() { 0 } else { cuts + 1 };
                    if cuts == CUTS_MAX && body.len() > LONG_BYTES {
                        return Ok(None);
                    }
                    (format!("no answer from {}: {failure}", self.push.url()), None)
                }
            };
            if !std::mem::replace(&mut is_told, true) {
                complain(format_args!("{why}; waiting"));
            }
            sleep(after.unwrap_or(wait).min(WAIT_MAX)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<ServerAnswer, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Kept::open(self.push.url(), self.tls).await.map_err(NotConnected)?,
        };
        let answer = connection.ask(request).await?;
        if !answer.is_last {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// There is no connection, so nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotConnected(Failure);

fn payload(line: &Line) -> Result<Box<RawValue>, String> {
    let Line::Whole(line) = line else { return Err(format!("it has more than {LINE_BYTES_MAX} bytes")) };
    let text = std::str::from_utf8(line).map_err(|_| "it is no text in UTF-8".to_owned())?;
    Ok(to_raw_value(text).expect("a text can be written as JSON"))
}

/// Whether another body may be accepted.
fn is_about_the_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE)
}

/// Whether the same push may be accepted later: there is no room, it is under way, or a proxy reaches no server.
fn is_for_later(status: StatusCode) -> bool {
    use StatusCode as Status;
    matches!(
        status,
        Status::SERVICE_UNAVAILABLE | Status::CONFLICT | Status::BAD_GATEWAY | Status::GATEWAY_TIMEOUT
    )
}
