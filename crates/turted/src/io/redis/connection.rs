//! A connection to Redis: commands out, replies in.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use turted_core::secret::Secret;
use turted_core::wire::resp::{Decoder, Reply, push_command};

use super::RedisServer;
use crate::io::broker::Broker;
use crate::io::broker_stream::{self, BrokerStream};
use crate::io::failure::Failure;

/// Bytes that reads get new room for: several messages share it.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that a read has room for at least. What is left of the room is used up first: a message that waits keeps the
/// room that it was read into.
const READ_BYTES_MIN: usize = 2 * 1024;
/// How long the answer to a command may take. A server that loads its data answers with an error.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// After this time without an answer to the beginning of TLS the server is asked in the clear.
const TLS_WAIT: Duration = Duration::from_secs(1);
/// What Redis says to a password where it has none, from version 6 on and before.
const NO_PASSWORD: [&[u8]; 2] = [
    b"ERR AUTH <password> called without any password configured",
    b"ERR Client sent AUTH, but no password is set",
];

/// Why a server did not let us in.
#[derive(Debug)]
pub(crate) enum NoEntry {
    /// It is not there, or not ready.
    Lost(Failure),
    /// It refuses who we are, or the database.
    Refused(Failure),
}

impl From<Failure> for NoEntry {
    fn from(failure: Failure) -> Self {
        Self::Lost(failure)
    }
}

impl From<NoEntry> for Failure {
    fn from(no_entry: NoEntry) -> Self {
        let (NoEntry::Lost(failure) | NoEntry::Refused(failure)) = no_entry;
        failure
    }
}

/// One connection, authenticated, with its database chosen.
pub(crate) struct Connection {
    stream: Box<dyn BrokerStream>,
    decoder: Decoder,
    buffer: BytesMut,
    /// Commands that were not sent yet, but for so many of their bytes.
    out: Vec<u8>,
    sent: usize,
    /// Bytes that were read in all.
    received: u64,
}

impl Connection {
    /// Connects as `name`, which `CLIENT LIST` shows. All of every reply is kept.
    pub(crate) async fn open(server: &RedisServer, name: &str) -> Result<Self, Failure> {
        let mut connection = Self::enter(server, name, Decoder::default()).await?;
        // Some servers let anybody connect and say with the first command that they do not know us.
        connection.ask(["PING"]).await?;
        Ok(connection)
    }

    /// Connects as `name`, without a command that tells whether the server knows us.
    pub(crate) async fn enter(server: &RedisServer, name: &str, decoder: Decoder) -> Result<Self, NoEntry> {
        let stream = reach(server).await?;
        let mut connection =
            Self { stream, decoder, buffer: BytesMut::new(), out: Vec::new(), sent: 0, received: 0 };
        connection.greet(server, name).await?;
        Ok(connection)
    }

    async fn greet(&mut self, server: &RedisServer, name: &str) -> Result<(), NoEntry> {
        let broker = &server.broker;
        let password = broker.password.as_ref().map(Secret::reveal);
        match (&broker.user, password) {
            // A user may need no password.
            (Some(user), password) => {
                self.authenticate(&["AUTH", user, password.unwrap_or_default()]).await?
            }
            (None, Some(password)) => self.authenticate(&["AUTH", password]).await?,
            (None, None) => {}
        }
        if server.database > 0 {
            let reply = self.answer(&["SELECT", &server.database.to_string()]).await?;
            accepted(reply.clone()).map_err(|failure| no_entry(&reply, failure))?;
        }
        // Only for people who look: a user who may not set a name goes without.
        match self.answer(&["CLIENT", "SETNAME", name]).await? {
            // To whom a server in protected mode answers so, it closes the connection.
            Reply::Error(error) if error.starts_with(b"DENIED") => Err(NoEntry::Refused(refused(&error))),
            _ => Ok(()),
        }
    }

    /// What is said against it is not shown but for its first word: a server that does not know the command repeats it.
    async fn authenticate(&mut self, command: &[&str]) -> Result<(), NoEntry> {
        let reply = self.answer(command).await?;
        let Reply::Error(error) = &reply else { return Ok(()) };
        if NO_PASSWORD.iter().any(|text| error.starts_with(text)) {
            let failure =
                Failure("the server has no password set: leave it out here, or set one there".to_owned());
            return Err(NoEntry::Refused(failure));
        }
        let word = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        let code =
            std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let failure =
            Failure(format!("the server refuses user and password: {}", code.unwrap_or("no reason")));
        Err(no_entry(&reply, failure))
    }

    async fn answer(&mut self, command: &[&str]) -> Result<Reply, Failure> {
        self.add(command);
        self.send().await?;
        self.reply().await
    }

    /// Adds a command to what is sent next.
    pub(crate) fn add<P: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) {
        push_command(&mut self.out, command);
    }

    /// Sends the commands that were added.
    ///
    /// # Cancel safety
    /// The next call goes on with the rest.
    pub(crate) async fn send(&mut self) -> Result<(), Failure> {
        let sending = async {
            while self.sent < self.out.len() {
                self.sent += match self.stream.write(&self.out[self.sent..]).await? {
                    0 => return Err(ErrorKind::WriteZero.into()),
                    sent => sent,
                };
            }
            self.stream.flush().await
        };
        timeout(ANSWER_WAIT, sending).await.map_err(|_| silent(ANSWER_WAIT))?.map_err(lost)?;
        self.out.clear();
        self.sent = 0;
        // A list of a thousand ids is no reason to keep its room.
        self.out.shrink_to(READ_BYTES);
        Ok(())
    }

    /// Waits for a reply, as long as something comes. `None`: nothing came for so long.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost.
    pub(crate) async fn read(&mut self, silence: Duration) -> Result<Option<Reply>, Failure> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.buffer).map_err(Failure::new)? {
                return Ok(Some(reply));
            }
            if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
                self.buffer.reserve(READ_BYTES);
            }
            // A large reply may take longer over a slow line.
            let read = timeout(silence, self.stream.read_buf(&mut self.buffer)).await;
            let Ok(read) = read else { return Ok(None) };
            match read.map_err(lost)? {
                0 => return Err(Failure("the server closed the connection".to_owned())),
                read => self.received += read as u64,
            }
        }
    }

    /// Bytes that were read in all, also those of a reply that is not complete.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The reply to a command that is answered at once.
    pub(crate) async fn reply(&mut self) -> Result<Reply, Failure> {
        self.reply_within(ANSWER_WAIT).await
    }

    /// The reply to a command that waits.
    pub(crate) async fn reply_within(&mut self, wait: Duration) -> Result<Reply, Failure> {
        self.read(wait).await?.ok_or_else(|| silent(wait))
    }

    /// Sends one command, and returns its reply.
    ///
    /// # Errors
    /// It failed.
    pub(crate) async fn ask<P: AsRef<[u8]>>(
        &mut self,
        command: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> Result<Reply, Failure> {
        self.add(command);
        self.send().await?;
        accepted(self.reply().await?)
    }

    /// Waits until the server has done what it was told, though nobody waits for the reply any more.
    ///
    /// # Errors
    /// Something of it failed.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        self.add(["PING"]);
        self.send().await?;
        while accepted(self.reply().await?)? != Reply::Text("PONG".into()) {}
        Ok(())
    }
}

/// Connects. A server that speaks no TLS takes the beginning of it for part of a command, and waits for the rest.
async fn reach(server: &RedisServer) -> Result<Box<dyn BrokerStream>, NoEntry> {
    let broker = &server.broker;
    let connecting = broker_stream::connect(broker);
    if broker.tls.is_none() {
        return Ok(connecting.await?);
    }
    let mut connecting = pin!(connecting);
    if let Ok(connected) = timeout(TLS_WAIT, &mut connecting).await {
        return Ok(connected?);
    }
    tokio::select! {
        connected = connecting => Ok(connected?),
        () = speaks_in_the_clear(broker) => Err(NoEntry::Refused(Failure(format!(
            "{broker} speaks no TLS: its URL begins with redis://, or it has another port for TLS"
        )))),
    }
}

/// Returns if a server answers in the clear. It is told no secret.
async fn speaks_in_the_clear(broker: &Broker) {
    let asking = async {
        let mut stream = TcpStream::connect((&*broker.host, broker.port)).await?;
        stream.write_all(b"PING\r\n").await?;
        stream.read_u8().await
    };
    // `+PONG`, or an error because it does not know us.
    if !matches!(asking.await, Ok(b'+' | b'-')) {
        std::future::pending::<()>().await;
    }
}

fn no_entry(reply: &Reply, failure: Failure) -> NoEntry {
    match reply {
        Reply::Error(error) if is_passing(error) => NoEntry::Lost(failure),
        _ => NoEntry::Refused(failure),
    }
}

/// Whether an error says that the server will be there soon.
fn is_passing(error: &[u8]) -> bool {
    const PASSING: [&[u8]; 6] =
        [b"LOADING", b"MASTERDOWN", b"CLUSTERDOWN", b"TRYAGAIN", b"BUSY", b"ERR max number of clients"];
    PASSING.iter().any(|word| error.starts_with(word))
}

/// A reply that is no error.
pub(crate) fn accepted(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Error(error) => Err(refused(&error)),
        reply => Ok(reply),
    }
}

/// What Redis says is text for people. It may name a key, but no password.
pub(crate) fn refused(error: &[u8]) -> Failure {
    let text: String = String::from_utf8_lossy(error).chars().filter(|c| !c.is_control()).take(200).collect();
    Failure(format!("the server says: {text}"))
}

/// A reply that makes no sense.
pub(crate) fn strange(command: &str) -> Failure {
    Failure(format!("the server answers {command} with something else"))
}

/// Nothing came for so long.
pub(crate) fn silent(wait: Duration) -> Failure {
    Failure(format!("the server does not answer within {} s", wait.as_secs_f32()))
}

fn lost(error: std::io::Error) -> Failure {
    Failure(format!("the connection is lost: {error}"))
}
