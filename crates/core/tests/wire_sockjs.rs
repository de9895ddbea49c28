//! Properties of the SockJS wire that hold for any input.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use proptest::collection::vec;
use proptest::prelude::*;
use turted_core::limits::{SOCKJS_MESSAGES_MAX, SOCKJS_SESSION_BYTES_MAX};
use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};
use turted_core::wire::sockjs::{
    BodyKind, Callback, MessageLimits, Route, Transport, decode_body, decode_websocket, encode_close,
    encode_messages, merge_messages, unframe,
};

/// Text with many characters that are escaped.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\0-\u{7f}\u{2000}-\u{2070}\u{ffe0}-\u{ffff}]{0,20}",
        "[%<>/!\\\\\"\r\n]{0,12}"
    ]
}

fn list(messages: &[String]) -> impl Iterator<Item = &str> {
    messages.iter().map(String::as_str)
}

/// The frame that `sockjs-client` takes out of what a transport sends.
fn unwrap(transport: Transport, body: &str) -> String {
    let string = |literal: &str| serde_json::from_str::<String>(literal).unwrap();
    let between = |start: &str, end: &str| body.strip_prefix(start).unwrap().strip_suffix(end).unwrap();
    match transport {
        Transport::WebSocket => body.to_owned(),
        Transport::XhrPolling | Transport::XhrStreaming => between("", "\n").to_owned(),
        Transport::EventSource => between("data: ", "\r\n\r\n").replace("%25", "%"),
        Transport::HtmlFile => string(between("<script>\np(", ");\n</script>\r\n")),
        Transport::JsonpPolling => string(between("/**/_jp.a1(", ");\r\n")),
    }
}

fn transport() -> impl Strategy<Value = Transport> {
    let names = ["websocket", "xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"];
    prop::sample::select(names.map(|name| Transport::from_name(name).unwrap()).to_vec())
}

fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn a_frame_is_json_with_the_messages(messages in vec(text(), 0..6)) {
        let frame = encode_messages(list(&messages));
        let received: Vec<String> = serde_json::from_str(frame.strip_prefix('a').unwrap()).unwrap();
        prop_assert_eq!(received, messages);
        let changed = |char| matches!(char, '\0'..'\u{20}' | '\u{2028}'..='\u{202f}' | '\u{fff0}'..='\u{ffff}');
        prop_assert!(!frame.contains(changed), "{:?}", frame);
    }

    #[test]
    fn every_transport_carries_frames_whole(transport in transport(), messages in vec(text(), 1..4)) {
        let callback = transport.callback(Some("_jp.a1")).unwrap();
        let frame = encode_messages(list(&messages));
        let body = transport.frame(&callback, &frame);
        prop_assert_eq!(unwrap(transport, &body), &*frame);
        if transport == Transport::HtmlFile {
            prop_assert_eq!(body.matches('<').count(), 2, "{}", body);
        }
        if transport == Transport::EventSource {
            prop_assert_eq!(body.matches(['\r', '\n']).count(), 4, "{:?}", body);
        }
        let shared = transport.frame(&Callback::NONE, &frame);
        prop_assert!(transport.has_framed(shared.as_bytes()));
        if matches!(transport, Transport::XhrStreaming | Transport::EventSource | Transport::HtmlFile) {
            prop_assert_eq!(unframe(&shared).map(|frame| frame.into_owned()), Some(frame));
        }
    }

    #[test]
    fn merged_frames_have_all_messages_in_order(frames in vec(vec(text(), 0..3), 0..5)) {
        let encoded: Vec<String> = frames.iter().map(|messages| encode_messages(list(messages))).collect();
        prop_assert_eq!(merge_messages(list(&encoded)), encode_messages(list(&frames.concat())));
    }

    #[test]
    fn a_close_frame_is_json(code: u16, reason in text()) {
        let frame = encode_close(code, &reason);
        let (read, text): (u16, String) = serde_json::from_str(frame.strip_prefix('c').unwrap()).unwrap();
        prop_assert_eq!((read, text), (code, reason));
    }

    #[test]
    fn messages_are_decoded_from_bodies_forms_and_frames(messages in vec(text(), 0..5)) {
        let json = serde_json::to_string(&messages).unwrap();
        let (limits, form) = (MessageLimits::default(), format!("x=1&d={}", form(&json)));
        let expected: Vec<_> = messages.iter().map(|message| message.as_str().into()).collect();
        prop_assert_eq!(decode_body(json.as_bytes(), BodyKind::Plain, limits), Ok(expected.clone()));
        prop_assert_eq!(decode_body(form.as_bytes(), BodyKind::Form, limits), Ok(expected.clone()));
        prop_assert_eq!(decode_websocket(&json, limits), Ok(expected));
        for message in &messages {
            let json = serde_json::to_string(message).unwrap();
            prop_assert_eq!(decode_websocket(&json, limits), Ok(vec![message.into()]));
        }
    }

    #[test]
    fn any_bytes_are_decoded_within_the_limits_or_refused(body in vec(any::<u8>(), 0..200)) {
        let limits = MessageLimits { message_bytes: 20, messages: 4 };
        for kind in [BodyKind::Plain, BodyKind::Form] {
            let Ok(messages) = decode_body(&body, kind, limits) else { continue };
            prop_assert!(messages.len() <= 4 && messages.iter().all(|message| message.len() <= 20));
        }
    }

    #[test]
    fn any_text_is_decoded_within_the_limits_or_refused(
        text in r#"(\[|\]|,|"[a-z\\]{0,3}"|\{|\}|1| |.){0,20}"#,
    ) {
        let limits = MessageLimits { message_bytes: 2, messages: 3 };
        if let Ok(messages) = decode_websocket(&text, limits) {
            prop_assert!(messages.len() <= 3 && messages.iter().all(|message| message.len() <= 2));
        }
    }

    #[test]
    fn any_path_is_a_route_or_none(path in "(/|[a-z.]{1,3}|%20|xhr|jsonp_send|websocket|iframe|.html|.){0,9}") {
        match Route::parse(&path) {
            Some(Route::Receive { session, .. } | Route::Send { session, .. }) => {
                prop_assert!(!session.is_empty() && session.len() <= SOCKJS_SESSION_BYTES_MAX);
                prop_assert!(!session.contains(['.', '/']));
            }
            Some(Route::Iframe) => prop_assert!(path.starts_with("/iframe")),
            _ => {}
        }
    }

    #[test]
    fn a_callback_never_leaves_its_place(parameter: String) {
        let Ok(callback) = Transport::JsonpPolling.callback(Some(&parameter)) else { return Ok(()) };
        prop_assert_ne!(&callback, &Callback::NONE);
        prop_assert!(!parameter.contains(|char: char| !char.is_ascii_alphanumeric() && !"-_.".contains(char)));
    }

    #[test]
    fn chunks_are_read_back(pieces in vec(vec(any::<u8>(), 0..40), 0..5)) {
        let mut body = Vec::new();
        pieces.iter().for_each(|piece| encode_chunk(piece, &mut body));
        body.extend_from_slice(LAST_CHUNK);
        let (mut rest, mut read) = (&body[..], Vec::new());
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let bytes = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            let chunk = &rest[end + 2..end + 2 + bytes];
            prop_assert_eq!(&rest[end + 2 + bytes..][..2], b"\r\n");
            rest = &rest[end + 4 + bytes..];
            if bytes == 0 { break }
            read.extend_from_slice(chunk);
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(read, pieces.concat());
    }
}

#[test]
fn a_body_may_have_the_most_messages_and_not_one_more() {
    let body = |count: usize| format!("[{}]", vec!["\"\""; count].join(","));
    let decode =
        |count| decode_body(body(count).as_bytes(), BodyKind::Plain, MessageLimits::default()).is_ok();
    assert!(decode(SOCKJS_MESSAGES_MAX));
    assert!(!decode(SOCKJS_MESSAGES_MAX + 1));
}
