//! `GET /api/v1/channels/NAME/history`: the last events of a channel, the newest first.

use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::history::Range;
use turted_core::name::Name;

use super::json::json;
use super::monitor::Monitor;
use super::refusal::ApiRefusal;
use crate::http::Answer;
use crate::hub::dispatch::history::Told;

/// Bytes of the payloads of one answer, after which it ends: an answer with the largest payload has one event.
const PAYLOADS_BYTES: usize = 1024 * 1024;

/// Which events are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryPage {
    /// Only those before this position.
    pub(super) before: Option<Cursor>,
    pub(super) limit: usize,
}

/// Whether payloads are shown: only those who show a token may see them, on this machine too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payloads {
    Shown,
    Hidden,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    events: Vec<Event<'a>>,
    /// Whether there are older ones.
    more: bool,
    /// Whether these and the older ones are all that the rule of the channel keeps.
    complete: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    position: String,
    event: &'a str,
    age_seconds: u64,
    /// Of the payload.
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

pub(super) fn answer(
    monitor: &Monitor,
    (name, page): (&Name, HistoryPage),
    payloads: Payloads,
) -> Result<Answer, ApiRefusal> {
    let (dispatcher, now) = (&monitor.dispatcher, Instant::now());
    let up_to = match page.before.map(|before| dispatcher.number(before)) {
        None => u64::MAX,
        Some(Some(number)) => number.saturating_sub(1),
        Some(None) => return Err(ApiRefusal::NoSuchPosition),
    };
    let found = dispatcher.history_of(name, Range { after: 0, up_to, most: page.limit + 1 }, now);
    let complete =
        dispatcher.read_history(|history| history.is_whole() && history.store().has_all_of_rule(name, now));
    let mut bytes = 0;
    let fits = |(accepted, _): &&Told| {
        let fits = bytes == 0 || bytes < PAYLOADS_BYTES;
        bytes += accepted.dispatch.payload.get().len();
        fits
    };
    let events: Vec<_> =
        found.iter().take(page.limit).take_while(fits).map(|told| event(told, payloads)).collect();
    let more = found.len() > events.len();
    Ok(json(&Listed { name: name.as_str(), events, more, complete: complete.unwrap_or(false) }))
}

fn event((accepted, _): &Told, payloads: Payloads) -> Event<'_> {
    let payload = &accepted.dispatch.payload;
    Event {
        position: accepted.cursor.to_string(),
        event: accepted.dispatch.event.as_str(),
        age_seconds: accepted.age().as_secs(),
        bytes: payload.get().len(),
        payload: (payloads == Payloads::Shown).then_some(&**payload),
    }
}
