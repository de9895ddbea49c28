//! A client that loses its connection and comes back to any node, with what it got of its session and the position of what it
//! has received.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;
use turted_core::cursor::Cursor;

use super::journal::{Journal, Step};
use super::way::{Balancer, Way};
use super::{Member, Target, socketio, sse, v1};
use crate::harness::Directory;
use crate::support::Random;

/// A node that does not answer for so long is given up.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(3);
/// A node that has no answer to a client that comes back closes the connection after 10 s.
pub(super) const RESUME: Duration = Duration::from_secs(13);
/// Each time the client asks for a sign of life; by the next time it must have come.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(4);
/// Milliseconds until it tries again, at least and at most.
const RETRY_MS: [usize; 2] = [50, 400];

pub(crate) struct Client {
    pub(super) directory: Arc<Directory>,
    journal: Arc<Mutex<Journal>>,
    /// Ends its connection.
    pub(super) cut: Arc<Notify>,
    random: Random,
    pub(super) way: Way,
    session: Option<Session>,
}

struct Session {
    /// By which it comes back, if its way needs more than a position.
    id: Value,
    cursor: Value,
    /// Whether it was told that it is its user and in its channels.
    is_in: bool,
}

impl Client {
    pub(crate) fn new(
        directory: Arc<Directory>,
        journal: Arc<Mutex<Journal>>,
        cut: Arc<Notify>,
        (seed, way): (u64, Way),
    ) -> Self {
        Self { directory, journal, cut, random: Random::new(seed), way, session: None }
    }

    /// Connects, again and again.
    pub(crate) async fn live(mut self) {
        loop {
            let open = self.directory.open();
            if !open.is_empty() {
                let place = open[self.random.below(open.len())];
                let visit = match self.way {
                    Way::WebSocket | Way::SockJs => v1::visit(&mut self, place).await,
                    Way::Polling => socketio::visit(&mut self, place).await,
                    Way::Stream => sse::visit(&mut self, place).await,
                };
                let why = visit.err().map_or_else(String::new, |error| error.to_string());
                self.note(Step::Lost { why });
            }
            let [least, most] = RETRY_MS;
            sleep(Duration::from_millis((least + self.random.below(most - least)) as u64)).await;
        }
    }

    pub(super) fn balancer(&mut self) -> Balancer {
        Balancer::new(&self.directory, &mut self.random)
    }

    pub(super) fn member(&self) -> Member {
        self.journal.lock().unwrap().member
    }

    pub(super) fn note(&self, step: Step) {
        self.journal.lock().unwrap().add(step);
    }

    /// What it shows when it comes back: its session and its position.
    pub(super) fn shown(&self) -> Option<(&Value, &Value)> {
        self.session.as_ref().map(|session| (&session.id, &session.cursor))
    }

    /// It is nobody and has received nothing.
    pub(super) fn begin(&mut self, id: Value, cursor: Value) {
        self.session = Some(Session { id, cursor, is_in: false });
    }

    /// It was told by this code that something may be missing, and begins anew.
    pub(super) fn lose(&mut self, id: Value, cursor: Value, code: &str) {
        let before = self.session.as_ref().and_then(|session| position(&session.cursor));
        self.note(Step::Gap { at: Instant::now(), before, code: code.to_owned() });
        self.begin(id, cursor);
    }

    /// Its session has this id from now on.
    pub(super) fn rename(&mut self, id: Value) {
        if let Some(session) = &mut self.session {
            session.id = id;
        }
    }

    /// Whether it was told that it is its user and in its channels.
    pub(super) fn is_in(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_in)
    }

    /// It is there, its user and in its channels.
    pub(super) fn enter(&mut self) {
        if let Some(session) = &mut self.session {
            session.is_in = true;
        }
        self.journal.lock().unwrap().is_in = true;
    }

    /// It has received all up to this position.
    pub(super) fn pass(&mut self, cursor: Value) {
        if let Some(session) = &mut self.session {
            session.cursor = cursor;
        }
    }

    /// Takes an event, which has this position.
    pub(super) fn hear(&mut self, event: &Value, cursor: &Value) {
        if !cursor.is_null() {
            self.pass(cursor.clone());
        }
        let number = event["payload"]["n"].as_u64().expect("a number in every payload");
        self.note(Step::Event { number, via: Target::parse(&event["via"]), position: position(cursor) });
    }
}

fn position(cursor: &Value) -> Option<Cursor> {
    cursor.as_str()?.parse().ok()
}
