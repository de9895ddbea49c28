//! Sessions that cost a request each: who may have how many, and who gives way.

use super::{Chunks, Client, Way, new_session};
use crate::hostile::places::two_places_each;
use crate::support::{Flood, Http, Response, TestServer};

/// Enough that an honest client is back before a flood has gone round them.
const PLACES: usize = 3_000;

#[test]
fn a_flood_of_sessions_keeps_no_honest_client_out() {
    let server = TestServer::with(|config| config.limits.connections = Some(PLACES));
    for (method, way) in [("POST", "xhr"), ("GET", "jsonp")] {
        let flood = Flood::of_sockjs(server.address(), method, way);
        flood.go_on(PLACES + 1);
        for way in Way::BY_REQUESTS {
            for _ in 0..3 {
                let mut client = Client::connect(&server, way);
                assert!(client.ask(r#"{"type":"echo","data":1}"#).contains("message"), "{way:?}");
                flood.go_on(100);
                assert!(client.ask(r#"{"type":"echo","data":2}"#).contains("message"), "{way:?}");
                client.leave();
            }
        }
        assert_eq!(flood.answered(503), 0, "there is always an older one that gives way");
    }
    assert!(server.metric("turted_request_sessions") <= PLACES);
    assert!(server.metric(r#"turted_closes_total{reason="gave_way"}"#) > PLACES);
}

/// The answer to the first request of a session.
fn open(server: &TestServer, way: Way, address: &str) -> (Response, Http) {
    let (method, target) = way.receiver(&new_session());
    let mut http = server.http();
    http.send_request(method, &target, &[("X-Forwarded-For", address)], b"");
    (http.read_head().unwrap(), http)
}

#[test]
fn an_address_has_as_many_sessions_as_it_may_and_no_more_by_each_transport() {
    let server = TestServer::with(two_places_each);
    for (number, way) in Way::BY_REQUESTS.into_iter().enumerate() {
        let host = |host: usize| format!("203.0.{number}.{host}");
        let open = |address: &str| open(&server, way, address);
        let held = [open(&host(1)), open(&host(1))];
        assert!(held.iter().all(|(head, _)| head.status == 200), "{way:?}");
        let (refused, http) = open(&host(1));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{way:?}");
        assert!(body(refused, http, way).contains("limits.sessions_per_address"), "{way:?}");
        assert_eq!(open(&host(2)).0.status, 200, "others are not concerned");
    }
    let page = server.admin().get("/metrics");
    let refusals = r#"turted_refusals_total{rule="sockjs-sessions-per-address"} 5"#;
    assert!(page.text().contains(refusals), "{}", page.text());
}

fn body(head: Response, mut http: Http, way: Way) -> String {
    if !way.is_streaming() {
        return http.read_body(head).text().to_owned();
    }
    Chunks::behind(head, http).next().unwrap()
}

#[test]
fn a_session_that_streams_does_not_give_way() {
    let server = TestServer::with(|config| config.limits.connections = Some(20));
    let mut streaming: Vec<_> = Way::STREAMING.into_iter().map(|way| Client::connect(&server, way)).collect();
    let mut http = server.http();
    for _ in 0..100 {
        assert_eq!(http.post(&format!("{}/xhr", new_session()), &[], "").status, 200);
    }
    for client in &mut streaming {
        assert!(client.ask(r#"{"type":"echo","data":1}"#).contains("message"), "{:?}", client.way);
    }
}
