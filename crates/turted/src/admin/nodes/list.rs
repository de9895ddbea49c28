//! `GET /api/v1/nodes`: which nodes there are, and how far each has read.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ask::{Ask, Reply, everywhere, put_nodes};
use crate::admin::json::json as answer_json;
use crate::admin::monitor::Monitor;
use crate::admin::refusal::ApiRefusal;
use crate::http::Answer;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::status::NodeSeen;

pub(in crate::admin) const PATH: &str = "/api/v1/nodes";

/// What a node says of itself.
#[derive(Serialize)]
struct Own {
    version: &'static str,
    connections: usize,
    /// Of the last entry of the log that it has read.
    position: String,
    draining: bool,
    /// Seconds between an entry and its reading, for the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// Why it does not follow the log, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What this node says of itself.
pub(super) fn here(monitor: &Monitor) -> Answer {
    answer_json(&own(monitor))
}

fn own(monitor: &Monitor) -> Own {
    let status = monitor.shared.cluster.get().map(Cluster::status);
    let failure = status.filter(|status| !status.follows());
    let unknown = || "it has not read to the end".to_owned();
    Own {
        version: env!("CARGO_PKG_VERSION"),
        connections: monitor.shared.sockets(),
        position: monitor.dispatcher.cursor(monitor.dispatcher.read_log(|log| log.last())).to_string(),
        draining: monitor.is_draining(),
        lag_seconds: status.map(|status| status.lag().as_secs_f64()),
        failure: failure.map(|status| status.failure().unwrap_or_else(unknown)),
    }
}

/// Answers for the cluster. A server that is in none is the only node, without a number.
pub(in crate::admin) async fn answer(monitor: &Monitor) -> Result<Answer, ApiRefusal> {
    let Some(cluster) = monitor.shared.cluster.get() else {
        return Ok(answer_json(&json!({"nodes": [own(monitor)]})));
    };
    let seen = cluster.status().nodes();
    let gained = everywhere(cluster, &Ask::Node, async { Reply::of(here(monitor)) }).await?;
    let (answered, silent) = gained.values();
    let ours = seen.iter().find(|node| node.process == cluster.process());
    let mut nodes: Vec<_> = seen
        .iter()
        .map(|node| {
            let fresh = answered.iter().find(|(number, _)| *number == node.number);
            describe(node, fresh.map(|(_, value)| value), ours)
        })
        .collect();
    nodes.sort_by_key(|node| node["number"].as_u64());
    let mut listed = Map::new();
    put_nodes(&mut listed, nodes.len(), &silent);
    listed.insert("nodes".to_owned(), nodes.into());
    Ok(answer_json(&Value::Object(listed)))
}

/// What is known of a node: what it says now, or what it said last.
fn describe(node: &NodeSeen, fresh: Option<&Value>, ours: Option<&NodeSeen>) -> Value {
    let mut told = json!({
        "version": node.version.as_str(),
        "connections": node.connections,
        "position": node.read.map(|read| read.to_string()),
        "draining": node.is_draining,
    });
    if let (Some(told), Some(Value::Object(fresh))) = (told.as_object_mut(), fresh) {
        told.extend(fresh.clone());
    }
    told["number"] = json!(node.number);
    told["this"] = json!(ours.is_some_and(|ours| ours.process == node.process));
    told["address"] = json!(node.advertise);
    told["heard_seconds"] = json!(node.heard.elapsed().as_secs());
    told["other_rules"] = json!(node.other_rules);
    told
}
