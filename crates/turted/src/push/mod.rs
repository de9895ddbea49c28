//! Push connectors: how backends push.

mod answer;
pub(crate) mod attempts;
mod idempotency;
pub(crate) mod rest;
#[cfg(test)]
mod tests;
