//! The opening handshake of a WebSocket, whatever is spoken on it (RFC 6455 4.2).

use hyper::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Version};
use turted_core::wire::websocket::{accept_key, is_valid_key};

/// The version of RFC 6455.
pub(crate) const VERSION: &str = "13";

/// The `Sec-WebSocket-Key` of a request that asks for a WebSocket (RFC 6455 4.2.1); `None` if it
/// does not, or not correctly.
pub(crate) fn upgrade_key<B>(request: &Request<B>) -> Option<&str> {
    upgrade_key_of(request, &[VERSION])
}

/// Whether a request asks for a version of the WebSocket protocol that we do not speak (RFC 6455 4.2.2).
pub(crate) fn asks_for_other_version<B>(request: &Request<B>) -> bool {
    request.headers().get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13")
}

/// The same for any of these versions of the WebSocket protocol.
fn upgrade_key_of<'a, B>(request: &'a Request<B>, versions: &[&str]) -> Option<&'a str> {
    let headers = request.headers();
    let version = headers.get(SEC_WEBSOCKET_VERSION).and_then(|version| version.to_str().ok());
    let asks = request.method() == Method::GET
        && wants_upgrade(request)
        && has_token(headers, CONNECTION.as_str(), "upgrade")
        && version.is_some_and(|version| versions.contains(&version));
    let key = headers.get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    (asks && is_valid_key(key)).then_some(key)
}

/// The answer that turns the connection of such a request into a WebSocket, on a transport that has no
/// subprotocols: the first that the client asks for is confirmed, as socket.io's server does. A browser ends a
/// WebSocket of which the server confirms none.
pub(crate) fn accept_request<B>(request: &Request<B>, versions: &[&str]) -> Option<Vec<u8>> {
    let key = upgrade_key_of(request, versions)?;
    Some(match subprotocols(request.headers()).find(|protocol| is_token(protocol)) {
        Some(protocol) => accept_protocol_response(key, protocol),
        None => accept_response(key),
    })
}

/// The subprotocols that a client asks for.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Whether a text is a token (RFC 9110 5.6.2), as names of subprotocols are.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether a request tries to become a WebSocket at all. In HTTP/1.0 that has no meaning (RFC 9110 7.8).
pub(crate) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.version() >= Version::HTTP_11 && has_token(request.headers(), UPGRADE.as_str(), "websocket")
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The answer that turns the connection into a WebSocket (RFC 6455 4.2.2). No extension is
/// negotiated: a compressed frame could not be shared.
pub(crate) fn accept_response(key: &str) -> Vec<u8> {
    accept(key, "")
}

/// The same, and confirms a subprotocol that the client asked for.
pub(crate) fn accept_protocol_response(key: &str, protocol: &str) -> Vec<u8> {
    accept(key, &format!("Sec-WebSocket-Protocol: {protocol}\r\n"))
}

fn accept(key: &str, more: &str) -> Vec<u8> {
    let accept = accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
    .into_bytes()
}
