//! Pushes that come by the admin listener, whose token was shown there: the same checks but for pages and passwords.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::HeaderMap;
use turted_core::cursor::Cursor;
use turted_core::push;

use super::answer::{AnswerFormat, LOG_SLOW, LOG_UNAVAILABLE, Problem, positions};
use super::gate::PushGate;
use super::idempotency::StoredAnswer;
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

/// What became of a push of an operator.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) answer: Answer,
    pub(crate) may_be_accepted: bool,
    /// The position of its first event, and how many it has, if it is accepted.
    pub(crate) positions: Option<(Cursor, usize)>,
}

impl OperatorPush {
    /// Answers it in JSON, on a worker.
    pub(crate) async fn answer(self, worker: &Rc<Worker>, gate: &Arc<PushGate>) -> Pushed {
        let peer = self.peer;
        match self.push(worker, gate).await {
            Ok(stored) => {
                let positions = positions(&stored);
                Pushed { answer: stored.into(), may_be_accepted: true, positions }
            }
            Err(problem) => {
                let answer = refuse(worker, (peer, AnswerFormat::Json), &problem);
                let is_in_cluster = worker.shared.cluster.get().is_some();
                let may_be_accepted =
                    problem.rule() == LOG_SLOW || is_in_cluster && problem.rule() == LOG_UNAVAILABLE;
                Pushed { answer, may_be_accepted, positions: None }
            }
        }
    }

    async fn push(self, worker: &Rc<Worker>, gate: &Arc<PushGate>) -> Result<StoredAnswer, Problem> {
        let Self { peer, headers, body, began } = self;
        check_encoding(&headers)?;
        let parsed = push::parse(&body, gate.limits())?;
        let (format, key) = (AnswerFormat::Json, idempotency_key(&headers));
        let offer = Offer { peer, format, body: &body, parsed, password: None, key, began };
        take(worker, gate, offer)?.answer(worker, gate).await
    }
}
