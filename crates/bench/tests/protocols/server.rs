//! A small server that speaks Centrifugo, Action Cable or Mercure strictly: what a client says wrongly is noted
//! and not answered. It can also fail in the ways that servers fail.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::dialect::{Dialect, Update};

/// How the server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It refuses subscriptions.
    Refuses,
    /// It closes a connection instead of sending it its second event.
    Closes,
    /// It never answers a subscription.
    IsSilent,
    /// It never answers a push.
    IsDeaf,
    /// It answers a push with 500.
    Breaks,
    /// It has nothing of what a client missed.
    Forgets,
    /// It sends a client that is back what the client had already.
    Repeats,
}

/// A running server. It ends with the test's process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

/// What its threads share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dialect: Dialect,
    pub(crate) fault: Fault,
    subscribers: Mutex<Vec<Subscriber>>,
    history: Mutex<Vec<Update>>,
    notes: Mutex<Vec<String>>,
    noted: Condvar,
}

#[derive(Debug)]
struct Subscriber {
    channel: String,
    stream: TcpStream,
    received: usize,
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: HashMap<String, String>,
}

impl Server {
    pub(crate) fn start(dialect: Dialect, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            dialect,
            fault,
            subscribers: Mutex::default(),
            history: Mutex::default(),
            notes: Mutex::default(),
            noted: Condvar::new(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(&stream));
            }
        });
        Self { address, state }
    }

    /// Waits until this note was made: what a client said last may still be on its way.
    pub(crate) fn wait_for(&self, note: &str) {
        let notes = self.state.notes.lock().unwrap();
        let is_missing = |notes: &mut Vec<String>| !notes.iter().any(|made| made == note);
        let wait = Duration::from_secs(60);
        let (_notes, waited) = self.state.noted.wait_timeout_while(notes, wait, is_missing).unwrap();
        assert!(!waited.timed_out(), "no {note}");
    }

    /// What clients and backends said that was worth a note.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.state.notes.lock().unwrap().clone()
    }
}

impl State {
    pub(crate) fn note(&self, note: impl Into<String>) {
        self.notes.lock().unwrap().push(note.into());
        self.noted.notify_all();
    }

    pub(crate) fn subscribe(&self, channel: &str, stream: &TcpStream) {
        let stream = stream.try_clone().unwrap();
        self.subscribers.lock().unwrap().push(Subscriber {
            channel: channel.to_owned(),
            stream,
            received: 0,
        });
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(head) = head(&mut reader) {
            if head.method == "GET" {
                return self.dialect.client(self, &head, reader);
            }
            let length = head.fields["content-length"].parse().unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            match self.fault {
                Fault::IsDeaf => continue,
                Fault::Breaks => answer(stream, "500 Internal Server Error", "out of order"),
                _ => match self.dialect.push(&head, &String::from_utf8(body).unwrap()) {
                    Ok(update) => {
                        answer(stream, "201 Created", "{}");
                        self.publish(update);
                    }
                    Err(wrong) => {
                        self.note(format!("push: {wrong}"));
                        answer(stream, "400 Bad Request", &wrong);
                    }
                },
            }
        }
    }

    /// What was published in a channel behind a position.
    pub(crate) fn missed(&self, channel: &str, position: usize) -> Vec<Update> {
        let position = match self.fault {
            Fault::Forgets => return vec![],
            Fault::Repeats => 0,
            _ => position,
        };
        let history = self.history.lock().unwrap();
        history
            .iter()
            .filter(|update| update.channel == channel && update.position > position)
            .cloned()
            .collect()
    }

    fn publish(&self, mut update: Update) {
        let mut history = self.history.lock().unwrap();
        update.position = history.len() + 1;
        history.push(update.clone());
        let bytes = self.dialect.event(&update);
        for subscriber in self.subscribers.lock().unwrap().iter_mut() {
            if subscriber.channel != update.channel {
                continue;
            }
            subscriber.received += 1;
            if self.fault == Fault::Closes && subscriber.received == 2 {
                subscriber.stream.shutdown(std::net::Shutdown::Both).ok();
            } else {
                subscriber.stream.write_all(&bytes).ok();
            }
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<Head> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut fields = HashMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Some(Head { method, target, fields })
}

pub(crate) fn answer(mut stream: &TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").ok();
}

/// The value of a JSON text; anything that is none is `null`.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
