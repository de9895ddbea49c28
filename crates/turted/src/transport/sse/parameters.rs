//! The parameters of a request for a stream: their names, and other names that are meant to be one of them.

use std::collections::HashSet;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use strsim::damerau_levenshtein;
use turted_core::cursor::Cursor;
use turted_core::limits::HISTORY_EVENTS_MAX;
use turted_core::name::Name;
use turted_core::wire::sse::loss;

use super::request::SseRefusal;
use crate::http::query::Query;
use crate::hub::client::resume::Seen;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The parameters that say who a client is.
pub(super) const CREDENTIALS: [&str; 3] = ["user", "token", "password"];
/// Other names that clients are likely to give our parameters.
const ALIASES: [(&str, &str); 2] = [("username", "user"), ("channelname", "channel")];
/// Letters of a name from which one letter may be wrong: a shorter name is near too many other words.
const NEAR_LETTERS_MIN: usize = 7;

/// Refuses a parameter that is nearly one of ours, because the client would miss what it asks for and not be told.
/// Other parameters, such as those against caches, are ignored.
pub(super) fn check_names(query: &Query) -> Result<(), SseRefusal> {
    let meant = query.names().filter(|name| !is_channel(name)).find_map(meant);
    meant.map_or(Ok(()), |ours| Err(SseRefusal::Parameter(ours)))
}

/// The name that a parameter should have, if it is nearly one of ours.
fn meant(name: &str) -> Option<&'static str> {
    let ours = ["channel", "envelope", "history", "lastEventId", "presence"].into_iter().chain(CREDENTIALS);
    let ours: Vec<_> = ours.collect();
    if ours.contains(&name) {
        return None;
    }
    let plain = plain(name);
    let alias = ALIASES.iter().find(|(alias, _)| *alias == plain).map(|(_, ours)| *ours);
    alias.or_else(|| ours.into_iter().find(|ours| is_near(&plain, &ours.to_ascii_lowercase())))
}

fn is_near(plain: &str, ours: &str) -> bool {
    let single = plain.strip_suffix('s').unwrap_or(plain);
    plain == ours
        || single == ours
        || (ours.len() >= NEAR_LETTERS_MIN && damerau_levenshtein(single, ours) <= 1)
}

/// The letters of a name in lower case, without what stands in brackets.
fn plain(name: &str) -> String {
    let name = name.split('[').next().unwrap_or("");
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether a parameter is a channel: `channel`, or a list as PHP writes it, `channel[]` and `channel[0]`.
fn is_channel(name: &str) -> bool {
    let index = name.strip_prefix("channel[").and_then(|rest| rest.strip_suffix(']'));
    name == "channel" || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The channels a request names, at most so many, each once.
pub(super) fn channels(query: &Query, most: usize) -> Result<Vec<Name>, SseRefusal> {
    let (mut channels, mut known) = (Vec::new(), HashSet::new());
    for channel in query.matching(is_channel) {
        let name = Name::new(channel)?;
        if known.insert(name.clone()) {
            channels.push(name);
        }
        if channels.len() > most {
            return Err(SseRefusal::TooManyChannels(most));
        }
    }
    Ok(channels)
}

/// How many events of the history of each channel are asked for.
pub(super) fn history(query: &Query) -> Result<usize, SseRefusal> {
    let events = query.get("history").map_or(Some(0), |text| text.parse().ok());
    events.filter(|events| *events <= HISTORY_EVENTS_MAX).ok_or(SseRefusal::History)
}

/// Whether a client wants to hear who is in its channels.
pub(super) fn presence(query: &Query) -> Result<bool, SseRefusal> {
    match query.get("presence") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(SseRefusal::PresenceValue),
    }
}

/// The position that a client shows; of several, the latest one that is known. Clients that cannot set the header
/// add a parameter at each reconnect, and leave the older ones where they are. Nothing can be resumed from a
/// position that cannot be read or is unknown.
pub(super) fn seen(
    headers: &HeaderMap,
    query: &Query,
    number: impl Fn(Cursor) -> Option<u64>,
) -> Option<Seen> {
    let in_headers = headers.get_all(LAST_EVENT_ID).iter().map(text);
    let shown: Vec<_> =
        in_headers.chain(query.all("lastEventId")).filter(|shown| !shown.is_empty()).collect();
    let cursors: Vec<Option<Cursor>> = shown.iter().map(|shown| shown.parse().ok()).collect();
    let told = shown.iter().filter_map(|shown| loss(shown)).max_by_key(|told| (told.epoch, told.sequence));
    let known = cursors.iter().flatten().filter_map(|cursor| Some((number(*cursor)?, *cursor)));
    match known.max_by_key(|(number, cursor)| (*number, cursor.epoch, cursor.sequence)) {
        Some((_, cursor)) => Some(Seen::UpTo(cursor)),
        None => (!cursors.is_empty()).then_some(Seen::Unknown(told)),
    }
}

/// A header as text. A header that is no text becomes one that is no position.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_position_counts_wherever_it_stands() {
        // Of a later epoch this server has not read yet.
        let number = |cursor: Cursor| match cursor.epoch {
            15 => Some(cursor.sequence),
            16.. => Some(u64::MAX),
            _ => None,
        };
        let at = |header: Option<&'static str>, query: &str| {
            let value = header.map(|value| (LAST_EVENT_ID, HeaderValue::from_static(value)));
            match seen(&HeaderMap::from_iter(value), &Query::parse(query).unwrap(), number) {
                Some(Seen::UpTo(cursor)) => cursor.to_string(),
                Some(Seen::Unknown(Some(told))) => format!("gap at {told}"),
                Some(_) => "gap".into(),
                None => "none".into(),
            }
        };
        for (header, query, expected) in [
            (None, "", "none"),
            (Some(""), "", "none"),
            (None, "lastEventId=", "none"),
            (None, "lastEventId=f-8", "f-8"),
            (Some("f-7"), "", "f-7"),
            (Some("f-7"), "lastEventId=f-8", "f-8"),
            (Some("f-9"), "lastEventId=f-8", "f-9"),
            (None, "lastEventId=f-7&lastEventId=f-8", "f-8"),
            (None, "lastEventId=f-8&lastEventId=f-7", "f-8"),
            (None, "lastEventId=f-9&lastEventId=f-10", "f-10"),
            (None, "lastEventId=f-8&lastEventId=", "f-8"),
            // Of another epoch.
            (None, "lastEventId=e-99&lastEventId=f-7", "f-7"),
            (Some("e-99"), "lastEventId=f-7", "f-7"),
            (Some("e-99"), "", "gap"),
            (Some("gap"), "", "gap"),
            (Some("gap-f-8"), "", "gap at f-8"),
            (None, "lastEventId=gap-f-9&lastEventId=gap-10-8", "gap at 10-8"),
            (Some("gap-10-8"), "lastEventId=f-9", "f-9"),
            (Some("gap-gap"), "", "gap"),
            (Some("10-8"), "lastEventId=f-9", "10-8"),
            (Some("10-8"), "lastEventId=10-7&lastEventId=11-6", "11-6"),
            (Some("10-8"), "lastEventId=10-7", "10-8"),
            (Some("constructor"), "", "gap"),
            (Some("constructor"), "lastEventId=f-8", "f-8"),
            (Some("constructor"), "lastEventId=x", "gap"),
        ] {
            assert_eq!(at(header, query), expected, "{header:?} {query}");
        }
    }

    #[test]
    fn a_parameter_that_looks_like_ours_is_refused_with_the_right_name() {
        for (name, expected) in [
            ("channels", "channel"),
            ("channels[]", "channel"),
            ("Channel", "channel"),
            ("chanel", "channel"),
            ("channle", "channel"),
            ("channel[a]", "channel"),
            ("channel[", "channel"),
            ("channel_name", "channel"),
            ("envelop", "envelope"),
            ("lasteventid", "lastEventId"),
            ("last-event-id", "lastEventId"),
            ("last_event_id", "lastEventId"),
            ("Last-Event-ID", "lastEventId"),
            ("lastEventID", "lastEventId"),
            ("histroy", "history"),
            ("History", "history"),
            ("presense", "presence"),
            ("Presence", "presence"),
            ("username", "user"),
            ("users", "user"),
            ("User", "user"),
            ("Token", "token"),
            ("passwords", "password"),
            ("pasword", "password"),
        ] {
            assert_eq!(meant(name), Some(expected), "{name}");
        }
        for name in [
            "channel",
            "lastEventId",
            "user",
            "_",
            "t",
            "v",
            "use",
            "tokyo",
            "cache",
            "panel",
            "event",
            "id",
            "",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn channels_are_listed_as_urls_and_as_php_list_them() {
        let query = Query::parse("channel=a&channel[]=b&channel%5B%5D=c&channel[0]=d&channel[1]=a").unwrap();
        let listed: Vec<_> =
            channels(&query, 4).unwrap().iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(listed, ["a", "b", "c", "d"]);
        assert_eq!(channels(&query, 3), Err(SseRefusal::TooManyChannels(3)));
        assert_eq!(check_names(&query), Ok(()));
    }
}
