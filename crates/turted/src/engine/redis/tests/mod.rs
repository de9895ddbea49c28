//! On a real redis-server: the suite of engines in each form that is promised, and what only Redis has.
//!
//! | file | what |
//! |---|---|
//! | `server` | redis-server as a child process |

mod server;

use self::server::Redis;
use crate::engine::suite;

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
