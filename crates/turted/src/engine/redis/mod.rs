//! The engine on Redis (from 7.0) and Valkey (from 7.2): one server, one that Sentinel knows, or one slot of a Cluster.
//!
//! The log is a stream. Redis gives its ids, `<epoch>-<number>`, and they are our positions. All keys of a cluster have one
//! hash tag, so they lie in one slot.
//!
//! | file | what |
//! |---|---|
//! | `settings` | where the server is, and what keys are called |
//! | `shared` | what all connections of a node know |
//! | `server` | which server has the log, and a connection to it |
//! | `sentinels` | where the master is, by what the Sentinels say |
//! | `client` | commands with a time limit, and what their errors mean |
//! | `keys` | the names of keys and channels |
//! | `state` | what the log is like, and what the server is |
//! | `identity` | whether it is the same master still, under another replication id |
//! | `scripts` | what Redis does in one step |
//! | `writer`, `reader` | appends to the log, follows it |
//! | `values`, `ears` | small values and messages |
//! | `rights` | which commands a user may not run |
//! | `check` | tries everything once, for `turted check --connect` |
//! | `tests` | the suite of engines and what only Redis has, on a real server |

mod settings;
mod shared;
mod server;
mod sentinels;
mod client;
mod keys;
mod state;
mod identity;
mod scripts;
mod writer;
mod reader;
mod values;
mod ears;
mod rights;
mod check;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use self::client::Client;
use self::ears::RedisEars;
use self::keys::Keys;
use self::reader::RedisReader;
use self::server::Finder;
use self::shared::Shared;
use self::state::Look;
use self::values::RedisValues;
use self::writer::RedisWriter;
use super::{Engine, Failure, State};

pub(crate) use self::check::{Checked, check};
pub(crate) use self::settings::RedisEngineSettings;
#[cfg(test)]
pub(crate) use self::settings::RedisServers;

/// What a user of Redis needs to be the user of a cluster with the prefix `turted`.
#[cfg(test)]
pub(crate) const ACL: &str = "~{turted}:* resetchannels &{turted}:* -@all +select +ping +client|setname +client|id \
    +client|kill +info +time +xadd +xread +xrange +xtrim +xinfo|stream +hmget +hset +get +set +del +pexpire \
    +eval +evalsha +publish +subscribe +wait";

/// The engine on Redis.
#[derive(Debug)]
pub(crate) struct RedisEngine {
    finder: Finder,
    shared: Arc<Shared>,
    /// The connection that this node appended with last. It is locked for no longer than a copy takes.
    former: Mutex<Option<Former>>,
}

/// A connection, by its number on a process of Redis.
#[derive(Clone, Debug)]
struct Former {
    run: String,
    id: i64,
}

impl RedisEngine {
    pub(crate) fn new(settings: &RedisEngineSettings) -> Self {
        Self::with(settings, Keys::of(&settings.prefix, settings.servers.database()))
    }

    fn with(settings: &RedisEngineSettings, keys: Keys) -> Self {
        let shared = Arc::new(Shared::new(keys, settings.process));
        Self { finder: Finder::new(settings.servers.clone()), shared, former: Mutex::default() }
    }

    async fn connect(&self, role: &str) -> Result<(Client, Look), Failure> {
        self.finder.connect(role, &self.shared).await
    }
}

impl Engine for RedisEngine {
    type Writer = RedisWriter;
    type Reader = RedisReader;
    type Values = RedisValues;
    type Ears = RedisEars;

    async fn rights(&self) -> Result<(), Failure> {
        let (mut client, _) = self.connect("start").await?;
        client.rights(&self.shared).await
    }

    async fn writer(&self) -> Result<(RedisWriter, State), Failure> {
        let (mut client, look) = self.connect("writer").await?;
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Numbers of connections begin anew with each process: there it would be that of another node.
        if let Some(former) = former.filter(|former| former.run == look.run) {
            client.accepted(&["CLIENT", "KILL", "ID", &former.id.to_string()]).await?;
        }
        let id = client.number(&["CLIENT", "ID"]).await?;
        *self.former.lock().unwrap_or_else(PoisonError::into_inner) = Some(Former { run: look.run, id });
        client.rights(&self.shared).await?;
        // What the former connection did before it was ended counts.
        let state = Look::before_appending(&mut client, &self.shared).await?;
        Ok((RedisWriter::new(client, Arc::clone(&self.shared)), state))
    }

    async fn reader(&self) -> Result<(RedisReader, State), Failure> {
        let (client, look) = self.connect("reader").await?;
        Ok((RedisReader::new(client, Arc::clone(&self.shared)), look.state))
    }

    async fn values(&self) -> Result<RedisValues, Failure> {
        let (client, _) = self.connect("values").await?;
        Ok(RedisValues::new(client, Arc::clone(&self.shared)))
    }

    async fn ears(&self, node: u16) -> Result<RedisEars, Failure> {
        let (client, _) = self.connect("ears").await?;
        RedisEars::new(client, &self.shared.keys, node).await
    }
}
