//! Records of sessions are read as they were written, and whatever else stands there is refused.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = Name> {
    prop_oneof!["[a-e]", "[a-zé]{1,40}"].prop_map(|text| Name::new(&text).unwrap())
}

fn names() -> impl Strategy<Value = Vec<Name>> {
    vec(name(), 0..4)
}

fn held() -> impl Strategy<Value = Vec<(Name, Since)>> {
    vec((name(), any::<u64>().prop_map(Since)), 0..4)
}

fn proof() -> impl Strategy<Value = Proof> {
    let duration = || (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
    let expires = option::of(duration().prop_map(UnixTime));
    let grants = vec(prop_oneof!["[a-z]{1,9}", "[a-z.]{0,9}\\*"], 0..4);
    let grants = grants.prop_map(|patterns| Grants::parse(&patterns).unwrap());
    (name(), grants, expires, duration()).prop_map(|(user, channels, expires, leeway)| Proof {
        user,
        channels,
        expires,
        leeway,
    })
}

fn standing() -> impl Strategy<Value = Standing> {
    let forfeited =
        (names(), any::<u64>()).prop_map(|(channels, position)| Box::new(Forfeited { channels, position }));
    (vec(proof(), 0..3), option::of(forfeited))
        .prop_map(|(proofs, forfeited)| Standing { proofs: proofs.into(), forfeited })
}

pub(crate) fn state() -> impl Strategy<Value = SessionState> {
    (held(), held(), names(), standing(), any::<u64>()).prop_map(
        |(users, channels, presence, standing, began_after)| {
            let memberships = Memberships { users, channels };
            SessionState { memberships, presence, standing, began_after }
        },
    )
}

pub(crate) fn key() -> impl Strategy<Value = SessionKey> {
    any::<u8>().prop_map(|byte| SessionKey::of(&[byte % 4]))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        state().prop_map(Change::Whole),
        held().prop_map(Change::Joined),
        names().prop_map(Change::Told),
        names().prop_map(Change::Left),
        (held(), standing(), names()).prop_map(|(users, standing, left)| Change::Proved {
            users,
            standing,
            left
        }),
        key().prop_map(Change::Succeeded),
        Just(Change::Ended),
    ]
}

pub(crate) fn records() -> impl Strategy<Value = Vec<SessionRecord>> {
    let record = (key(), any::<u8>(), change()).prop_map(|(key, version, change)| SessionRecord {
        key,
        version: version.into(),
        change,
    });
    vec(record, 0..30)
}

fn body(record: &Record) -> Vec<u8> {
    let mut body = Vec::new();
    record.put(&mut body);
    body
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(records in records(), salt: [u8; 16], auth: [u8; 32], format: u8) {
        let head = Record::Head(Head { format, salt, auth });
        for record in records.into_iter().map(Record::Session).chain([head]) {
            prop_assert_eq!(Record::read(&body(&record)), Ok(record));
        }
    }

    #[test]
    fn a_body_that_is_cut_or_too_long_is_no_record(records in records(), cut: prop::sample::Index) {
        for record in records.into_iter().map(Record::Session) {
            let mut body = body(&record);
            let cut = cut.index(body.len());
            prop_assert_eq!(Record::read(&body[..cut]), Err(Malformed));
            body.push(0);
            prop_assert_eq!(Record::read(&body), Err(Malformed));
        }
    }

    #[test]
    fn what_is_read_from_any_bytes_is_written_as_the_same_bytes(bytes in vec(any::<u8>(), 0..80), kind in 1..10_u8) {
        let bytes = [&[kind], &bytes[..]].concat();
        if let Ok(record) = Record::read(&bytes) {
            prop_assert_eq!(body(&record), bytes);
        }
    }
}

#[test]
fn a_session_without_users_and_proofs_is_not_verified() {
    let mut state = SessionState::default();
    state.memberships.channels.push((Name::new("c").unwrap(), Since(9)));
    assert!(!state.is_verified());
    assert_eq!(SessionState { began_after: 4, ..state.clone() }.highest(), 9);
    state.memberships.users.push((Name::new("u").unwrap(), Since(10)));
    assert!(state.is_verified());
    assert_eq!(state.highest(), 10);
}
