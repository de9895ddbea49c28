//! How much memory a server takes at most: the sum of what its limits bound.
//! `docs/configuration.md` has the same table; a test compares.

use std::fmt::Write as _;

use turted_core::limits::{
    BACKLOG_BYTES_MAX, HOOK_BATCH_BYTES_MAX, HOOK_BYTES_MAX, HOOK_CONNECTION_BYTES, HOOK_LOST_BYTES_MAX,
    HOOK_NAME_BYTES, LAST_SEEN_BYTES_MAX, NAME_BYTES_MAX, PRESENCE_CONNECTION_BYTES, PRESENCE_LOST_BYTES_MAX,
    PRESENCE_NAME_BYTES, PRESENCE_OTHERS_BYTES_MAX,
};

use super::model::Config;
use super::push_sources::model::{PushSource, SourceKind};
use crate::io::memory;

/// The program, its libraries, the admin listener, the files of `assets_dir`, log lines that wait.
const PROGRAM_BYTES: usize = 64 << 20;
/// The fan-out of a worker (8 MB of links, 6 MB of frames, 16 MiB in them), its buffers and tables.
const WORKER_BYTES: usize = 40 << 20;
/// A connection until its first answer: two buffers of hyper's. As a stream it takes 1.3 kB.
const CONNECTION_BYTES: usize = 20_000;
/// What TLS needs beside it, and HTTP/2 with all of its streams: 100 of 8 kB, and a window of 256 KiB.
const TLS_BYTES: usize = 60_000;
const HTTP2_BYTES: usize = 100 * 8_000 + (256 << 10);
/// A session that lives by requests, and the place it has.
const SESSION_BYTES: usize = 2_000;
/// A name in the registry with its places in two tables.
const NAME_BYTES: usize = NAME_BYTES_MAX + 200;
/// An address that guessed wrong, in one of three tables.
const ADDRESS_BYTES: usize = 3 * 120;

/// The keys of a source, its thread, and the messages that it has accepted at the moment.
const SOURCE_BYTES: usize = 20 << 20;
/// Files of one source that may have the beginning of a line.
const TAIL_FILES: usize = 128;

/// What a subscriber was sent and did not take yet, and a message that is being read.
const PUBSUB_BYTES: usize = 32 << 20;

/// The buffer of a connection to RabbitMQ, and the messages that were in it.
const RABBITMQ_BYTES: usize = 1 << 20;

/// A server of Redis may have messages that are longer than a push: they are read to be refused, and come on top.
fn source_bytes(source: &PushSource, push_bytes: usize) -> usize {
    let own = match &source.kind {
        SourceKind::Tail(tail) => TAIL_FILES.saturating_mul(tail.line_bytes),
        SourceKind::RedisStream(stream) => stream.prefetch.saturating_mul(push_bytes),
        SourceKind::RedisPubSub(_) => PUBSUB_BYTES,
        // Beside the buffer: one message that is not complete, of which no more is kept.
        SourceKind::Rabbitmq(_) => push_bytes.saturating_add(RABBITMQ_BYTES),
    };
    SOURCE_BYTES.saturating_add(own)
}

/// What waits for a hook and what is on its way, and who is online: connections, whose names are the texts of the registry,
/// and those that have ended.
fn hook_bytes(clients: usize, names: usize) -> usize {
    let each = HOOK_CONNECTION_BYTES.saturating_add(names.saturating_mul(HOOK_NAME_BYTES));
    (HOOK_BYTES_MAX + 3 * HOOK_BATCH_BYTES_MAX + HOOK_LOST_BYTES_MAX)
        .saturating_add(clients.saturating_mul(each))
}

/// When users were last connected; where a channel has presence, also connections, whose names are the texts of the registry,
/// those that were lost, and in a cluster what other nodes tell.
fn presence_bytes(config: &Config, connections: usize, names: usize) -> usize {
    if config.presence.channels.is_empty() {
        return LAST_SEEN_BYTES_MAX;
    }
    let each = PRESENCE_CONNECTION_BYTES.saturating_add(names.saturating_mul(PRESENCE_NAME_BYTES));
    let others = if config.cluster.is_some() { PRESENCE_OTHERS_BYTES_MAX } else { 0 };
    (LAST_SEEN_BYTES_MAX + PRESENCE_LOST_BYTES_MAX + others).saturating_add(connections.saturating_mul(each))
}

/// One part of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    /// What takes it.
    pub what: &'static str,
    /// How much at most.
    pub bytes: usize,
}

impl Config {
    /// How many bytes may wait for all connections together.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.limits.backlog_bytes.unwrap_or_else(|| BACKLOG_BYTES_MAX.min(memory::limit() / 4))
    }

    /// What a server with at most `connections` connections takes at most, by parts. The kernel's buffers for
    /// sockets come on top: up to 66 kB for a client that does not read.
    #[must_use]
    pub fn memory_parts(&self, connections: usize) -> Vec<MemoryPart> {
        let (limits, recovery) = (&self.limits, &self.recovery);
        let backlogs = self.backlog_bytes();
        let tls = if self.tls.is_some() { TLS_BYTES + HTTP2_BYTES } else { 0 };
        let names = limits.channels_per_connection + limits.users_per_connection;
        // Sessions that live by requests outlive their connections: there may be as many again.
        let clients = connections.saturating_mul(2);
        let sources = self.sources.iter().map(|source| source_bytes(source, limits.push_body_bytes));
        let part = |what, count: usize, each: usize| MemoryPart { what, bytes: count.saturating_mul(each) };
        vec![
            part("program", 1, PROGRAM_BYTES),
            part("workers", self.workers, WORKER_BYTES),
            part("connections", connections, CONNECTION_BYTES + tls),
            part("unfinished messages", connections, limits.message_bytes),
            part("sessions", clients, SESSION_BYTES),
            part("users and channels", clients, names.saturating_mul(NAME_BYTES)),
            part("backlogs", 1, backlogs),
            part("request bodies", 1, limits.bodies_bytes),
            part("inboxes", 1, limits.inbox_bytes),
            part("log", 1, if recovery.enabled { recovery.log_bytes } else { 0 }),
            part("history", 1, if self.history.is_empty() { 0 } else { limits.history_bytes }),
            part("lost sessions", 1, if recovery.enabled { recovery.session_bytes } else { 0 }),
            part("idempotency keys", 1, limits.idempotency_bytes),
            part("guessers", limits.password_addresses, ADDRESS_BYTES),
            part("sources", 1, sources.fold(0, usize::saturating_add)),
            part("hooks", self.hooks.len(), hook_bytes(clients, names)),
            part("presence", 1, presence_bytes(self, clients, names)),
        ]
    }

    /// The sum of [`memory_parts`](Self::memory_parts), and a quarter more for what an allocator rounds up and
    /// has not given back yet.
    #[must_use]
    pub fn memory_max(&self, connections: usize) -> usize {
        let parts = self.memory_parts(connections);
        let sum = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.bytes));
        sum.saturating_add(sum / 4)
    }
}

/// The sum as comments below an effective configuration.
pub(crate) fn show(config: &Config, connections: usize) -> String {
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    let mut text = format!(
        "\n# memory at most, with {connections} connections: {} MiB, of which\n",
        mib(config.memory_max(connections))
    );
    for MemoryPart { what, bytes } in config.memory_parts(connections) {
        let _infallible = writeln!(text, "#   {what:<20} {:>8} MiB", mib(bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_part_in_its_order() {
        let docs = include_str!("../../../../docs/configuration.md");
        let section = docs.split_once("## Memory").expect("a section").1;
        let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        let documented: Vec<_> = rows.map(|(what, _)| what).skip(1).collect();
        let parts = Config::default().memory_parts(1);
        assert_eq!(documented[..parts.len()], parts.iter().map(|part| part.what).collect::<Vec<_>>());
    }
}
