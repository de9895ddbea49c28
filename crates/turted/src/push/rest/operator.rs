//! Pushes that come by the admin listener, whose token was shown there: the same checks but for pages and passwords.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::HeaderMap;
use turted_core::push;

use super::answer::{AnswerFormat, Problem};
use super::gate::PushGate;
use super::refuse;
use super::request::{check_encoding, idempotency_key};
use super::taken::{Offer, take};
use crate::http::Answer;
use crate::hub::worker::worker::Worker;

/// A push of an operator, whose body was read.
#[derive(Debug)]
pub(crate) struct OperatorPush {
    pub(crate) peer: IpAddr,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) began: Instant,
}

impl OperatorPush {
    /// Answers it in JSON, on a worker.
    pub(crate) async fn answer(self, worker: &Rc<Worker>, gate: &Arc<PushGate>) -> Answer {
        let peer = self.peer;
        let pushed = self.push(worker, gate).await;
        pushed.unwrap_or_else(|problem| refuse(worker, (peer, AnswerFormat::Json), &problem))
    }

    async fn push(self, worker: &Rc<Worker>, gate: &Arc<PushGate>) -> Result<Answer, Problem> {
        let Self { peer, headers, body, began } = self;
        check_encoding(&headers)?;
        let parsed = push::parse(&body, gate.limits())?;
        let (format, key) = (AnswerFormat::Json, idempotency_key(&headers));
        let offer = Offer { peer, format, body: &body, parsed, password: None, key, began };
        take(worker, gate, offer)?.answer(worker, gate).await.map(Answer::from)
    }
}
