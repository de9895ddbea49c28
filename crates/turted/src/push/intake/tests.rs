//! What becomes of messages, and of those that there is no room for.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use turted_core::push::Scope;
use turted_core::push::map::{Expression, Map, PayloadForm};
use turted_core::push::template::{Place, Template};
use turted_core::secret::Secret;

use super::portion::PortionLimits;
use super::*;
use crate::config::secrets::Secrets;
use crate::config::{Config, LogSync, PushKey, PushSource, SourceKind, StartAt, TailSource};
use crate::hub::dispatch::inbox::{Deliveries, InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::hub::dispatch::log::disk::double::Double;
use crate::hub::dispatch::writer::WriterParts;
use crate::io::backlogs::Backlogs;

/// An intake whose worker has room for so many dispatches, and takes none.
fn intake(change: impl FnOnce(&mut PushSource), inbox_dispatches: usize) -> (Intake, Deliveries) {
    let tail = TailSource {
        paths: vec![PathBuf::from("log")],
        from: StartAt::End,
        state_dir: PathBuf::from("state"),
        line_bytes: 1_000,
    };
    let (name, kind) = ("s".to_owned(), SourceKind::Tail(tail));
    let mut source = PushSource { name, require_auth: false, map: None, kind };
    change(&mut source);
    let mut config = Config::default();
    config.push.password = Some(Secret::from("tiger"));
    let scope = Scope { channels: Some(Vec::new()), broadcast: false, ..Scope::ALL };
    config.push.keys = vec![PushKey { name: "users".to_owned(), password: Secret::from("bear"), scope }];
    config.limits.push_body_bytes = 1_000;
    let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
    let (sender, receiver) = inbox(InboxLimits { dispatches: inbox_dispatches, bytes: 1 << 20 });
    let dispatcher = Dispatcher::new(7, log, vec![sender], &Backlogs::new(usize::MAX));
    let reading = Reading::new(&source, &config, &Secrets::new(&config).push);
    (Intake::new(reading, &dispatcher, Status::new(&source)), receiver)
}

fn message(body: &str) -> Message<()> {
    let body = Ok(Bytes::copy_from_slice(body.as_bytes()));
    Message { tag: (), body, id: None, is_redelivered: false, labels: Labels::default() }
}

/// What becomes of a message for which there is room.
fn outcome(intake: &mut Intake, message: &Message<()>) -> Outcome {
    let gathered = intake.gather(std::slice::from_ref(message));
    let outcome = gathered.behind.unwrap_or_else(|| accepted(intake, gathered.portion));
    intake.tell(&outcome, &message.labels);
    outcome
}

/// What becomes of messages for which there is room.
fn accepted(intake: &mut Intake, mut portion: Portion) -> Outcome {
    match intake.accept(&mut portion) {
        Acceptance::Settled(outcome) => outcome,
        Acceptance::Taken(taking) => finish(intake, taking),
        other => panic!("{other:?}"),
    }
}

/// What becomes of messages whose log is in memory, so that nothing is to be waited for.
fn finish(intake: &mut Intake, taking: Taking) -> Outcome {
    assert!(taking.is_settled());
    let finished = pin!(intake.finish(taking));
    match finished.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.unwrap(),
        Poll::Pending => panic!("it waits"),
    }
}

fn rule(intake: &mut Intake, body: &str) -> &'static str {
    match outcome(intake, &message(body)) {
        Outcome::Refused(refusal) => refusal.rule,
        _ => "",
    }
}

const PUSH: &str = r#"{"event":"E","targets":{"users":["u"]}}"#;

#[test]
fn without_a_map_a_message_is_a_push_with_all_of_its_rules() {
    let (mut intake, mut inbox) = intake(|_| {}, 100);
    assert_eq!(outcome(&mut intake, &message(PUSH)), Outcome::Accepted);
    assert_eq!(outcome(&mut intake, &message(&format!("[{PUSH},{PUSH}]"))), Outcome::Accepted);
    let legacy = r#"{"cmd":"notifyUser","data":{"user":"u","event":"L","payload":[1]}}"#;
    assert_eq!(outcome(&mut intake, &message(legacy)), Outcome::Accepted);
    let events: Vec<_> = std::iter::from_fn(|| inbox.try_recv().ok())
        .map(|delivery| delivery.accepted.dispatch.event.clone())
        .collect();
    assert_eq!(events.iter().map(|event| event.as_str()).collect::<Vec<_>>(), ["E", "E", "E", "L"]);
    for (body, expected) in [
        ("", "not-json"),
        ("null", "not-json"),
        ("{}", "event-missing"),
        (r#"{"event":""}"#, "name-empty"),
        (r#"{"event":"\ud800"}"#, "lone-surrogate"),
        ("[]", "batch-empty"),
        (&format!("[{}]", "1,".repeat(600)), "body-too-long"),
    ] {
        assert_eq!(rule(&mut intake, body), expected, "{body}");
    }
    let status = intake.status();
    assert_eq!((status.outcomes(), status.dispatches()), ([3, 7, 0, 0, 0], 4));
}

#[test]
fn a_password_is_asked_for_only_if_the_source_requires_it() {
    let right = r#"{"event":"E","targets":{},"auth":{"password":"tiger"}}"#;
    let wrong = r#"{"event":"E","targets":{},"auth":{"password":"lion"}}"#;
    let (mut trusting, _inbox) = intake(|_| {}, 10);
    let (mut asking, _inbox) = intake(|source| source.require_auth = true, 10);
    for (intake, body, expected) in [(&mut trusting, wrong, ""), (&mut asking, wrong, "wrong-password")] {
        assert_eq!(rule(intake, body), expected);
    }
    assert_eq!([rule(&mut asking, PUSH), rule(&mut asking, right)], ["wrong-password", ""]);
    for (body, expected) in [
        (r#"{"event":"E","targets":{"users":["adam"]},"auth":"bear"}"#, ""),
        (r#"{"event":"E","targets":{"channels":["c"]},"auth":"bear"}"#, "key-not-allowed"),
        (r#"{"event":"E","targets":{"channels":["c"]},"auth":"tiger"}"#, ""),
        (r#"[{"event":"E","auth":"tiger"},{"event":"E","auth":"bear"}]"#, "auth-differs"),
        (r#"[{"event":"E","auth":"bear"},{"event":"E","auth":"lion"}]"#, "wrong-password"),
    ] {
        assert_eq!(rule(&mut asking, body), expected, "{body}");
    }
    assert_eq!(rule(&mut trusting, r#"{"event":"E","targets":{"channels":["c"]},"auth":"bear"}"#), "");
}

#[test]
fn with_a_map_a_message_is_mapped_or_skipped_or_refused() {
    let map = |source: &mut PushSource| {
        let expression = Expression::new("^(?<event>\\w*):").unwrap();
        let template = |text| Template::parse(text, &[Place::File], &expression.captures()).unwrap();
        source.map = Some(Map {
            event: template("{event}"),
            users: vec![],
            channels: vec![template("log.{file}")],
            broadcast: template(""),
            payload: PayloadForm::Text,
            expression: Some(expression.clone()),
        });
    };
    let (mut intake, mut inbox) = intake(map, 10);
    let mut line = message("A: b");
    line.labels.file = "x.log".into();
    assert_eq!(outcome(&mut intake, &line), Outcome::Accepted);
    let dispatch = &inbox.try_recv().unwrap().accepted.dispatch;
    assert_eq!((dispatch.targets.channels[0].as_str(), dispatch.payload.get()), ("log.x.log", r#""A: b""#));
    assert_eq!(outcome(&mut intake, &message("nothing")), Outcome::Skipped);
    assert_eq!(rule(&mut intake, ": no event"), "name-empty");
    let binary = Message { body: Ok(Bytes::from_static(b"A: \xff")), ..message("") };
    assert!(
        matches!(outcome(&mut intake, &binary), Outcome::Refused(refusal) if refusal.rule == "text-not-utf8")
    );
}

#[test]
fn what_comes_again_is_dispatched_once() {
    let (mut intake, _inbox) = intake(|_| {}, 100);
    let named = || Message { id: Some("7".into()), ..message(PUSH) };
    assert_eq!(outcome(&mut intake, &named()), Outcome::Accepted);
    assert_eq!(outcome(&mut intake, &named()), Outcome::Duplicate);
    let other = r#"{"event":"F","targets":{"users":["u"]}}"#;
    let used_again = Message { id: Some("7".into()), ..message(other) };
    assert_eq!(outcome(&mut intake, &used_again), Outcome::Accepted, "the id was used again");
    for name in ["id", r"\u0069d"] {
        let push = format!(r#"{{"{name}":9,"event":"E","targets":{{"users":["u"]}}}}"#);
        let own = |id: &str| Message { id: Some(id.into()), ..message(&push) };
        assert_eq!(outcome(&mut intake, &own("8")), Outcome::Accepted);
        assert_eq!(outcome(&mut intake, &own("9")), Outcome::Duplicate, "the id of the push counts");
    }
    for expected in [Outcome::Accepted, Outcome::Accepted] {
        assert_eq!(outcome(&mut intake, &message(PUSH)), expected, "without an id they are two messages");
    }
    intake.reconnected();
    let again = Message { is_redelivered: true, ..message(PUSH) };
    let outcomes: Vec<_> = (0..3).map(|_| outcome(&mut intake, &again)).collect();
    assert_eq!(outcomes, [Outcome::Duplicate, Outcome::Duplicate, Outcome::Accepted]);
}

#[test]
fn a_source_waits_when_an_inbox_is_half_full_and_loses_nothing() {
    let (mut intake, mut inbox) = intake(|_| {}, 10);
    for _ in 0..6 {
        assert_eq!(outcome(&mut intake, &message(PUSH)), Outcome::Accepted);
    }
    let waiting = message(r#"{"event":"W","targets":{"users":["u"]}}"#);
    let Gathered { mut portion, .. } = intake.gather(&[waiting]);
    assert!(matches!(intake.accept(&mut portion), Acceptance::Full));
    assert_eq!(intake.status().dispatches(), 6, "it is not counted yet");
    // Others still find room.
    intake.dispatcher.for_source(Source::Embed).broadcast("E", &1).unwrap();
    inbox.try_recv().unwrap();
    assert!(matches!(intake.accept(&mut portion), Acceptance::Full));
    inbox.try_recv().unwrap();
    assert_eq!(accepted(&mut intake, portion), Outcome::Accepted);
    let last = std::iter::from_fn(|| inbox.try_recv().ok()).last().unwrap();
    assert_eq!(last.accepted.dispatch.event.as_str(), "W");
}

#[test]
fn a_server_that_stops_accepts_no_message_and_tells_so() {
    let (mut intake, _inbox) = intake(|_| {}, 10);
    intake.dispatcher.stop();
    let Gathered { mut portion, .. } = intake.gather(&[message(PUSH)]);
    assert!(matches!(intake.accept(&mut portion), Acceptance::Stopped));
    assert_eq!(intake.status().dispatches(), 0);
}

/// A message with a number as its id and its event, and so many bytes of payload.
fn numbered(number: usize, bytes: usize) -> Message<()> {
    let payload = "x".repeat(bytes);
    let push = format!(r#"{{"event":"{number}","targets":{{"users":["u"]}},"payload":"{payload}"}}"#);
    Message { id: Some(number.to_string()), ..message(&push) }
}

/// Has messages accepted that an intake with room for so many dispatches reads. Returns how many were accepted together
/// each time, with 0 for one that was not accepted.
fn portions(inbox_dispatches: usize, messages: &[Message<()>]) -> Vec<usize> {
    let (mut intake, _inbox) = intake(|_| {}, 10_000);
    intake.reading.portion = PortionLimits::new(&crate::config::Limits {
        inbox_dispatches,
        inbox_bytes: 160_000,
        ..Config::default().limits
    });
    let (mut rest, mut portions) = (messages, Vec::new());
    while !rest.is_empty() {
        let Gathered { portion, behind } = intake.gather(rest);
        let count = portion.len();
        rest = &rest[count + usize::from(behind.is_some())..];
        if count > 0 {
            assert_eq!(accepted(&mut intake, portion), Outcome::Accepted);
        }
        portions.extend((count > 0).then_some(count).into_iter().chain(behind.map(|_| 0)));
    }
    portions
}

#[test]
fn messages_are_accepted_together_as_long_as_they_are_few_and_small() {
    let all = |count: usize, bytes| (0..count).map(|number| numbered(number, bytes)).collect::<Vec<_>>();
    assert_eq!(portions(16 * 3, &all(8, 0)), [3, 3, 2], "a sixteenth of the inbox");
    assert_eq!(portions(10, &all(3, 0)), [1, 1, 1], "one is always taken");
    // 10,000 bytes: each takes those of its payload, and some 300 in memory.
    assert_eq!(portions(16 * 100, &all(17, 900)), [8, 8, 1]);
}

#[test]
fn a_message_that_is_delivered_twice_in_one_list_is_accepted_once() {
    let list = [1, 2, 1, 3, 3].map(|number| numbered(number, 0));
    assert_eq!(portions(16 * 100, &list), [2, 0, 1, 0]);
    let nameless: Vec<_> = (0..3).map(|_| message(PUSH)).collect();
    assert_eq!(portions(16 * 100, &nameless), [3], "without an id they are three messages");
}

#[test]
fn what_is_before_a_refused_message_is_accepted_first() {
    let list = [numbered(1, 0), message("no JSON"), numbered(2, 0), numbered(3, 0)];
    assert_eq!(portions(16 * 100, &list), [1, 0, 2]);
}

/// Has the log of an intake written to a disk that refuses what it does not take.
fn on_disk(intake: &Intake) -> Double {
    let disk = Double::default();
    let parts = WriterParts::over(&disk, LogSync::Never, true);
    intake.dispatcher.start_writer(parts).unwrap();
    disk
}

#[tokio::test]
async fn with_a_log_on_disk_each_message_is_accepted_by_itself_with_its_key() {
    let (mut intake, _inbox) = intake(|_| {}, 10_000);
    let disk = on_disk(&intake);
    let list = [numbered(1, 0), numbered(2, 0), message(PUSH)];
    let mut takings = Vec::new();
    for index in 0..list.len() {
        let Gathered { mut portion, .. } = intake.gather(&list[index..]);
        assert_eq!(portion.len(), 1);
        let Acceptance::Taken(taking) = intake.accept(&mut portion) else { panic!("there is room") };
        takings.push(taking);
    }
    assert_eq!(intake.gather(&list).behind, Some(Outcome::Duplicate), "the first one is under way");
    for taking in takings {
        assert_eq!(intake.finish(taking).await, Ok(Outcome::Accepted));
    }
    let seen = disk.seen();
    assert_eq!((seen.pushes, seen.keys), (3, 2), "a message without an id has no key");
}

#[tokio::test]
async fn a_message_that_the_log_refuses_is_no_duplicate_when_it_comes_again() {
    let (mut intake, _inbox) = intake(|_| {}, 100);
    let (disk, list) = (on_disk(&intake), [numbered(1, 0)]);
    for (failure, expected) in
        [(Some(ErrorKind::StorageFull), Err(DispatchRefusal::LogUnavailable)), (None, Ok(Outcome::Accepted))]
    {
        disk.fail(failure);
        let Gathered { mut portion, .. } = intake.gather(&list);
        let Acceptance::Taken(taking) = intake.accept(&mut portion) else { panic!("there is room") };
        assert_eq!(intake.finish(taking).await, expected);
    }
    assert_eq!(intake.gather(&list).behind, Some(Outcome::Duplicate));
}

/// The files that name rules beside those of a push.
const NAMING_RULES: [&str; 5] = [
    include_str!("../../../../core/src/push/map.rs"),
    include_str!("message.rs"),
    include_str!("mod.rs"),
    include_str!("reading.rs"),
    include_str!("../tail/tracked.rs"),
];

#[test]
fn the_documentation_has_every_rule_of_a_message() {
    let docs = [
        include_str!("../../../../../docs/sources.md"),
        include_str!("../../../../../docs/protocol-rest.md"),
    ]
    .concat();
    let behind =
        |text: &'static str, start| text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
    let rules =
        NAMING_RULES.into_iter().flat_map(|text| behind(text, "rule: \"").chain(behind(text, "rule(\"")));
    let rules: Vec<_> = rules.collect();
    assert!(rules.len() >= 5, "{rules:?}");
    for rule in rules {
        assert!(docs.contains(&format!("\n| `{rule}` |")), "{rule} is not documented");
    }
}
