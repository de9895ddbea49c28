//! Where the Redis of a cluster is: `url`, `url_file`, `sentinels`, `master`, `sentinel_user`, `sentinel_password`.

use std::time::Duration;

use super::keys::{ClusterSettings, PLACE_KEYS};
use super::model::Sentinels;
use crate::config::collect::Collected;
use crate::config::credentials::{secret, warn_if_readable};
use crate::config::error::{Origin, Problem};
use crate::config::push_sources::broker::address_of;
use crate::config::push_sources::redis::{EXAMPLE, server_of};
use crate::config::{Broker, RedisServer};

/// The port of a sentinel that names none (`sentinel.conf` of Redis).
const SENTINEL_PORT: u16 = 26379;
/// The port of a server that names none (`redis.conf`).
const REDIS_PORT: u16 = 6379;
/// How long Redis may say nothing before it is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The server, and who is asked where it is. Notes what is wrong.
pub(super) fn resolve(
    collected: &mut Collected,
    settings: &ClusterSettings,
) -> Option<(RedisServer, Option<Sentinels>)> {
    let is_named = PLACE_KEYS.iter().any(|key| collected.is_given(key));
    if !is_named && !collected.is_broken(&PLACE_KEYS) {
        let what = "`log.store` = \"redis\" needs `cluster.url` or `cluster.url_file`, or `cluster.sentinels` \
                    and `cluster.master`";
        collected.problem(Problem::at(collected.source("log.store"), what));
    }
    let server = server(collected, settings);
    let sentinels = sentinels(collected, settings)?;
    Some((server?, sentinels))
}

/// The server that `url` or `url_file` names. With sentinels it may be left out.
fn server(collected: &mut Collected, settings: &ClusterSettings) -> Option<RedisServer> {
    let (text, file) = ("cluster.url", "cluster.url_file");
    if !collected.is_given(text) && !collected.is_given(file) {
        let is_known = !settings.sentinels.is_empty() && !collected.is_broken(&[text, file]);
        return is_known.then(|| nameless((settings.master.clone().unwrap_or_default(), REDIS_PORT)));
    }
    let url = secret(collected, text, &settings.url)?;
    if let Origin::File { path, .. } = collected.origin(text)
        && settings.url.text.as_ref().is_some_and(|url| url.reveal().contains('@'))
    {
        warn_if_readable(collected, &path);
    }
    // What was found is not repeated: there may be a password in it.
    match server_of(url.reveal(), HEARTBEAT) {
        Ok(server) => Some(server),
        Err(fault) => {
            let key = if url_is_text(collected, settings) { text } else { file };
            collected.blame(&[key], format!("`{key}`: expected {EXAMPLE}: {fault}"));
            None
        }
    }
}

/// A server that takes us without a user and a password.
fn nameless((host, port): (String, u16)) -> RedisServer {
    let broker = Broker { host, port, user: None, password: None, tls: None };
    RedisServer { broker, database: 0, heartbeat: HEARTBEAT }
}

/// Whether `url` counts, and not `url_file`.
fn url_is_text(collected: &Collected, settings: &ClusterSettings) -> bool {
    let rank = |key| collected.origin(key).rank();
    settings.url.text.is_some() && rank("cluster.url") >= rank("cluster.url_file")
}

/// Notes who turted is at sentinels, where none are named.
fn refuse_user_of_nobody(collected: &mut Collected) {
    for key in ["cluster.sentinel_user", "cluster.sentinel_password", "cluster.sentinel_password_file"] {
        if collected.is_given(key) && !collected.is_broken(&["cluster.sentinels"]) {
            collected
                .blame(&[key], format!("`{key}` needs `cluster.sentinels`, which are asked as this user"));
        }
    }
}

/// The sentinels; `None` if something is wrong with them.
fn sentinels(collected: &mut Collected, settings: &ClusterSettings) -> Option<Option<Sentinels>> {
    let (list, name) = ("cluster.sentinels", "cluster.master");
    let password = secret(collected, "cluster.sentinel_password", &settings.sentinel_password);
    if settings.sentinels.is_empty() {
        refuse_user_of_nobody(collected);
    }
    let master = match (&settings.master, settings.sentinels.is_empty()) {
        (None, true) => return Some(None),
        (Some(master), false) => master.clone(),
        (None, false) => {
            let what =
                "`cluster.sentinels` needs `cluster.master`, the name under which they know the server";
            collected.blame(&[list, name], what.to_owned());
            return None;
        }
        (Some(_), true) => {
            let what = "`cluster.master` needs `cluster.sentinels`, which are asked for it";
            collected.blame(&[name, list], what.to_owned());
            return None;
        }
    };
    let sentinel = |text: &String| match address_of(text, SENTINEL_PORT) {
        Ok(address) => {
            let mut sentinel = nameless(address);
            sentinel.broker.user.clone_from(&settings.sentinel_user);
            sentinel.broker.password.clone_from(&password);
            Ok(sentinel)
        }
        Err(fault) => Err(format!("`{list}`: expected HOST or HOST:PORT, found {text:?}: {fault}")),
    };
    match settings.sentinels.iter().map(sentinel).collect() {
        Ok(servers) => Some(Some(Sentinels { servers, master })),
        Err(what) => {
            collected.blame(&[list], what);
            None
        }
    }
}
