//! Push connectors: how backends push.

mod answer;
mod idempotency;
pub(crate) mod rest;
#[cfg(test)]
mod tests;
