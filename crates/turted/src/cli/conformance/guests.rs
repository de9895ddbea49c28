//! What clients of the suites sent over HTTP and expect to be sent back: the query of their handshake, and the cookies
//! of their last POST. Kept beside the sessions of the product, which have no use for either.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Request;
use hyper::header::COOKIE;
use serde_json::{Map, Value};

use crate::http::query::Query;
use crate::hub::worker::connection::Connection;

/// Sessions that are remembered: a suite has a handful at a time.
const SESSIONS_MAX: usize = 10_000;

/// By the id of the session, as it stands in the query.
#[derive(Default)]
struct Guests {
    queries: BTreeMap<String, Arc<Map<String, Value>>>,
    cookies: BTreeMap<String, Option<String>>,
}

static GUESTS: Mutex<Guests> = Mutex::new(Guests { queries: BTreeMap::new(), cookies: BTreeMap::new() });

fn guests() -> MutexGuard<'static, Guests> {
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of a session.
fn id_of(connection: &Connection) -> String {
    connection.session_id().map(|id| id.to_string()).unwrap_or_default()
}

/// Remembers something of a session.
fn note<V>(known: &mut BTreeMap<String, V>, id: String, value: V) {
    if known.len() >= SESSIONS_MAX {
        known.clear();
    }
    known.insert(id, value);
}

/// Notes the query of a handshake.
pub(super) fn note_query(connection: &Connection, query: &Query) {
    let query = query.pairs().map(|(key, value)| (key.to_owned(), value.into())).collect();
    note(&mut guests().queries, id_of(connection), Arc::new(query));
}

/// The query of a client's handshake.
pub(super) fn query(connection: &Connection) -> Arc<Map<String, Value>> {
    guests().queries.get(&id_of(connection)).cloned().unwrap_or_default()
}

/// Notes the cookies of a POST of session `sid`.
pub(super) fn note_cookies<B>(sid: &str, request: &Request<B>) {
    let cookies = request.headers().get(COOKIE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    note(&mut guests().cookies, sid.to_owned(), cookies);
}

/// The cookies of a client's last POST.
pub(super) fn cookies(connection: &Connection) -> Option<String> {
    guests().cookies.get(&id_of(connection)).cloned().flatten()
}
