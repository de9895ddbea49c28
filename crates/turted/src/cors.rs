//! Cross-origin requests: which pages may talk to us, and the headers that tell them.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue, ORIGIN,
    VARY,
};
use hyper::{Request, StatusCode};

use crate::config::AllowOrigins;
use crate::http::{Answer, bare};

/// Whether a page of this origin may connect. Requests without an origin are not made by pages.
pub(crate) fn allows(origins: &AllowOrigins, origin: Option<&HeaderValue>) -> bool {
    let Some(origin) = origin else { return true };
    match origins {
        AllowOrigins::Any => true,
        AllowOrigins::Only(_) => origin.to_str().is_ok_and(|origin| origins.allows(origin)),
    }
}

/// Adds the headers that let the page of `origin` read an answer, credentials included: pages
/// with EIO3 clients always send them, and then need their exact origin instead of `*`.
pub(crate) fn mark(answer: &mut Answer, origins: &AllowOrigins, origin: Option<&HeaderValue>) {
    if !allows(origins, origin) {
        return;
    }
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    match origin {
        Some(origin) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        None if *origins == AllowOrigins::Any => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        None => {}
    }
}

/// Answers the question of a page whether it may send a request.
pub(crate) fn preflight<B>(request: &Request<B>, origins: &AllowOrigins) -> Answer {
    let mut answer = bare(StatusCode::OK, "");
    let origin = request.headers().get(ORIGIN);
    if !allows(origins, origin) {
        return bare(StatusCode::FORBIDDEN, "");
    }
    mark(&mut answer, origins, origin);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
    let allowed = asked.cloned().unwrap_or(HeaderValue::from_static("Content-Type"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    answer
}
