//! What clients of the suites sent over HTTP and want to hear again: the query of their handshake, and the cookies
//! of their last POST. Kept beside the sessions of the product, which have no use for either.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::Request;
use hyper::header::COOKIE;
use serde_json::{Map, Value};

use crate::http::query::Query;

/// Sessions whose cookies are remembered: a suite has a handful at a time.
const POSTS_MAX: usize = 1_000;

/// A client, by the number of its handshake. Numbers are used again after 65,536 others: so many are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guest(u16);

#[derive(Default)]
struct Guests {
    queries: BTreeMap<u16, Arc<Map<String, Value>>>,
    /// By the id of the session, as it stands in the query.
    cookies: BTreeMap<String, Option<String>>,
}

static GUESTS: Mutex<Guests> = Mutex::new(Guests { queries: BTreeMap::new(), cookies: BTreeMap::new() });

fn guests() -> MutexGuard<'static, Guests> {
    GUESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    /// A client whose handshake has this query.
    pub(super) fn arrive(query: &Query) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let guest = NEXT.fetch_add(1, Ordering::Relaxed);
        let query = query.pairs().map(|(key, value)| (key.to_owned(), value.into())).collect();
        guests().queries.insert(guest, Arc::new(query));
        Self(guest)
    }

    /// The query of its handshake.
    pub(super) fn query(self) -> Arc<Map<String, Value>> {
        guests().queries.get(&self.0).cloned().unwrap_or_default()
    }
}

/// Notes the cookies of a POST of session `sid`.
pub(super) fn note_cookies<B>(sid: &str, request: &Request<B>) {
    let cookies = request.headers().get(COOKIE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let known = &mut guests().cookies;
    if known.len() >= POSTS_MAX {
        known.clear();
    }
    known.insert(sid.to_owned(), cookies);
}

/// The cookies of the last POST of session `sid`.
pub(super) fn cookies(sid: &str) -> Option<String> {
    guests().cookies.get(sid).cloned().flatten()
}
