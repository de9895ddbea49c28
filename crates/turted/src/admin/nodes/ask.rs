//! What a node asks others, what they answer, and how their answers are gathered.

use std::net::IpAddr;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::http::Answer;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::questions::{Gathered, TooMany, Whom};

/// What a node asks others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    /// What the API answers.
    Read { path: String, query: Option<String>, payloads: bool },
    /// The counts, and hashes of names with this key.
    Count { key: u64 },
    /// An action of the operator at this address.
    Act { path: String, query: Option<String>, body: String, address: IpAddr },
    /// What the node says of itself.
    Node,
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    /// The same as an answer of the API.
    pub(super) fn of(answer: Answer) -> Self {
        let (head, mut body) = answer.into_parts();
        let bytes: Vec<u8> = std::iter::from_fn(|| body.take_part()).flatten().collect();
        // The API answers in JSON.
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { status: head.status.as_u16(), body }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK.as_u16()
    }
}

/// What each node answered, by its number, and which nodes did not.
pub(super) struct Gained {
    pub(super) replies: Vec<(u16, Reply)>,
    pub(super) silent: Vec<u16>,
}

impl Gained {
    /// The answers that are none of a refusal, and how many there are.
    pub(super) fn values(self) -> (Vec<(u16, Value)>, Vec<u16>) {
        let good = self.replies.into_iter().filter(|(_, reply)| reply.is_ok());
        (good.map(|(node, reply)| (node, reply.body)).collect(), self.silent)
    }
}

/// Says how many nodes an answer is of, and which are missing.
pub(super) fn put_nodes(merged: &mut Map<String, Value>, nodes: usize, silent: &[u16]) {
    merged.insert("nodes".to_owned(), json!(nodes));
    if !silent.is_empty() {
        merged.insert("silent".to_owned(), json!(silent));
    }
}

/// Asks all other nodes, while this one answers.
pub(super) async fn everywhere(
    cluster: &Cluster,
    ask: &Ask,
    here: impl Future<Output = Reply>,
) -> Result<Gained, TooMany> {
    let (here, others) = tokio::join!(here, gather(cluster, Whom::Others, ask));
    let mut gained = gained(others?);
    gained.replies.insert(0, (cluster.number(), here));
    Ok(gained)
}

pub(super) async fn gather(cluster: &Cluster, whom: Whom, ask: &Ask) -> Result<Gathered, TooMany> {
    let body = serde_json::to_vec(ask).expect("texts and numbers can be written as JSON");
    cluster.gather(whom, body).await
}

/// What others answered. What cannot be read counts as no answer.
pub(super) fn gained(Gathered { answers, mut silent }: Gathered) -> Gained {
    let mut replies = Vec::with_capacity(answers.len());
    for (node, bytes) in answers {
        match serde_json::from_slice(&bytes) {
            Ok(reply) => replies.push((node, reply)),
            Err(_) => silent.push(node),
        }
    }
    silent.sort_unstable();
    Gained { replies, silent }
}
