//! Whom the admin listener lets in, and which pages.

use turted::config::{AdminListen, Secret};

use crate::support::{Response, TestServer};

const READS: &str = "a token of 22 characters that reads";
const WRITES: &str = "a token of 22 characters that writes";
const FILES: [&str; 3] = ["/", "/admin.css", "/admin.js"];

fn status(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> u16 {
    server.admin().request("GET", target, headers, b"").status
}

/// Asks with another host than that of the client.
fn for_host(server: &TestServer, target: &str, host: &str) -> Response {
    let mut admin = server.admin();
    admin.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    admin.read().unwrap()
}

#[test]
fn either_token_reads_and_one_that_only_writes_protects_reading_too() {
    for (reads, writes) in [(Some(READS), Some(WRITES)), (None, Some(WRITES)), (Some(READS), None)] {
        let server = TestServer::with(|config| {
            config.admin.token = reads.map(Secret::from);
            config.admin.write_token = writes.map(Secret::from);
        });
        assert_eq!(status(&server, "/metrics", &[]), 401, "{reads:?} {writes:?}");
        for token in reads.into_iter().chain(writes) {
            assert_eq!(status(&server, "/metrics", &[("Authorization", &format!("Bearer {token}"))]), 200);
        }
        for file in FILES {
            assert_eq!(status(&server, file, &[]), 200, "{file} needs no token");
        }
    }
}

#[test]
fn beyond_this_machine_only_health_and_metrics_are_served_without_a_token() {
    let server = TestServer::with(|config| config.admin.listen = AdminListen::At(([0, 0, 0, 0], 0).into()));
    for target in ["/health", "/ready", "/metrics"] {
        assert_eq!(status(&server, target, &[]), 200, "{target}");
    }
    for target in ["/api/v1/users", "/api/v1/node", "/api/v1/counts", "/openapi.json", "/", "/admin.js", "/x"]
    {
        assert_eq!(status(&server, target, &[]), 403, "{target}");
    }
}

#[test]
fn no_answer_is_taken_for_another_type_than_it_has() {
    let server = TestServer::new();
    for target in
        ["/", "/health", "/ready", "/metrics", "/openapi.json", "/api/v1/counts", "/x", "/api/v1/users/%"]
    {
        let answer = server.admin().get(target);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
    }
}

#[test]
fn what_a_proxy_passes_on_is_refused_where_no_token_is_set() {
    let headers = [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
        "CF-Connecting-IP",
        "True-Client-IP",
    ];
    let open = TestServer::new();
    for header in headers {
        assert_eq!(status(&open, "/api/v1/users", &[(header, "192.0.2.1")]), 403, "{header}");
        assert_eq!(status(&open, "/", &[(header, "192.0.2.1")]), 403, "{header}");
        assert_eq!(status(&open, "/metrics", &[(header, "192.0.2.1")]), 200, "{header}");
    }
    let safe = TestServer::with(|config| config.admin.token = Some(Secret::from(READS)));
    let right = ("Authorization", format!("Bearer {READS}"));
    for header in headers {
        assert_eq!(status(&safe, "/api/v1/users", &[(header, "192.0.2.1"), (right.0, &right.1)]), 200);
        assert_eq!(status(&safe, "/", &[(header, "192.0.2.1")]), 200, "{header}");
    }
}

#[test]
fn pages_of_other_origins_may_ask_nothing() {
    let server = TestServer::new();
    let own = format!("http://{}", server.admin_address());
    for target in ["/api/v1/users", "/metrics", "/health", "/admin.js", "/api/v1/events"] {
        for foreign in [
            &[("Origin", "http://evil.example")][..],
            &[("Origin", "null")],
            // `no-cors`: scripts, images and frames say no origin.
            &[("Sec-Fetch-Site", "cross-site")],
            &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
            &[
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ],
        ] {
            assert_eq!(status(&server, target, foreign), 403, "{target} {foreign:?}");
        }
    }
    assert_eq!(status(&server, "/api/v1/users", &[("Sec-Fetch-Site", "same-origin")]), 200);
    let answer = {
        let mut admin = server.admin();
        let host = own.strip_prefix("http://").unwrap();
        admin.send(format!("GET /api/v1/users HTTP/1.1\r\nHost: {host}\r\nOrigin: {own}\r\n\r\n"));
        admin.read().unwrap()
    };
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    let preflight = [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
    let answer = server.admin().request("OPTIONS", "/api/v1/push", &preflight, b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
}

#[test]
fn a_link_to_the_page_may_stand_anywhere_and_nobody_frames_it() {
    let server = TestServer::new();
    let from = |mode: &str, dest: &str| {
        status(
            &server,
            "/",
            &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)],
        )
    };
    assert_eq!(from("navigate", "document"), 200);
    assert_eq!(
        (from("navigate", "iframe"), from("no-cors", "image"), from("cors", "empty")),
        (403, 403, 403)
    );
    for file in FILES {
        let answer = server.admin().get(file);
        assert_eq!(answer.status, 200, "{file}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        let tag = answer.header("etag").unwrap();
        assert_eq!(status(&server, file, &[("If-None-Match", tag)]), 304, "{file}");
    }
}

#[test]
fn a_name_that_was_made_to_resolve_to_this_machine_is_refused() {
    let open = TestServer::new();
    for target in ["/", "/admin.js", "/api/v1/users", "/metrics"] {
        assert_eq!(for_host(&open, target, "evil.example:7118").status, 421, "{target}");
        assert_eq!(for_host(&open, target, "127.0.0.1:7118").status, 200, "{target}");
    }
}
