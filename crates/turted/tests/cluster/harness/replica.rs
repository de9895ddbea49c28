//! A second Redis, which follows the first.

use turted_core::wire::resp::Reply;

use crate::support::eventually;
use crate::support::redis::RedisServer;

use super::server::Server;

/// A replica of the server on this port, which has all that its master has. These options come behind those of each server.
pub(crate) fn replica_of(master: u16, options: &[&str]) -> Server {
    let replica = Server::replicated(&[&["--replicaof", "127.0.0.1", &master.to_string()], options].concat());
    await_synced(&replica);
    replica
}

/// The same, of a server that sentinels watch.
pub(crate) fn watched_replica_of(master: &Server) -> Server {
    let replica = Server::watched(&["--replicaof", "127.0.0.1", &master.node_port().to_string()]);
    await_synced(&replica);
    replica
}

/// Makes a server a replica of another one, which has all of it.
pub(crate) fn demote(server: &RedisServer, master: u16) {
    server.client().ask(&["REPLICAOF", "127.0.0.1", &master.to_string()]);
    await_synced(server);
}

pub(crate) fn promote(replica: &RedisServer) {
    replica.client().ask(&["REPLICAOF", "NO", "ONE"]);
}

fn await_synced(replica: &RedisServer) {
    const UP: &[u8] = b"master_link_status:up";
    eventually("the replica has it all", || {
        let info = replica.client().ask(&["INFO", "replication"]);
        matches!(info, Reply::Text(info) if info.windows(UP.len()).any(|text| text == UP))
    });
}
