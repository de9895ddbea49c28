//! A client of turted.v1 that loses its connection and comes back to any node, with its session and the position of what
//! it has received, as `docs/protocol-v1.md` says.

use std::io::{Error, Result};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{interval, sleep, timeout};
use turted_core::cursor::Cursor;

use super::Target;
use super::journal::{Journal, Step};
use super::wire::Wire;
use crate::harness::Directory;
use crate::support::Random;

/// A node that does not answer for so long is given up.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// A node that has no answer to a `resume` closes the connection after 10 s.
const RESUME: Duration = Duration::from_secs(13);
/// Each time the client asks for a sign of life; by the next time it must have come.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);
/// Milliseconds until it tries again, at least and at most.
const RETRY_MS: [usize; 2] = [50, 400];

pub(crate) struct Client {
    pub(crate) directory: Arc<Directory>,
    pub(crate) journal: Arc<Mutex<Journal>>,
    /// Ends its connection.
    pub(crate) cut: Arc<Notify>,
    pub(crate) random: Random,
    session: Option<Session>,
}

struct Session {
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
        seed: u64,
    ) -> Self {
        Self { directory, journal, cut, random: Random::new(seed), session: None }
    }

    /// Connects, again and again.
    pub(crate) async fn live(mut self) {
        loop {
            let open = self.directory.open();
            if !open.is_empty() {
                let place = open[self.random.below(open.len())];
                let why = self.visit(place).await.err().map_or_else(String::new, |error| error.to_string());
                self.note(Step::Lost { why });
            }
            let [least, most] = RETRY_MS;
            sleep(Duration::from_millis((least + self.random.below(most - least)) as u64)).await;
        }
    }

    fn note(&self, step: Step) {
        self.journal.lock().unwrap().add(step);
    }

    /// One connection, to its end.
    async fn visit(&mut self, place: usize) -> Result<()> {
        let address = self.directory.address(place).ok_or_else(|| Error::other("the node is gone"))?;
        let mut wire = timeout(HANDSHAKE, Wire::connect(address)).await??;
        let welcome = timeout(RESUME, wire.message()).await??["welcome"].take();
        match self.session.take() {
            None => self.begin(&welcome),
            Some(session) => {
                let request =
                    json!({"id": "r", "do": "resume", "session": session.id, "cursor": session.cursor});
                self.session = Some(session);
                wire.send(&request).await?;
                let reply = timeout(RESUME, resumed(&mut wire)).await??;
                self.resumed(&reply, &welcome, place)?;
            }
        }
        if !self.session.as_ref().is_some_and(|session| session.is_in) {
            self.introduce(&mut wire).await?;
        }
        self.journal.lock().unwrap().is_in = true;
        self.listen(&mut wire).await
    }

    /// It is nobody and has received nothing.
    fn begin(&mut self, welcome: &Value) {
        let (id, cursor) = (welcome["session"].clone(), welcome["cursor"].clone());
        self.session = Some(Session { id, cursor, is_in: false });
    }

    fn resumed(&mut self, reply: &Value, welcome: &Value, place: usize) -> Result<()> {
        if reply["ok"] == true {
            if let Some(session) = &mut self.session {
                session.id = reply["session"].clone();
            }
            self.note(Step::Recovered { at: Instant::now(), place });
            return Ok(());
        }
        let code = reply["error"]["code"].as_str().unwrap_or_default().to_owned();
        if code != "gap" && code != "session-unknown" {
            return Err(Error::other(format!("resume: {code}")));
        }
        let before = self.session.as_ref().and_then(|session| position(&session.cursor));
        self.note(Step::Gap { at: Instant::now(), before, code });
        self.begin(welcome);
        Ok(())
    }

    /// Says who it is and joins its channels.
    async fn introduce(&mut self, wire: &mut Wire) -> Result<()> {
        let member = self.journal.lock().unwrap().member;
        let user = Target::User(member.user).to_string();
        wire.send(&json!({"id": "i", "do": "ident", "data": {"username": user}})).await?;
        let channels = member.channels.map(|channel| Target::Channel(channel).to_string());
        wire.send(&json!({"id": "j", "do": "join", "channels": channels})).await?;
        let reply = timeout(RESUME, self.until_joined(wire)).await??;
        if reply["ok"] != true {
            return Err(Error::other(reply.to_string()));
        }
        if let Some(session) = &mut self.session {
            session.is_in = true;
        }
        self.note(Step::In { at: Instant::now() });
        Ok(())
    }

    /// The reply to the JOIN.
    async fn until_joined(&mut self, wire: &mut Wire) -> Result<Value> {
        loop {
            let message = wire.message().await?;
            self.hear(&message);
            if message["reply"] == "j" {
                return Ok(message);
            }
        }
    }

    /// Takes what comes until the connection ends. A node that stands still is left.
    async fn listen(&mut self, wire: &mut Wire) -> Result<()> {
        let cut = Arc::clone(&self.cut);
        let mut signs = interval(SIGN_OF_LIFE);
        let mut is_awaited = false;
        loop {
            // All three may be cancelled.
            tokio::select! {
                message = wire.message() => {
                    let message = message?;
                    is_awaited &= message["reply"] != "p";
                    self.hear(&message);
                }
                () = cut.notified() => return Err(Error::other("cut")),
                _ = signs.tick() => {
                    if std::mem::replace(&mut is_awaited, true) {
                        return Err(Error::other("the node stands still"));
                    }
                    wire.send(&json!({"id": "p", "do": "ping"})).await?;
                }
            }
        }
    }

    fn hear(&mut self, message: &Value) {
        let Some(session) = &mut self.session else { return };
        if message.get("cursor").is_some() {
            session.cursor = message["cursor"].clone();
        }
        if message.get("event").is_some() {
            let number = message["payload"]["n"].as_u64().expect("a number in every payload");
            let (via, position) = (Target::parse(&message["via"]), position(&message["cursor"]));
            self.note(Step::Event { number, via, position });
        }
    }
}

/// The reply to `resume`. Events before it come again.
async fn resumed(wire: &mut Wire) -> Result<Value> {
    loop {
        let message = wire.message().await?;
        if message["reply"] == "r" {
            return Ok(message);
        }
    }
}

fn position(cursor: &Value) -> Option<Cursor> {
    cursor.as_str()?.parse().ok()
}
