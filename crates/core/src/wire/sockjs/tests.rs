//! The frames, bodies and paths of sockjs-protocol 0.3.3, one table each.

use super::*;
use crate::limits::{SOCKJS_CALLBACK_BYTES_MAX, SOCKJS_SESSION_BYTES_MAX};

const LIMITS: MessageLimits = MessageLimits { message_bytes: 5, messages: 3 };

fn callback(name: &str) -> Callback {
    Transport::JsonpPolling.callback(Some(name)).unwrap()
}

#[test]
fn frames_are_those_of_the_protocol() {
    assert_eq!((OPEN, HEARTBEAT), ("o", "h"));
    assert_eq!(encode_messages([]), "a[]");
    assert_eq!(encode_messages(["x"]), r#"a["x"]"#);
    assert_eq!(encode_messages(["x", "", "é"]), r#"a["x","","é"]"#);
    assert_eq!(
        encode_close(2010, "Another connection still open"),
        r#"c[2010,"Another connection still open"]"#
    );
}

#[test]
fn frames_that_wait_are_merged_to_one() {
    let table: [(&[&str], &str); 5] = [
        (&[], "a[]"),
        (&[r#"a["x"]"#], r#"a["x"]"#),
        (&[r#"a["x","y"]"#, r#"a["]"]"#], r#"a["x","y","]"]"#),
        (&["a[]", r#"a["x"]"#, "a[]"], r#"a["x"]"#),
        (&["h", "c[3000,\"\"]", "o"], "a[]"),
    ];
    for (frames, merged) in table {
        assert_eq!(merge_messages(frames.iter().copied()), merged);
    }
}

#[test]
fn every_character_that_browsers_change_is_escaped_and_no_other() {
    let escaped = [0x200c..=0x200f, 0x2028..=0x202f, 0x2060..=0x206f, 0xfff0..=0xffff];
    for code in 0x20..=0x1_0000_u32 {
        let Some(char) = char::from_u32(code) else { continue };
        let expected = match char {
            '"' | '\\' => format!("a[\"\\{char}\"]"),
            _ if escaped.iter().any(|range| range.contains(&code)) => format!("a[\"\\u{code:04x}\"]"),
            _ => format!("a[\"{char}\"]"),
        };
        assert_eq!(encode_messages([char.encode_utf8(&mut [0; 4]) as &str]), expected, "{code:x}");
    }
    assert_eq!(
        encode_messages(["\0\u{8}\t\n\u{c}\r\u{1f}\u{7f}"]),
        "a[\"\\u0000\\b\\t\\n\\f\\r\\u001f\u{7f}\"]"
    );
}

#[test]
fn each_transport_wraps_frames_in_its_way() {
    let frame = r#"a["x"]"#;
    let table = [
        (Transport::WebSocket, r#"a["x"]"#),
        (Transport::XhrPolling, "a[\"x\"]\n"),
        (Transport::XhrStreaming, "a[\"x\"]\n"),
        (Transport::EventSource, "data: a[\"x\"]\r\n\r\n"),
        (Transport::HtmlFile, "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n"),
        (Transport::JsonpPolling, "/**/callback(\"a[\\\"x\\\"]\");\r\n"),
    ];
    for (transport, body) in table {
        assert_eq!(transport.frame(&callback("callback"), frame), body);
    }
}

#[test]
fn an_eventsource_frame_survives_decode_uri() {
    let frame = encode_messages(["  \0\n\r 100%\u{2028}"]);
    let body = Transport::EventSource.frame(&Callback::NONE, &frame);
    assert_eq!(body, "data: a[\"  \\u0000\\n\\r 100%25\\u2028\"]\r\n\r\n");
    assert_eq!(Transport::EventSource.frame(&Callback::NONE, "\r\n\0"), "data: %0D%0A%00\r\n\r\n");
}

#[test]
fn a_message_cannot_end_the_script_it_is_in() {
    let frame = encode_messages(["</script><!--<script>\u{2028}"]);
    for transport in [Transport::HtmlFile, Transport::JsonpPolling] {
        let body = transport.frame(&callback("c"), &frame);
        let (_, inner) = body.split_once('(').unwrap();
        assert!(inner.starts_with(r#""a[\"\u003c/script>\u003c!--\u003cscript>\\u2028\"]");"#), "{body}");
    }
}

#[test]
fn preludes_are_those_of_the_protocol() {
    let prelude = |transport: Transport| transport.prelude(&callback("callback"));
    for transport in [Transport::WebSocket, Transport::XhrPolling, Transport::JsonpPolling] {
        assert_eq!(prelude(transport), "");
    }
    assert_eq!(prelude(Transport::XhrStreaming), "h".repeat(2048) + "\n");
    assert_eq!(prelude(Transport::EventSource), "\r\n");
    let page = prelude(Transport::HtmlFile);
    assert!(page.len() > 1024);
    assert!(page.trim().starts_with("<!doctype html>\n<html><head>\n  <meta http-equiv=\"X-UA"));
    assert!(page.contains("\n    var c = parent.callback;\n    c.start();\n"));
    assert!(page.trim().ends_with("{c.stop();};\n  </script>"));
}

#[test]
fn a_callback_is_a_short_name() {
    let longest = "x".repeat(SOCKJS_CALLBACK_BYTES_MAX);
    let longer = "x".repeat(SOCKJS_CALLBACK_BYTES_MAX + 1);
    let table = [
        (None, Some(CallbackRefusal::Missing)),
        (Some(""), Some(CallbackRefusal::Missing)),
        (Some("_jp.a-1Z"), None),
        (Some(&longest), None),
        (Some(&longer), Some(CallbackRefusal::Invalid)),
        (Some(" "), Some(CallbackRefusal::Invalid)),
        (Some("*"), Some(CallbackRefusal::Invalid)),
        (Some("abc("), Some(CallbackRefusal::Invalid)),
        (Some("é"), Some(CallbackRefusal::Invalid)),
    ];
    for (parameter, refusal) in table {
        for transport in [Transport::HtmlFile, Transport::JsonpPolling] {
            assert_eq!(transport.callback(parameter).err(), refusal, "{parameter:?}");
        }
        assert_eq!(Transport::XhrPolling.callback(parameter), Ok(Callback::NONE));
    }
    assert_eq!(CallbackRefusal::Missing.to_string(), r#""callback" parameter required"#);
    assert_eq!(CallbackRefusal::Invalid.to_string(), r#"invalid "callback" parameter"#);
}

/// Messages joined with `|`, or the text of the refusal.
fn show(messages: Result<Vec<std::borrow::Cow<'_, str>>, Malformed>) -> String {
    messages.map_or_else(|malformed| format!("{} {malformed}", malformed.status()), |list| list.join("|"))
}

#[test]
fn bodies_are_arrays_of_messages() {
    let (payload, broken) = ("500 Payload expected.", "500 Broken JSON encoding.");
    let table: [(&[u8], &str); 16] = [
        (br#"["a"]"#, "a"),
        (br#" ["a", "b","c"] "#, "a|b|c"),
        (br#"["\u00e9\n"]"#, "é\n"),
        (br#"["\ud83d\ude00"]"#, "😀"),
        (br#"["%61bc"]"#, "%61bc"),
        (b"[]", ""),
        (b"", payload),
        (b" ", payload),
        (b"{}", payload),
        (br#""a""#, payload),
        (b"null", payload),
        (br#"["x"#, broken),
        (br#"["a"]]"#, broken),
        (b"[1]", broken),
        (br#"["\ud800"]"#, broken),
        (b"[\"\xff\"]", broken),
    ];
    for (body, expected) in table {
        assert_eq!(show(decode_body(body, BodyKind::Plain, LIMITS)), expected, "{body:?}");
    }
}

#[test]
fn forms_carry_the_array_in_a_field() {
    let (payload, broken) = ("500 Payload expected.", "500 Broken JSON encoding.");
    let table: [(&[u8], &str); 9] = [
        (b"d=%5B%22x%22%5D", "x"),
        (b"d=%5B%5D", ""),
        (b"a=1&d=[%22+%2B%22]&d=2", " +"),
        (b"", payload),
        (b"d=", payload),
        (b"p=p", payload),
        (b"d=%5B%22x", broken),
        (b"d=%5", broken),
        (b"d=[%22%ff%22]", broken),
    ];
    for (body, expected) in table {
        assert_eq!(show(decode_body(body, BodyKind::Form, LIMITS)), expected, "{body:?}");
    }
}

#[test]
fn whatever_is_no_form_is_plain() {
    for kind in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded ; charset=UTF-8"] {
        assert_eq!(BodyKind::of(Some(kind)), BodyKind::Form);
    }
    for kind in ["", "T", "text/plain", "application/json; charset=utf-8", "application/xml"] {
        assert_eq!(BodyKind::of(Some(kind)), BodyKind::Plain);
    }
    assert_eq!(BodyKind::of(None), BodyKind::Plain);
}

#[test]
fn a_websocket_frame_is_an_array_a_message_or_nothing() {
    let broken = "500 Broken JSON encoding.";
    let table = [
        ("", ""),
        (r#"["a","b"]"#, "a|b"),
        (r#""a""#, "a"),
        (" \"a\" ", "a"),
        ("[]", ""),
        (" ", broken),
        (r#"["a"#, broken),
        ("a", broken),
        ("{}", broken),
        ("1", broken),
        ("null", broken),
        (r#""\udc00""#, broken),
    ];
    for (text, expected) in table {
        assert_eq!(show(decode_websocket(text, LIMITS)), expected, "{text:?}");
    }
    assert_eq!(Malformed::Broken.close_code(), 3000);
}

#[test]
fn messages_are_limited_in_bytes_and_number() {
    let decode = |text: &str| {
        let frame = decode_websocket(text, LIMITS);
        assert!(!text.starts_with('[') || decode_body(text.as_bytes(), BodyKind::Plain, LIMITS) == frame);
        frame.map(|messages| messages.len())
    };
    assert_eq!(decode(r#"["12345","1234\u0035","12345"]"#), Ok(3));
    assert_eq!(decode(r#""12345""#), Ok(1));
    let long = Err(Malformed::MessageTooLong(5));
    assert_eq!(
        (decode(r#"["123456"]"#), decode(r#""123456""#), decode(r#"["éé\u00e9"]"#)),
        (long, long, long)
    );
    assert_eq!(decode(r#"["","","",""]"#), Err(Malformed::TooManyMessages(3)));
    assert_eq!(
        (Malformed::MessageTooLong(5).status(), Malformed::MessageTooLong(5).close_code()),
        (413, 1009)
    );
    assert_eq!(
        (Malformed::TooManyMessages(3).status(), Malformed::TooManyMessages(3).close_code()),
        (413, 1008)
    );
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(&deep), Err(Malformed::Broken));
}

#[test]
fn paths_are_those_of_the_protocol() {
    let receive = |session, transport| Some(Route::Receive { session, transport });
    let send = |session, sender| Some(Route::Send { session, sender });
    let table = [
        ("", Some(Route::Greeting)),
        ("/", Some(Route::Greeting)),
        ("/info", Some(Route::Info)),
        ("/websocket", Some(Route::RawWebSocket)),
        ("/iframe.html", Some(Route::Iframe)),
        ("/iframe-a.html", Some(Route::Iframe)),
        ("/iframe-.html", Some(Route::Iframe)),
        ("/iframe-0.1.2abc-dirty.2144.html", Some(Route::Iframe)),
        ("/0/0/websocket", receive("0", Transport::WebSocket)),
        ("/a/b/xhr", receive("b", Transport::XhrPolling)),
        ("/a/b/xhr/", receive("b", Transport::XhrPolling)),
        ("/_/_/xhr_streaming", receive("_", Transport::XhrStreaming)),
        ("/1/1/eventsource", receive("1", Transport::EventSource)),
        ("/1/1/htmlfile", receive("1", Transport::HtmlFile)),
        ("/abcdefgh_i-j%20/abcdefg_i-j%20/jsonp", receive("abcdefg_i-j%20", Transport::JsonpPolling)),
        ("/a/b/xhr_send", send("b", Sender::Xhr)),
        ("/a/b/jsonp_send", send("b", Sender::Jsonp)),
    ];
    for (path, route) in table {
        assert_eq!(Route::parse(path), route, "{path}");
    }
}

#[test]
fn other_paths_are_not_found() {
    for path in [
        "//",
        "///",
        "/a",
        "/a.html",
        "/a/a",
        "/a/a/",
        "/a/",
        "x",
        "/iframe.htm",
        "/iframe",
        "/IFRAME.HTML",
        "/iframe.HTML",
        "/iframe.xml",
        "/iframe-/.html",
        "/iframehtml",
        "///xhr",
        "/a./a/xhr",
        "/a/a./xhr",
        "/././xhr",
        "//xhr",
        "////xhr",
        "/a/b/c/xhr",
        "/a/b/XHR",
        "/a/b/",
        "/a//xhr",
        "//a/xhr",
        "/a/b/xhr//",
    ] {
        assert_eq!(Route::parse(path), None, "{path}");
    }
    let path = |bytes| format!("/0/{}/xhr", "x".repeat(bytes));
    assert!(Route::parse(&path(SOCKJS_SESSION_BYTES_MAX)).is_some());
    assert!(Route::parse(&path(SOCKJS_SESSION_BYTES_MAX + 1)).is_none());
}

#[test]
fn the_iframe_page_names_its_script_and_is_known_by_its_tag() {
    let page = IframePage::new("https://example.com/sockjs.js?a=1&b=\"<");
    assert!(
        page.html().contains("<script src=\"https://example.com/sockjs.js?a=1&amp;b=&quot;&lt;\"></script>")
    );
    assert!(page.html().starts_with("<!DOCTYPE html>"));
    assert!(page.html().ends_with("</html>"));
    assert_eq!(page.etag().len(), 34);
    assert_eq!(page, IframePage::new("https://example.com/sockjs.js?a=1&b=\"<"));
    assert_ne!(page.etag(), IframePage::new("/sockjs.js").etag());
    for known in [page.etag(), "*", &format!("\"a\" , W/{}", page.etag())] {
        assert!(page.is_known(known), "{known}");
    }
    for other in ["", "\"\"", "\"a\"", &page.etag()[1..33]] {
        assert!(!page.is_known(other), "{other}");
    }
}
