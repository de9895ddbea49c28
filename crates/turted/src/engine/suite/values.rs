//! Values and their owners, messages.

use std::time::Duration;

use bytes::Bytes;

use super::super::{Change, Changed, Ears, Engine, Values};
use super::{LONG, Place, change, values};

const NAME: &str = "session:00ff";

pub(super) async fn pass<P: Place>(place: &P) {
    a_value_belongs_to_who_wrote_it(place).await;
    who_takes_a_value_owns_it(place).await;
    a_value_that_is_not_there_is_missing(place).await;
    a_name_is_held_by_one(place).await;
    a_value_lives_as_long_as_it_is_renewed(place).await;
    changes_are_made_in_their_order(place).await;
    all_hear_what_all_are_told(place).await;
    one_hears_what_it_is_told(place).await;
    silence_is_told(place).await;
}

fn put(value: &[u8]) -> Change<'_> {
    Change::Put { name: NAME, value, age: LONG }
}

const GET: Change<'_> = Change::Get { name: NAME };
const TAKE: Change<'_> = Change::Take { name: NAME, age: LONG };
const DELETE: Change<'_> = Change::Delete { name: NAME };
const RENEW: Change<'_> = Change::Renew { name: NAME, age: LONG };

async fn a_value_belongs_to_who_wrote_it<P: Place>(place: &P) {
    place.clear().await;
    let (mut first, mut second) = (values(place, 1).await, values(place, 2).await);
    assert_eq!(change(&mut first, put(b"a")).await, Changed::Done);
    assert_eq!(change(&mut first, put(b"\0\xff")).await, Changed::Done);
    let owned = Changed::Owned(1, Bytes::from_static(b"\0\xff"));
    for refused in [put(b"c"), DELETE, RENEW] {
        assert_eq!(change(&mut second, refused).await, owned);
    }
    assert_eq!(change(&mut second, GET).await, Changed::Value(1, Bytes::from_static(b"\0\xff")));
    assert_eq!(change(&mut first, DELETE).await, Changed::Done);
    assert_eq!(change(&mut second, put(b"")).await, Changed::Done);
    assert_eq!(change(&mut first, GET).await, Changed::Value(2, Bytes::new()));
}

async fn who_takes_a_value_owns_it<P: Place>(place: &P) {
    place.clear().await;
    let (mut first, mut second) = (values(place, 1).await, values(place, u64::MAX).await);
    change(&mut first, put(b"a")).await;
    assert_eq!(change(&mut second, TAKE).await, Changed::Value(1, Bytes::from_static(b"a")));
    let owned = Changed::Owned(u64::MAX, Bytes::from_static(b"a"));
    assert_eq!(change(&mut first, put(b"b")).await, owned);
    assert_eq!(change(&mut second, put(b"c")).await, Changed::Done);
    assert_eq!(change(&mut first, TAKE).await, Changed::Value(u64::MAX, Bytes::from_static(b"c")));
    assert_eq!(change(&mut first, TAKE).await, Changed::Value(1, Bytes::from_static(b"c")));
}

async fn a_value_that_is_not_there_is_missing<P: Place>(place: &P) {
    place.clear().await;
    let mut first = values(place, 1).await;
    for missing in [GET, TAKE, DELETE, RENEW] {
        assert_eq!(change(&mut first, missing).await, Changed::Missing);
    }
    assert_eq!(change(&mut first, GET).await, Changed::Missing, "none of them made one");
}

async fn a_name_is_held_by_one<P: Place>(place: &P) {
    place.clear().await;
    let (mut first, mut second) = (values(place, 1).await, values(place, 2).await);
    let hold = |value| Change::Hold { name: "node:7", value, age: LONG };
    assert_eq!(change(&mut first, hold(b"one")).await, Changed::Done);
    assert_eq!(change(&mut second, hold(b"two")).await, Changed::Owned(1, Bytes::from_static(b"one")));
    assert_eq!(change(&mut first, hold(b"uno")).await, Changed::Done, "it still holds it");
    assert_eq!(change(&mut first, Change::Delete { name: "node:7" }).await, Changed::Done);
    assert_eq!(change(&mut second, hold(b"two")).await, Changed::Done);
}

async fn a_value_lives_as_long_as_it_is_renewed<P: Place>(place: &P) {
    place.clear().await;
    let mut first = values(place, 1).await;
    let age = Duration::from_millis(300);
    let (short, name) = (Change::Put { name: "short", value: b"a", age }, "short");
    change(&mut first, short.clone()).await;
    assert_eq!(change(&mut first, Change::Renew { name, age: LONG }).await, Changed::Done);
    change(&mut first, Change::Put { name: "other", value: b"b", age }).await;
    tokio::time::sleep(age * 2).await;
    let all = [Change::Get { name }, Change::Get { name: "other" }];
    let found = first.all(&all).await.unwrap();
    assert_eq!(found, [Changed::Value(1, Bytes::from_static(b"a")), Changed::Missing]);
    // Writing it again counts as well, and taking it.
    change(&mut first, short).await;
    change(&mut first, Change::Take { name, age: LONG }).await;
    tokio::time::sleep(age * 2).await;
    assert_eq!(change(&mut first, Change::Get { name }).await, Changed::Value(1, Bytes::from_static(b"a")));
}

async fn changes_are_made_in_their_order<P: Place>(place: &P) {
    place.clear().await;
    let mut first = values(place, 1).await;
    let tell = Change::Tell { to: None, message: b"nobody hears it" };
    let all = [GET, put(b"a"), GET, put(b"b"), tell, DELETE, TAKE];
    let a = Changed::Value(1, Bytes::from_static(b"a"));
    let (done, missing) = (Changed::Done, Changed::Missing);
    let expected = [missing.clone(), done.clone(), a, done.clone(), done.clone(), done, missing];
    assert_eq!(first.all(&all).await.unwrap(), expected);
    assert_eq!(first.all(&[]).await, Ok(vec![]));
}

async fn all_hear_what_all_are_told<P: Place>(place: &P) {
    place.clear().await;
    let mut ears = [place.engine(1).ears(1).await.unwrap(), place.engine(2).ears(2).await.unwrap()];
    let mut teller = values(place, 1).await;
    for message in [&b"a"[..], b"\0\r\n", &[7; 100_000]] {
        assert_eq!(change(&mut teller, Change::Tell { to: None, message }).await, Changed::Done);
        for ears in &mut ears {
            assert_eq!(ears.hear().await.unwrap().as_deref(), Some(message));
        }
    }
}

async fn one_hears_what_it_is_told<P: Place>(place: &P) {
    place.clear().await;
    let mut first = place.engine(1).ears(1).await.unwrap();
    let mut second = place.engine(2).ears(u16::MAX).await.unwrap();
    let mut teller = values(place, 3).await;
    let tell = |to, message| Change::Tell { to, message };
    let told = [tell(Some(1), &b"a"[..]), tell(Some(u16::MAX), b"b"), tell(Some(2), b"c"), tell(None, b"d")];
    teller.all(&told).await.unwrap();
    for (ears, expected) in [(&mut first, [b"a", b"d"]), (&mut second, [b"b", b"d"])] {
        for message in expected {
            assert_eq!(ears.hear().await.unwrap().as_deref(), Some(&message[..]));
        }
    }
}

async fn silence_is_told<P: Place>(place: &P) {
    place.clear().await;
    let mut ears = place.engine(1).ears(1).await.unwrap();
    assert_eq!(ears.hear().await, Ok(None), "nothing came for 5 s");
    let mut teller = values(place, 1).await;
    change(&mut teller, Change::Tell { to: Some(1), message: b"a" }).await;
    assert_eq!(ears.hear().await.unwrap().as_deref(), Some(&b"a"[..]));
}
