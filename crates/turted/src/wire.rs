//! The wires a dispatch can leave on, and how each encodes it.

use std::sync::Arc;

use turted_core::dispatch::Via;
use turted_core::wire::socketio;

use crate::frame::Frame;
use crate::log::{Accepted, Epoch, Position};
use crate::metrics::WorkerMetrics;

/// One format on the way out. Connections on the same wire share frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Socket.IO.
    SocketIo,
    /// Socket.IO with the position as a last argument, for clients that can resume from it.
    SocketIoWithOffset,
}

/// What encoding needs beside the dispatch.
#[derive(Clone, Debug)]
pub(crate) struct WireContext {
    pub(crate) epoch: Epoch,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

impl Wire {
    /// How many wires there are.
    pub(crate) const COUNT: usize = 2;

    /// The number of this wire, below [`COUNT`](Self::COUNT).
    pub(crate) fn index(self) -> usize {
        match self {
            Self::SocketIo => 0,
            Self::SocketIoWithOffset => 1,
        }
    }

    /// Encodes a dispatch, once for all connections that receive it for this reason.
    pub(crate) fn encode(self, accepted: &Accepted, via: Via<'_>, context: &WireContext) -> Frame {
        context.metrics.frames_encoded.add(1);
        let position = Position { epoch: context.epoch, sequence: accepted.sequence }.to_string();
        let offset = match self {
            Self::SocketIo => None,
            Self::SocketIoWithOffset => Some(position.as_str()),
        };
        let packet = socketio::encode_dispatch(&accepted.dispatch, via, offset);
        Frame::text(&packet, accepted.sequence)
    }
}
