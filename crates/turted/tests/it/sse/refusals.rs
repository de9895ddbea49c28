//! Who gets no stream, and what they are told.

use turted::config::{AllowOrigins, ChannelPattern, ChannelRules, ClientAuth, Join, Secret};

use super::{named, open_with};
use crate::support::{Child, EventSource, Response, TestServer};

fn refused(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> Response {
    EventSource::connect(server.address(), target, headers).expect_err("no stream")
}

#[test]
fn what_a_request_must_keep_is_named_and_counted() {
    let server = TestServer::with(|config| config.limits.channels_per_connection = 3);
    let long = format!("/sse?channel={}", "x".repeat(256));
    for (target, rule, text) in [
        ("/sse?channel=a%00", "sse-channel-name", "control characters"),
        ("/sse?channel=a%0Ab", "sse-channel-name", "control characters"),
        ("/sse?channel=%0Ddata:x", "sse-channel-name", "control characters"),
        ("/sse?channel=", "sse-channel-name", "empty"),
        ("/sse?channel=a&channel", "sse-channel-name", "empty"),
        (&long, "sse-channel-name", "at most 255 bytes"),
        ("/sse?channel=%ff", "sse-query", "not UTF-8"),
        ("/sse?channel=a&channel=b&channel=c&channel=d", "sse-channels", "limits.channels_per_connection"),
        ("/sse?channels=c", "sse-parameter", "call it channel"),
        ("/sse?channels[]=c", "sse-parameter", "call it channel"),
        ("/sse?channel=c&last_event_id=f-1", "sse-parameter", "call it lastEventId"),
        ("/sse?username=u", "sse-parameter", "call it user"),
        ("/sse?channel=a&user=u", "sse-query-credentials", "sse.query_credentials"),
        ("/sse?token=t", "sse-query-credentials", "sse.query_credentials"),
    ] {
        let before = server.refusals(rule);
        let answer = refused(&server, target, &[("Origin", "https://page.example")]);
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains(text), "{target}: {}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
        assert_eq!(server.refusals(rule), before + 1, "{target}");
    }
    EventSource::connect(server.address(), "/sse?channel=a&channel=b&channel=c&channel=a", &[]).unwrap();
    EventSource::connect(server.address(), "/sse?unknown=1&channel=constructor", &[]).unwrap();
    let target = format!("/sse?channel=a&x={}", "x".repeat(8 * 1024));
    assert_eq!(refused(&server, &target, &[]).status, 414);
    server.assert_alive();
}

#[test]
fn only_get_opens_a_stream_and_head_shows_how_it_would_begin() {
    let server = TestServer::new();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = server.http().request(method, "/sse", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    let mut http = server.http();
    http.send_request("HEAD", "/sse?channel=c", &[], b"");
    let head = http.read_head().unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head.header("content-length"), None);
    let (mut stream, rest) = http.into_parts();
    assert_eq!((rest.as_slice(), std::io::Read::read(&mut stream, &mut [0]).unwrap()), (&[][..], 0));
    let mut http = server.http();
    http.send_request("HEAD", "/sse?channel=", &[], b"");
    assert_eq!(http.read_head().unwrap().status, 400);
}

#[test]
fn pages_of_other_origins_are_refused_and_may_ask_before() {
    let server = TestServer::with(|config| {
        config.allow_origins = AllowOrigins::Only(vec!["https://good.example".into()]);
    });
    let answer = refused(&server, "/sse?channel=c", &[("Origin", "https://evil.example")]);
    assert_eq!((answer.status, answer.header("vary")), (403, Some("Origin")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://evil.example"), "it reads why");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert!(answer.text().contains("allow_origins"));
    assert_eq!(server.refusals("sse-origin"), 1);
    open_with(&server, "?channel=c", &[("Origin", "https://good.example")]);
    open_with(&server, "?channel=c", &[]);
    let asked = [
        ("Origin", "https://good.example"),
        ("Access-Control-Request-Headers", "authorization,last-event-id"),
    ];
    let answer = server.http().request("OPTIONS", "/sse", &asked, b"");
    assert_eq!(
        (answer.status, answer.header("access-control-allow-headers")),
        (200, Some("authorization,last-event-id"))
    );
    let answer = server.http().request("OPTIONS", "/sse", &[("Origin", "https://evil.example")], b"");
    assert_eq!(answer.status, 403);
}

#[test]
fn credentials_come_in_a_header_and_in_the_query_only_if_that_is_enabled() {
    let server = TestServer::with(|config| {
        config.auth.method = ClientAuth::Password(Secret::from("tiger"));
        config.sse.query_credentials = true;
    });
    // alice:tiger, alice:lion
    let (good, bad) = ("Basic YWxpY2U6dGlnZXI=", "Basic YWxpY2U6bGlvbg==");
    for (target, headers) in [
        ("/sse", vec![("Authorization", bad)]),
        ("/sse", vec![("Authorization", "Bearer ")]),
        ("/sse", vec![("Authorization", "Basic !")]),
        ("/sse?user=alice&password=lion", vec![]),
        ("/sse?user=alice", vec![]),
        ("/sse?password=tiger", vec![]),
        // The header counts.
        ("/sse?user=alice&password=tiger", vec![("Authorization", bad)]),
    ] {
        let answer = refused(&server, target, &headers);
        assert_eq!(answer.status, 401, "{target} {headers:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"turted\""));
    }
    assert_eq!(server.refusals("ident"), 7);
    let sources = [
        open_with(&server, "", &[("Authorization", good)]),
        open_with(&server, "?user=alice&password=tiger", &[]),
        open_with(&server, "?user=bob&password=lion", &[("Authorization", good)]),
    ];
    server.dispatcher().notify_user("bob", "e", &0).unwrap();
    server.dispatcher().notify_user("alice", "e", &1).unwrap();
    for mut source in sources {
        assert_eq!(named(&source.event()), ("e", "1"));
    }
    // After ten wrong ones the right one waits too.
    while refused(&server, "/sse", &[("Authorization", bad)]).status == 401 {
        assert!(server.refusals("ident") < 20, "it is never too many");
    }
    let answer = refused(&server, "/sse", &[("Authorization", good)]);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60")));
    assert!(answer.text().contains("limits.wrong_idents"));
    assert_eq!(server.refusals("too-many-wrong-idents"), 2);
}

#[test]
fn a_channel_that_may_not_be_joined_is_forbidden() {
    let rule = |text, join| (ChannelPattern::parse(text).unwrap(), join);
    let server = TestServer::with(|config| {
        config.channels = ChannelRules::new([rule("members", Join::Identified), rule("secret", Join::Claim)]);
    });
    let user = [("Authorization", "Basic YWxpY2U6")];
    for (target, headers, text) in [
        ("/sse?channel=open&channel=members", &[][..], "channel needs identification"),
        ("/sse?channel=secret", &user[..], "channel not granted"),
    ] {
        let answer = refused(&server, target, headers);
        assert_eq!((answer.status, answer.text()), (403, text), "{target}");
    }
    assert_eq!(server.refusals("join"), 2);
    open_with(&server, "?channel=open&channel=members", &user);
}

#[test]
fn no_secret_of_a_query_reaches_a_log_or_an_answer() {
    const CANARIES: [&str; 3] = ["canary-sse-token", "canary-sse-password", "canary-sse-refused"];
    let [token, password, refused] = CANARIES;
    let mut seen = String::new();
    for enabled in ["true", "false"] {
        let child = Child::start(&[
            ("TURTED_LOG_LEVEL", "trace"),
            ("TURTED_AUTH_METHOD", "password"),
            ("TURTED_AUTH_PASSWORD", password),
            ("TURTED_SSE_QUERY_CREDENTIALS", enabled),
        ]);
        for query in
            [format!("user=u&password={password}&token={token}"), format!("user=u&password={refused}")]
        {
            match EventSource::connect(child.address(), &format!("/sse?channel=c&{query}"), &[]) {
                Ok(mut source) => {
                    source.start();
                    seen.push_str(&source.head.head);
                }
                Err(answer) => seen.push_str(answer.text()),
            }
        }
        let output = child.stop();
        assert!(output.contains("listening on"), "{output}");
        seen.push_str(&output);
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
    assert!(seen.contains("IDENT not verified"), "{seen}");
    for canary in CANARIES {
        assert!(!seen.contains(canary), "{canary} in {seen}");
    }
}
