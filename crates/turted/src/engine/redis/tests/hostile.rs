//! What others write where only nodes should.

use std::time::Duration;

use turted_core::cursor::Cursor;

use super::super::state::Look;
use super::server::Redis;
use super::{EPOCH, append, begun, plain};
use crate::engine::{Append, Appended, Change, Changed, Ears, Engine, Reader, Values};
use bytes::Bytes;

const LOG: &str = "{turted}:log";
const MIB: usize = 1024 * 1024;

/// Bytes of an entry that is read, and whether it has any.
async fn read(redis: &Redis) -> Vec<(u64, Option<usize>)> {
    let (mut reader, _) = redis.engine(2).reader().await.unwrap();
    let (mut all, mut after): (Vec<(u64, Option<usize>)>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let read = reader.read(after, 64).await.unwrap();
        let Some((last, _)) = read.last() else { return all };
        after = Some(*last);
        all.extend(read.into_iter().map(|(at, entry)| (at.sequence, entry.map(|entry| entry.len()))));
    }
}

async fn add(redis: &Redis, fields: &[&str]) {
    let id = format!("{EPOCH}-*");
    redis.ask(&[&["XADD", LOG, &id], fields].concat()).await;
}

#[tokio::test]
async fn foreign_entries_have_no_bytes_and_stop_nobody() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    add(&redis, &["x", "1"]).await;
    add(&redis, &["d", "1", "e", "2"]).await;
    add(&redis, &["d", ""]).await;
    let fields: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
    add(&redis, &fields.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(append(&mut writer, plain(&[Bytes::from_static(b"own")])).await, Appended::At(at(6)));
    let expected = [(1, Some(5)), (2, None), (3, None), (4, Some(0)), (5, None), (6, Some(3))];
    assert_eq!(read(&redis).await, expected);
}

fn at(sequence: u64) -> Cursor {
    Cursor { epoch: EPOCH, sequence }
}

#[tokio::test]
async fn entries_that_are_larger_than_any_of_ours_are_not_kept() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let (large, larger) = ("x".repeat(8 * MIB), "y".repeat(100 * MIB));
    add(&redis, &["d", &larger]).await;
    // Together they are more than a reply keeps.
    for _ in 0..5 {
        add(&redis, &["d", &large]).await;
    }
    // Alone it is more than a reply keeps.
    add(&redis, &["a", &large, "b", &large, "c", &large]).await;
    assert_eq!(append(&mut writer, plain(&[Bytes::from_static(b"own")])).await, Appended::At(at(9)));
    let full = Some(8 * MIB);
    let expected = [
        (1, Some(5)),
        (2, None),
        (3, full),
        (4, full),
        (5, full),
        (6, full),
        (7, full),
        (8, None),
        (9, Some(3)),
    ];
    assert_eq!(read(&redis).await, expected);
    // The last one may be large as well.
    add(&redis, &["d", &larger]).await;
    assert_eq!(engine.writer().await.unwrap().1.last, Some(at(10)));
}

#[tokio::test]
async fn a_look_at_the_log_is_sent_no_entry() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    begun(&engine).await;
    // The first entry as well as the last one.
    redis.ask(&["XTRIM", LOG, "MAXLEN", "0"]).await;
    add(&redis, &["d", &"x".repeat(MIB)]).await;
    let (mut client, entered) = engine.connect("test").await.unwrap();
    let look = Look::at(&mut client, &engine.shared).await.unwrap();
    assert_eq!([entered.state.last, look.state.last], [Some(at(2)); 2]);
    assert!(client.received() < 64 * 1024, "{} bytes", client.received());
}

#[tokio::test]
async fn values_that_are_not_ours_are_replaced_or_refused() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let mut values = engine.values().await.unwrap();
    let age = Duration::from_secs(60);
    let put = Change::Put { name: "session:1", value: b"a", age };
    let (get, take) = (Change::Get { name: "session:1" }, Change::Take { name: "session:1", age });
    redis.ask(&["SET", "{turted}:session:1", "short"]).await;
    let changed = values.all(&[get.clone(), take.clone(), put.clone(), get.clone()]).await.unwrap();
    let own = Changed::Value(1, Bytes::from_static(b"a"));
    assert_eq!(changed, [Changed::Missing, Changed::Missing, Changed::Done, own]);
    redis.ask(&["SET", "{turted}:session:1", &"x".repeat(9 * MIB)]).await;
    let changed = values.all(&[get.clone(), put.clone(), take.clone()]).await.unwrap();
    assert!(changed.iter().all(|changed| matches!(changed, Changed::Refused(_))), "{changed:?}");
    redis.ask(&["DEL", "{turted}:session:1"]).await;
    redis.ask(&["RPUSH", "{turted}:session:1", "x"]).await;
    let changed = values.all(&[get, put, take]).await.unwrap();
    assert!(changed.iter().all(|changed| matches!(changed, Changed::Refused(_))), "{changed:?}");
    // A key of a push without a position is none.
    redis.ask(&["SET", "{turted}:key:1", "nonsense"]).await;
    let entries = [Bytes::from_static(b"a")];
    let keyed = Append { entries: &entries, key: Some(("key:1", b"kept", age)), holds: None };
    assert_eq!(append(&mut writer, keyed.clone()).await, Appended::At(at(2)));
    assert_eq!(append(&mut writer, keyed).await, Appended::Known(at(2), Bytes::from_static(b"kept")));
}

#[tokio::test]
async fn messages_that_are_too_large_are_not_heard() {
    let redis = Redis::start().await;
    let mut ears = redis.engine(1).ears(1).await.unwrap();
    redis.ask(&["PUBLISH", "{turted}:0:nodes", &"x".repeat(20 * MIB)]).await;
    redis.ask(&["PUBLISH", "{other}:0:nodes", "other"]).await;
    redis.ask(&["PUBLISH", "{turted}:0:nodes", "small"]).await;
    assert_eq!(ears.hear().await.unwrap().as_deref(), Some(&b"small"[..]));
}
