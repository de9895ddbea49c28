//! `turted check --connect`.

use super::begun;
use super::server::{Redis, free_port, local, settings};
use crate::engine::redis::{RedisServers, check};
use turted_core::wire::resp::Reply;

#[tokio::test]
async fn a_server_that_has_all_is_found_fit_and_left_as_it_was() {
    for redis in [Redis::with_acl().await, Redis::with_tls().await, Redis::with_cluster().await] {
        let _writer = begun(&redis.engine(1)).await;
        let checked = check(&redis.settings(7)).await;
        assert_eq!((&checked.problems, &checked.warnings), (&vec![], &vec![]));
        let facts = checked.facts.join("\n");
        assert!(facts.starts_with("Redis 7.") || facts.starts_with("Valkey "), "{facts}");
        assert!(facts.contains("maxmemory-policy noeviction") && facts.contains("appendonly no"), "{facts}");
        assert_eq!(redis.ask(&["DBSIZE"]).await, Reply::Integer(2), "the log and the reign");
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let redis = Redis::with_acl().await;
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    redis.ask(&["ACL", "SETUSER", "turted", "-xtrim", "-publish"]).await;
    let checked = check(&redis.settings(7)).await;
    assert!(checked.warnings.iter().any(|warning| warning.contains("volatile-lru")), "{checked:?}");
    assert_eq!(checked.problems.len(), 2, "{checked:?}");
    redis.ask(&["ACL", "SETUSER", "turted", "+xtrim", "+publish", "resetchannels"]).await;
    let checked = check(&redis.settings(7)).await;
    assert!(checked.problems.iter().any(|problem| problem.contains("SUBSCRIBE")), "{checked:?}");
    let away = check(&settings(RedisServers::One(local(free_port())), 7)).await;
    assert_eq!((away.problems.len(), away.facts.len()), (1, 0));
    redis.ask(&["ACL", "SETUSER", "turted", "&{turted}:*"]).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = check(&redis.settings(7)).await;
    assert!(full.problems.iter().any(|problem| problem.contains("OOM")), "{full:?}");
}
