//! One client: it connects, joins, and reads until the run or the server ends it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::channel::Channel;
use super::fleet::{Fleet, Purpose};
use super::marks::Marks;
use super::memory::Memory;
use super::plan::Plan;
use super::polling::Polling;
use super::transport::{Broken, Conversation};

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Channel,
    conversation: Conversation,
    /// The part of a frame that has arrived.
    rest: Vec<u8>,
    /// Bytes that are still to be sent.
    out: Vec<u8>,
    marks: Marks,
}

/// What is left of a client without its connection.
#[derive(Debug)]
pub(crate) struct Left {
    /// What it remembers of its last connection, if there was one.
    memory: Option<Memory>,
    marks: Marks,
}

impl Left {
    /// A client that has not connected yet.
    pub(crate) fn nothing(plan: &Plan) -> Self {
        Self { memory: None, marks: Marks::new(plan) }
    }
}

/// Why a client ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The connection broke, or could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server sent something unexpected.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It took too long to connect.
    #[error("not connected within {0:?}")]
    NotConnected(Duration),
    /// It took too long to become ready.
    #[error("not ready within {0:?}")]
    NotReady(Duration),
    /// It took too long to become ready: what the server did not say.
    #[error("not ready within {0:?}: heard no {1}")]
    NotHeard(Duration, String),
    /// It was never told what it needs to come back to what it missed.
    #[error("cannot come back: heard nothing that is kept as {0}")]
    Forgot(String),
}

impl Client {
    /// Connects and waits until the client receives events.
    ///
    /// # Errors
    /// It did not become ready.
    pub(crate) async fn open(
        fleet: &Rc<Fleet>,
        index: usize,
        purpose: Purpose,
        left: Left,
    ) -> Result<Self, ClientError> {
        if let Some(name) = left.memory.as_ref().and_then(|memory| fleet.forgotten(memory)) {
            return Err(ClientError::Forgot(name.to_owned()));
        }
        let wait = fleet.patience();
        let mut stream = connect(fleet, index, purpose).await?;
        let mut out = fleet.request(index, left.memory.as_ref(), None);
        let mut polling = None;
        if fleet.polls() {
            let opened = timeout(wait, Polling::open(stream, &out, fleet.target())).await;
            let (poll, session) = opened.map_err(|_| ClientError::NotReady(wait))??;
            polling = Some(poll);
            stream = connect(fleet, index, purpose).await?;
            out = fleet.request(index, None, Some(&session));
        }
        let conversation = fleet.conversation(index, left.memory);
        let mut client = Self { stream, conversation, rest: Vec::new(), out, marks: left.marks };
        match timeout(wait, client.become_ready(fleet, polling)).await {
            Ok(result) => result.map(|()| client),
            Err(_) => Err(match client.conversation.awaited() {
                Some(text) => ClientError::NotHeard(wait, text.to_owned()),
                None => ClientError::NotReady(wait),
            }),
        }
    }

    /// Says and hears what is needed until events come. A session that began by polling keeps its connection until then.
    async fn become_ready(
        &mut self,
        fleet: &Rc<Fleet>,
        mut polling: Option<Polling>,
    ) -> Result<(), ClientError> {
        self.send().await?;
        while !self.conversation.is_ready() {
            self.receive(fleet).await?;
            if let (true, Some(polling)) = (self.conversation.is_probed(), &mut polling) {
                polling.end().await?;
                self.conversation.upgrade(&mut self.out);
            }
            self.send().await?;
        }
        // Without this a thousand requests would stay in memory.
        self.out = Vec::new();
        Ok(())
    }

    /// Reads until the connection ends.
    pub(crate) async fn run(&mut self, fleet: &Rc<Fleet>) -> ClientError {
        loop {
            let step = async {
                self.receive(fleet).await?;
                self.send().await
            };
            if let Err(error) = step.await {
                return error;
            }
        }
    }

    /// Ends the connection without a word, as a network does that breaks.
    pub(crate) fn leave(self) -> Left {
        Left { memory: Some(self.conversation.into_memory()), marks: self.marks }
    }

    /// Whether the server has ended the connection of a client that does not read.
    pub(crate) fn is_cut(&self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.tcp().try_read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }

    async fn send(&mut self) -> Result<(), ClientError> {
        while !self.out.is_empty() {
            let written = self.stream.write(&self.out).await?;
            self.out.drain(..written);
            if self.out.is_empty() {
                self.stream.flush().await?;
            }
        }
        Ok(())
    }

    /// Reads once, at least one byte, and handles the complete messages.
    async fn receive(&mut self, fleet: &Rc<Fleet>) -> Result<(), ClientError> {
        poll_fn(|context| self.poll_receive(context, fleet)).await
    }

    /// The scratch buffer belongs to the thread and is borrowed within one poll: connections that wait have
    /// no buffer.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        fleet: &Rc<Fleet>,
    ) -> Poll<Result<(), ClientError>> {
        let mut scratch = fleet.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(Broken::Closed.into()));
        }
        Poll::Ready(self.take(buffer.filled(), fleet).map_err(ClientError::from))
    }

    fn take(&mut self, bytes: &[u8], fleet: &Rc<Fleet>) -> Result<(), Broken> {
        let Self { conversation, rest, out, marks, .. } = self;
        let mut event = |frame: &[u8]| fleet.received(marks, frame);
        if rest.is_empty() {
            let used = conversation.receive(bytes, out, &mut event)?;
            rest.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        rest.extend_from_slice(bytes);
        let used = conversation.receive(rest, out, &mut event)?;
        rest.drain(..used);
        if rest.is_empty() {
            *rest = Vec::new();
        }
        Ok(())
    }
}

async fn connect(fleet: &Fleet, index: usize, purpose: Purpose) -> Result<Channel, ClientError> {
    let wait = fleet.patience();
    let connected = timeout(wait, fleet.connect(index, purpose)).await;
    Ok(connected.map_err(|_| ClientError::NotConnected(wait))??)
}
