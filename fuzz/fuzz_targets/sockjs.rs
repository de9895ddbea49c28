//! SockJS: decoded messages are those that `serde_json` reads, within the limits, and a frame of each
//! transport carries them back. The first byte chooses what the other bytes are.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use turted_core::limits::{SOCKJS_CALLBACK_BYTES_MAX, SOCKJS_SESSION_BYTES_MAX};
use turted_core::wire::sockjs::{
    BodyKind, IframePage, Malformed, MessageLimits, Route, Transport, decode_body, decode_websocket,
    encode_messages, merge_messages,
};

const LIMITS: MessageLimits = MessageLimits { message_bytes: 64, messages: 8 };
const TRANSPORTS: [Transport; 6] = [
    Transport::WebSocket,
    Transport::XhrPolling,
    Transport::XhrStreaming,
    Transport::EventSource,
    Transport::HtmlFile,
    Transport::JsonpPolling,
];

fuzz_target!(|data: &[u8]| {
    let Some((mode, body)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        0 => check_messages(decode_body(body, BodyKind::Form, LIMITS)),
        1 => check_body(body),
        2 => check_path(body),
        _ => check_texts(body),
    }
});

fn check_body(body: &[u8]) {
    let decoded = decode_body(body, BodyKind::Plain, LIMITS);
    let model = serde_json::from_slice::<Vec<String>>(body);
    match (&decoded, model) {
        (Ok(messages), Ok(model)) => assert_eq!(messages, &model),
        (Ok(_), Err(error)) => panic!("decoded something that is no array of strings: {error}"),
        (Err(Malformed::PayloadExpected | Malformed::Broken), Ok(_)) => {
            panic!("an array was refused")
        }
        (Err(_), _) => {}
    }
    if let Ok(text) = std::str::from_utf8(body) {
        check_messages(decode_websocket(text, LIMITS));
    }
    check_messages(decoded);
}

fn check_messages(decoded: Result<Vec<Cow<'_, str>>, Malformed>) {
    let Ok(messages) = decoded else { return };
    assert!(messages.len() <= LIMITS.messages);
    assert!(messages.iter().all(|message| message.len() <= LIMITS.message_bytes));
    let texts: Vec<&str> = messages.iter().map(Cow::as_ref).collect();
    check_frames(&texts);
}

/// Uses any text in place of messages, because a backend may push any text.
fn check_texts(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    let texts: Vec<&str> = text.split('\u{1}').collect();
    check_frames(&texts);
    let page = IframePage::new(text);
    assert!(page.html().matches("</script>").count() == 2);
}

fn check_frames(texts: &[&str]) {
    let frame = encode_messages(texts.iter().copied());
    assert_eq!(merge_messages([frame.as_str(), "h", "a[]"]), frame);
    let callback = Transport::JsonpPolling.callback(Some("cb")).expect("a name");
    for transport in TRANSPORTS {
        let received = unwrap(transport, &transport.frame(&callback, &frame));
        let json = received.strip_prefix('a').expect("messages");
        assert_eq!(serde_json::from_str::<Vec<String>>(json).expect("JSON"), texts);
    }
}

/// The frame that `sockjs-client` takes out of what a transport sends.
fn unwrap(transport: Transport, body: &str) -> String {
    let between = |start: &str, end: &str| {
        let inner = body.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        let inner = inner.expect("the frame of the transport");
        assert!(!inner.contains(['\r', '\n', '\0', '\u{2028}', '\u{2029}']));
        inner.to_owned()
    };
    let string = |literal: String| {
        assert!(!literal.contains('<'));
        serde_json::from_str(&literal).expect("a string")
    };
    match transport {
        Transport::WebSocket => between("", ""),
        Transport::XhrPolling | Transport::XhrStreaming => between("", "\n"),
        Transport::EventSource => between("data: ", "\r\n\r\n").replace("%25", "%"),
        Transport::HtmlFile => string(between("<script>\np(", ");\n</script>\r\n")),
        Transport::JsonpPolling => string(between("/**/cb(", ");\r\n")),
    }
}

fn check_path(body: &[u8]) {
    let Ok(path) = std::str::from_utf8(body) else {
        return;
    };
    if let Some(Route::Receive { session, .. } | Route::Send { session, .. }) = Route::parse(path) {
        assert!((1..=SOCKJS_SESSION_BYTES_MAX).contains(&session.len()));
        assert!(!session.contains(['.', '/']));
    }
    if let Ok(callback) = Transport::HtmlFile.callback(Some(path)) {
        assert!(path.len() <= SOCKJS_CALLBACK_BYTES_MAX);
        let page = Transport::HtmlFile.prelude(&callback);
        assert!(page.len() > 1024 && page.contains(&format!("parent.{path};\n")));
    }
}
