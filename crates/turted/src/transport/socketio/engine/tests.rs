//! Requests of sessions that poll: which may be under way at once, and what becomes of the others.

use std::time::Duration;

use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::turted::TURTED;
use super::*;
use crate::hub::worker::journal::Agent;
use crate::transport::testing::{PEER, closes, on_worker};

/// A session of one client.
struct Visit {
    worker: Rc<Worker>,
    id: SessionId,
}

impl Visit {
    fn new(worker: &Rc<Worker>, query: &str) -> Self {
        let version = if query.contains("EIO=3") { Version::V3 } else { Version::V4 };
        let newcomer = Newcomer { version, peer: PEER, agent: Agent::default(), service: &TURTED };
        let (id, body) = open_polling(worker, newcomer, &Query::parse(query).unwrap()).unwrap();
        assert!(text(&body).contains(&id.to_string()), "the handshake names the session");
        Self { worker: Rc::clone(worker), id }
    }

    fn ask(&self, operation: Operation) {
        receive(&self.worker, self.id, operation);
    }

    fn poll(&self) -> Receiver<PollingAnswer> {
        let (request, answer) = oneshot::channel();
        self.ask(Operation::Poll(request));
        answer
    }

    fn begin_post(&self) -> Result<(), EngineRefusal> {
        let (request, mut answer) = oneshot::channel();
        self.ask(Operation::BeginPost(request));
        answer.try_recv().unwrap()
    }

    /// Sends a body and waits for its answer.
    async fn post(&self, body: impl Into<Bytes>) -> Result<(), EngineRefusal> {
        self.begin_post()?;
        let (request, answer) = oneshot::channel();
        self.ask(Operation::Post(PostBody { bytes: body.into(), is_binary: false }, request));
        answer.await.unwrap()
    }

    fn is_known(&self) -> bool {
        state::find(&self.worker, self.id).is_some()
    }
}

fn text(body: &PollingBody) -> String {
    String::from_utf8(body.parts.concat()).unwrap()
}

/// The answer to a request, if it has come.
fn answer(receiver: &mut Receiver<PollingAnswer>) -> Option<String> {
    receiver.try_recv().ok().map(|body| text(&body.unwrap()))
}

#[test]
fn the_replies_to_one_post_come_in_one_answer() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            let mut poll = visit.poll();
            visit.post("40\u{1e}42[\"ECHO\",1]\u{1e}42[\"ECHO\",2]").await.unwrap();
            let heard = answer(&mut poll).unwrap();
            let packets: Vec<_> = heard.split('\u{1e}').collect();
            assert_eq!(packets[1..], [r#"42["ECHO",1]"#, r#"42["ECHO",2]"#]);
            let mut last = visit.poll();
            visit.post("42[\"ECHO\",3]\u{1e}1").await.unwrap();
            assert_eq!(answer(&mut last).unwrap(), r#"42["ECHO",3]"#, "what was said before the end comes");
        },
    );
}

#[test]
fn a_session_connects_and_talks_by_posts_and_polls() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            visit.post("40\u{1e}42[\"ECHO\",1]").await.unwrap();
            let heard = answer(&mut visit.poll()).unwrap();
            let (connected, echo) = heard.split_once('\u{1e}').unwrap();
            assert!(connected.starts_with("40{"), "{connected}");
            assert_eq!(echo, r#"42["ECHO",1]"#);
        },
    );
}

#[test]
fn a_dispatch_answers_the_poll_of_a_client_that_is_connected() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=3");
            let mut poll = visit.poll();
            worker.dispatcher.broadcast("e", &1).unwrap();
            let heard = poll_answer(&mut poll).await;
            assert!(heard.contains(r#"42["EVENT",{"event":"e","payload":1"#), "{heard}");
        },
    );
}

async fn poll_answer(poll: &mut Receiver<PollingAnswer>) -> String {
    text(&poll.await.unwrap().unwrap())
}

#[test]
fn two_polls_at_once_end_the_session_and_both_hear_of_it() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            let mut first = visit.poll();
            let second = visit.poll().try_recv().unwrap();
            assert_eq!(second.unwrap_err(), EngineRefusal::BadRequest);
            assert_eq!(answer(&mut first).as_deref(), Some("1"));
            assert_eq!(closes(&worker, "polling_conflict"), 1);
            assert!(!visit.is_known());
        },
    );
}

#[test]
fn two_posts_at_once_end_the_session() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            assert_eq!(visit.begin_post(), Ok(()));
            assert_eq!(visit.begin_post(), Err(EngineRefusal::BadRequest));
            assert_eq!(closes(&worker, "polling_conflict"), 1);
        },
    );
}

#[test]
fn a_post_may_follow_another() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            for body in ["40", "6", "6"] {
                assert_eq!(visit.post(body).await, Ok(()), "{body}");
            }
        },
    );
}

#[test]
fn a_poll_that_is_let_go_of_ends_the_session() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            visit.ask(Operation::PollAborted);
            assert!(visit.is_known(), "no poll was under way");
            drop(visit.poll());
            visit.ask(Operation::PollAborted);
            assert!(!visit.is_known());
            assert_eq!(closes(&worker, "transport_lost"), 1);
        },
    );
}

#[test]
fn a_post_that_does_not_come_whole_ends_the_session() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            visit.begin_post().unwrap();
            visit.ask(Operation::PostAborted);
            assert!(!visit.is_known());
            assert_eq!(closes(&worker, "transport_lost"), 1);
        },
    );
}

#[test]
fn a_body_that_is_no_payload_is_refused_and_ends_the_session() {
    on_worker(
        |_| {},
        async |worker| {
            for (query, body) in
                [("EIO=4", &b"x"[..]), ("EIO=4", b"\xFF"), ("EIO=3", b"5:40"), ("EIO=3&j=0", b"40")]
            {
                let visit = Visit::new(&worker, query);
                let answer = visit.post(Bytes::copy_from_slice(body)).await;
                assert_eq!(answer, Err(EngineRefusal::BadRequest), "{query} {body:?}");
                assert!(!visit.is_known(), "{query} {body:?}");
            }
        },
    );
}

#[test]
fn a_body_may_have_as_many_packets_as_the_limit_and_no_more() {
    on_worker(
        |config| config.limits.polling_packets = 3,
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            assert_eq!(visit.post("6\u{1e}6\u{1e}6").await, Ok(()));
            assert_eq!(visit.post("6\u{1e}6\u{1e}6\u{1e}6").await, Err(EngineRefusal::BadRequest));
        },
    );
}

#[test]
fn a_session_that_has_ended_is_unknown_to_requests() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            visit.post("1").await.unwrap();
            assert_eq!(visit.poll().try_recv().unwrap().unwrap_err(), EngineRefusal::UnknownSession);
            assert_eq!(visit.begin_post(), Err(EngineRefusal::UnknownSession));
        },
    );
}

/// Sessions whose deadlines are 3 ms apart: those of some are due while the worker pauses between two looks.
#[test]
fn a_request_that_comes_after_the_ping_deadline_finds_no_session() {
    let (interval, timeout) = (Duration::from_millis(200), Duration::from_millis(100));
    for query in ["EIO=3", "EIO=4"] {
        on_worker(
            |config| (config.socketio.ping_interval, config.socketio.ping_timeout) = (interval, timeout),
            async |worker| {
                let mut visits = Vec::new();
                for _ in 0..16 {
                    visits.push((Instant::now() + interval + timeout, Visit::new(&worker, query)));
                    sleep(Duration::from_millis(3)).await;
                }
                for (deadline, visit) in visits {
                    sleep_until(deadline).await;
                    let refusal = visit.poll().try_recv().expect("an answer at once").unwrap_err();
                    assert_eq!(refusal, EngineRefusal::UnknownSession, "{query}");
                }
            },
        );
    }
}

#[test]
fn a_request_that_comes_before_the_ping_deadline_finds_its_session() {
    for query in ["EIO=3", "EIO=4"] {
        on_worker(
            |config| config.socketio.connect_timeout = Duration::from_mins(10),
            async |worker| {
                let visit = Visit::new(&worker, query);
                let config = &worker.config.socketio;
                sleep(config.ping_interval + config.ping_timeout - Duration::from_millis(1)).await;
                let _poll = visit.poll();
                assert!(visit.is_known(), "{query}");
            },
        );
    }
}

#[test]
fn the_slot_of_a_session_that_has_ended_answers_no_other() {
    on_worker(
        |_| {},
        async |worker| {
            let first = Visit::new(&worker, "EIO=4");
            first.post("1").await.unwrap();
            let second = Visit::new(&worker, "EIO=4");
            assert_eq!(second.id.slot(), first.id.slot(), "the slot is used again");
            assert!(!first.is_known());
            assert!(second.is_known());
        },
    );
}

#[test]
fn one_upgrade_at_a_time_may_begin_and_the_next_one_after_it_came_to_nothing() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            let begin = |attempt| {
                let (request, mut answer) = oneshot::channel();
                visit.ask(Operation::BeginUpgrade(attempt, request));
                answer.try_recv().unwrap()
            };
            let (first, second) = (Attempt::next(), Attempt::next());
            assert_eq!(begin(first), Ok(()));
            assert_eq!(begin(second), Err(EngineRefusal::BadRequest));
            visit.ask(Operation::UpgradeAborted(second));
            assert_eq!(begin(second), Err(EngineRefusal::BadRequest), "the first one is still under way");
            visit.ask(Operation::UpgradeAborted(first));
            assert_eq!(begin(second), Ok(()));
        },
    );
}

#[test]
fn a_session_that_nobody_polls_has_its_place_until_it_ends() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, "EIO=4");
            assert_eq!(worker.shared.places.taken(), 1);
            sleep(worker.config.socketio.connect_timeout * 2).await;
            assert!(!visit.is_known());
            assert_eq!(worker.shared.places.taken(), 0);
        },
    );
}
