//! Entries are read as they were written, and whatever else stands there is refused.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::node::RULES_MAX;
use super::*;
use crate::record::push::NUMBER_MAX;
use crate::record::push::tests::a_dispatch;

fn a_cursor() -> impl Strategy<Value = Cursor> {
    (any::<u64>(), 0..=NUMBER_MAX).prop_map(|(epoch, sequence)| Cursor { epoch, sequence })
}

fn progress() -> impl Strategy<Value = Progress> {
    (option::of(a_cursor()), option::of(a_cursor()))
        .prop_map(|(read, acknowledged)| Progress { read, acknowledged })
}

fn record() -> impl Strategy<Value = NodeRecord> {
    let name = || "[a-z0-9.]{1,9}".prop_map(|text| Name::new(&text).unwrap());
    let address = option::of(any::<(std::net::IpAddr, u16)>().prop_map(SocketAddr::from));
    let rules = vec((name(), any::<u64>()), 0..4);
    let progress = (progress(), option::of(a_cursor()));
    (name(), any::<u8>(), address, progress, any::<bool>(), any::<u32>(), rules).prop_map(
        |(version, reads, advertise, (progress, keeps), draining, connections, rules)| NodeRecord {
            version,
            reads,
            advertise,
            progress,
            keeps,
            draining,
            connections,
            rules,
        },
    )
}

fn a_body() -> impl Strategy<Value = Body> {
    let once = |mut dispatch: Dispatch| {
        for names in [&mut dispatch.targets.users, &mut dispatch.targets.channels] {
            names.sort();
            names.dedup();
        }
        dispatch
    };
    prop_oneof![
        (option::of(a_cursor()), any::<bool>()).prop_map(|(former, lost)| Body::Begin { former, lost }),
        (any::<bool>(), a_dispatch())
            .prop_map(move |(counted, dispatch)| Body::Dispatch { counted, dispatch: once(dispatch) }),
        record().prop_map(Body::Heartbeat),
        any::<u64>().prop_map(|epoch| Body::Lost { epoch }),
        progress().prop_map(Body::Leave),
        ("[a-z0-9.]{1,9}", any::<(u64, u64)>()).prop_map(|(channel, (from, to))| Body::Deleted {
            channel: Name::new(&channel).unwrap(),
            from,
            to
        }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<(u16, u64)>(), any::<u64>(), any::<u64>(), a_body()).prop_map(
        |((node, process), tag, time, body)| Entry {
            author: Author { node, process },
            tag,
            time: Duration::from_millis(time),
            body,
        },
    )
}

fn read(bytes: &[u8]) -> Read<Entry> {
    decode(bytes, PushLimits::default())
}

fn of(body: Body) -> Entry {
    Entry { author: Author { node: 1, process: 2 }, tag: 3, time: Duration::from_millis(4), body }
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(entry in entry()) {
        let bytes = entry.encode();
        let read = read(&bytes).ours().expect("an entry");
        prop_assert_eq!(&read, &entry);
        prop_assert_eq!(read.encode(), bytes, "byte for byte, the payload as well");
    }

    #[test]
    fn an_entry_that_is_cut_or_too_long_is_none(entry in entry(), cut: prop::sample::Index) {
        let mut bytes = entry.encode();
        prop_assert_eq!(read(&bytes[..cut.index(bytes.len())]), Read::Foreign);
        bytes.push(0);
        prop_assert_eq!(read(&bytes), Read::Foreign);
    }

    #[test]
    fn an_entry_of_a_later_version_is_told_apart_whatever_it_says(version in 2_u8.., rest: Vec<u8>) {
        let mut bytes = head::begin(0);
        *bytes.last_mut().unwrap() = version;
        bytes.extend(rest);
        prop_assert_eq!(read(&bytes), Read::Later(version));
    }

    #[test]
    fn whatever_stands_there_is_read_or_refused(kind in 0_u8..8, head: [u8; 26], rest: Vec<u8>) {
        let mut bytes = head::begin(0);
        bytes.push(kind);
        bytes.extend(head);
        bytes.extend(rest);
        if let Read::Ours(entry) = read(&bytes) {
            prop_assert_eq!(entry.encode(), bytes);
        }
    }
}

/// Whether a dispatch of these is read under limits of 3 targets and 100 bytes.
fn is_read(users: &[&str], channels: &[&str], payload_bytes: usize) -> bool {
    let names = |names: &[&str]| names.iter().map(|name| Name::new(name).unwrap()).collect();
    let targets = Targets { users: names(users), channels: names(channels), broadcast: false };
    let payload = RawValue::from_string("1".repeat(payload_bytes)).unwrap();
    let dispatch = Dispatch { event: Name::new("e").unwrap(), payload, targets };
    let limits = PushLimits { targets: 3, expansion_bytes: 100, ..PushLimits::default() };
    let bytes = of(Body::Dispatch { counted: false, dispatch }).encode();
    decode(&bytes, limits).ours().is_some()
}

#[test]
fn a_dispatch_is_refused_that_no_backend_may_push() {
    assert!(is_read(&["a", "b"], &["a"], 1), "a user and a channel may have the same name");
    assert!(!is_read(&["a", "b"], &["c", "d"], 1), "too many targets");
    assert!(!is_read(&["a", "b", "c", "d"], &[], 1));
    assert!(!is_read(&["a", "a"], &[], 1), "a name is listed twice");
    assert!(!is_read(&[], &["a", "b", "a"], 1));
    assert!(is_read(&["a", "b"], &[], 49));
    assert!(!is_read(&["a", "b"], &[], 50), "102 bytes in the frames of both");
    assert!(is_read(&[], &[], 70));
    assert!(!is_read(&[], &[], 100), "it reaches no target, but it is too long all the same");
}

#[test]
fn a_payload_that_is_no_json_and_a_name_that_is_none_are_refused() {
    let event = Name::new("e").unwrap();
    let payload = RawValue::from_string("[1]".to_owned()).unwrap();
    let dispatch = Dispatch { event, payload, targets: Targets::user(Name::new("u").unwrap()) };
    let bytes = of(Body::Dispatch { counted: true, dispatch }).encode();
    for (what, with) in [(&b"[1]"[..], &b"[1,"[..]), (b"\x01e", b"\x01\n"), (b"\x01u", b"\x01\xFF")] {
        let at = bytes.windows(what.len()).position(|window| window == what).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + what.len()].copy_from_slice(with);
        assert_eq!(read(&changed), Read::Foreign, "{what:?}");
    }
}

#[test]
fn a_node_writes_and_reads_no_more_rules_than_there_may_be() {
    let rules = |count: u64| {
        let rules = (0..count).map(|number| (Name::new("rule").unwrap(), number)).collect();
        let version = Name::new("1.0.0").unwrap();
        let progress = Progress::default();
        let record = NodeRecord {
            version,
            reads: 1,
            advertise: None,
            progress,
            keeps: None,
            draining: false,
            connections: 0,
            rules,
        };
        of(Body::Heartbeat(record))
    };
    let written = rules(RULES_MAX as u64 + 1).encode();
    assert_eq!(read(&written), Read::Ours(rules(RULES_MAX as u64)));
    let mut claimed = rules(1).encode();
    let count = claimed.len() - 4 - 8 - 5;
    claimed[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&claimed), Read::Foreign);
}

/// An entry of version 1, byte for byte: whatever reads another form is another version.
#[test]
fn an_entry_of_the_first_version_can_be_read() {
    let bytes = include_bytes!("../../../../../fuzz/seeds/cluster_entry/dispatch");
    let dispatch = Dispatch {
        event: Name::new("MESSAGE:NEW").unwrap(),
        payload: RawValue::from_string(r#"{"a" : [1e2,"é"]}"#.to_owned()).unwrap(),
        targets: Targets {
            users: vec![Name::new("alice").unwrap()],
            channels: vec![Name::new("news").unwrap()],
            broadcast: false,
        },
    };
    let expected = of(Body::Dispatch { counted: true, dispatch });
    assert_eq!(read(bytes), Read::Ours(expected));
}
