//! An ordinary push on the short way: the same checks in the same order, of a body that is there already.
//!
//! Its body lies in the buffer that all reads of a worker share, and is not needed any more when the push is
//! dispatched.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use turted_core::push;
use turted_core::wire::post::Post;

use super::answer::{AnswerFormat, Problem};
use super::request::checked_key;
use super::taken::{Offer, Settled, Taken, take};
use super::{Rest, gate, mark, refuse};
use crate::auth::attempts::bearer_of;
use crate::http::cors::{self, Page};
use crate::http::endpoint::{ShortAnswer, ShortWay};
use crate::http::{Answer, BodyRefusal};
use crate::hub::worker::worker::Worker;

impl ShortWay for Rest {
    fn answer(&self, worker: &Rc<Worker>, client: IpAddr, post: &Post<'_>) -> ShortAnswer {
        let format = AnswerFormat::of_accept(post.accept);
        let page = Page::none(&worker.config.push.allow_origins);
        if let Err(problem) =
            gate::check_page(&worker.config, (&page, gate::MAY_NOT_PUSH), || cors::is_loopback(post.host))
        {
            return ShortAnswer::Ready(refuse(worker, (client, format), &problem));
        }
        let settled = self.take(worker, client, format, post).map(|taken| taken.settle(worker));
        let answered = match settled {
            Ok(Settled::Later(taken)) => {
                let (worker, gate) = (Rc::clone(worker), Arc::clone(&self.gate));
                return ShortAnswer::Waits(Box::pin(async move {
                    let answered = taken.answer(&worker, &gate).await.map(Answer::from);
                    finish(&worker, (client, format), &page, answered)
                }));
            }
            Ok(Settled::Now(stored)) => Ok(Answer::from(stored)),
            Err(problem) => Err(problem),
        };
        ShortAnswer::Ready(finish(worker, (client, format), &page, answered))
    }
}

impl Rest {
    fn take(
        &self,
        worker: &Worker,
        peer: IpAddr,
        format: AnswerFormat,
        post: &Post<'_>,
    ) -> Result<Taken, Problem> {
        let began = Instant::now();
        let (gate, body) = (&self.gate, post.body);
        let bearer = post.authorization.and_then(bearer_of);
        gate.check_address(peer, bearer)?;
        let mut charge = worker.shared.bodies.charge(peer);
        charge.grow(body.len()).map_err(BodyRefusal::from)?;
        let parsed = push::parse(body, gate.limits())?;
        let password = gate.check_passwords(peer, bearer, &parsed)?;
        let key = post.idempotency_key.map(checked_key).transpose();
        take(worker, gate, Offer { peer, format, body, parsed, password, key, began })
    }
}

fn finish(
    worker: &Worker,
    caller: (IpAddr, AnswerFormat),
    page: &Page,
    answered: Result<Answer, Problem>,
) -> Answer {
    let mut answer = answered.unwrap_or_else(|problem| refuse(worker, caller, &problem));
    mark(worker, page, &mut answer);
    answer
}
