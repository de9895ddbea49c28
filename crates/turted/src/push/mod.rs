//! Push connectors: how backends push.

mod answer;
pub(crate) mod gate;
mod idempotency;
pub(crate) mod rest;
#[cfg(test)]
mod tests;
