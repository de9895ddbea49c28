//! One client of turted.v1 over its connections.

use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use hyper::Uri;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::operator::{EXIT_REFUSED, EXIT_UNREACHED};
use super::super::output::{Printed, complain, print_on};
use super::super::records::Style;
use super::super::shown::plain;
use super::super::watch::{Ended, Pause, Reach};
use super::command;
use super::event::{Event, Message};
use super::websocket::{NotOpen, Told, WebSocket};
use crate::config::Secret;

/// Events, and bytes of them, that wait for a command. Beyond that the server waits, and cuts the client off in the end.
const QUEUE_EVENTS_MAX: usize = 1_000;
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a server may be late with a ping.
const PING_GRACE: Duration = Duration::from_secs(20);
/// How long the greeting may take.
const WELCOME_WAIT: Duration = Duration::from_secs(30);

/// The ids of requests.
const RESUME: &str = "0";
const IDENT: &str = "1";

/// Who the client is, and what is done with its events.
pub(super) struct Plan {
    pub(super) url: Uri,
    pub(super) authority: String,
    pub(super) tls: Option<TlsConnector>,
    pub(super) user: Option<String>,
    pub(super) secret: Option<Secret>,
    pub(super) channels: Vec<String>,
    pub(super) exec: Vec<String>,
}

/// The client.
pub(super) struct Session {
    plan: Plan,
    style: Style,
    /// How many events are still to come, if it ends then.
    left: Option<u64>,
    /// Whether the server has greeted it before.
    is_known: bool,
    reach: Reach,
    pause: Pause,
    /// By which it comes back: the session, and the last position.
    place: Option<(String, String)>,
    /// The same of the connection that is open, if it begins anew.
    greeted: Option<(String, String)>,
    silence_max: Duration,
    queue: VecDeque<Event>,
    queue_bytes: usize,
    running: Option<JoinHandle<io::Result<ExitStatus>>>,
    /// How many commands have failed.
    failed: u64,
}

/// Why one connection is over.
enum Over {
    /// It is to be tried again.
    Gone(String),
    Ended(Ended),
}

impl<T: Into<super::super::exchange::Failure>> From<T> for Over {
    fn from(failure: T) -> Self {
        Self::Gone(failure.into().to_string())
    }
}

fn refused(reason: &str) -> Over {
    Over::Ended(Ended::Failed(format!("refused: {}", plain(reason)), EXIT_REFUSED))
}

impl Session {
    pub(super) fn new(plan: Plan, style: Style, left: Option<u64>, reach: Reach) -> Self {
        Self {
            plan,
            style,
            left,
            is_known: false,
            reach,
            pause: Pause::default(),
            place: None,
            greeted: None,
            silence_max: WELCOME_WAIT,
            queue: VecDeque::new(),
            queue_bytes: 0,
            running: None,
            failed: 0,
        }
    }

    /// Receives until it ends.
    pub(super) async fn run(mut self) -> Ended {
        loop {
            let over = match self.open().await {
                Ok(mut socket) => {
                    let over = self.receive(&mut socket).await;
                    if let Over::Ended(_) = over {
                        socket.close().await;
                    }
                    over
                }
                Err(over) => over,
            };
            match over {
                Over::Ended(ended) => return self.end(ended).await,
                Over::Gone(reason) if !self.is_known => {
                    let reason = format!("no answer from {}: {reason}", self.plan.url);
                    return Ended::Failed(reason, EXIT_UNREACHED);
                }
                Over::Gone(reason) => complain(format_args!("{}; trying again", plain(&reason))),
            }
            self.reach.set(false);
            self.pause.wait().await;
        }
    }

    /// Ends, once the commands for all events that it has received were run. One that failed makes a failure of the whole.
    async fn end(mut self, ended: Ended) -> Ended {
        while self.running.is_some() && self.left != Some(0) {
            let done = ran(&mut self.running).await;
            if let Some(failure @ Ended::Failed(..)) = self.finish(done) {
                return failure;
            }
        }
        match (ended, self.failed) {
            (ended, 0) | (ended @ Ended::Failed(..), _) => ended,
            (_, failed) => {
                Ended::Failed(format!("{}: {failed} times with a failure", self.plan.exec[0]), EXIT_REFUSED)
            }
        }
    }

    async fn open(&self) -> Result<WebSocket, Over> {
        let Plan { url, authority, tls, .. } = &self.plan;
        WebSocket::open((url, authority), tls.as_ref()).await.map_err(|not_open| match not_open {
            NotOpen::Failed(failure) => Over::from(failure),
            NotOpen::Refused { status, reason } => {
                let reason = format!("the server answered {status}: {}", plain(&reason));
                // A server that starts or stops may be right again.
                match self.is_known && status >= 500 {
                    true => Over::Gone(reason),
                    false => Over::Ended(Ended::Failed(reason, EXIT_REFUSED)),
                }
            }
        })
    }

    /// Receives over one connection.
    async fn receive(&mut self, socket: &mut WebSocket) -> Over {
        self.silence_max = WELCOME_WAIT;
        loop {
            let has_room = self.queue.len() < QUEUE_EVENTS_MAX && self.queue_bytes < QUEUE_BYTES_MAX;
            let silence_max = self.silence_max;
            let told = tokio::select! {
                told = timeout(silence_max, socket.told()), if has_room => told,
                done = ran(&mut self.running) => {
                    match self.finish(done) {
                        Some(ended) => return Over::Ended(ended),
                        None => continue,
                    }
                }
            };
            let heard = match told {
                Ok(Ok(told)) => self.hear(socket, told).await,
                Ok(Err(failure)) => Err(Over::from(failure)),
                Err(_) => Err(Over::Gone("the server is silent".to_owned())),
            };
            if let Err(over) = heard {
                return over;
            }
        }
    }

    async fn hear(&mut self, socket: &mut WebSocket, told: Told) -> Result<(), Over> {
        let text = match told {
            Told::Text(text) => text,
            Told::Ping(payload) => return Ok(socket.pong(&payload).await?),
            Told::Closed(code, reason) => {
                let reason = format!("the server closed the connection: {} {reason}", code.unwrap_or(1005));
                let is_final = matches!(code, Some(1002..=1003 | 1007..=1010 | 4000..=4099));
                return Err(match is_final {
                    true => Over::Ended(Ended::Failed(plain(&reason), EXIT_REFUSED)),
                    false => Over::Gone(reason),
                });
            }
        };
        let Ok(message) = serde_json::from_str::<Message<'_>>(&text) else { return Ok(()) };
        if let Some(welcome) = message.welcome {
            (self.is_known, self.pause) = (true, Pause::default());
            self.reach.set(true);
            self.silence_max = Duration::from_millis(welcome.ping_interval_ms) + PING_GRACE;
            self.greeted = welcome.cursor.map(|cursor| (welcome.session, cursor));
            return match self.place.take() {
                Some((session, cursor)) => {
                    let resume = json!({"id": 0, "do": "resume", "session": session, "cursor": cursor});
                    // Until the answer has come it is still this one.
                    self.place = Some((session, cursor));
                    Ok(socket.say(&resume.to_string()).await?)
                }
                None => {
                    self.place = self.greeted.take();
                    self.begin(socket).await
                }
            };
        }
        if let Some(reply) = message.reply.map(|reply| reply.get().to_owned()) {
            return self.answered(socket, &reply, message).await;
        }
        if let Some(error) = message.error {
            return Err(refused(&error.reason));
        }
        match message.event(&text) {
            Some(event) => self.received(event),
            None => Ok(()),
        }
    }

    /// Says who it is, and joins.
    async fn begin(&mut self, socket: &mut WebSocket) -> Result<(), Over> {
        let Plan { user, secret, channels, .. } = &self.plan;
        if user.is_some() || secret.is_some() {
            let mut data = serde_json::Map::new();
            if let Some(user) = user {
                data.insert("username".to_owned(), Value::from(user.as_str()));
            }
            if let Some(secret) = secret {
                // Which of them counts is up to the server (auth.method).
                data.insert("token".to_owned(), Value::from(secret.reveal()));
                data.insert("password".to_owned(), Value::from(secret.reveal()));
            }
            socket.say(&json!({"id": 1, "do": "ident", "data": data}).to_string()).await?;
        }
        for (number, channel) in channels.iter().enumerate() {
            socket.say(&json!({"id": number + 2, "do": "join", "channel": channel}).to_string()).await?;
        }
        Ok(())
    }

    async fn answered(
        &mut self,
        socket: &mut WebSocket,
        reply: &str,
        message: Message<'_>,
    ) -> Result<(), Over> {
        match (message.ok, message.error) {
            (true, _) => {
                if let (RESUME, Some(session), Some(place)) = (reply, message.session, &mut self.place) {
                    place.0 = session;
                }
                Ok(())
            }
            (false, Some(error)) if reply == RESUME => {
                complain(format_args!("events may be missing: {}", plain(&error.reason)));
                self.place = self.greeted.take();
                self.begin(socket).await
            }
            (false, Some(error)) => {
                let is_later = error.code == "ident-unavailable" || error.code == "too-many-wrong-idents";
                match self.is_known && is_later && reply == IDENT {
                    true => Err(Over::Gone(error.reason)),
                    false => Err(refused(&error.reason)),
                }
            }
            (false, None) => Ok(()),
        }
    }

    fn received(&mut self, event: Event) -> Result<(), Over> {
        if let Some((_, cursor)) = self.place.as_mut().filter(|_| !event.cursor.is_empty()) {
            cursor.clone_from(&event.cursor);
        }
        if self.plan.exec.is_empty() {
            match print_on(&event.line(self.style)) {
                Printed::Whole => {}
                Printed::Closed => return Err(Over::Ended(Ended::Done)),
                Printed::Failed(error) => {
                    let reason = format!("cannot write to standard output: {error}");
                    return Err(Over::Ended(Ended::Failed(reason, EXIT_REFUSED)));
                }
            }
            return self.count().map_or(Ok(()), |ended| Err(Over::Ended(ended)));
        }
        self.queue_bytes += event.payload.len();
        self.queue.push_back(event);
        self.run_next();
        Ok(())
    }

    /// Runs the command for the first event that waits, if none runs.
    fn run_next(&mut self) {
        if self.running.is_none()
            && let Some(event) = self.queue.pop_front()
        {
            self.queue_bytes -= event.payload.len();
            self.running = Some(command::run(&self.plan.exec, &event));
        }
    }

    /// A command has ended.
    fn finish(&mut self, done: io::Result<ExitStatus>) -> Option<Ended> {
        self.running = None;
        match done {
            Ok(status) if status.success() => {}
            Ok(status) => {
                self.failed += 1;
                complain(format_args!("{}: {status}", self.plan.exec[0]));
            }
            Err(error) => {
                return Some(Ended::Failed(format!("{}: {error}", self.plan.exec[0]), EXIT_REFUSED));
            }
        }
        let ended = self.count();
        if ended.is_none() {
            self.run_next();
        }
        ended
    }

    fn count(&mut self) -> Option<Ended> {
        let left = self.left.as_mut()?;
        *left -= 1;
        (*left == 0).then_some(Ended::Done)
    }
}

/// Waits for the command that runs; for ever if none does.
async fn ran(running: &mut Option<JoinHandle<io::Result<ExitStatus>>>) -> io::Result<ExitStatus> {
    match running {
        Some(running) => running.await.unwrap_or_else(|error| Err(io::Error::other(error))),
        None => std::future::pending().await,
    }
}
