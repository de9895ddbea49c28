//! What breaks: connections, servers, rights, memory.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::time::timeout;
use turted_core::cursor::Cursor;
use turted_core::secret::Secret;

use super::proxy::Proxy;
use super::server::{Redis, free_port, local, settings};
use super::{EPOCH, append, begun, plain};
use crate::engine::redis::{RedisEngine, RedisServers};
use crate::engine::{Append, Appended, Change, Changed, Engine, Failure, Reader, State, Values, Writer};

static A: &[Bytes] = {
    static ENTRIES: [Bytes; 1] = [Bytes::from_static(b"a")];
    &ENTRIES
};

fn at(sequence: u64) -> Cursor {
    Cursor { epoch: EPOCH, sequence }
}

fn keyed(key: &str) -> Append<'_> {
    Append { entries: A, key: Some((key, b"kept", Duration::from_secs(60))), holds: None }
}

async fn last(engine: &RedisEngine) -> Option<Cursor> {
    engine.reader().await.unwrap().1.last
}

#[tokio::test]
async fn what_an_abandoned_connection_had_sent_is_not_appended_later() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(redis.port).await;
    let engine = RedisEngine::new(&settings(RedisServers::One(local(proxy.port)), 1));
    let mut writer = begun(&engine).await;
    let held = proxy.hold();
    for push in [plain(A), keyed("key:1")] {
        let pushes = [push];
        let waiting = timeout(Duration::from_millis(100), writer.append(EPOCH, &pushes, 0));
        assert!(waiting.await.is_err(), "it is held back");
    }
    let (mut writer, state) = engine.writer().await.unwrap();
    assert_eq!(state.last, Some(at(1)), "nothing has come");
    assert_eq!(append(&mut writer, keyed("key:1")).await, Appended::At(at(2)));
    held.release().await;
    assert_eq!(last(&engine).await, Some(at(2)));
    assert_eq!(append(&mut writer, plain(A)).await, Appended::At(at(3)));
}

#[tokio::test]
async fn a_writer_ends_no_connection_of_another_node() {
    let mut redis = Redis::start().await;
    let (first, second) = (redis.engine(1), redis.engine(2));
    let _writer = begun(&first).await;
    let (mut other, _) = second.writer().await.unwrap();
    let (mut writer, _) = first.writer().await.unwrap();
    assert!(other.state().await.is_ok() && writer.state().await.is_ok());
    // Numbers begin anew with a process.
    redis.restart().await;
    let mut others = Vec::new();
    for process in 3..40 {
        others.push(redis.engine(process).writer().await.unwrap().0);
    }
    let (mut writer, _) = first.writer().await.unwrap();
    assert!(writer.state().await.is_ok());
    for other in &mut others {
        assert!(other.state().await.is_ok());
    }
}

#[tokio::test]
async fn a_restart_is_another_process() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let State { process, .. } = writer.state().await.unwrap();
    append(&mut writer, plain(A)).await;
    redis.restart().await;
    assert!(matches!(writer.append(EPOCH, &[plain(A)], 0).await, Err(Failure::Lost(_))));
    let (_, state) = engine.writer().await.unwrap();
    assert_eq!(state.last, Some(at(2)));
    assert!(state.process != process && state.reign.is_some_and(|reign| reign.process == process));
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_is_left() {
    let (redis, master) = (Redis::start().await, Redis::start().await);
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let before = writer.state().await.unwrap();
    let (mut reader, mut idle) = (engine.reader().await.unwrap().0, engine.reader().await.unwrap().0);
    let mut values = engine.values().await.unwrap();
    let master_port = master.port.to_string();
    let demoting = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        redis.ask(&["REPLICAOF", "127.0.0.1", &master_port]).await;
    };
    let (read, ()) = tokio::join!(reader.read(Some(at(1)), 10), demoting);
    assert!(matches!(read, Err(Failure::Moved(_))), "{read:?}");
    for push in [plain(A), keyed("key:1")] {
        let appended = writer.append(EPOCH, &[push], 0).await;
        assert!(matches!(appended, Err(Failure::Moved(_))), "{appended:?}");
    }
    let put = Change::Put { name: "session:1", value: b"", age: Duration::from_secs(1) };
    assert!(matches!(values.all(&[put]).await, Err(Failure::Moved(_))));
    assert!(matches!(idle.state().await, Err(Failure::Moved(_))), "an idle connection is told nothing");
    assert!(matches!(engine.values().await.map(drop), Err(Failure::Moved(_) | Failure::Lost(_))));
    // Promoted again, it is the same process with another history.
    redis.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let after = engine.reader().await.unwrap().1;
    assert_ne!(before.process, after.process);
}

#[tokio::test]
async fn replicas_that_have_it_in_time_are_counted() {
    let (redis, replica) = (Redis::start().await, Redis::start().await);
    replica.ask(&["REPLICAOF", "127.0.0.1", &redis.port.to_string()]).await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let mut patience = 100;
    while writer.append(EPOCH, &[plain(A)], 1).await.unwrap() != [Appended::At(last(&engine).await.unwrap())]
    {
        patience -= 1;
        assert!(patience > 0, "the replica never comes");
    }
    let [Appended::At(known)] = writer.append(EPOCH, &[keyed("key:1")], 1).await.unwrap()[..] else {
        panic!()
    };
    replica.signal(Signal::STOP);
    let asked = Instant::now();
    let appended = writer.append(EPOCH, &[plain(A), keyed("key:1")], 1).await.unwrap();
    let next = Cursor { sequence: known.sequence + 1, ..known };
    assert_eq!(appended, [Appended::Unreplicated(next), Appended::KnownUnreplicated]);
    assert!(asked.elapsed() < Duration::from_secs(3));
    replica.signal(Signal::CONT);
}

#[tokio::test]
async fn a_server_without_room_or_replicas_refuses_at_once() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    let mut values = engine.values().await.unwrap();
    let two = [A[0].clone(), A[0].clone()];
    let put = Change::Put { name: "session:1", value: b"", age: Duration::from_secs(60) };
    for (setting, bad, good) in [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")] {
        redis.ask(&["CONFIG", "SET", setting, bad]).await;
        let appended = writer.append(EPOCH, &[plain(A), plain(&two), keyed("key:1")], 0).await.unwrap();
        let refused = |appended: &Appended| matches!(appended, Appended::Refused(why) if why.len() > 10);
        assert!(appended.iter().all(refused), "{setting}: {appended:?}");
        let changed = values.all(std::slice::from_ref(&put)).await.unwrap();
        assert!(matches!(&changed[..], [Changed::Refused(_)]), "{setting}: {changed:?}");
        assert!(engine.values().await.is_ok() && engine.writer().await.is_ok(), "it can be looked at");
        redis.ask(&["CONFIG", "SET", setting, good]).await;
        let (again, _) = engine.writer().await.unwrap();
        writer = again;
    }
    assert_eq!(last(&engine).await, Some(at(1)));
    assert_eq!(append(&mut writer, keyed("key:1")).await, Appended::At(at(2)), "its key was not stored");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let redis = Redis::start().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    redis.signal(Signal::STOP);
    let asked = Instant::now();
    assert!(matches!(writer.append(EPOCH, &[plain(A)], 0).await, Err(Failure::Lost(_))));
    assert!(matches!(engine.reader().await.map(drop), Err(Failure::Lost(_))));
    assert!(asked.elapsed() < Duration::from_secs(10));
    redis.signal(Signal::CONT);
    let (_, state) = engine.writer().await.unwrap();
    // Redis had it already: what the former connection was heard to say may be done, but not later than now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(last(&engine).await, state.last);
}

#[tokio::test]
async fn what_can_never_do_is_told_from_what_may_come() {
    let redis = Redis::with_acl().await;
    let engine = |change: fn(&mut crate::io::broker::Broker)| {
        let mut server = redis.server.clone();
        change(&mut server.broker);
        RedisEngine::new(&settings(RedisServers::One(server), 1))
    };
    let why = async |engine: RedisEngine| engine.writer().await.map(drop).unwrap_err();
    let wrong = why(engine(|broker| broker.password = Some(Secret::from("wrong".to_owned())))).await;
    assert!(matches!(&wrong, Failure::Unusable(why) if why.contains("WRONGPASS")), "{wrong}");
    let away = why(engine(|broker| broker.port = free_port())).await;
    assert!(matches!(away, Failure::Lost(_)), "{away}");
    redis.ask(&["ACL", "SETUSER", "turted", "-xtrim"]).await;
    let denied = why(engine(|_| {})).await;
    assert!(matches!(&denied, Failure::Unusable(why) if why.contains("XTRIM {turted}:log")), "{denied}");
    redis.ask(&["ACL", "SETUSER", "turted", "+xtrim", "-info"]).await;
    let denied = why(engine(|_| {})).await;
    assert!(matches!(&denied, Failure::Unusable(why) if why.contains("NOPERM")), "{denied}");
    redis.ask(&["ACL", "SETUSER", "turted", "+info"]).await;
    redis.ask(&["SET", "{turted}:log", "x"]).await;
    let no_stream = why(engine(|_| {})).await;
    assert!(matches!(&no_stream, Failure::Unusable(why) if why.contains("WRONGTYPE")), "{no_stream}");
}

#[tokio::test]
async fn a_right_that_is_taken_away_refuses_before_anything_is_appended() {
    let redis = Redis::with_acl().await;
    let engine = redis.engine(1);
    let mut writer = begun(&engine).await;
    redis.ask(&["ACL", "SETUSER", "turted", "-set"]).await;
    let appended = writer.append(EPOCH, &[keyed("key:1")], 0).await.unwrap();
    assert!(matches!(&appended[..], [Appended::Refused(why)] if why.contains("NOPERM")), "{appended:?}");
    assert_eq!(append(&mut writer, plain(A)).await, Appended::At(at(2)), "the first one is not in the log");
}
