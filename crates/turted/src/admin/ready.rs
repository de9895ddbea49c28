//! `/ready`: whether the server takes clients, and what it does without.

use hyper::StatusCode;

use super::Monitor;
use crate::http::{Answer, text};
use crate::hub::dispatch::log::health::LogState;

pub(super) fn answer(monitor: &Monitor) -> Answer {
    if monitor.shared.life.is_leaving() {
        text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if let Some(cluster) = monitor.shared.cluster.get().filter(|cluster| !cluster.status().follows()) {
        let reason = cluster.status().failure();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let text_of = format!("this node does not follow the log of its cluster{reason}\n");
        text(StatusCode::SERVICE_UNAVAILABLE, text_of)
    } else if !monitor.shared.life.has_begun() {
        text(StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    } else {
        let log = match monitor.dispatcher.log_health().state() {
            LogState::Memory | LogState::OnDisk | LogState::InEngine => None,
            ill => Some(format!(", but the log: {ill}")),
        };
        let sessions = monitor.shared.sessions.failure();
        let sessions = sessions.map(|reason| format!(", but sessions are in memory: {reason}"));
        let but: String = log.into_iter().chain(sessions).collect();
        text(StatusCode::OK, format!("ready{but}\n"))
    }
}
