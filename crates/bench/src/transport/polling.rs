//! The requests and answers of a session of Socket.IO that begins by polling (Engine.IO protocol v4, "HTTP long-polling"): the
//! handshake, one packet of the client, and polls. What it says then over its WebSocket is in `socketio`.

use super::{Broken, head};
use crate::memory::value_after;

/// Bytes of the longest answer. Before a client joins it is told little.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The request that opens a session.
pub(super) fn handshake_request(authority: &str, path: &str) -> Vec<u8> {
    format!("GET {path}?EIO=4&transport=polling HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
}

/// Asks for what the server has to say. The answer comes when there is something.
pub(crate) fn poll_request(authority: &str, path: &str, session: &str) -> Vec<u8> {
    let target = target(path, session);
    format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
}

/// Says one packet.
pub(crate) fn packet_request(authority: &str, path: &str, session: &str, packet: &str) -> Vec<u8> {
    let (target, bytes) = (target(path, session), packet.len());
    let fields = format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {bytes}");
    format!("POST {target} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n\r\n{packet}").into_bytes()
}

fn target(path: &str, session: &str) -> String {
    format!("{path}?EIO=4&transport=polling&sid={session}")
}

/// The body of the first answer in `input` and the length of the whole answer; `None` if it is not complete.
///
/// # Errors
/// The server refuses, or its answer does not tell its length.
pub(crate) fn answer(input: &[u8]) -> Result<Option<(&[u8], usize)>, Broken> {
    let Some(head) = head::answer(input, "200")? else { return Ok(None) };
    let length = head.body_bytes.filter(|&length| length <= BODY_BYTES_MAX);
    let end = head.bytes + length.ok_or(Broken::NotUnderstood("length of an answer"))?;
    Ok(input.get(head.bytes..end).map(|body| (body, end)))
}

/// The name of the session that a handshake opened.
///
/// # Errors
/// It is no handshake.
pub(crate) fn session(body: &[u8]) -> Result<String, Broken> {
    let name = body.strip_prefix(b"0").and_then(|json| value_after(json, r#""sid":""#));
    let name = name.and_then(|name| str::from_utf8(name).ok());
    name.map(str::to_owned).ok_or_else(|| Broken::refused(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_it_is_complete_and_tells_its_length() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut]), Ok(None), "{cut}");
        }
        let both = [&whole[..], b"HTTP"].concat();
        assert_eq!(answer(&both), Ok(Some((&b"ok"[..], whole.len()))));
        for head in ["Transfer-Encoding: chunked", "Content-Length: -1", "Content-Length: 16385"] {
            let told = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
            assert_eq!(answer(told.as_bytes()), Err(Broken::NotUnderstood("length of an answer")), "{head}");
        }
        assert!(matches!(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Err(Broken::Refused(_))));
    }

    #[test]
    fn a_handshake_names_the_session_and_nothing_else_does() {
        assert_eq!(session(br#"0{"sid":"s-1","upgrades":["websocket"]}"#), Ok("s-1".to_owned()));
        for other in ["", "0{}", r#"4{"sid":"s"}"#, "0{\"sid\":\"\"}"] {
            assert!(matches!(session(other.as_bytes()), Err(Broken::Refused(_))), "{other}");
        }
    }
}
