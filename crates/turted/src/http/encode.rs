//! An answer as the bytes that go out, where it is not hyper that writes it. They are the bytes that hyper would write.

use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Version;
use hyper::header::{CONNECTION, DATE};

use super::answer::Answer;
use super::head;

/// The time as answers say it, which is the same for all of a second.
#[derive(Debug, Default)]
pub(crate) struct Clock(RefCell<Second>);

#[derive(Debug, Default)]
struct Second {
    number: u64,
    text: String,
}

impl Clock {
    fn write(&self, head: &mut Vec<u8>) {
        let now = SystemTime::now();
        let number = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let second = &mut *self.0.borrow_mut();
        if second.number != number || second.text.is_empty() {
            *second = Second { number, text: httpdate::fmt_http_date(now) };
        }
        head.extend_from_slice(second.text.as_bytes());
    }
}

/// The head and the body of an answer to a request of HTTP/1.1 that wants to go on. `idle_seconds` is how long the
/// connection may be idle afterwards, as its client is told; 0 is not told. An answer that closes its connection says
/// so itself.
pub(crate) fn encode(mut answer: Answer, idle_seconds: u64, clock: &Clock) -> Vec<u8> {
    let mut bytes = head::begin(Version::HTTP_11, answer.status(), answer.headers());
    // Writing to memory does not fail.
    if idle_seconds > 0 && !answer.headers().contains_key(CONNECTION) {
        let _ = write!(bytes, "connection: keep-alive\r\nkeep-alive: timeout={idle_seconds}\r\n");
    }
    let _ = write!(bytes, "content-length: {}\r\n", answer.body().len());
    if !answer.headers().contains_key(DATE) {
        bytes.extend_from_slice(b"date: ");
        clock.write(&mut bytes);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    while let Some(part) = answer.body_mut().take_part() {
        bytes.extend_from_slice(&part);
    }
    bytes
}
