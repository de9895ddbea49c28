//! Transports: how clients connect, and what they show when they do.

mod credentials;

pub(crate) mod socketio;
pub(crate) mod streaming;
pub(crate) mod websocket;
