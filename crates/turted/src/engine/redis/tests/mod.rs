//! On a real redis-server: the suite of engines in each form that is promised, and what only Redis has.
//!
//! | file | what |
//! |---|---|
//! | `server`, `proxy` | redis-server as a child process; a way to it that holds back what is sent |
//! | `faults` | connections, servers, rights and memory that fail |
//! | `hostile` | what others write where only nodes should |
//! | `sentinels` | where the master is, by what Sentinels say |
//! | `places` | where the log is in a Cluster |
//! | `trial` | `turted check --connect` |

mod server;
mod proxy;
mod faults;
mod hostile;
mod sentinels;
mod places;
mod trial;

use std::time::Duration;

use self::server::Redis;
use super::RedisEngine;
use super::writer::RedisWriter;
use crate::engine::{Append, Appended, Engine, Reign, Writer, suite};
use bytes::Bytes;

/// The epoch that tests begin, at the number 1.
const EPOCH: u64 = 1_700_000_000_000 << 16;
/// How often something is tried, every 100 ms.
const PATIENCE: usize = 200;

async fn begun(engine: &RedisEngine) -> RedisWriter {
    let (mut writer, state) = engine.writer().await.unwrap();
    let reign = Reign { epoch: EPOCH, first: 1, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &reign, b"begin").await, Ok(true));
    writer
}

/// Tries it again until it succeeds.
async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(done) = attempt().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

fn plain(entries: &[Bytes]) -> Append<'_> {
    Append { entries, key: None, holds: None }
}

async fn append(writer: &mut RedisWriter, push: Append<'_>) -> Appended {
    writer.append(EPOCH, &[push], 0).await.unwrap().remove(0)
}

#[tokio::test]
async fn the_suite_passes() {
    suite::pass(&Redis::start().await).await;
}

#[tokio::test]
async fn the_suite_passes_over_tls() {
    suite::pass(&Redis::with_tls().await).await;
}

#[tokio::test]
async fn the_suite_passes_as_the_user_of_the_documentation() {
    suite::pass(&Redis::with_acl().await).await;
}

#[tokio::test]
async fn the_suite_passes_in_a_cluster() {
    suite::pass(&Redis::with_cluster().await).await;
}
