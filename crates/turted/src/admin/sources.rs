//! `GET /api/v1/sources`: where pushes are fetched from, and how that goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::json::json;
use crate::http::Answer;
use crate::push::intake::{OUTCOMES, Status};

#[derive(Serialize)]
struct Sources<'a> {
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'a str,
    r#type: &'static str,
    address: &'a str,
    up: bool,
    /// The last reason for which it was not up.
    failure: Option<String>,
    messages: BTreeMap<&'static str, u64>,
    dispatches: u64,
    gaps: u64,
    waiting_seconds: f64,
    lag_bytes: Option<u64>,
    lag_messages: Option<u64>,
}

impl<'a> Source<'a> {
    fn of(status: &'a Status) -> Self {
        Self {
            name: status.name(),
            r#type: status.kind(),
            address: status.address(),
            up: status.is_up(),
            failure: status.failure(),
            messages: OUTCOMES.into_iter().zip(status.outcomes()).collect(),
            dispatches: status.dispatches(),
            gaps: status.gaps(),
            waiting_seconds: status.waited().as_secs_f64(),
            lag_bytes: status.lag_bytes(),
            lag_messages: status.lag_messages(),
        }
    }
}

pub(super) fn answer(sources: &[Arc<Status>]) -> Answer {
    json(&Sources { sources: sources.iter().map(|status| Source::of(status)).collect() })
}
