//! SockJS, protocol 0.3.3, as its clients see it. What the protocol's own suite expects is said
//! here in our words; `tests/clients` has its unmodified client.

pub(crate) mod client;
mod hostile;
mod messages;
mod pages;
mod places;
mod polling;
mod streaming;
mod websocket;

use client::{Chunks, Client, Way, encode, new_session};
