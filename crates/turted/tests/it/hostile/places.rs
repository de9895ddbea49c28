//! Sessions that cost a request each: who may have how many, and who gives way.

use turted::config::{Config, TrustedProxies};

use crate::support::{
    Child, Client, Flood, Http, Kind, Response, TestServer, Transport, WebSocket, eventually, payload,
};

/// Twice what a flood may make of sessions while an honest client connects.
const PLACES: usize = 3_000;
const FORWARDED: &str = "X-Forwarded-For";

/// Every client is believed what `X-Forwarded-For` says, and has so many sessions.
pub(crate) fn two_places_each(config: &mut Config) {
    config.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    config.limits.sessions_per_address = 2;
}

fn handshake(http: &mut Http, kind: Kind, address: &str) -> Response {
    http.request("GET", &kind.target("polling", ""), &[(FORWARDED, address)], b"")
}

fn sid(handshake: &Response) -> String {
    let (_, rest) = handshake.text().split_once(r#""sid":""#).expect("a handshake");
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_flood_of_handshakes_keeps_no_honest_client_out() {
    let server = TestServer::with(|config| config.limits.connections = Some(PLACES));
    for flooding in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let flood = Flood::of_polling(server.address(), flooding);
        flood.go_on(PLACES + 1);
        for kind in [Kind::V3_POLLING, Kind::V4_POLLING, Kind::V3_UPGRADED, Kind::V4_UPGRADED] {
            for _ in 0..3 {
                flood.grant(PLACES / 2);
                let mut client = server.client(kind);
                assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}");
                flood.grant(PLACES / 2);
                flood.go_on(100);
                assert_eq!(client.ask("ECHO", "2"), r#"42["ECHO",2]"#, "{kind:?}");
                client.leave();
            }
        }
        assert_eq!(flood.answered(503), 0, "there is always an older one that gives way");
    }
    assert!(server.metric("turted_request_sessions") <= PLACES);
    assert_eq!(server.metric("turted_request_sessions_limit"), PLACES);
    assert!(server.metric(r#"turted_closes_total{reason="gave_way"}"#) > PLACES);
}

#[test]
fn a_session_whose_client_came_back_does_not_give_way_whatever_that_asked_for() {
    let server = TestServer::with(|config| config.limits.connections = Some(3));
    let mut http = server.http();
    let target = |sid: &str| Kind::V3_POLLING.target("polling", sid);
    let sids: Vec<_> = (0..3).map(|_| sid(&http.get(&target("")))).collect();
    let noop = payload(3, &["6"]);
    assert_eq!(http.post(&target(&sids[0]), &[], &noop).text(), "ok");
    server.dispatcher().broadcast("e", &0).unwrap();
    assert!(http.get(&target(&sids[1])).text().contains(r#""e""#));
    let upgrade = Kind::V3_POLLING.target("websocket", &sids[2]);
    let _socket = WebSocket::connect(server.address(), &upgrade, &[]).unwrap();
    let refused = http.get(&target(""));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.text().contains("limits.connections"), "{}", refused.text());
    for sid in &sids {
        assert_eq!(http.post(&target(sid), &[], &noop).text(), "ok");
    }
}

#[test]
fn the_oldest_session_that_nobody_came_back_to_gives_way() {
    let server = TestServer::with(|config| config.limits.connections = Some(3));
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut http = server.http();
        let mut open = || sid(&http.get(&kind.target("polling", "")));
        let sids: Vec<_> = (0..5).map(|_| open()).collect();
        let ends = sids.iter().map(|sid| {
            let end = payload(kind.version, &["1"]);
            server.http().post(&kind.target("polling", sid), &[("Connection", "close")], end).status
        });
        assert_eq!(ends.collect::<Vec<_>>(), [400, 400, 200, 200, 200], "{kind:?}");
    }
}

#[test]
fn an_address_has_as_many_polling_sessions_as_it_may_and_no_more() {
    let server = TestServer::with(two_places_each);
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut http = server.http();
        let host = |number: usize| format!("203.0.{}.{number}", kind.version);
        let sids: Vec<_> = (0..2).map(|_| sid(&handshake(&mut http, kind, &host(1)))).collect();
        let refused = handshake(&mut http, kind, &host(1));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert!(refused.text().contains("limits.sessions_per_address"), "{}", refused.text());
        assert_eq!(handshake(&mut http, kind, &host(2)).status, 200, "others are not concerned");
        let bye = payload(kind.version, &["1"]);
        assert_eq!(http.post(&kind.target("polling", &sids[0]), &[], bye).status, 200);
        assert_eq!(handshake(&mut http, kind, &host(1)).status, 200, "the place of one that ended");
        let script = format!("{}&j=0", kind.target("polling", ""));
        let refused = http.request("GET", &script, &[(FORWARDED, &host(1))], b"");
        assert_eq!(refused.status, 503);
        assert!(refused.text().contains("limits.sessions_per_address"));
    }
    let page = server.admin().get("/metrics");
    let refusals = r#"turted_refusals_total{rule="engine-sessions-per-address"} 4"#;
    assert!(page.text().contains(refusals), "{}", page.text());
}

#[test]
fn an_ipv6_network_of_a_customer_has_the_sessions_of_one_address() {
    let server = TestServer::with(two_places_each);
    let mut http = server.http();
    let mut status = |address: &str| handshake(&mut http, Kind::V4_POLLING, address).status;
    assert_eq!((status("2001:db8::1"), status("2001:db8::2"), status("2001:db8::3")), (200, 200, 503));
    assert_eq!(status("2001:db8:0:1::1"), 200);
}

#[test]
fn a_session_that_moved_to_a_websocket_gives_its_place_back() {
    let server = TestServer::with(two_places_each);
    for kind in [Kind::V3_UPGRADED, Kind::V4_UPGRADED] {
        let mut clients: Vec<_> = (0..5)
            .map(|_| {
                let mut client = server.client(kind);
                // Answered on the WebSocket: it has moved.
                assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}");
                client
            })
            .collect();
        assert_eq!(server.metric("turted_request_sessions"), 0);
        let polling = Kind { transport: Transport::Polling, ..kind };
        let polling: Vec<_> = (0..2).map(|_| Client::connect(server.address(), polling)).collect();
        assert_eq!(server.metric("turted_request_sessions"), 2);
        clients.iter_mut().for_each(|client| assert_eq!(client.ask("ECHO", "2"), r#"42["ECHO",2]"#));
        polling.into_iter().for_each(Client::leave);
        eventually("they have left", || server.metric("turted_request_sessions") == 0);
    }
}

#[test]
fn private_addresses_are_not_limited_while_no_proxy_is_named_and_the_log_says_so() {
    let child = Child::start(&[("TURTED_LIMITS_SESSIONS_PER_ADDRESS", "2")]);
    let mut http = child.http();
    for _ in 0..5 {
        assert_eq!(http.get(&Kind::V4_POLLING.target("polling", "")).status, 200);
    }
    let log = child.stop();
    let told: Vec<_> = log.lines().filter(|line| line.contains("limits.sessions_per_address")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("trusted_proxies"), "{log}");
}
