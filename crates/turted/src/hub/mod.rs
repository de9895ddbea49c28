//! The hub: an event's way from its acceptance to sockets. Knows no protocol and no HTTP.

pub(crate) mod run;
pub(crate) mod client;
pub(crate) mod worker;
pub(crate) mod delivery;
pub(crate) mod dispatch;
