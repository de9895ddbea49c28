//! Questions of operators in a cluster: each node answers for itself, and the node that was asked adds up what it gets.
//!
//! An answer comes within a second. The nodes that are missing in it are named.
//!
//! | file | what |
//! |---|---|
//! | `ask` | what a node asks others, and how their answers are gathered |
//! | `list` | `/api/v1/nodes`: which nodes there are |
//! | `merge` | the answers of several nodes as one |
//! | `counts` | how many users and channels several nodes have, each counted once |
//! | `short` | answers that are cut to what a message has room for |
//! | `watch` | the live view of all nodes: what this one asks the others, and what becomes of what they tell |
//! | `tell` | what other nodes are told that watch this one |
//! | `thread` | the thread that answers other nodes |

mod ask;
pub(super) mod list;
pub(super) mod merge;
mod counts;
mod short;
pub(super) mod watch;
mod tell;
pub(crate) mod thread;

use std::time::Instant;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use self::ask::{Ask, Gained, Reply, everywhere, gained, gather, put_nodes};
use self::merge::Merge;
use super::actions::{self, Operator};
use super::api::{self, Place};
use super::history::Payloads;
use super::json::json as answer_json;
use super::monitor::Monitor;
use super::query::without_node;
use super::refusal::ApiRefusal;
use crate::http::{Answer, answer};
use crate::hub::cluster::Cluster;
use crate::hub::cluster::questions::{TooMany, Whom};

impl From<TooMany> for ApiRefusal {
    fn from(_: TooMany) -> Self {
        Self::Unanswered
    }
}

/// Answers a request that reads, for the whole cluster or for the node that it names. A server that is in no cluster has no
/// such node.
pub(super) async fn read(
    monitor: &Monitor,
    (path, query): (&str, Option<&str>),
    payloads: Payloads,
) -> Result<Answer, ApiRefusal> {
    let (node, query) = without_node(query)?;
    let query = query.as_deref();
    let question = api::read(path, query)?;
    let place = match node {
        Some(node) => Place::At(node),
        None => question.place(),
    };
    let Some(cluster) = monitor.shared.cluster.get() else {
        alone(node)?;
        return api::answer(monitor, (path, query), payloads).await;
    };
    let ask = || Ask::Read {
        path: path.to_owned(),
        query: query.map(str::to_owned),
        payloads: payloads == Payloads::Shown,
    };
    match place {
        Place::Here => api::answer(monitor, (path, query), payloads).await,
        Place::At(node) if node == cluster.number() => api::answer(monitor, (path, query), payloads).await,
        Place::At(node) => at(cluster, node, &ask()).await,
        Place::Everywhere(merge) => {
            let ask = match merge {
                Merge::Counts => Ask::Count { key: getrandom::u64().unwrap_or_default() },
                _ => ask(),
            };
            let gained = everywhere(cluster, &ask, answer_here(monitor, &ask)).await?;
            if !gained.replies.iter().any(|(_, reply)| reply.is_ok()) {
                return api::answer(monitor, (path, query), payloads).await;
            }
            Ok(whole(gained, merge))
        }
    }
}

/// Does what an operator asks for, on all nodes that it concerns. Pushes reach all nodes by the log.
pub(super) async fn act(
    (by, cluster): (&Operator, Option<&Cluster>),
    (path, query): (&str, Option<&str>),
    (headers, body): (HeaderMap, Bytes),
    began: Instant,
) -> Result<Answer, ApiRefusal> {
    let (node, query) = without_node(query)?;
    let query = query.as_deref();
    let action = actions::read(path, query)?;
    let Some(cluster) = cluster else {
        alone(node)?;
        return by.act(action, (headers, body), began).await;
    };
    let text = std::str::from_utf8(&body).map_err(|_| ApiRefusal::BadAction);
    let place = if action.is_for_all() { Place::Everywhere(Merge::Action) } else { Place::Here };
    let node = node.or(action.node()).filter(|_| !action.is_for_none_alone());
    let place = node.map_or(place, Place::At);
    let ask = |text: &str| Ask::Act {
        path: path.to_owned(),
        query: query.map(str::to_owned),
        body: text.to_owned(),
        address: by.address(),
    };
    match place {
        Place::At(node) if node != cluster.number() => at(cluster, node, &ask(text?)).await,
        Place::Everywhere(merge) => {
            let ask = ask(text?);
            let here = by.act(action, (headers, body), began).await;
            if let Err(refusal) = &here
                && !refusal.is_of_node()
            {
                return here;
            }
            let others = gather(cluster, Whom::Others, &ask).await?;
            let mut gained = gained(others);
            if let Ok(here) = here {
                gained.replies.insert(0, (cluster.number(), Reply::of(here)));
            } else if !gained.replies.iter().any(|(_, reply)| reply.is_ok()) {
                return here;
            }
            Ok(whole(gained, merge))
        }
        _ => by.act(action, (headers, body), began).await,
    }
}

/// Checks that a request to a server that is in no cluster names no node.
fn alone(node: Option<u16>) -> Result<(), ApiRefusal> {
    node.map_or(Ok(()), |_| Err(ApiRefusal::NoSuchNode))
}

/// The answers of several nodes as one.
fn whole(gained: Gained, merge: Merge) -> Answer {
    let (values, silent) = gained.values();
    let nodes = values.len();
    let mut merged = merge.merge(values);
    put_nodes(&mut merged, nodes, &silent);
    answer_json(&Value::Object(merged))
}

/// Has another node answer alone.
async fn at(cluster: &Cluster, node: u16, ask: &Ask) -> Result<Answer, ApiRefusal> {
    let gained = gained(gather(cluster, Whom::Node(node), ask).await?);
    if !gained.silent.is_empty() {
        return Err(ApiRefusal::NodeSilent);
    }
    let (_, reply) = gained.replies.into_iter().next().ok_or(ApiRefusal::NoSuchNode)?;
    if reply.is_ok() {
        return Ok(answer_json(&reply.body));
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Ok(answer(status, "application/problem+json", reply.body.to_string()))
}

/// What this node answers by itself.
async fn answer_here(monitor: &Monitor, ask: &Ask) -> Reply {
    let answer = match ask {
        Ask::Read { path, query, payloads } => {
            let payloads = if *payloads { Payloads::Shown } else { Payloads::Hidden };
            api::answer(monitor, (path, query.as_deref()), payloads).await
        }
        Ask::Count { key } => counts_here(monitor, *key).await,
        Ask::Node => Ok(list::here(monitor)),
        Ask::Act { path, query, body, address } => {
            let (by, began) = (Operator::of_node(monitor.clone(), *address), Instant::now());
            let body = Bytes::copy_from_slice(body.as_bytes());
            match actions::read(path, query.as_deref()) {
                // Pushes go to the log of all nodes: none is passed on.
                Ok(action) if action.is_for_all() || action.node().is_some() => {
                    by.act(action, (HeaderMap::new(), body), began).await
                }
                Ok(_) => Err(ApiRefusal::NoSuchPath),
                Err(refusal) => Err(refusal),
            }
        }
    };
    Reply::of(answer.unwrap_or_else(Answer::from))
}

/// The counts of this node, with the smallest hashes of its names.
async fn counts_here(monitor: &Monitor, key: u64) -> Result<Answer, ApiRefusal> {
    let (counts, [users, channels]) = api::counts(monitor, key).await?;
    let mut body = Reply::of(answer_json(&counts)).body;
    body["user_hashes"] = json!(counts::smallest(users));
    body["channel_hashes"] = json!(counts::smallest(channels));
    Ok(answer_json(&body))
}
