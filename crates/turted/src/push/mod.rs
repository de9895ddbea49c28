//! Push connectors: how backends push.

pub(crate) mod rest;
