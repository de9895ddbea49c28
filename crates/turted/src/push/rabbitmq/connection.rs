//! A connection to a broker: frames in and out, heartbeats, logging in, and leaving.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep_until, timeout};
use turted_core::secret::Secret;
use turted_core::wire::amqp::{
    ClientSays, Closing, FRAME_BYTES_MAX, FrameKind, Method, PROTOCOL_HEADER, Tuning, Value, Violation,
};

use super::incoming::Incoming;
use crate::config::RabbitmqSource;
use crate::io::broker_stream::{self, BrokerStream};
use crate::push::source::Failure;

/// Bytes of the shortest frame that a broker may ask for (section 1.4.2.6 of the reference).
const FRAME_BYTES_MIN: usize = 4096;
/// Who a client is that does not say who it is: user and password of a broker as it is installed.
const GUEST: &str = "guest";
/// Characters of a reason of the broker that are told; its own texts are shorter than 255 bytes.
const REASON_CHARACTERS: usize = 255;

/// An open connection with one channel.
pub(super) struct Connection {
    socket: Box<dyn BrokerStream>,
    pub(super) incoming: Incoming,
    outgoing: Vec<u8>,
    pub(super) frame_bytes: usize,
    /// Time between two signs of life. After twice this time without any the broker is given up.
    heartbeat: Duration,
    heard: Instant,
    said: Instant,
}

/// What the broker did instead of answering.
#[derive(Debug)]
pub(super) enum Fault {
    /// It closed the channel: a queue does not exist, or a right is missing.
    ChannelClosed {
        /// Such as 404.
        code: u16,
        failure: Failure,
    },
    /// The connection is of no use any more.
    Lost(Failure),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::ChannelClosed { failure, .. } | Fault::Lost(failure) => failure,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Lost(failure)
    }
}

impl Connection {
    /// Connects, logs in, opens the virtual host and a channel.
    pub(super) async fn open(settings: &RabbitmqSource, name: &str) -> Result<Self, Failure> {
        let socket = broker_stream::connect(&settings.broker).await?;
        let now = Instant::now();
        let mut connection = Self {
            socket,
            incoming: Incoming::new(),
            outgoing: PROTOCOL_HEADER.to_vec(),
            frame_bytes: FRAME_BYTES_MIN,
            heartbeat: settings.heartbeat,
            heard: now,
            said: now,
        };
        connection.log_in(settings, name).await?;
        connection.say(ClientSays::Open { virtual_host: &settings.virtual_host });
        connection.hear(|method| matches!(method, Method::OpenOk).then_some(())).await?;
        connection.open_channel().await?;
        Ok(connection)
    }

    async fn log_in(&mut self, settings: &RabbitmqSource, name: &str) -> Result<(), Failure> {
        let plain = |method: Method<'_>| match method {
            Method::Start { mechanisms } => {
                Some(mechanisms.split(|byte| *byte == b' ').any(|name| name == b"PLAIN"))
            }
            _ => None,
        };
        if !self.hear(plain).await? {
            return Err(Failure::new("the broker does not let clients log in by PLAIN"));
        }
        let capabilities = [
            // Otherwise a consumer of a queue that is deleted waits for ever.
            ("consumer_cancel_notify", Value::Flag(true)),
            // Otherwise a wrong password is an end without a reason.
            ("authentication_failure_close", Value::Flag(true)),
        ];
        let properties = [
            ("product", Value::Text("turted")),
            ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
            ("connection_name", Value::Text(name)),
            ("capabilities", Value::Table(&capabilities)),
        ];
        let (guest, broker) = (Secret::from(GUEST), &settings.broker);
        let user = broker.user.as_deref().unwrap_or(GUEST);
        let password = broker.password.as_ref().unwrap_or(&guest);
        self.say(ClientSays::StartOk { properties: &properties, user, password });
        let tuning = |method: Method<'_>| match method {
            Method::Tune(tuning) => Some(tuning),
            _ => None,
        };
        let offered = self.hear(tuning).await?;
        let agreed = agree(offered, settings.heartbeat);
        self.frame_bytes = agreed.frame_bytes as usize;
        self.heartbeat = Duration::from_secs(agreed.heartbeat.into());
        self.say(ClientSays::TuneOk(agreed));
        Ok(())
    }

    /// Opens the channel, also again when the broker has closed it.
    pub(super) async fn open_channel(&mut self) -> Result<(), Failure> {
        self.say(ClientSays::ChannelOpen);
        Ok(self.hear(|method| matches!(method, Method::ChannelOpenOk).then_some(())).await?)
    }

    /// Has something sent with the next [`flush`](Self::flush).
    pub(super) fn say(&mut self, says: ClientSays<'_>) {
        says.encode(&mut self.outgoing);
    }

    /// Sends what is to be said and waits for the answer, which `pick` recognizes. Messages that come before it are
    /// dropped: they are not acknowledged and come again.
    pub(super) async fn hear<T>(&mut self, pick: impl Fn(Method<'_>) -> Option<T>) -> Result<T, Fault> {
        loop {
            self.flush().await?;
            match self.look(&pick) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => self.receive().await?,
                Err(fault) => {
                    // The broker closes anyway; the reason matters more than whether this arrives.
                    let _ = self.flush().await;
                    return Err(fault);
                }
            }
        }
    }

    /// Looks for an answer in what has come.
    fn look<T>(&mut self, pick: impl Fn(Method<'_>) -> Option<T>) -> Result<Option<T>, Fault> {
        while let Some(frame) = self.incoming.frame(self.frame_bytes).map_err(violation)? {
            if frame.kind != FrameKind::Method {
                continue;
            }
            match Method::decode(frame.payload).map_err(violation)? {
                Method::Close(closing) => {
                    let failure = closed("the connection", closing);
                    self.say(ClientSays::CloseOk);
                    return Err(Fault::Lost(failure));
                }
                Method::ChannelClose(closing) => {
                    let (code, failure) = (closing.code, closed("the channel", closing));
                    self.say(ClientSays::ChannelCloseOk);
                    return Err(Fault::ChannelClosed { code, failure });
                }
                method => {
                    let answer = pick(method);
                    if answer.is_some() {
                        return Ok(answer);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Waits for bytes of the broker, or until it is time to look around. Sends signs of life meanwhile.
    ///
    /// # Errors
    /// The connection has ended, or the broker gives no sign of life.
    ///
    /// # Cancel safety
    /// What was read is kept.
    pub(super) async fn receive(&mut self) -> Result<(), Failure> {
        let (due, dead) = (self.said + self.heartbeat / 2, self.heard + 2 * self.heartbeat);
        tokio::select! {
            biased;
            read = poll_fn(|context| self.incoming.poll_read(&mut *self.socket, context)) => {
                if read.map_err(lost)? == 0 {
                    return Err(Failure::new("the broker ended the connection"));
                }
                self.heard = Instant::now();
                Ok(())
            }
            () = sleep_until(due.min(dead)) => {
                if Instant::now() >= dead {
                    let seconds = 2 * self.heartbeat.as_secs();
                    return Err(Failure::new(format_args!("no sign of life within {seconds} s (heartbeat)")));
                }
                self.keep_alive().await
            }
        }
    }

    /// Sends a sign of life if one is due. What the broker says meanwhile is not waited for.
    pub(super) async fn keep_alive(&mut self) -> Result<(), Failure> {
        if self.said.elapsed() >= self.heartbeat / 2 {
            self.say(ClientSays::Heartbeat);
        }
        self.flush().await
    }

    /// The broker was not listened to for a while on purpose: its silence counts from here.
    pub(super) fn forgive_silence(&mut self) {
        self.heard = Instant::now();
    }

    /// Sends all that is to be said.
    ///
    /// # Cancel safety
    /// What was sent is not sent again.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        // A frozen broker takes nothing as soon as the buffers of the kernel are full.
        let patience = 2 * self.heartbeat;
        let sent = timeout(patience, self.send()).await;
        let late = || Failure::new(format_args!("the broker takes nothing within {} s", patience.as_secs()));
        sent.map_err(|_| late())?.map_err(lost)
    }

    async fn send(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let socket = &mut self.socket;
            let sent = poll_fn(|context| Pin::new(&mut *socket).poll_write(context, &self.outgoing)).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.outgoing.drain(..sent);
            self.said = Instant::now();
        }
        // TLS may hold encrypted bytes back.
        poll_fn(|context| Pin::new(&mut self.socket).poll_flush(context)).await
    }

    /// Sends all that is to be said and closes. A socket that is closed with unread messages would take
    /// acknowledgements with it that the broker has not read yet: so its answer is waited for.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        self.say(ClientSays::Close);
        Ok(self.hear(|method| matches!(method, Method::CloseOk).then_some(())).await?)
    }
}

/// The lower of each two limits; zero is none.
fn agree(offered: Tuning, heartbeat: Duration) -> Tuning {
    let frame_bytes = match usize::try_from(offered.frame_bytes).unwrap_or(FRAME_BYTES_MAX) {
        0 => FRAME_BYTES_MAX,
        bytes => bytes.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX),
    };
    let wanted = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    Tuning {
        channels: 1,
        frame_bytes: u32::try_from(frame_bytes).expect("it is at most FRAME_BYTES_MAX"),
        heartbeat: if offered.heartbeat == 0 { wanted } else { wanted.min(offered.heartbeat) },
    }
}

/// Why the broker closed something, in its own words.
pub(super) fn closed(what: &str, closing: Closing<'_>) -> Failure {
    let text = String::from_utf8_lossy(closing.text);
    let text: String = text.chars().filter(|char| !char.is_control()).take(REASON_CHARACTERS).collect();
    Failure::new(format_args!("the broker closed {what}: {} {text}", closing.code))
}

pub(super) fn violation(violation: Violation) -> Failure {
    Failure::new(format_args!("what the broker sends cannot be read: {violation}"))
}

fn lost(error: io::Error) -> Failure {
    Failure::new(format_args!("the connection is lost: {error}"))
}
