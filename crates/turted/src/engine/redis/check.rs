//! Tries once all that a node does, on keys of its own beside those of the cluster, for `turted check --connect`.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use turted_core::wire::resp::Reply;

use super::super::{
    Append, Appended, Change, Changed, Ears, Engine, Failure, Keeping, Reader, Reign, Values, Writer,
};
use super::client::{Client, unknown};
use super::keys::Keys;
use super::state::{Info, Look};
use super::{RedisEngine, RedisEngineSettings, rights};

/// How long what a trial leaves behind is kept, if it is ended before it can delete it.
const TRIAL_AGE: Duration = Duration::from_secs(60);
/// What the trial appends and tells.
const TRIAL: &[u8] = b"turted check";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// What the server is like.
    pub(crate) facts: Vec<String>,
    /// With what a cluster works, but promises less.
    pub(crate) warnings: Vec<String>,
    /// Without what it does not work.
    pub(crate) problems: Vec<String>,
}

/// Tries the whole way: server, version, rights, log, values and messages. It takes some seconds at most.
pub(crate) async fn check(settings: &RedisEngineSettings) -> Checked {
    let mut checked = Checked::default();
    let number = settings.process;
    let trial =
        RedisEngine::with(settings, Keys::of_trial(&settings.prefix, number, settings.servers.database()));
    // The real log is looked at as well: its key may have another type.
    let found = match RedisEngine::new(settings).connect("check").await {
        Ok((client, look)) => inspect(&mut checked, client, (&look, settings.replicas)).await,
        Err(failure) => Err(failure),
    };
    // What could not be looked at may be one of several rights that are missing.
    checked.problems.extend(denied(settings, &trial).await);
    let tried = match found {
        Ok(()) if checked.problems.is_empty() => attempt(&trial).await,
        found => found,
    };
    if let Err(failure) = tried
        && checked.problems.is_empty()
    {
        checked.problems.push(failure.to_string());
    }
    checked
}

/// What the server says of itself, and of us.
async fn inspect(
    checked: &mut Checked,
    mut client: Client,
    (look, wanted): (&Look, u32),
) -> Result<(), Failure> {
    let (name, version) = &look.product;
    checked.facts.push(format!("{name} {version}"));
    let info = Info::read(client.ask(&["INFO", "memory", "persistence", "replication"]).await?)?;
    let policy = info.get("maxmemory_policy");
    checked.facts.push(format!("maxmemory-policy {policy}, {} bytes at most", limit(info.get("maxmemory"))));
    let Keeping { replicas, evicts } = info.keeping();
    if let Some(policy) = evicts {
        checked.warnings.push(format!(
            "maxmemory-policy is {policy}: Redis may throw away sessions and keys of pushes; set it to noeviction"
        ));
    }
    checked.facts.push(match info.get("aof_enabled") {
        "1" => "appendonly yes".to_owned(),
        _ => {
            "appendonly no: a restart of Redis may lose events that were acknowledged, which clients are told"
                .to_owned()
        }
    });
    if let Some(save) = setting(&mut client, "save").await? {
        checked.facts.push(format!("save {save:?}"));
    }
    for (key, what) in
        [("aof_last_write_status", "its append-only file"), ("rdb_last_bgsave_status", "its snapshot")]
    {
        if info.get(key) == "err" {
            checked.warnings.push(format!("Redis could not write {what} the last time"));
        }
    }
    checked.facts.push(format!("{replicas} replicas"));
    if replicas < wanted {
        checked.problems.push(format!(
            "cluster.replicas = {wanted}, but {replicas} replicas follow Redis: every push would be refused"
        ));
    }
    Ok(())
}

/// What the user may not do; nothing if there is no answer.
async fn denied(settings: &RedisEngineSettings, trial: &RedisEngine) -> Vec<String> {
    let Ok(client) = trial.finder.enter("check").await else { return Vec::new() };
    let missing = rights::missing(client, &trial.shared.keys, settings.servers.database()).await;
    let told = |(command, said)| format!("the user of Redis may not {command:?} (its ACL): {said}");
    missing.unwrap_or_default().into_iter().map(told).collect()
}

/// A setting of the server; `None` if the user may not see it, which a node does without.
async fn setting(client: &mut Client, name: &str) -> Result<Option<String>, Failure> {
    let values = client.ask(&["CONFIG", "GET", name]).await?.into_values().unwrap_or_default();
    let value = values.into_iter().nth(1).and_then(Reply::into_text);
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

fn limit(bytes: &str) -> &str {
    if bytes == "0" { "any number of" } else { bytes }
}

/// Does all that a node does.
async fn attempt(trial: &RedisEngine) -> Result<(), Failure> {
    let mut ears = trial.ears(0).await?;
    let (mut writer, state) = trial.writer().await?;
    let (mut reader, _) = trial.reader().await?;
    let mut values = trial.values().await?;
    let epoch = u64::try_from(state.now.as_millis()).map_err(|_| unknown("TIME"))?;
    let done = async {
        let begun = Reign { epoch, first: 1, process: state.process.clone() };
        expect(writer.begin(&state, &begun, TRIAL).await?, "begins no epoch")?;
        let hold = Change::Hold { name: "session:0", value: TRIAL, age: TRIAL_AGE };
        let take = Change::Take { name: "session:0", age: TRIAL_AGE };
        let tell = [None, Some(0)].map(|to| Change::Tell { to, message: TRIAL });
        let done = values.all(&[hold, take, tell[0].clone(), tell[1].clone()]).await?;
        refusals(&done)?;
        let entries = [Bytes::from_static(TRIAL), Bytes::from_static(TRIAL)];
        let key = Some(("key:0", TRIAL, TRIAL_AGE));
        let append = Append { entries: &entries, key, holds: Some("session:0") };
        match &*writer.append(epoch, &[append], 0).await? {
            [Appended::At(_)] => {}
            [Appended::Refused(why)] => return Err(Failure::Unusable(why.clone())),
            _ => return Err(Failure::Unusable("the log does not take an entry".to_owned())),
        }
        let read = reader.read(None, 10).await?;
        expect(
            read.len() == 3 && read.iter().all(|(_, entry)| entry.as_deref() == Some(TRIAL)),
            "reads no entry",
        )?;
        for _ in tell {
            let heard = timeout(TRIAL_AGE, ears.hear()).await.map_err(|_| unknown("PUBLISH"))??;
            expect(heard.as_deref() == Some(TRIAL), "hears no message")?;
        }
        Ok(())
    };
    let done = done.await;
    let keys = &trial.shared.keys;
    let deleted =
        writer.delete(&[&keys.log, &keys.reign, &keys.value("key:0"), &keys.value("session:0")]).await;
    done.and(deleted)
}

fn expect(is_so: bool, what: &str) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(Failure::Unusable(format!("a trial {what}"))) }
}

fn refusals(changed: &[Changed]) -> Result<(), Failure> {
    changed.iter().try_for_each(|changed| match changed {
        Changed::Refused(why) => Err(Failure::Unusable(why.clone())),
        _ => Ok(()),
    })
}
