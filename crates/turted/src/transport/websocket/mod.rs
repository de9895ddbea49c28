//! `/ws`: turted.v1 on a WebSocket.

mod endpoint;

pub(crate) use endpoint::{Session, answer, timer};
