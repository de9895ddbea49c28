//! Commands with a time limit, and what their errors mean.

use std::time::Duration;

use tokio::time::timeout;
use turted_core::limits::CLUSTER_ENTRY_BYTES_MAX;
use turted_core::wire::resp::{Bounds, Decoder, Reply};

use super::super::Failure;
use super::shared::Shared;
use crate::io::failure::Failure as Broken;
use crate::io::redis::{Connection, NoEntry, RedisServer, refused, silent, strange};

/// How long nothing may come of an answer: Redis answers within a millisecond, unless it is stopped or the way is cut. An
/// answer that comes over a slow network may take longer.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long an address may take to answer at all: less, because there may be another one to ask.
pub(super) const ENTER_WAIT: Duration = Duration::from_secs(2);
/// Bytes of one string that are kept.
pub(super) const STRING_BYTES_MAX: usize = CLUSTER_ENTRY_BYTES_MAX;
/// Values of one array that are kept: above the entries that are read at once.
const ARRAY_VALUES_MAX: usize = 4096;
/// Bytes of a reply after which nothing more of it is kept.
pub(super) const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

const BOUNDS: Bounds =
    Bounds { string_bytes: STRING_BYTES_MAX, array_values: ARRAY_VALUES_MAX, reply_bytes: REPLY_BYTES_MAX };

/// A connection to the engine. A future of it that is dropped leaves replies behind: the connection is given up then.
pub(super) struct Client {
    connection: Connection,
}

impl Client {
    /// Connects. `role` is for people who look at `CLIENT LIST`.
    pub(super) async fn enter(server: &RedisServer, role: &str) -> Result<Self, Failure> {
        let name = format!("turted-{role}");
        let entering = Connection::enter(server, &name, Decoder::bounded(BOUNDS));
        match timeout(ENTER_WAIT, entering).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(NoEntry::Lost(failure))) => Err(Failure::Lost(failure.0)),
            Ok(Err(NoEntry::Refused(failure))) => Err(Failure::Unusable(failure.0)),
            Err(_) => Err(Failure::Lost(format!("{} does not answer", server.broker))),
        }
    }

    /// Adds a command to what is sent next.
    pub(super) fn add<P: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) {
        self.connection.add(command);
    }

    /// Sends what was added, and returns so many replies. `patience` is how long the server may wait by itself.
    pub(super) async fn replies(&mut self, count: usize, patience: Duration) -> Result<Vec<Reply>, Failure> {
        self.send().await?;
        let wait = ANSWER_WAIT + patience;
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            replies.push(self.connection.reply_within(wait).await.map_err(lost)?);
        }
        Ok(replies)
    }

    /// Sends what was added.
    pub(super) async fn send(&mut self) -> Result<(), Failure> {
        let sent = timeout(ANSWER_WAIT, self.connection.send()).await;
        sent.unwrap_or_else(|_| Err(silent(ANSWER_WAIT))).map_err(lost)
    }

    /// Waits so long for the next reply. `None`: it is not complete yet.
    ///
    /// # Errors
    /// Nothing came of it.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost.
    pub(super) async fn reply_or_part(&mut self, wait: Duration) -> Result<Option<Reply>, Failure> {
        let before = self.connection.received();
        match timeout(wait, self.connection.read(wait)).await {
            Ok(Ok(Some(reply))) => Ok(Some(reply)),
            Ok(Err(failure)) => Err(lost(failure)),
            Ok(Ok(None)) | Err(_) if self.connection.received() > before => Ok(None),
            Ok(Ok(None)) | Err(_) => Err(lost(silent(wait))),
        }
    }

    /// Bytes that were read in all.
    pub(super) fn received(&self) -> u64 {
        self.connection.received()
    }

    /// Sends one command, and returns its reply, which may be an error.
    pub(super) async fn ask(&mut self, command: &[&str]) -> Result<Reply, Failure> {
        self.add(command);
        one(self.replies(1, Duration::ZERO).await?)
    }

    /// Sends one command that must not fail.
    pub(super) async fn accepted(&mut self, command: &[&str]) -> Result<Reply, Failure> {
        accepted(self.ask(command).await?)
    }

    /// Sends a command that answers with a number.
    pub(super) async fn number(&mut self, command: &[&str]) -> Result<i64, Failure> {
        match self.accepted(command).await? {
            Reply::Integer(number) => Ok(number),
            _ => Err(unknown(command[0])),
        }
    }

    /// The next message of a subscriber. `None`: nothing came for so long.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost.
    pub(super) async fn next(&mut self, silence: Duration) -> Result<Option<Reply>, Failure> {
        self.connection.read(silence).await.map_err(lost)
    }

    /// Whether this user may run all that a node needs.
    pub(super) async fn rights(&mut self, shared: &Shared) -> Result<(), Failure> {
        match &*self.denied(shared).await? {
            [] => Ok(()),
            denied => {
                Err(Failure::Unusable(format!("the user of Redis may not {:?} (its ACL)", denied.join(", "))))
            }
        }
    }

    /// The commands that this user may not run.
    pub(super) async fn denied(&mut self, shared: &Shared) -> Result<Vec<String>, Failure> {
        let keys = &shared.keys;
        let value = keys.value("session:0");
        let [eval, script] = shared.scripts.rights.run_alone();
        let command = [eval, script, "3", &keys.log, &keys.reign, &value, &keys.nodes];
        let denied = self.accepted(&command).await?.into_values().unwrap_or_default();
        let text = |denied: Reply| denied.into_text().map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(denied.into_iter().filter_map(text).collect())
    }
}

/// The only one of several replies.
pub(super) fn one(replies: Vec<Reply>) -> Result<Reply, Failure> {
    replies.into_iter().next().ok_or_else(|| unknown("a command"))
}

/// A reply that is no error.
pub(super) fn accepted(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Error(error) => Err(failure(&error)),
        reply => Ok(reply),
    }
}

/// What an error means for the connection.
pub(super) fn failure(error: &[u8]) -> Failure {
    let text = said(error);
    match () {
        () if is_elsewhere(error) => Failure::Moved(text),
        () if is_final(error) => Failure::Unusable(text),
        () => Failure::Lost(text),
    }
}

/// Whether an error says that another server has to be asked.
pub(super) fn is_elsewhere(error: &[u8]) -> bool {
    const ELSEWHERE: [&[u8]; 4] = [b"READONLY", b"UNBLOCKED", b"MOVED", b"ASK"];
    ELSEWHERE.iter().any(|word| error.starts_with(word))
}

/// Whether an error says that this will never do.
fn is_final(error: &[u8]) -> bool {
    const FINAL: [&[u8]; 7] = [
        b"NOAUTH",
        b"WRONGPASS",
        b"NOPERM",
        b"DENIED",
        b"WRONGTYPE",
        b"ERR unknown command",
        // Redis 7.0 has no code for a right that a script lacks.
        b"ERR The user executing the script",
    ];
    FINAL.iter().any(|word| error.starts_with(word))
}

/// What Redis says, for people.
pub(super) fn said(error: &[u8]) -> String {
    refused(error).0
}

/// A reply that makes no sense.
pub(super) fn unknown(command: &str) -> Failure {
    lost(strange(command))
}

fn lost(broken: Broken) -> Failure {
    Failure::Lost(broken.0)
}
