//! `/turted.js`: the client library of turted.v1, which pages of every origin load. It is part of the program.

use std::sync::Arc;

use bytes::Bytes;

use crate::http::Call;
use crate::http::cors;
use crate::http::embedded::Embedded;
use crate::http::endpoint::{Answering, Endpoint};

const PATH: &str = "/turted.js";
/// Sets `globalThis.TURTED`. Built from `clients/js/src`.
const SCRIPT: &[u8] = include_bytes!("../../../../../clients/js/dist/turted.js");

/// The endpoint of the client library.
#[derive(Debug)]
pub(crate) struct Library(Embedded);

impl Library {
    pub(crate) fn new() -> Self {
        Self(Embedded::new("text/javascript; charset=utf-8", Bytes::from_static(SCRIPT)))
    }
}

impl Endpoint for Library {
    fn serves(&self, path: &str) -> bool {
        path == PATH
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        let mut answer = self.0.answer(&call.request);
        cors::let_everyone_read(&mut answer);
        Box::pin(async { answer.into() })
    }
}
