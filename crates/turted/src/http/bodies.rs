//! Reads the bodies of requests, each into one buffer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;
use turted_core::limits::{BODY_CHUNK_BYTES, BODY_CHUNKS_MAX};

use crate::config::Limits;
use crate::hub::worker::worker::Worker;
use crate::io::bodies::{Bodies, Charge, Full};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRefusal {
    /// It is longer than it may be.
    TooLong,
    /// It came in more pieces than it may have.
    TooManyChunks,
    /// It took longer than it may take.
    TooSlow,
    /// All bodies that are being read, or those of its address, take as much as they may.
    Full,
    /// The connection broke.
    Broken,
}

impl From<Full> for BodyRefusal {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl BodyRefusal {
    /// What the client reads about too many chunks.
    pub(crate) const TOO_MANY_CHUNKS: &str =
        "the body comes in too many pieces: 1,024 and one for each 64 bytes are enough";
    /// What the client reads about too many bodies.
    pub(crate) const FULL: &str = "too many bodies are being read (limits.bodies_bytes), try again later";
}

/// Reads a body of at most `limit` bytes. The body counts as being read until it is dropped.
///
/// # Errors
/// The body is longer, too slow or in too small pieces, too many other bodies are being read, or the
/// client is gone.
pub(crate) async fn read_body<B>(
    worker: &Worker,
    peer: IpAddr,
    body: B,
    limit: usize,
) -> Result<Bytes, BodyRefusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    read_counted((&worker.shared.bodies, &worker.config.limits), peer, body, limit).await
}

/// The same, on the thread of a listener that has no worker.
pub(crate) async fn read_counted<B>(
    (bodies, limits): (&Arc<Bodies>, &Limits),
    peer: IpAddr,
    body: B,
    limit: usize,
) -> Result<Bytes, BodyRefusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let read = timeout(limits.request_body_wait, gather(body, bodies.charge(peer), limit));
    read.await.unwrap_or(Err(BodyRefusal::TooSlow))
}

async fn gather<B>(mut body: B, charge: Charge, limit: usize) -> Result<Bytes, BodyRefusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return Err(BodyRefusal::TooLong);
    }
    // The length of the body, or the most it may have if its length is unknown.
    let length = hint.exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(limit);
    let mut gathered = Gathered { first: Bytes::new(), rest: Vec::new(), length, charge };
    let mut chunks = 0;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| BodyRefusal::Broken)?.into_data() else { continue };
        let bytes = gathered.len() + chunk.len();
        chunks += 1;
        if bytes > limit {
            return Err(BodyRefusal::TooLong);
        }
        if chunks > BODY_CHUNKS_MAX + bytes / BODY_CHUNK_BYTES {
            return Err(BodyRefusal::TooManyChunks);
        }
        gathered.add(chunk)?;
    }
    Ok(gathered.finish())
}

/// What has come of a body: one chunk as it came, as most bodies do, or all of them in one buffer.
struct Gathered {
    first: Bytes,
    rest: Vec<u8>,
    /// How large the buffer gets at most.
    length: usize,
    charge: Charge,
}

impl Gathered {
    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    fn add(&mut self, chunk: Bytes) -> Result<(), BodyRefusal> {
        if self.len() == 0 {
            self.charge.grow(chunk.len())?;
            self.first = chunk;
            return Ok(());
        }
        let first = std::mem::take(&mut self.first);
        let bytes = first.len() + self.rest.len() + chunk.len();
        if bytes > self.rest.capacity() {
            // Twice what has come, so that a client that announces much and sends little takes little memory.
            let capacity = bytes.saturating_mul(2).min(self.length).max(bytes);
            self.charge.grow(capacity)?;
            self.rest.reserve_exact(capacity - self.rest.len());
        }
        self.rest.extend_from_slice(&first);
        self.rest.extend_from_slice(&chunk);
        Ok(())
    }

    fn finish(self) -> Bytes {
        let bytes = if self.rest.is_empty() { self.first } else { self.rest.into() };
        Bytes::from_owner(HeldBody { bytes, _charge: self.charge })
    }
}

/// A body that was read, and its share of what all bodies may take.
struct HeldBody {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
