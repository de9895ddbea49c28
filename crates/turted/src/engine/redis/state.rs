//! What the log is like, and what the server is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use super::super::{Failure, Keeping, Reign, State};
use super::client::{Client, accepted, unknown};
use super::identity::Said;
use super::shared::Shared;

/// The oldest versions that number entries of an epoch by themselves (`<epoch>-*`) and tell the rights of a script.
const REDIS_MIN: [u32; 2] = [7, 0];
const VALKEY_MIN: [u32; 2] = [7, 2];
/// The commands of a look.
const LOOK: usize = 7;

/// What a look at a server has found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) state: State,
    /// The process of the server.
    pub(super) run: String,
    /// Name and version.
    pub(super) product: (&'static str, String),
    /// The name of the process before, if it is the same master still.
    former: Option<String>,
}

impl Look {
    /// Looks at everything, at the reign before the log: an epoch that begins meanwhile makes the reign look older than
    /// the log, never the log older than the reign, which would be a loss. A transaction would be refused when Redis is
    /// out of memory.
    pub(super) async fn at(client: &mut Client, shared: &Shared) -> Result<Self, Failure> {
        let Shared { keys, scripts, .. } = shared;
        client.add(["INFO", "server"]);
        client.add(["INFO", "replication"]);
        client.add(["INFO", "memory"]);
        client.add(["INFO", "stats"]);
        client.add(["TIME"]);
        client.add(["HMGET", &keys.reign, "epoch", "first", "process"]);
        let [eval, script] = scripts.last.run_alone();
        client.add([eval, script, "1", &keys.log]);
        let replies: Result<[Reply; LOOK], _> = client.replies(LOOK, Duration::ZERO).await?.try_into();
        let [server, replication, memory, stats, time, reign, last] = replies.map_err(|_| unknown("INFO"))?;
        let mut info = Info::read(server)?;
        // First of all, for an old server does not know what else is asked.
        let product = info.product()?;
        info.extend(replication)?;
        info.extend(memory)?;
        info.extend(stats)?;
        // In a Cluster a replica says here where the master is.
        let (reign, last) = (read_reign(accepted(reign)?)?, read_last(accepted(last)?)?);
        if info.get("role") != "master" {
            return Err(Failure::Moved("the server is a replica".to_owned()));
        }
        let run = info.get("run_id").to_owned();
        let said = info.identity();
        let process = said.name();
        let former = shared.identity.see(said, Instant::now());
        let state = State { process, now: clock(time)?, last, reign, keeping: info.keeping() };
        Ok(Self { state, run, product, former })
    }

    /// The same for a node that is about to append. If the epoch belongs to this reign of this process, which has another name
    /// since, it is told so.
    pub(super) async fn before_appending(client: &mut Client, shared: &Shared) -> Result<State, Failure> {
        let Self { mut state, former, .. } = Self::at(client, shared).await?;
        let Some(former) = former else { return Ok(state) };
        if let Some(reign) = state.reign.as_mut().filter(|reign| reign.process == former) {
            let [eval, script] = shared.scripts.rename.run_alone();
            let [epoch, first] = [reign.epoch, reign.first].map(|number| number.to_string());
            let command = [eval, script, "1", &shared.keys.reign, &epoch, &first, &former, &state.process];
            // If that fails, the node begins an epoch, or finds with its next look that another node has renamed the reign.
            if client.ask(&command).await? == Reply::Integer(1) {
                reign.process.clone_from(&state.process);
            }
        }
        Ok(state)
    }
}

/// What `INFO` says.
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn read(reply: Reply) -> Result<Self, Failure> {
        let text = accepted(reply)?.into_text().ok_or_else(|| unknown("INFO"))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(Self(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    fn extend(&mut self, reply: Reply) -> Result<(), Failure> {
        self.0.extend(Self::read(reply)?.0);
        Ok(())
    }

    /// Name and version of the server, if it is new enough.
    fn product(&self) -> Result<(&'static str, String), Failure> {
        let (name, version, oldest) = match self.get("valkey_version") {
            // Valkey says the version of the Redis that it descends from beside its own.
            "" => ("Redis", self.get("redis_version"), REDIS_MIN),
            version => ("Valkey", version, VALKEY_MIN),
        };
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        if [parts.next().unwrap_or(0), parts.next().unwrap_or(0)] >= oldest {
            return Ok((name, version.to_owned()));
        }
        let told =
            format!("{name} {version} is too old: `[cluster]` takes Redis from 7.0 and Valkey from 7.2");
        Err(Failure::Unusable(told))
    }

    /// Which server it is.
    fn identity(&self) -> Said {
        let number = |name| self.get(name).parse().ok();
        let [run, id, second_id] =
            ["run_id", "master_replid", "master_replid2"].map(|name| self.get(name).to_owned());
        let counted = number("total_net_repl_input_bytes").zip(number("total_commands_processed"));
        Said { run, id, second_id, counted }
    }

    /// How safe is what the server has.
    pub(super) fn keeping(&self) -> Keeping {
        let policy = self.get("maxmemory_policy");
        Keeping {
            replicas: self.get("connected_slaves").parse().unwrap_or(0),
            // Who offers Redis as a service may not show it.
            evicts: (!matches!(policy, "" | "noeviction")).then(|| policy.to_owned()),
        }
    }

    /// A value; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn clock(reply: Reply) -> Result<Duration, Failure> {
    let parts = accepted(reply)?.into_values().unwrap_or_default();
    let number = |part: Reply| digits(&part.into_text()?);
    let numbers: Option<Vec<u64>> = parts.into_iter().map(number).collect();
    match numbers.as_deref() {
        Some([seconds, micros]) => Ok(Duration::from_secs(*seconds) + Duration::from_micros(*micros)),
        _ => Err(unknown("TIME")),
    }
}

/// The id that the stream has given last.
fn read_last(reply: Reply) -> Result<Option<Cursor>, Failure> {
    match reply {
        Reply::Nil => Ok(None),
        reply => reply.into_text().and_then(|id| position(&id)).map(Some).ok_or_else(|| unknown("EVAL")),
    }
}

fn read_reign(reply: Reply) -> Result<Option<Reign>, Failure> {
    let fields: Option<Vec<Bytes>> =
        reply.into_values().unwrap_or_default().into_iter().map(Reply::into_text).collect();
    // Whoever may write there may write nonsense: it is no reign then, and no node can begin one.
    let Some([epoch, first, process]) = fields.as_deref() else { return Ok(None) };
    let reign = || {
        let process = String::from_utf8(process.to_vec()).ok()?;
        Some(Reign { epoch: digits(epoch)?, first: digits(first)?, process })
    };
    reign().map(Some).ok_or_else(|| Failure::Unusable("the key `reign` has no reign of ours".to_owned()))
}

/// A position, as Redis writes it.
pub(super) fn id(position: Cursor) -> String {
    format!("{}-{}", position.epoch, position.sequence)
}

/// Reads what Redis writes.
pub(super) fn position(id: &[u8]) -> Option<Cursor> {
    let (epoch, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some(Cursor { epoch: digits(epoch.as_bytes())?, sequence: digits(sequence.as_bytes())? })
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_to_be_new_enough() {
        for (said, expected) in [
            ("redis_version:7.0.15\r\n", Some("Redis 7.0.15")),
            ("redis_version:8.2.1\r\n", Some("Redis 8.2.1")),
            ("redis_version:10.0\r\n", Some("Redis 10.0")),
            ("redis_version:6.2.14\r\n", None),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\n", Some("Valkey 8.1.3")),
            ("redis_version:7.2.4\r\nvalkey_version:7.1.0\r\n", None),
            ("# Server\r\n", None),
        ] {
            let info = Info::read(Reply::Text(Bytes::from_static(said.as_bytes()))).unwrap();
            let product = info.product().ok().map(|(name, version)| format!("{name} {version}"));
            assert_eq!(product.as_deref(), expected, "{said:?}");
        }
    }

    #[test]
    fn a_position_is_written_as_redis_does() {
        let last = Cursor { epoch: u64::MAX, sequence: 7 };
        assert_eq!(id(last), "18446744073709551615-7");
        assert_eq!(position(id(last).as_bytes()), Some(last));
        for nonsense in ["", "7", "7-", "a-7", "18446744073709551616-0", "7-7-7"] {
            assert_eq!(position(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }
}
