//! Guests: connections that come when all places are taken. Only its first request shows what a connection is for.
//! Pushes and health checks are answered: clients must not keep an operator out of a full server.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hyper::{Request, StatusCode};
use turted_core::limits::SPARE_HEAD_WAIT_MAX;

use crate::http::cors::Page;
use crate::http::endpoint::Endpoints;
use crate::http::{Answer, Unavailable, close_after, text};
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;

/// A connection that holds one of the spare places.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// The place of a client, if one has come free since.
    place: RefCell<Option<Permit>>,
}

impl Guest {
    /// The guest that `permit` lets in; `None` if `permit` is the place of a client.
    pub(crate) fn of(worker: &Worker, permit: &Permit) -> Option<Rc<Self>> {
        worker.shared.spare.gave(permit).then(Rc::default)
    }

    /// Refuses a request that spare places are not for, unless a place of a client has come free.
    pub(crate) fn check<B>(
        &self,
        worker: &Worker,
        endpoints: &Endpoints,
        request: &Request<B>,
    ) -> Option<Answer> {
        let endpoint = endpoints.find(request.uri().path());
        if endpoint.is_some_and(|endpoint| endpoint.is_for_operators()) || self.has_place(worker) {
            return None;
        }
        worker.metrics.refused("connections");
        let own = endpoint.and_then(|endpoint| endpoint.no_place(worker, request.headers()));
        let mut answer = own.unwrap_or_else(|| {
            let body = "the server has no connection left, try again later (limits.connections)";
            let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, body);
            Unavailable::Overload.mark(&mut answer);
            answer
        });
        Page::of(request, &worker.config.allow_origins).mark(&mut answer);
        close_after(&mut answer);
        Some(answer)
    }

    /// Ends the connection of an answered guest, unless it has got the place of a client: the spare place is free then.
    pub(crate) fn dismiss(&self, answer: &mut Answer) {
        if self.place.borrow().is_none() {
            close_after(answer);
        }
    }

    /// The place of a client that the guest has got instead of its spare one.
    pub(crate) fn take_place(&self) -> Option<Permit> {
        self.place.take()
    }

    fn has_place(&self, worker: &Worker) -> bool {
        let place = &mut *self.place.borrow_mut();
        if place.is_none() {
            *place = worker.shared.permits.take();
        }
        place.is_some()
    }
}

/// How long a connection may take for its first request, or for what comes before that.
pub(crate) fn head_wait(worker: &Worker, permit: &Permit) -> Duration {
    let wait = worker.config.limits.request_head_wait;
    if worker.shared.spare.gave(permit) { wait.min(SPARE_HEAD_WAIT_MAX) } else { wait }
}
