//! Answers the requests of one connection, or says what comes next on it.

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::response;
use hyper::service::Service as HttpService;
use hyper::{Request, StatusCode};

use super::{End, Step};
use crate::http::answer::{Answer, close_if_unread};
use crate::http::body::Body;
use crate::http::call::{Call, Outcome};
use crate::http::endpoint::Endpoints;
use crate::http::guests::Guest;
use crate::http::incoming::{BodyEnd, RequestBody};
use crate::http::parked::{Asked, Parked, Written};
use crate::http::passing::relay;
use crate::http::patience::{self, Patience};
use crate::http::{proxies, rules};
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::Worker;

/// Answers the requests of one connection.
pub(super) struct Responder {
    pub(super) worker: Rc<Worker>,
    pub(super) endpoints: Arc<Endpoints>,
    /// The other side of the connection.
    pub(super) peer: IpAddr,
    /// What comes next, said by the request that makes hyper let go of the connection.
    pub(super) left: RefCell<Option<Step>>,
    /// Set for a connection that has no place of a client.
    pub(super) guest: Option<Rc<Guest>>,
    pub(super) patience: Patience,
    /// How long the connection may be idle, as its client is told.
    pub(super) idle_wait: Option<HeaderValue>,
}

/// Makes hyper let go of the socket.
#[derive(Debug, thiserror::Error)]
#[error("the connection has left hyper")]
pub(super) struct LeftHyper;

impl Responder {
    /// The answer to a request that no endpoint gets to see; `None` if one may see it.
    fn refuse<B>(&self, request: &Request<B>) -> Option<Answer> {
        if let Err(breach) = rules::check(request) {
            self.worker.metrics.refused(breach.rule());
            return Some(breach.into());
        }
        self.guest.as_ref().and_then(|guest| guest.check(&self.worker, &self.endpoints, request))
    }

    /// The answer to a request, or what comes next on its connection.
    fn settle(&self, outcome: Outcome, asked: Asked) -> Result<Answer, Step> {
        let takeover = match outcome {
            Outcome::Answer(answer) => return Ok(self.last_touch(answer, asked)),
            Outcome::Passed(passed) => return Err(Step::Relay(Box::new((*passed, asked)))),
            Outcome::Stream(unending) => unending.take_over(asked.version),
            Outcome::Takeover(takeover) => takeover,
        };
        Err(Step::End(End::Takeover(takeover)))
    }

    /// What comes next behind an answer that was written here.
    pub(super) fn written(&self, written: Written) -> Step {
        match written {
            Written::Whole => Step::Idle(self.patience.idle()),
            Written::Stalled => Step::End(End::Stalled),
            Written::Last | Written::Broken => Step::End(End::Over),
        }
    }

    /// The head of an answer of another node as one of this node, and whether another request may follow.
    pub(super) fn own(&self, head: response::Parts, asked: Asked) -> (Answer, Asked) {
        let mut answer = Answer::from_parts(head, Body::default());
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return (answer, asked);
        }
        let is_last = relay::strip(answer.headers_mut());
        let asked = Asked { wants_more: asked.wants_more && !is_last, ..asked };
        (self.last_touch(answer, asked), asked)
    }

    /// Adds to an answer over HTTP/1 what it says about its connection.
    fn last_touch(&self, mut answer: Answer, asked: Asked) -> Answer {
        if asked.other_version {
            rules::tell_version(&mut answer);
        }
        let mut answer = close_if_unread(answer);
        if let Some(guest) = &self.guest {
            guest.dismiss(&mut answer);
        }
        patience::tell(&mut answer, self.idle_wait.as_ref().filter(|_| asked.wants_more));
        answer
    }

    /// Answers a request in hyper, unless it has to wait and can do so outside.
    async fn answer(&self, call: Call, (asked, body): (Asked, BodyEnd)) -> Result<Answer, LeftHyper> {
        let mut answering = self.endpoints.answer(call);
        let outcome = poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            // What is left of a body, and earlier answers that hyper has not written, would be lost.
            Poll::Pending if !asked.is_head && body.is_reached() && self.patience.is_flushed() => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        });
        let Some(outcome) = outcome.await else {
            return Err(self.leave(Step::Wait(Parked { answering, asked })));
        };
        self.settle(outcome, asked).map_err(|next| self.leave(next))
    }

    /// What comes next when a request that has left hyper is done with; `None` if its client is gone.
    pub(super) fn answered(&self, outcome: Option<Outcome>, asked: Asked) -> Step {
        match outcome.map(|outcome| self.settle(outcome, asked)) {
            Some(Ok(answer)) => Step::Reply(Box::new((answer, asked))),
            Some(Err(next)) => next,
            None => Step::End(End::Over),
        }
    }

    fn leave(&self, next: Step) -> LeftHyper {
        self.left.replace(Some(next));
        LeftHyper
    }
}

/// The hyper service of one connection.
pub(super) struct HyperService(pub(super) Rc<Responder>);

impl HttpService<Request<Incoming>> for HyperService {
    type Response = Answer;
    type Error = LeftHyper;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, LeftHyper>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let responder = &self.0;
        if let Some(refusal) = responder.refuse(&request) {
            return Box::pin(ready(Ok(refusal)));
        }
        let (asked, end) = (Asked::of(&request), BodyEnd::default());
        let endpoint = responder.endpoints.find(request.uri().path());
        responder.patience.asked_by_backend(endpoint.is_some_and(|endpoint| endpoint.is_for_operators()));
        let call = Call {
            worker: Rc::clone(&responder.worker),
            peer: proxies::client(&responder.worker.config, responder.peer, request.headers()),
            agent: Agent::of(request.headers()),
            request: request.map(|body| RequestBody::dropped_unread(body, &end)),
        };
        let responder = Rc::clone(responder);
        Box::pin(async move { responder.answer(call, (asked, end)).await })
    }
}
