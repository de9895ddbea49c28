//! What answers carry beside their body: CORS, caching, the cookie of load balancers.

use std::time::{Duration, SystemTime};

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL,
    COOKIE, EXPIRES, HeaderMap, HeaderValue, SET_COOKIE,
};
use hyper::{Request, StatusCode};

use crate::config::AllowOrigins;
use crate::http::cors::{self, Page};
use crate::http::{Answer, allow, bare};

/// Exactly this text (sockjs-protocol 0.3.3, `verify_not_cached`).
const NOT_CACHED: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";
/// A year, the longest that caches care for.
const CACHED: &str = "public, max-age=31536000";
const CACHED_AGE: Duration = Duration::from_secs(31_536_000);

/// The cookie by which load balancers keep a client on one node.
const COOKIE_NAME: &str = "JSESSIONID";
/// Its value for clients that have none: it is there for the balancer to prefix.
const COOKIE_VALUE: &str = "dummy";

/// What the headers of an answer take from its request.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) page: Page,
    headers: Option<HeaderValue>,
    cookie: String,
}

impl Asker {
    pub(super) fn of<B>(request: &Request<B>, origins: &AllowOrigins) -> Self {
        let headers = request.headers();
        Self {
            page: Page::of(request, origins),
            headers: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(cors::copied),
            cookie: session_cookie(headers).unwrap_or(COOKIE_VALUE).to_owned(),
        }
    }

    /// Lets the page of this request read the answer.
    pub(super) fn share(&self, answer: &mut Answer) {
        self.page.mark(answer);
        let headers = answer.headers_mut();
        if !self.page.is_allowed() || !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(asked) = self.headers.as_ref().filter(|asked| !asked.is_empty()) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }

    /// Sets the cookie anew, or for the first time.
    pub(super) fn set_cookie(&self, answer: &mut Answer) {
        let cookie = format!("{COOKIE_NAME}={}; path=/", self.cookie);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
    }
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.into_iter().find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// Keeps an answer out of caches.
pub(super) fn not_cached(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(NOT_CACHED));
    answer
}

/// Lets caches keep an answer as long as they like.
pub(super) fn cached(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHED));
    if let Ok(expires) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now() + CACHED_AGE)) {
        headers.insert(EXPIRES, expires);
    }
    answer
}

/// Answers a preflight: the browser asks whether a page may use these methods.
pub(super) fn preflight(methods: &'static str) -> Answer {
    let mut answer = cached(bare(StatusCode::NO_CONTENT, ""));
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("31536000"));
    answer
}

/// Refuses other methods than these.
pub(super) fn other_method(methods: &'static str) -> Answer {
    let mut answer = bare(StatusCode::METHOD_NOT_ALLOWED, "");
    allow(&mut answer, methods);
    answer
}
