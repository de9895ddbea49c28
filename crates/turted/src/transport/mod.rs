//! Transports: how clients connect.

pub(crate) mod socketio;
pub(crate) mod websocket;
