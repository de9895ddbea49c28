//! A push connector: a request to `/ring` emits one event.

use std::sync::Arc;

use hyper::StatusCode;
use turted_core::dispatch::Targets;

use crate::http::endpoint::{Answering, Endpoint};
use crate::http::{Call, text};

/// The endpoint.
#[derive(Debug)]
pub(super) struct Bell;

impl Endpoint for Bell {
    fn serves(&self, path: &str) -> bool {
        path == "/ring"
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move {
            match call.worker.dispatcher.notify(Targets::broadcast(), "RING", &true) {
                Ok(_) => text(StatusCode::OK, "OK").into(),
                Err(refusal) => text(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into(),
            }
        })
    }
}
