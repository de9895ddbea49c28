//! The wires: decoders for what clients send and encoders for what they receive.
//!
//! Every decoder is pure, total (no input makes it panic) and bounded by [`crate::limits`].

pub mod chunked;
pub mod engineio;
mod form;
pub(crate) mod json;
pub mod legacy;
pub mod proxy;
pub mod socketio;
pub mod sockjs;
pub mod sse;
pub mod v1;
pub mod websocket;
