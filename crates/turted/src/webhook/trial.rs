//! One record of type `test`, sent because an operator asks for it: `turted hook NAME`.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::runtime::{Builder, LocalOptions};
use tokio_util::sync::CancellationToken;

use super::batch::Envelope;
use super::node;
use super::post::{Mailbox, Verdict};
use crate::config::Hook as Settings;
use crate::hub::hooks::{Record, Waiting};
use crate::io::tasks::Tasks;

/// What a backend answered.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Whether it took the record.
    pub(crate) is_taken: bool,
}

/// Sends one record as the server at `address` would, and waits for the answer. `Err` says why there is none.
///
/// # Errors
/// The runtime cannot be started.
pub(crate) fn try_once(settings: &Settings, address: SocketAddr) -> io::Result<Result<Tried, String>> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let life = format!("{:016x}", getrandom::u64().map_err(io::Error::other)?);
    let mut envelope = Envelope::new(node(settings, address), life);
    let batch = envelope.seal(&mut VecDeque::from([Waiting::new(Record::Test)]));
    let body = batch.map(|batch| batch.body).unwrap_or_default();
    let answer = runtime.block_on(async {
        let mailbox = Mailbox::new(settings, Tasks::new(CancellationToken::new()));
        mailbox.post(body, &settings.secrets).await
    });
    // A name look-up that hangs in the resolver must not keep the process.
    runtime.shutdown_background();
    let is_taken = Verdict::of(&answer) == Verdict::Done;
    Ok(answer.map(|reply| Tried { status: reply.status, body: reply.body, is_taken }))
}
