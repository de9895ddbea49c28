//! Where the log is: behind Sentinels, and in a Cluster.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::{Redis, free_port, local, settings};
use super::{EPOCH, begun, plain};
use crate::engine::redis::{RedisEngine, RedisServers};
use crate::engine::{Appended, Engine, Failure, Writer};
use crate::io::redis::Connection;
use bytes::Bytes;
use turted_core::wire::resp::Reply;

const PATIENCE: usize = 200;

/// A Sentinel, until the end of the test.
struct Sentinel {
    port: u16,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Sentinel {
    fn start(master: u16, quorum: usize) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let file = directory.path().join("sentinel.conf");
        let lines = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            directory.path().display()
        );
        std::fs::write(&file, lines).unwrap();
        let process = Command::new("redis-server").arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn();
        Self { port, process: process.unwrap(), _directory: directory }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(reply: Reply) -> Option<String> {
    String::from_utf8(reply.into_text()?.to_vec()).ok()
}

async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(done) = attempt().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn sentinels_tell_where_the_master_is_now() {
    let (mut first, second) = (Redis::start().await, Redis::start().await);
    second.ask(&["REPLICAOF", "127.0.0.1", &first.port.to_string()]).await;
    let sentinels = [0; 3].map(|_| Sentinel::start(first.port, 2));
    let away = local(free_port());
    let known = sentinels.iter().map(|sentinel| local(sentinel.port));
    let servers = |master: &str| RedisServers::Sentinel {
        sentinels: std::iter::once(away.clone()).chain(known.clone()).collect(),
        master: master.to_owned(),
        server: local(1),
    };
    let engine = RedisEngine::new(&settings(servers("main"), 1));
    eventually("the Sentinels come up", async || engine.reader().await.ok()).await;
    let mut writer = begun(&engine).await;
    let entries = [Bytes::from_static(b"a")];
    eventually("the replica has an entry", async || {
        let appended = writer.append(EPOCH, &[plain(&entries)], 1).await.unwrap();
        matches!(appended[..], [Appended::At(_)]).then_some(())
    })
    .await;
    let former = writer.state().await.unwrap();
    let unknown = RedisEngine::new(&settings(servers("other"), 1)).writer().await.map(drop).unwrap_err();
    assert!(matches!(&unknown, Failure::Lost(why) if why.contains("no master \"other\"")), "{unknown}");
    // The Sentinels have to know the replica, or there is nothing to promote, and each other.
    for sentinel in &sentinels {
        eventually("the Sentinels know of the replica and each other", async || {
            let mut client = Connection::open(&local(sentinel.port), "test").await.ok()?;
            let told = client.ask(["SENTINEL", "MASTER", "main"]).await.ok()?.into_values()?;
            let texts: Vec<_> = told.into_iter().filter_map(text).collect();
            let is = |name: &str, value: &str| texts.windows(2).any(|pair| pair == [name, value]);
            (is("num-slaves", "1") && is("num-other-sentinels", "2")).then_some(())
        })
        .await;
    }
    first.kill();
    let state =
        eventually("the replica becomes the master", async || Some(engine.writer().await.ok()?.1)).await;
    assert_eq!((state.last, state.reign.is_some()), (former.last, true));
    assert_ne!(state.process, former.process);
}

#[tokio::test]
async fn a_cluster_is_followed_to_the_server_that_has_the_slot() {
    let (owner, other) = (Redis::with_cluster().await, Redis::with_no_slot().await);
    other.meet(&owner).await;
    let engine = other.engine(1);
    let mut writer = eventually("the servers know each other", async || {
        let (writer, state) = engine.writer().await.ok()?;
        assert_eq!(state.reign, None);
        Some(writer)
    })
    .await;
    let state = writer.state().await.unwrap();
    assert_eq!(state.process, owner.engine(2).reader().await.unwrap().1.process);
    // Both ways lead to the same log.
    begun(&owner.engine(2)).await;
    assert!(engine.reader().await.unwrap().1.reign.is_some());
    // What the Cluster has said is of use until it fails.
    drop(owner);
    let failed = engine.reader().await.map(drop).unwrap_err();
    assert!(matches!(failed, Failure::Lost(_) | Failure::Moved(_)), "{failed}");
}
