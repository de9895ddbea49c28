//! Signs of life, what a new stream is sent, and how a stream ends.

use std::rc::Rc;

use tokio::time::sleep;
use turted_core::auth::Verified;
use turted_core::channel::ChannelPattern;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::history::{Depth, HistoryRules, Wanted};
use turted_core::name::Name;
use turted_core::wire::sse::encode_start;

use super::*;
use crate::hub::client::{history, identity};
use crate::hub::delivery::metrics::Carrier;
use crate::hub::delivery::wire::{Framing, Language, Wire};
use crate::hub::worker::connection::{Connection, Opening};
use crate::transport::testing::{PEER, Recorder, closes, on_worker};

/// Longer than a worker is late.
const LATE: Duration = Duration::from_millis(50);

/// A stream that writes to `recorder`, once it is admitted.
fn opened(worker: &Rc<Worker>, style: Style, recorder: &Recorder) -> Rc<Connection> {
    let opening = Opening {
        peer: PEER,
        session: Box::new(SseSession { style }),
        has_id: false,
        wire: Wire { language: Language::Sse, framing: Framing::Chunked },
        outlet: Outlet::Requests(Box::new(recorder.clone())),
    };
    Connection::open(worker, opening)
}

/// The same, admitted.
fn open(worker: &Rc<Worker>, style: Style, recorder: &Recorder) -> Rc<Connection> {
    let connection = opened(worker, style, recorder);
    connection.admit(worker);
    watch(Client::of(worker, &connection), Instant::now());
    connection
}

#[test]
fn a_quiet_stream_gets_a_sign_of_life_each_time_in_the_form_of_its_client() {
    let position = Some(Cursor { epoch: 7, sequence: 0 });
    for (style, expected) in
        [(Style::Turted, encode_heartbeat(position)), (Style::ReactPhp, encode_ping(position))]
    {
        on_worker(
            |_| {},
            async |worker| {
                let recorder = Recorder::new(Carrier::Streaming);
                let _connection = open(&worker, style, &recorder);
                let interval = worker.config.sse.heartbeat;
                sleep(interval - Duration::from_millis(1)).await;
                assert!(recorder.heard().is_empty(), "{style:?}: not before it is due");
                sleep(LATE).await;
                assert_eq!(recorder.heard(), vec![expected.clone()], "{style:?}");
                sleep(interval * 3).await;
                assert_eq!(recorder.heard(), vec![expected.clone(); 3], "{style:?}");
            },
        );
    }
}

#[test]
fn a_sign_of_life_has_no_position_where_nothing_is_recovered() {
    on_worker(
        |config| config.recovery.enabled = false,
        async |worker| {
            let recorder = Recorder::new(Carrier::Streaming);
            let _connection = open(&worker, Style::Turted, &recorder);
            sleep(worker.config.sse.heartbeat + LATE).await;
            assert_eq!(recorder.heard(), [encode_heartbeat(None)]);
        },
    );
}

#[test]
fn a_stream_is_sent_nothing_that_was_accepted_before_it_came() {
    on_worker(
        |_| {},
        async |worker| {
            let name = |text| Name::new(text).unwrap();
            // Three dispatches, which the worker resolves only when this test waits.
            let push = || {
                let user = Targets::user(name("alice"));
                for targets in [Targets::broadcast(), user, Targets::channel(name("chat"))] {
                    let payload = serde_json::value::to_raw_value(&1).unwrap();
                    worker.dispatcher.dispatch(Dispatch { event: name("e"), payload, targets }).unwrap();
                }
            };
            push();
            let recorder = Recorder::new(Carrier::Streaming);
            let connection = open(&worker, Style::Turted, &recorder);
            let client = Client::of(&worker, &connection);
            let position = client.position();
            push();
            identity::admit(client, &Verified::user(name("alice"))).unwrap();
            push();
            identity::join(client, &name("chat")).unwrap();
            push();
            assert_eq!(worker.seen(), 0, "nothing is resolved");
            sleep(LATE).await;
            assert_eq!(worker.seen(), 12);
            let at = |sequence| Some(Cursor { epoch: 7, sequence });
            assert_eq!(position, at(3), "it missed none of these");
            let heard = recorder.heard().concat();
            let ids = heard.lines().filter_map(|line| line.strip_prefix("id: "));
            let expected = [4, 7, 8, 10, 11, 12];
            assert_eq!(ids.map(|id| id.parse().ok()).collect::<Vec<_>>(), expected.map(at), "{heard}");
            assert_eq!(client.position(), at(12));
        },
    );
}

#[test]
fn history_ends_where_the_admission_of_a_stream_begins() {
    on_worker(
        |config| {
            let depth = Depth { events: 1, age: Duration::from_secs(60) };
            config.history = HistoryRules::new([(ChannelPattern::parse("*").unwrap(), depth)]);
        },
        async |worker| {
            let chat = Name::new("chat").unwrap();
            let push = |payload| drop(worker.dispatcher.notify_channel("chat", "e", &payload).unwrap());
            push(1);
            let recorder = Recorder::new(Carrier::Streaming);
            let connection = opened(&worker, Style::Turted, &recorder);
            let client = Client::of(&worker, &connection);
            identity::join(client, &chat).unwrap();
            // By another thread, between the two.
            push(2);
            connection.admit(&worker);
            let joined = worker.registry.borrow().memberships(connection.key).channels;
            let found = history::of(client, &joined, Wanted { newest: 1, since: None });
            connection.replay(&worker, found.missed);
            push(3);
            sleep(LATE).await;
            let heard = recorder.heard().concat();
            let payloads: Vec<_> = heard.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            assert_eq!(payloads, ["2", "3"], "{heard}");
        },
    );
}

#[test]
fn a_stream_that_is_being_read_needs_no_sign_of_life() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::being_taken(Carrier::Streaming);
            let connection = open(&worker, Style::Turted, &recorder);
            sleep(worker.config.sse.heartbeat * 3).await;
            assert!(recorder.heard().is_empty());
            assert!(!connection.is_closed());
        },
    );
}

#[test]
fn a_stream_ends_when_the_proof_of_its_client_expires() {
    on_worker(
        |_| {},
        async |worker| {
            let connection = open(&worker, Style::Turted, &Recorder::new(Carrier::Streaming));
            connection.session.expired(Client::of(&worker, &connection), &[]);
            assert!(connection.is_closed());
            assert_eq!(closes(&worker, "expired"), 1);
        },
    );
}

#[test]
fn deadlines_of_other_transports_do_not_concern_a_stream() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::new(Carrier::Streaming);
            let connection = open(&worker, Style::Turted, &recorder);
            for due in [Due::Connect, Due::Pong, Due::Silence, Due::Noop, Due::Upgrade] {
                connection.session.due(Client::of(&worker, &connection), due);
                assert!(!connection.is_closed(), "{due:?}");
            }
            assert!(recorder.heard().is_empty());
        },
    );
}

#[test]
fn a_server_that_stops_and_no_other_end_says_when_to_come_back() {
    on_worker(
        |_| {},
        async |worker| {
            let session = SseSession { style: Style::Turted };
            let end = |close| session.end(&worker, &mut Outlet::Closed, Closing::from(close));
            for close in [Close::TransportLost, Close::SlowReader, Close::Expired, Close::ByClient] {
                assert_eq!(end(close), None, "{close:?}");
            }
            let retry = worker.config.sse.retry;
            let first = encode_start(retry, None);
            let told: Vec<_> =
                (0..20).map(|_| String::from_utf8(end(Close::Drain).unwrap()).unwrap()).collect();
            let millis = |text: &str| text.trim().strip_prefix("retry: ").unwrap().parse::<u128>().unwrap();
            for told in &told {
                assert!((millis(&first)..=2 * millis(&first)).contains(&millis(told)), "{told}");
            }
            assert!(told.iter().any(|own| *own != told[0]), "not all at once");
        },
    );
}
