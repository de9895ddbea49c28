//! Where the master is, by what real Sentinels say.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::server::{Redis, free_port, local, settings};
use super::{EPOCH, begun, eventually, plain};
use crate::engine::redis::{RedisEngine, RedisServers, check};
use crate::engine::{Appended, Engine, Failure, Writer};
use crate::io::redis::{Connection, RedisServer};
use bytes::Bytes;
use turted_core::secret::Secret;
use turted_core::wire::resp::Reply;

/// A Sentinel, until the end of the test.
struct Sentinel {
    port: u16,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Sentinel {
    fn start(master: u16) -> Self {
        Self::with(master, "")
    }

    /// One with these further lines of configuration.
    fn with(master: u16, further: &str) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let file = directory.path().join("sentinel.conf");
        let lines = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n{further}\n",
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

/// Servers that these Sentinels are asked for.
fn servers(master: &str, sentinels: &[RedisServer]) -> RedisServers {
    RedisServers::Sentinel { sentinels: sentinels.to_vec(), master: master.to_owned(), server: local(1) }
}

/// The engine on this master, by what these Sentinels say.
fn of(master: &str, sentinels: &[RedisServer]) -> RedisEngine {
    RedisEngine::new(&settings(servers(master, sentinels), 1))
}

fn text(reply: Reply) -> Option<String> {
    String::from_utf8(reply.into_text()?.to_vec()).ok()
}

#[tokio::test]
async fn sentinels_tell_where_the_master_is_now() {
    let (mut first, second) = (Redis::start().await, Redis::start().await);
    second.ask(&["REPLICAOF", "127.0.0.1", &first.port.to_string()]).await;
    let sentinels = [0; 3].map(|_| Sentinel::start(first.port));
    let away = local(free_port());
    let known = sentinels.iter().map(|sentinel| local(sentinel.port));
    let all: Vec<_> = std::iter::once(away).chain(known).collect();
    let engine = of("main", &all);
    eventually("the Sentinels come up", async || engine.reader().await.ok()).await;
    let mut writer = begun(&engine).await;
    let entries = [Bytes::from_static(b"a")];
    eventually("the replica has an entry", async || {
        let appended = writer.append(EPOCH, &[plain(&entries)], 1).await.unwrap();
        matches!(appended[..], [Appended::At(_)]).then_some(())
    })
    .await;
    let former = writer.state().await.unwrap();
    let unknown = of("other", &all).writer().await.map(drop).unwrap_err();
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
async fn sentinels_that_say_nothing_cost_nothing_where_most_answer() {
    let master = Redis::start().await;
    let answering = [0; 3].map(|_| Sentinel::start(master.port));
    let answering = answering.each_ref().map(|sentinel| local(sentinel.port));
    // They accept connections, and nobody reads there.
    let silent = [0; 3].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let silent = silent.each_ref().map(|listener| local(listener.local_addr().unwrap().port()));
    for (silent, answering, within) in [
        (&silent[..1], &answering[..], Duration::from_secs(1)),
        (&silent[..2], &answering[..], Duration::from_secs(1)),
        (&silent[..], &answering[1..], Duration::from_secs(2)),
    ] {
        let engine = of("main", &[silent, answering].concat());
        eventually("the Sentinels come up", async || engine.reader().await.ok()).await;
        // One of several, because other tests run beside.
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            engine.reader().await.unwrap();
            fastest = fastest.min(began.elapsed());
        }
        assert!(fastest < within, "{} silent Sentinels cost {fastest:?}", silent.len());
    }
}

fn known_as(sentinel: &Sentinel, user: Option<&str>, password: Option<&str>) -> RedisServer {
    let mut server = local(sentinel.port);
    server.broker.user = user.map(str::to_owned);
    server.broker.password = password.map(Secret::from);
    server
}

#[tokio::test]
async fn a_node_that_all_sentinels_refuse_for_good_is_told_why() {
    let master = Redis::start().await;
    let closed =
        Sentinel::with(master.port, "requirepass right\nuser turted on >right -@all +client|setname");
    let right = [known_as(&closed, None, Some("right"))];
    eventually("the Sentinel comes up", async || of("main", &right).reader().await.ok()).await;
    let away = local(free_port());
    let place = format!("127.0.0.1:{}: ", closed.port);
    for (user, password, why) in [
        (None, None, "NOAUTH"),
        (None, Some("canary"), "WRONGPASS"),
        (Some("turted"), Some("right"), "NOPERM"),
    ] {
        let sentinels = [known_as(&closed, user, password), away.clone()];
        let failed = of("main", &sentinels).writer().await.map(drop).unwrap_err();
        let Failure::Unusable(told) = &failed else { panic!("{failed:?}") };
        assert!(told.contains(&place) && told.contains(why) && !told.contains("canary"), "{told}");
        assert_eq!(told.contains("turted sends Sentinels no password"), password.is_none(), "{told}");
        assert_eq!(
            check(&settings(servers("main", &sentinels), 7)).await.problems,
            std::slice::from_ref(told)
        );
    }
    let other = of("main", std::slice::from_ref(&master.server)).writer().await.map(drop).unwrap_err();
    assert!(matches!(&other, Failure::Unusable(told) if told.contains("unknown command")), "{other:?}");
}

#[tokio::test]
async fn a_sentinel_that_refuses_does_not_count_where_another_one_answers() {
    let master = Redis::start().await;
    let (closed, open) = (Sentinel::with(master.port, "requirepass right"), Sentinel::start(master.port));
    let sentinels = [local(closed.port), local(open.port)];
    eventually("one answers", async || of("main", &sentinels).reader().await.ok()).await;
    let unknown = of("other", &sentinels).writer().await.map(drop).unwrap_err();
    assert!(matches!(&unknown, Failure::Lost(told) if told.contains("no master \"other\"")), "{unknown:?}");
}
