//! Which pages may talk to us, and the headers that tell them. One decision for every transport and for pushes.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HOST, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Request, StatusCode};
use turted_core::origin::{Authority, Origin};

use crate::config::AllowOrigins;
use crate::http::{Answer, bare};

/// Which pages may load an answer into themselves (Fetch, "Cross-Origin-Resource-Policy").
const RESOURCE_POLICY: &str = "cross-origin-resource-policy";
/// Says whether the page of a request is of our site, in the words of the browser (Fetch Metadata Request Headers
/// 2.3).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The page that makes a request, if a page does, and whether it may.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The origin that the page says it has.
    origin: Option<HeaderValue>,
    is_allowed: bool,
    /// Whether any page may read an answer, also a page that does not say its origin.
    is_open: bool,
}

impl Page {
    /// Decides about the page of `request`: pages of the host that the request is for may make it, and those of
    /// `origins`.
    pub(crate) fn of<B>(request: &Request<B>, origins: &AllowOrigins) -> Self {
        let headers = request.headers();
        let origin = headers.get(ORIGIN);
        let is_allowed = *origins == AllowOrigins::Any
            || match single_origin(headers) {
                Some(origin) => origins.allows(origin) || is_own(origin, request),
                None => origin.is_none() && is_no_other_site(headers),
            };
        let is_open = *origins == AllowOrigins::Any;
        Self { origin: origin.and_then(copied), is_allowed, is_open }
    }

    /// No page: the request says neither an origin nor anything of a site.
    pub(crate) fn none(origins: &AllowOrigins) -> Self {
        Self { origin: None, is_allowed: true, is_open: *origins == AllowOrigins::Any }
    }

    /// Whether the request may be made.
    pub(crate) fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// Whether the page says its origin.
    pub(crate) fn has_origin(&self) -> bool {
        self.origin.is_some()
    }

    /// Adds the headers that let the page read an answer, credentials included: pages with EIO3 clients always send
    /// them, and then need their exact origin instead of `*`. A page that may not make the request may read that it
    /// may not, and nothing else.
    pub(crate) fn mark(&self, answer: &mut Answer) {
        if !self.is_allowed {
            return self.mark_refused(answer);
        }
        let headers = answer.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        match &self.origin {
            Some(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            None if self.is_open => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            None => {}
        }
    }

    /// Lets the page read why it is refused, without credentials: otherwise its console would only say that the
    /// request failed.
    fn mark_refused(&self, answer: &mut Answer) {
        if answer.status() == StatusCode::FORBIDDEN
            && let Some(origin) = &self.origin
        {
            let headers = answer.headers_mut();
            headers.insert(VARY, HeaderValue::from_static("Origin"));
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }

    /// Answers a preflight: the browser asks whether the page may send a request.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Answer {
        if !self.is_allowed {
            return bare(StatusCode::FORBIDDEN, "");
        }
        let mut answer = bare(StatusCode::OK, "");
        self.mark(&mut answer);
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        let allowed = asked.cloned().unwrap_or(HeaderValue::from_static("Content-Type"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        answer
    }
}

/// Lets pages of every origin load an answer into themselves, also under `Cross-Origin-Embedder-Policy`: a script
/// of JSONP, a frame.
pub(crate) fn let_embed(answer: &mut Answer) {
    answer.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
}

/// Lets pages of every origin load and read an answer that is the same for every client: as a module, with a hash of
/// its content, or with `crossorigin`.
pub(crate) fn let_everyone_read(answer: &mut Answer) {
    let_embed(answer);
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Whether every host that a request names is a loopback name or address. A page whose host name was made to
/// resolve to this machine (DNS rebinding) counts as a page of the own host, but its name is no loopback name.
/// Browsers always name a host.
pub(crate) fn is_for_loopback<B>(request: &Request<B>) -> bool {
    hosts(request).all(|host| host.is_some_and(|host| host.is_loopback()))
}

/// The same for a request that names this host and no other.
pub(crate) fn is_loopback(host: &str) -> bool {
    Authority::parse(host).is_some_and(|host| host.is_loopback())
}

/// The hosts that a request names; `None` for one that cannot be read. A request may have several `Host` headers,
/// and an authority in its target (over HTTP/2 `:authority`). A proxy on the way may have looked at any of them.
fn hosts<B>(request: &Request<B>) -> impl Iterator<Item = Option<Authority<'_>>> {
    let target = request.uri().authority().map(|authority| Authority::parse(authority.as_str()));
    let named = request.headers().get_all(HOST).iter();
    target.into_iter().chain(named.map(|host| host.to_str().ok().and_then(Authority::parse)))
}

/// Whether an origin is that of the host a request is for. `null` never is.
fn is_own<B>(origin: &str, request: &Request<B>) -> bool {
    let Some(origin) = Origin::parse(origin) else { return false };
    let mut hosts = hosts(request).peekable();
    hosts.peek().is_some() && hosts.all(|host| host.is_some_and(|host| origin.is_of(&host)))
}

/// Whether a request without an origin is made by no page, by a page of the same origin, or by the user of the browser.
/// Requests for scripts, images and frames and by links have no origin; today's browsers say which site made them.
fn is_no_other_site(headers: &HeaderMap) -> bool {
    headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin" || site == "none")
}

/// A value in memory of its own. The headers of a request are parts of hyper's buffer, which would stay in memory as long
/// as a request waits that keeps one of them.
pub(crate) fn copied(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// The `Origin` of a request, if it is there once and is text.
fn single_origin(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(ORIGIN).iter();
    let value = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these headers, each `name: value`.
    fn request(target: &str, headers: &[&str]) -> Request<()> {
        let mut request = Request::post(target).body(()).unwrap();
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            let name = hyper::header::HeaderName::try_from(name).unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request
    }

    fn listed() -> AllowOrigins {
        AllowOrigins::Only(vec!["https://good.example".into()])
    }

    #[test]
    fn pages_of_the_own_host_and_of_the_list_may_and_no_others() {
        for (headers, expected) in [
            (&["Host: a.example"][..], true),
            (&[], true),
            (&["Host: a.example", "Origin: https://a.example"], true),
            (&["Host: a.example:7117", "Origin: http://A.example:7117"], true),
            (&["Host: a.example", "Origin: https://good.example"], true),
            (&["Host: a.example", "Origin: https://good.example:443"], true),
            (&["Host: a.example", "Origin: https://good.example:444"], false),
            (&["Host: a.example", "Origin: http://good.example"], false),
            (&["Host: a.example", "Origin: http://a.example:7117"], false),
            (&["Host: a.example", "Origin: null"], false),
            (&["Host: null", "Origin: null"], false),
            (&["Host: a.example", "Origin: "], false),
            (&["Origin: https://a.example"], false),
            (&["Host: ", "Origin: https://a.example"], false),
            (&["Host: é", "Origin: https://é"], false),
            // A proxy on the way may take the other one.
            (&["Host: a.example", "Host: b.example", "Origin: https://a.example"], false),
            (&["Host: a.example", "Origin: https://a.example", "Origin: https://evil.example"], false),
        ] {
            assert_eq!(Page::of(&request("/push", headers), &listed()).is_allowed(), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_target_of_a_request_names_its_host_as_well() {
        let page = |target, host| {
            Page::of(&request(target, &[host, "Origin: https://a.example"]), &listed()).is_allowed()
        };
        assert!(page("https://a.example/push", "X: over HTTP/2"));
        assert!(page("http://a.example/push", "Host: a.example"));
        assert!(!page("http://b.example/push", "Host: a.example"));
        assert!(!page("http://a.example/push", "Host: b.example"));
    }

    #[test]
    fn without_an_origin_other_sites_may_not() {
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("Same-Origin", false),
            ("", false),
            ("anything", false),
        ] {
            let headers = [format!("Sec-Fetch-Site: {site}")];
            let request = request("/push", &headers.each_ref().map(String::as_str));
            assert_eq!(Page::of(&request, &listed()).is_allowed(), expected, "{site}");
            assert!(Page::of(&request, &AllowOrigins::Any).is_allowed(), "{site}");
        }
        let both = request("/push", &["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"]);
        assert!(!Page::of(&both, &listed()).is_allowed());
        let own = ["Sec-Fetch-Site: same-site", "Host: a.example", "Origin: http://a.example"];
        assert!(Page::of(&request("/push", &own), &listed()).is_allowed(), "the origin counts");
    }

    #[test]
    fn a_request_is_for_loopback_if_all_that_it_names_is() {
        for (target, headers, expected) in [
            ("/push", &[][..], true),
            ("/push", &["Host: localhost:7117"], true),
            ("/push", &["Host: LOCALHOST."], true),
            ("/push", &["Host: 127.1.2.3:7117"], true),
            ("/push", &["Host: [::1]:7117"], true),
            ("/push", &["Host: evil.example:7117"], false),
            ("/push", &["Host: "], false),
            ("/push", &["Host: localhost", "Host: evil.example"], false),
            ("http://localhost:7117/push", &["Host: localhost:7117"], true),
            ("http://evil.example/push", &["Host: localhost:7117"], false),
            ("http://localhost/push", &["Host: evil.example"], false),
            ("http://user@localhost/push", &["Host: localhost"], false),
            ("https://[::1]:7117/push", &[], true),
        ] {
            assert_eq!(is_for_loopback(&request(target, headers)), expected, "{target} {headers:?}");
        }
    }
}
