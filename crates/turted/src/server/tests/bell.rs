//! A push connector: a request to `/ring` emits one event.

use std::sync::Arc;

use hyper::StatusCode;
use turted_core::dispatch::Targets;

use crate::http::endpoint::{Answering, Endpoint};
use crate::http::{Call, text};
use crate::hub::dispatch::dispatcher::Source;

/// The endpoint.
#[derive(Debug)]
pub(super) struct Bell;

impl Endpoint for Bell {
    fn serves(&self, path: &str) -> bool {
        path == "/ring"
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move {
            // The dispatcher of a worker counts for `Source::Rest`. A connector of the product has a name of its own.
            let dispatcher = call.worker.dispatcher.for_source(Source::Embed);
            match dispatcher.notify(Targets::broadcast(), "RING", &true) {
                Ok(_) => text(StatusCode::OK, "OK").into(),
                Err(refusal) => text(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into(),
            }
        })
    }
}
