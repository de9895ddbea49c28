//! A request and where it came from, and what becomes of it.

use std::net::IpAddr;
use std::rc::Rc;

use hyper::{Request, StatusCode, Uri};

use super::answer::{Answer, Takeover, text};
use super::incoming::RequestBody;
use super::passing::passed::Passed;
use super::streaming::Unending;
use crate::config::Limits;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::Worker;

/// The path where load balancers see that the server is alive.
pub(crate) const HEALTH: &str = "/health";

/// A request and where it came from.
pub(crate) struct Call {
    pub(crate) worker: Rc<Worker>,
    /// The client's address, also behind trusted proxies.
    pub(crate) peer: IpAddr,
    /// What the client says it is.
    pub(crate) agent: Agent,
    pub(crate) request: Request<RequestBody>,
}

/// What becomes of a request.
pub(crate) enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// Its answer does not end.
    Stream(Unending),
    /// Its connection becomes something else.
    Takeover(Takeover),
    /// Another node answers it.
    Passed(Box<Passed>),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// The answer to a request whose target is too long.
pub(crate) fn check_target(limits: &Limits, uri: &Uri) -> Option<Answer> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    (target.len() > limits.request_uri_bytes)
        .then(|| text(StatusCode::URI_TOO_LONG, "the request target is too long (limits.request_uri_bytes)"))
}

/// A path without the slash at its end. On every listener, a path is the same with that slash and without it.
pub(crate) fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}
