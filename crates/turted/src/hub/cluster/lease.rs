//! How long a node keeps what it has a lease on, and how long it waits for the engine.

use std::time::Duration;

use tokio::time::timeout;

use crate::engine::Failure;

/// How long a node keeps its number, and its proof, without renewing it.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// Time between two attempts to reach the engine at the start.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How long the engine may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What the engine answers, if it does.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let silent = || Failure::Lost("it does not answer".to_owned());
    timeout(ANSWER_MAX, answer).await.map_err(|_| silent()).flatten()
}
