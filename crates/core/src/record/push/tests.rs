//! Records are read as they were written, and whatever else stands there is refused.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::dispatch::Targets;
use crate::name::Name;
use crate::record::frame::Frames;

fn name() -> impl Strategy<Value = Name> {
    "[a-zé ]{1,20}|__proto__".prop_map(|text| Name::new(&text).unwrap())
}

fn payload() -> impl Strategy<Value = Box<RawValue>> {
    let texts = prop::sample::select(vec!["null", "1", "{\"a\" : [1e2, \"\\ud800\"]}", "\"é\"", "[]"]);
    texts.prop_map(|text| RawValue::from_string(text.to_owned()).unwrap())
}

pub(crate) fn a_dispatch() -> impl Strategy<Value = Dispatch> {
    let list = || prop::collection::vec(name(), 0..4);
    (name(), payload(), list(), list(), any::<bool>()).prop_map(
        |(event, payload, users, channels, broadcast)| Dispatch {
            event,
            payload,
            targets: Targets { users, channels, broadcast },
        },
    )
}

fn form() -> impl Strategy<Value = AnswerForm> {
    prop::sample::select(AnswerForm::ALL.to_vec())
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    record.encode(&mut body);
    body
}

pub(crate) fn assert_same(one: &[Dispatch], other: &[Dispatch]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!((&one.event, &one.targets), (&other.event, &other.targets));
        assert_eq!(one.payload.get(), other.payload.get(), "byte for byte");
    }
}

proptest! {
    #[test]
    fn a_push_is_read_as_it_was_written(
        (first, uptime, synced) in (0..=NUMBER_MAX, 0..=NUMBER_MAX, 0..=NUMBER_MAX),
        key in prop::option::of(("[a-z]{0,9}", prop::collection::vec(any::<u8>(), 0..40), any::<[u8; 32]>(), form())),
        dispatches in prop::collection::vec(a_dispatch(), 0..4),
    ) {
        let uptime = Duration::from_millis(uptime);
        let key = key.as_ref().map(|(owner, key, body, answer)| PushKey { owner, key, body: *body, answer: *answer });
        let body = encoded(&Record::Push(PushRecord { first, uptime, synced, key, dispatches: &dispatches }));
        let Ok(ReadRecord::Push(push)) = ReadRecord::decode(&body) else { panic!("no push") };
        prop_assert_eq!((push.first, push.uptime, push.synced, push.key), (first, uptime, synced, key));
        prop_assert_eq!(push.count as usize, dispatches.len());
        assert_same(&push.dispatches().unwrap(), &dispatches);
    }

    #[test]
    fn a_key_is_read_as_it_was_written(
        (owner, key, body, answer) in ("[a-z]{0,9}", prop::collection::vec(any::<u8>(), 0..40), any::<[u8; 32]>(), form()),
        (epoch, sequence, uptime) in (any::<u32>(), 0..=NUMBER_MAX, 0..=NUMBER_MAX),
        delivered in prop::option::of(prop::collection::vec(any::<u64>(), 3)),
    ) {
        let key = PushKey { owner: &owner, key: &key, body, answer };
        let (first, uptime) = (Cursor { epoch: epoch.into(), sequence }, Duration::from_millis(uptime));
        let record = KeyRecord { key, first, count: 3, uptime, delivered: delivered.as_deref() };
        let body = encoded(&Record::Key(record));
        let Ok(ReadRecord::Key(read)) = ReadRecord::decode(&body) else { panic!("no key") };
        prop_assert_eq!(read.as_written(), record);
    }

    #[test]
    fn a_record_that_is_cut_is_none(dispatches in prop::collection::vec(a_dispatch(), 1..3), cut: prop::sample::Index) {
        let push = PushRecord { first: 1, uptime: Duration::ZERO, synced: 0, key: None, dispatches: &dispatches };
        let body = encoded(&Record::Push(push));
        let read = match ReadRecord::decode(&body[..cut.index(body.len())]) {
            Ok(ReadRecord::Push(push)) => push.dispatches().map(drop),
            other => other.map(drop),
        };
        prop_assert_eq!(read, Err(Malformed));
    }

    #[test]
    fn whatever_stands_there_is_read_or_refused(kind in 0_u8..6, rest: Vec<u8>) {
        let body = [vec![kind], rest].concat();
        if let Ok(ReadRecord::Push(push)) = ReadRecord::decode(&body) {
            let _read_or_refused = push.dispatches();
        }
    }
}

#[test]
fn the_small_records_are_read_as_they_were_written() {
    let begin = Begin { epoch: 7, place: 2, first: 9 };
    let body = encoded(&Record::Begin(begin));
    assert!(matches!(ReadRecord::decode(&body), Ok(ReadRecord::Begin(read)) if read == begin));
    let uptime = Duration::from_millis(70);
    let body = encoded(&Record::Delivered(Delivered { first: 3, uptime, counts: &[1, 0] }));
    let expected = ReadDelivered { first: 3, uptime, counts: vec![1, 0] };
    assert!(matches!(ReadRecord::decode(&body), Ok(ReadRecord::Delivered(read)) if read == expected));
    let body = encoded(&Record::Next(11));
    assert!(matches!(ReadRecord::decode(&body), Ok(ReadRecord::Next(11))));
    assert!(ReadRecord::decode(&[body, vec![0]].concat()).is_err(), "nothing may follow");
}

#[test]
fn a_number_above_the_bound_is_refused() {
    assert!(ReadRecord::decode(&encoded(&Record::Next(NUMBER_MAX))).is_ok());
    assert!(ReadRecord::decode(&encoded(&Record::Next(NUMBER_MAX + 1))).is_err());
}

#[test]
fn a_payload_that_is_no_json_and_a_name_that_is_none_are_refused() {
    let event = Name::new("e").unwrap();
    let payload = RawValue::from_string("[1]".to_owned()).unwrap();
    let dispatch = Dispatch { event, payload, targets: Targets::user(Name::new("u").unwrap()) };
    let push = PushRecord { first: 1, uptime: Duration::ZERO, synced: 0, key: None, dispatches: &[dispatch] };
    let body = encoded(&Record::Push(push));
    for (what, with) in [(&b"[1]"[..], &b"[1,"[..]), (b"\x01e", b"\x01\n"), (b"\x01u", b"\x01\xFF")] {
        let at = body.windows(what.len()).position(|window| window == what).unwrap();
        let mut changed = body.clone();
        changed[at..at + what.len()].copy_from_slice(with);
        let Ok(ReadRecord::Push(push)) = ReadRecord::decode(&changed) else { panic!("no push") };
        assert_eq!(push.dispatches().map(drop), Err(Malformed), "{what:?}");
    }
}

/// A file of version 1, byte for byte: whatever reads another form is another version.
#[test]
fn a_file_of_the_first_version_can_be_read() {
    let file = include_bytes!("../../../../../fuzz/seeds/push_record/file");
    let records: Vec<_> = Frames::of(file).map(|body| ReadRecord::decode(body.unwrap()).unwrap()).collect();
    let [
        ReadRecord::Begin(begin),
        ReadRecord::Push(push),
        ReadRecord::Push(plain),
        ReadRecord::Delivered(delivered),
        ReadRecord::Key(key),
        ReadRecord::Next(4),
    ] = &records[..]
    else {
        panic!("{records:?}")
    };
    assert_eq!(*begin, Begin { epoch: 7, place: 0, first: 1 });
    let expected = PushKey { owner: "orders", key: b"k-1", body: [0; 32], answer: AnswerForm::Batch };
    assert_eq!((push.key, key.key), (Some(expected), expected));
    assert_eq!((push.first, push.uptime, push.synced), (1, Duration::from_millis(1_500), 0));
    assert_eq!((plain.first, plain.synced, plain.key), (3, 2, None));
    let dispatches = push.dispatches().unwrap();
    assert_eq!(dispatches[1].payload.get(), r#"{"a":[1e2,null]}"#);
    assert_eq!((dispatches.len(), delivered.counts.len(), key.count), (2, 2, 2));
}
