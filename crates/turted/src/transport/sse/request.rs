//! A request for a stream: what it asks for, the rules it must keep, and its answer if it breaks
//! one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use serde_json::value::to_raw_value;
use turted_core::auth::{IdentRefusal, Verified};
use turted_core::channel::JoinRefusal;
use turted_core::limits::HISTORY_EVENTS_MAX;
use turted_core::name::NameRefusal;
use turted_core::presence::PresenceRefusal;
use turted_core::wire::sse::CONTENT_TYPE;

use super::parameters::{self, CREDENTIALS};
use super::session::{Style, come_back};
use super::stream::{self, Wanted};
use crate::auth::Visitor;
use crate::config::{self, Config};
use crate::http::cors::Page;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::negotiation::{Named, liking};
use crate::http::query::Query;
use crate::http::refusal::Row;
use crate::http::streaming::{self, NOT_CACHED, NoPermit, Unending, Way};
use crate::http::{
    Answer, Call, Outcome, RequestBody, Unavailable, allow, answer as with_type, close_after, without_slash,
};
use crate::hub::client::{claim, identity};
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::wire::Language;
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;
use crate::transport::credentials::{self, Proof};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// Why a request gets no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SseRefusal {
    Method,
    Origin,
    Query,
    /// A parameter is nearly called this.
    Parameter(&'static str),
    Name(NameRefusal),
    /// `history` is no number of events.
    History,
    /// `presence` is neither 1 nor 0.
    PresenceValue,
    Presence(PresenceRefusal),
    /// More channels than a connection may join.
    TooManyChannels(usize),
    QueryCredentials,
    Ident(IdentRefusal),
    Join(JoinRefusal),
    Overload(NoPermit),
    Stopping,
}

impl SseRefusal {
    /// What the client is told, and what is counted.
    fn row(self) -> Row {
        use StatusCode as Status;
        let bad = |rule, text: String| Row::new(rule, Status::BAD_REQUEST, text);
        match self {
            Self::Method => {
                Row::new("sse-method", Status::METHOD_NOT_ALLOWED, "ask for an event stream with GET")
            }
            Self::Origin => Row::new(
                "sse-origin",
                Status::FORBIDDEN,
                "pages of this origin may not connect (allow_origins)",
            ),
            Self::Query => Row::new("sse-query", Status::BAD_REQUEST, "the query is not UTF-8"),
            Self::Parameter(name) => bad(
                "sse-parameter",
                format!("the query has a parameter that is nearly called {name}: call it {name}"),
            ),
            Self::Name(refusal) => bad("sse-channel-name", format!("channel: {refusal}")),
            Self::History => {
                bad("sse-history", format!("history is a whole number from 0 to {HISTORY_EVENTS_MAX}"))
            }
            Self::PresenceValue => bad("sse-presence", "presence is 1 or 0".into()),
            Self::TooManyChannels(most) => bad(
                "sse-channels",
                format!("a connection may join at most {most} channels (limits.channels_per_connection)"),
            ),
            Self::QueryCredentials => Row::new(
                "sse-query-credentials",
                Status::BAD_REQUEST,
                "credentials in the query are not taken (sse.query_credentials)",
            ),
            Self::Ident(refusal @ IdentRefusal::TooManyWrong) => {
                Row::new("too-many-wrong-idents", Status::TOO_MANY_REQUESTS, refusal.to_string())
            }
            Self::Ident(refusal @ IdentRefusal::Unavailable) => {
                Row::later("ident", Unavailable::Moment, refusal.to_string())
            }
            Self::Ident(refusal) => Row::new("ident", Status::UNAUTHORIZED, refusal.to_string()),
            Self::Join(refusal) => Row::new("join", Status::FORBIDDEN, refusal.to_string()),
            Self::Presence(refusal) => Row::new("presence", Status::FORBIDDEN, refusal.to_string()),
            Self::Overload(none) => Row::later("connections", Unavailable::Overload, none.to_string()),
            Self::Stopping => Row::later("stopping", Unavailable::Stopping, "the server is stopping"),
        }
    }

    fn answer(self, worker: &Worker) -> Answer {
        let mut answer = self.row().plain();
        match (self, answer.status()) {
            (Self::Method, _) => allow(&mut answer, METHODS),
            (_, StatusCode::TOO_MANY_REQUESTS) => {
                let seconds = worker.config.limits.password_window.as_secs().max(1);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            (_, StatusCode::UNAUTHORIZED) => {
                // Not Basic, for which browsers would ask the user.
                let scheme = HeaderValue::from_static("Bearer realm=\"turted\"");
                answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        answer
    }
}

impl From<NameRefusal> for SseRefusal {
    fn from(refusal: NameRefusal) -> Self {
        Self::Name(refusal)
    }
}

impl From<IdentRefusal> for SseRefusal {
    fn from(refusal: IdentRefusal) -> Self {
        Self::Ident(refusal)
    }
}

impl From<JoinRefusal> for SseRefusal {
    fn from(refusal: JoinRefusal) -> Self {
        Self::Join(refusal)
    }
}

impl From<PresenceRefusal> for SseRefusal {
    fn from(refusal: PresenceRefusal) -> Self {
        Self::Presence(refusal)
    }
}

impl From<NoPermit> for SseRefusal {
    fn from(refusal: NoPermit) -> Self {
        Self::Overload(refusal)
    }
}

/// The endpoint of event streams in one style.
#[derive(Debug)]
pub(crate) struct Sse {
    settings: config::Sse,
    style: Style,
}

impl Sse {
    pub(crate) fn new(config: &Config, style: Style) -> Self {
        Self { settings: config.sse.clone(), style }
    }
}

impl Endpoint for Sse {
    fn serves(&self, path: &str) -> bool {
        match self.style {
            Style::Turted => without_slash(path) == self.settings.path,
            Style::ReactPhp => self.settings.is_reactphp(path),
        }
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(answer(call, self.style))
    }

    fn no_place(&self, _: &Worker, headers: &HeaderMap) -> Option<Answer> {
        accepts_events(headers).then(|| later(self.settings.retry))
    }
}

/// Answers a request for a stream.
async fn answer(call: Call, style: Style) -> Outcome {
    let Call { worker, peer, agent, request } = call;
    let page = Page::of(&request, &worker.config.allow_origins);
    if request.method() == Method::OPTIONS {
        return page.preflight(&request).into();
    }
    let is_head = request.method() == Method::HEAD;
    let is_event_source = accepts_events(request.headers());
    let visitor = Visitor { address: peer, transport: Transport::Sse.labels().0, connection: None };
    let mut head = match check(&worker, visitor, style, (&page, request)).await {
        Ok((mut wanted, permit)) => {
            wanted.agent = agent;
            let mut head = with_type(StatusCode::OK, CONTENT_TYPE, "");
            page.mark(&mut head);
            let worker = Rc::clone(&worker);
            let begin = Box::new(move |way: Way| match is_head {
                true => way.end(&worker),
                false => worker.clone().spawn(stream::serve(worker, way, wanted)),
            });
            return Outcome::Stream(Unending { head, permit, begin });
        }
        Err(refusal) => {
            let Row { rule, status, .. } = refusal.row();
            worker.metrics.refused(rule);
            match status {
                StatusCode::SERVICE_UNAVAILABLE if is_event_source => later(worker.config.sse.retry),
                _ => refusal.answer(&worker),
            }
        }
    };
    if worker.shared.life.is_draining() {
        close_after(&mut head);
    }
    page.mark(&mut head);
    head.into()
}

/// An `EventSource` gives up for good at anything but a stream (HTML 9.2.2, "fail the connection").
/// If it could be served later, it gets a stream that says so and ends.
fn later(retry: Duration) -> Answer {
    let mut answer = with_type(StatusCode::OK, CONTENT_TYPE, Bytes::from(come_back(retry)));
    answer.headers_mut().insert(CACHE_CONTROL, NOT_CACHED);
    answer
}

/// Whether a request is one of an `EventSource`, which always says so.
fn accepts_events(headers: &HeaderMap) -> bool {
    let liking = liking(headers, CONTENT_TYPE);
    liking.named == Named::Exactly && liking.weight > 0
}

async fn check(
    worker: &Rc<Worker>,
    visitor: Visitor,
    style: Style,
    (page, request): (&Page, Request<RequestBody>),
) -> Result<(Wanted, Option<Permit>), SseRefusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(SseRefusal::Method);
    }
    let headers = request.headers();
    if !page.is_allowed() {
        return Err(SseRefusal::Origin);
    }
    if worker.shared.life.is_draining() {
        return Err(SseRefusal::Stopping);
    }
    let query = Query::parse(request.uri().query().unwrap_or("")).ok_or(SseRefusal::Query)?;
    if style == Style::Turted {
        // Pages of TURTED for reactphp may send any other parameters.
        parameters::check_names(&query)?;
    }
    let channels = parameters::channels(&query, worker.config.limits.channels_per_connection)?;
    let peer = visitor.address;
    let verified = verify(worker, visitor, headers, &query).await?;
    for channel in &channels {
        identity::may_join_as(worker, verified.as_ref(), channel).inspect_err(|refusal| {
            let user = verified.as_ref().map(|verified| &verified.identity.name);
            journal::stream_refused(worker, visitor, user, (channel, refusal));
        })?;
    }
    let language = match query.get("envelope") {
        Some("1") => Language::SseEnvelope,
        _ => Language::Sse,
    };
    // Pages of TURTED for reactphp know of no history and no presence.
    let history = if style == Style::Turted { parameters::history(&query)? } else { 0 };
    let presence = style == Style::Turted && parameters::presence(&query)?;
    if presence {
        channels.iter().try_for_each(|channel| worker.shared.presence.check(channel))?;
    }
    // Another node may have read more of the log: the latest position is one that this node does not know yet.
    let later = |cursor| claim::is_of_later_epoch(worker, cursor).then_some(u64::MAX);
    let number = |cursor| worker.dispatcher.number(cursor).or_else(|| later(cursor));
    let seen = parameters::seen(headers, &query, number);
    let permit = streaming::permit(worker, request.version())?;
    let agent = Agent::default();
    Ok((Wanted { peer, agent, style, verified, channels, language, history, presence, seen }, permit))
}

/// Who the client is, if it says so. A page can set no header of an `EventSource`, so an operator may
/// allow credentials in the query, where logs of proxies show them.
async fn verify(
    worker: &Rc<Worker>,
    visitor: Visitor,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Option<Verified>, SseRefusal> {
    let in_query = CREDENTIALS.iter().any(|name| query.get(name).is_some());
    if in_query && !worker.config.sse.query_credentials {
        return Err(SseRefusal::QueryCredentials);
    }
    let proof: Option<Proof> = if in_query && !headers.contains_key(AUTHORIZATION) {
        let [user, token, password] = CREDENTIALS.map(|name| query.get(name));
        let given = [("username", user), ("token", token), ("password", password)];
        let data: serde_json::Map<_, _> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
        let data = to_raw_value(&data).map_err(|_| IdentRefusal::NotVerified)?;
        Some(credentials::verify_data(worker, visitor, &data).await)
    } else {
        credentials::verify(worker, visitor, headers).await
    };
    Ok(proof.transpose()?)
}

#[cfg(test)]
mod tests {
    use hyper::header::ACCEPT;

    use super::*;

    #[test]
    fn an_event_source_is_known_by_what_it_accepts() {
        for (accept, expected) in [
            ("text/event-stream", true),
            ("text/html, Text/Event-Stream;q=0.9", true),
            ("TEXT/EVENT-STREAM, */*;q=0.1", true),
            ("text/event-stream;q=0", false),
            ("text/event-stream;q=0.000, */*", false),
            ("text/*", false),
            ("*/*", false),
            ("text/event-streams", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_events(&headers), expected, "{accept}");
        }
        assert!(!accepts_events(&HeaderMap::new()));
    }
}
