//! Where the log is in a Cluster.

use super::server::Redis;
use super::{begun, eventually};
use crate::engine::{Engine, Failure, Writer};

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
