//! Which requests are passed on, and what becomes of those that cannot be.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use tokio::time::timeout;
use turted_core::session_key::SessionKey;

use super::passed::Owner;
use super::{link, outgoing};
use crate::http::answer::{Unavailable, text};
use crate::http::call::{Call, Outcome};
use crate::http::cors::Page;
use crate::http::endpoint::{AskedBy, Endpoint, Home};
use crate::hub::cluster::claims::{Opening, Place};
use crate::hub::cluster::peers::{Peers, UnopenedClaim};

/// Whether a request of this method may be for a session. What pages ask beforehand is answered anywhere.
pub(in crate::http) fn may_be_of_session(method: &Method) -> bool {
    *method != Method::OPTIONS && *method != Method::HEAD
}

/// Where a request is answered.
enum Way {
    /// With the claim of the session that it is to open, if it is to open one.
    Here(Option<UnopenedClaim>),
    /// At this node; and the name under which that is remembered.
    Node(u16, Option<SessionKey>),
}

/// Why a request could not be passed on.
#[derive(Debug, thiserror::Error)]
enum PassFailure {
    #[error("the node is unknown")]
    Unknown,
    #[error("the node was not reached in time")]
    Late,
    #[error(transparent)]
    Link(#[from] link::LinkFailure),
    #[error("the node ended the connection: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the node has left, or is elsewhere")]
    Withdrawn,
}

/// Answers a request whose session may be at another node.
pub(in crate::http) async fn answer(
    endpoint: Arc<dyn Endpoint>,
    call: Call,
    (peers, home, asked_by): (Arc<Peers>, Home, AskedBy),
) -> Outcome {
    match find(&call, &peers, home).await {
        Ok(Way::Node(node, key)) if asked_by == AskedBy::Clients => {
            pass(endpoint, call, (peers, node, key)).await
        }
        Ok(way) => answer_here(endpoint, call, way).await,
        Err(refusal) => refusal,
    }
}

/// A claim for a session that is not open when the request is answered is given up. The session of an answer that does not
/// end opens later.
async fn answer_here(endpoint: Arc<dyn Endpoint>, call: Call, way: Way) -> Outcome {
    let outcome = endpoint.answer(call).await;
    if let (Way::Here(Some(claim)), Outcome::Stream(_) | Outcome::Takeover(_)) = (way, &outcome) {
        claim.leave();
    }
    outcome
}

async fn find(call: &Call, peers: &Arc<Peers>, home: Home) -> Result<Way, Outcome> {
    let (own, key, opening) = match (peers.own(), home) {
        // Without a number there is nobody to pass anything on for.
        (None, _) => return Ok(Way::Here(None)),
        (Some(own), Home::Node(node)) if own == node => return Ok(Way::Here(None)),
        (Some(_), Home::Node(node)) => return Ok(Way::Node(node, None)),
        (Some(own), Home::Claimed(key, opening)) => (own, key, opening),
    };
    match peers.claims().find(own, key, opening).await {
        Ok(Place::Here) => Ok(Way::Here((opening == Opening::Opens).then(|| UnopenedClaim::new(peers, key)))),
        Ok(Place::Node(node)) => Ok(Way::Node(node, Some(key))),
        Err(failure) => {
            tracing::debug!(peer = %call.peer, %failure, "cannot look a session up");
            let body = "where the session is cannot be found out at the moment, try again";
            Err(unavailable(call, ("cluster-claims", Unavailable::Moment), body))
        }
    }
}

/// Passes a request on. If that is not possible its session is answered as one that is not known here: so its client
/// begins anew, and recovers.
async fn pass(
    endpoint: Arc<dyn Endpoint>,
    mut call: Call,
    (peers, node, key): (Arc<Peers>, u16, Option<SessionKey>),
) -> Outcome {
    let metrics = Arc::clone(&call.worker.metrics);
    // The connection to the other node is a socket like any other.
    let Some(permit) = call.worker.shared.permits.take() else {
        let body = "the server has no connection left, try again later (limits.connections)";
        return unavailable(&call, ("connections", Unavailable::Overload), body);
    };
    let failure = match reach(&call, &peers, node).await {
        Ok(owner) => match owner.with(permit).ask(outgoing::request(&mut call)).await {
            Ok(Some(passed)) => {
                metrics.passed_on.add(1);
                return Outcome::Passed(Box::new(passed));
            }
            Ok(None) => PassFailure::Withdrawn,
            Err(broken) => PassFailure::Broken(broken),
        },
        Err(failure) => failure,
    };
    metrics.not_passed_on.add(1);
    tracing::debug!(peer = %call.peer, node, %failure, "cannot pass a request on");
    key.inspect(|key| peers.claims().forget(*key));
    endpoint.answer(call).await
}

async fn reach(call: &Call, peers: &Peers, node: u16) -> Result<Owner, PassFailure> {
    let address = peers.address_of(node).ok_or(PassFailure::Unknown)?;
    let connected =
        timeout(link::REACH_WAIT_MAX, link::connect(&call.worker, peers, (node, address), call.peer));
    let link = connected.await.map_err(|_| PassFailure::Late)??;
    Ok(Owner::new(link, peers.withdrawn(node, address)).await?)
}

fn unavailable(call: &Call, (rule, kind): (&'static str, Unavailable), body: &'static str) -> Outcome {
    call.worker.metrics.refused(rule);
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, body);
    kind.mark(&mut answer);
    Page::of(&call.request, &call.worker.config.allow_origins).mark(&mut answer);
    answer.into()
}
