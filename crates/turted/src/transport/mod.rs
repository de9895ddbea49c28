//! Transports: how clients connect, and what they show when they do.

pub(crate) mod assets;
mod credentials;
mod parts;

pub(crate) mod socketio;
pub(crate) mod sockjs;
pub(crate) mod sse;
pub(crate) mod v1;
pub(crate) mod websocket;
