use super::*;

const LIMITS: PostLimits =
    PostLimits { head_bytes: 1_000, headers: 10, target_bytes: 20, body_bytes: 50, bytes: 1_020 };

/// A request to `/push` with these header lines and a body of two bytes.
fn request(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("POST /push HTTP/1.1\r\n{lines}\r\n{{}}")
}

/// The same with the two headers that each request needs.
fn usual(more: &str) -> String {
    request(&["Host: a.example", "Content-Length: 2", more])
}

#[track_caller]
fn post(input: &str) -> Post<'_> {
    match decode(input.as_bytes(), LIMITS) {
        Decoded::Whole { post, bytes } => {
            assert_eq!(bytes, input.len(), "{input}");
            post
        }
        other => panic!("{other:?}: {input}"),
    }
}

#[track_caller]
fn assert_other(input: &str) {
    assert_eq!(decode(input.as_bytes(), LIMITS), Decoded::Other, "{input}");
}

#[test]
fn what_a_push_needs_is_found_whatever_else_there_is() {
    let input = usual(
        "ACCEPT: application/json\r\nauthorization: Bearer tiger\r\nIdempotency-Key: k-1\r\n\
         User-Agent: any\r\nConnection: Keep-Alive\r\nContent-Type: text/plain",
    );
    let expected = Post {
        path: "/push",
        host: "a.example",
        accept: Some("application/json"),
        authorization: Some("Bearer tiger"),
        idempotency_key: Some("k-1"),
        body: b"{}",
    };
    assert_eq!(post(&input), expected);
    let bare = Post { accept: None, authorization: None, idempotency_key: None, ..expected };
    assert_eq!(post(&usual("X: y")), bare);
    let twice = input.repeat(2);
    assert_eq!(decode(twice.as_bytes(), LIMITS), Decoded::Whole { post: expected, bytes: input.len() });
}

#[test]
fn each_start_of_a_request_is_a_part_from_the_end_of_its_first_line_on() {
    let input = usual("Accept: */*");
    let first_line = input.find("\r\n").unwrap() + 2;
    for cut in 0..input.len() {
        let expected = if cut < first_line { Decoded::Other } else { Decoded::Part { path: "/push" } };
        let decoded = decode(&input.as_bytes()[..cut], LIMITS);
        // What comes before the end of the line may tell the path, or not.
        assert!(
            decoded == expected || (cut < first_line && decoded == Decoded::Part { path: "/push" }),
            "{cut}"
        );
    }
}

#[test]
fn hosts_that_are_usual_are_taken_and_no_others() {
    for host in ["a", "localhost:7117", "a-b.example", "127.0.0.1:80", "[::1]", "[fd00::7]:7117", "a_b"] {
        let input = request(&[&format!("Host: {host}"), "Content-Length: 2"]);
        assert_eq!(post(&input).host, host);
    }
    for host in [
        "", ":", ":80", "a:", "a:x", "a:+1", "a:123456", "a:1:2", "::1", "[::1", "[]", "[::1]x", "[::1]:",
        "a b", "u@a", "a/b", "a?b", "a%20", "a,b", "\u{e4}",
    ] {
        assert_other(&request(&[&format!("Host: {host}"), "Content-Length: 2"]));
    }
}

#[test]
fn what_means_more_to_http_or_to_a_push_is_not_taken() {
    for line in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "TE: trailers",
        "Trailer: X",
        "Origin: https://a.example",
        "Sec-Fetch-Site: cross-site",
        "SEC-WEBSOCKET-VERSION: 13",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "Connection: close",
        "Connection: keep-alive, close",
        "Connection: upgrade",
        "Connection: ",
        "Host: a.example",
        "Content-Length: 2",
        "Authorization: \u{e4}",
        "Accept: a\tb",
        "Accept: a\r\nAccept: b",
        "Idempotency-Key: a\r\nIdempotency-Key: a",
        "X: a\r\n b",
        "X : a",
        ": a",
        "X",
    ] {
        assert_other(&usual(line));
    }
}

#[test]
fn lengths_are_digits_and_bodies_are_as_long_as_they_say() {
    for length in ["", "+2", "-2", "2 2", "2,2", "0x2", "2.0", "000000002", "99999999999999999999"] {
        assert_other(&request(&["Host: a", &format!("Content-Length: {length}")]));
    }
    assert_eq!(post(&request(&["Host: a", "Content-Length: 0002"])).body, b"{}");
    assert_other(&request(&["Host: a"]));
    assert_other(&request(&["Content-Length: 2"]));
}

#[test]
fn first_lines_that_are_unusual_are_not_taken() {
    for line in [
        "GET /push HTTP/1.1",
        "post /push HTTP/1.1",
        "POST /push HTTP/1.0",
        "POST /push HTTP/2.0",
        "POST /push",
        "POST  /push HTTP/1.1",
        "POST /push  HTTP/1.1",
        "POST push HTTP/1.1",
        "POST http://a.example/push HTTP/1.1",
        "POST /push?x HTTP/1.1",
        "POST /push#x HTTP/1.1",
        "POST /pu%73h HTTP/1.1",
        "POST /p\u{e4} HTTP/1.1",
        "POST * HTTP/1.1",
        "\r\nPOST /push HTTP/1.1",
        " POST /push HTTP/1.1",
    ] {
        assert_other(&format!("{line}\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}"));
    }
}

#[test]
fn a_request_at_each_limit_is_taken_and_one_above_is_not() {
    let input = usual("X: y");
    let head = input.len() - 2;
    let exact =
        PostLimits { head_bytes: head, headers: 3, target_bytes: 5, body_bytes: 2, bytes: input.len() };
    assert!(matches!(decode(input.as_bytes(), exact), Decoded::Whole { .. }));
    for limits in [
        PostLimits { head_bytes: exact.head_bytes - 1, ..exact },
        PostLimits { headers: exact.headers - 1, ..exact },
        PostLimits { target_bytes: exact.target_bytes - 1, ..exact },
        PostLimits { body_bytes: exact.body_bytes - 1, ..exact },
        PostLimits { bytes: exact.bytes - 1, ..exact },
    ] {
        assert_eq!(decode(input.as_bytes(), limits), Decoded::Other, "{limits:?}");
    }
    let many = usual(&["X: y"; HEADERS_MAX].join("\r\n"));
    assert_eq!(decode(many.as_bytes(), PostLimits { headers: 100, bytes: 9_000, ..LIMITS }), Decoded::Other);
    let unended = &usual("X: y")[..head - 2];
    let limits = PostLimits { head_bytes: unended.len(), ..LIMITS };
    assert_eq!(
        decode(unended.as_bytes(), limits),
        Decoded::Other,
        "no request is waited for beyond its limit"
    );
}
