//! A request as it is passed on: its method, target, headers and body, without what concerns only the connection that it
//! came on (RFC 9110 7.6.1).

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Request, Uri, Version};

use crate::http::call::Call;
use crate::http::incoming::RequestBody;
use crate::http::websocket::handshake::wants_upgrade;

/// Fields that end here. The names of clients among them: the preamble of the connection says whose request it is.
const DROPPED: [HeaderName; 9] = [
    CONNECTION,
    EXPECT,
    FORWARDED,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-forwarded-for"),
];

/// Takes the body out of a request and makes one of it that another node gets. What is left can still be answered, if
/// what answers it does not need the body.
pub(super) fn request(call: &mut Call) -> Request<RequestBody> {
    let is_upgrade = wants_upgrade(&call.request);
    let body = std::mem::replace(call.request.body_mut(), RequestBody::none());
    let mut request = Request::new(body);
    *request.method_mut() = call.request.method().clone();
    *request.uri_mut() = origin_form(call.request.uri());
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers(call.request.headers(), call.request.uri(), is_upgrade);
    call.request.headers_mut().remove(CONTENT_LENGTH);
    request
}

/// The path and the query.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(Uri::default, |target| Uri::from(target.clone()))
}

fn headers(of: &HeaderMap, uri: &Uri, is_upgrade: bool) -> HeaderMap {
    let mut headers = of.clone();
    for name in DROPPED {
        headers.remove(name);
    }
    if is_upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
    if !headers.contains_key(HOST) {
        // HTTP/2 has it in the target, HTTP/1.0 need not have one.
        let authority = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        headers.insert(HOST, authority.unwrap_or(HeaderValue::from_static("")));
    }
    join_cookies(&mut headers);
    headers
}

/// HTTP/2 may have a field for each cookie, HTTP/1 has one for all (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let [_, _, ..] = *lines
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(
        fields: &[(&'static str, &'static str)],
        uri: &'static str,
        is_upgrade: bool,
    ) -> Vec<String> {
        let mut of = HeaderMap::new();
        for (name, value) in fields {
            of.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let headers = headers(&of, &Uri::from_static(uri), is_upgrade);
        let fields = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut fields: Vec<_> = fields.collect();
        fields.sort();
        fields
    }

    #[test]
    fn what_concerns_the_connection_and_who_the_client_is_ends_here() {
        let fields = [
            ("host", "a.example"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("upgrade", "h2c"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.8"),
            ("forwarded", "for=192.0.2.9"),
            ("content-type", "text/plain"),
            ("x-own", "1"),
        ];
        assert_eq!(
            passed_on(&fields, "/a?b", false),
            ["content-type: text/plain", "host: a.example", "x-own: 1"]
        );
    }

    #[test]
    fn an_upgrade_stays_one() {
        let fields = [("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert_eq!(passed_on(&fields, "/", true), ["connection: upgrade", "host: a", "upgrade: websocket"]);
    }

    #[test]
    fn what_http_2_writes_otherwise_is_written_as_http_1_has_it() {
        let fields = [("cookie", "a=1"), ("cookie", "b=2")];
        let expected = ["cookie: a=1; b=2", "host: a.example:8443"];
        assert_eq!(passed_on(&fields, "https://a.example:8443/path?query", false), expected);
        assert_eq!(passed_on(&[], "/", false), ["host: "]);
        let uri = Uri::from_static("https://a.example:8443/path?query");
        assert_eq!(origin_form(&uri), Uri::from_static("/path?query"));
    }
}
