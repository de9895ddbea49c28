//! Where the master is, by what the Sentinels say.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use turted_core::wire::resp::Reply;

use super::super::Failure;
use super::client::{Client, ENTER_WAIT, accepted, unknown};
use super::server::Address;
use crate::io::redis::RedisServer;

/// How long a Sentinel that says nothing is waited for, once another one has named a master. They answer within
/// milliseconds; the master has to be reached as well, all within 5 s.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// What a Sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Master(Address),
    /// It will never tell us, unless somebody changes something.
    Refuses(String),
    /// It may know later.
    Unsure(String),
    /// It cannot be reached, or did not answer.
    Nothing(String),
}

/// Where the master is. All Sentinels are asked at once. One of them may be cut off and know only a former master, so the
/// address that most of them say counts, as soon as those that have said nothing yet cannot change it.
///
/// # Errors
/// None of them says an address. If all that answered refuse for good, it is of no use to ask again.
///
/// # Cancel safety
/// Those that are being asked are asked no more.
pub(super) async fn ask(sentinels: &[RedisServer], master: &str) -> Result<Address, Failure> {
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for (place, sentinel) in sentinels.iter().enumerate() {
        let (sentinel, master) = (sentinel.clone(), master.to_owned());
        asking.spawn(async move { (place, ask_one(&sentinel, &master).await) });
    }
    let mut votes = Votes(vec![None; sentinels.len()]);
    while !votes.is_certain() {
        let wait = if votes.most().is_some() { SILENT_WAIT } else { ENTER_WAIT };
        match timeout_at(began + wait, asking.join_next()).await {
            Ok(Some(Ok((place, said)))) => votes.0[place] = Some(said),
            // One that has panicked says nothing.
            Ok(Some(Err(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
    votes.most().cloned().ok_or_else(|| votes.failure(sentinels, master))
}

async fn ask_one(sentinel: &RedisServer, master: &str) -> Said {
    let asked = async {
        let mut client = Client::enter(sentinel, "sentinel").await?;
        client.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]).await
    };
    match asked.await {
        Err(Failure::Unusable(why)) => Said::Refuses(why),
        Err(failure) => Said::Nothing(failure.to_string()),
        Ok(Reply::Nil) => Said::Unsure(format!("it knows no master {master:?}")),
        Ok(reply) => match accepted(reply).and_then(address) {
            Ok(address) => Said::Master(address),
            Err(Failure::Unusable(why)) => Said::Refuses(why),
            Err(failure) => Said::Unsure(failure.to_string()),
        },
    }
}

fn address(reply: Reply) -> Result<Address, Failure> {
    let parts = reply.into_values().unwrap_or_default();
    let mut parts =
        parts.into_iter().map(|part| part.into_text().and_then(|text| String::from_utf8(text.to_vec()).ok()));
    let mut part = || parts.next().flatten().ok_or_else(|| unknown("SENTINEL"));
    let (host, port) = (part()?, part()?);
    Ok(Address { host, port: port.parse().map_err(|_| unknown("SENTINEL"))? })
}

/// What each Sentinel has said so far, in the order in which they are named.
struct Votes(Vec<Option<Said>>);

/// How many say an address, and the place of the first of them. Of two that have as many, that of the Sentinel that is named
/// first counts.
type Rank = (usize, Reverse<usize>);

impl Votes {
    /// The addresses that were said, the one that counts first.
    fn ranked(&self) -> Vec<(&Address, Rank)> {
        let mut ranked: Vec<(&Address, Rank)> = Vec::new();
        for (place, said) in self.0.iter().enumerate() {
            let Some(Said::Master(address)) = said else { continue };
            match ranked.iter_mut().find(|(known, _)| *known == address) {
                Some((_, (count, _))) => *count += 1,
                None => ranked.push((address, (1, Reverse(place)))),
            }
        }
        ranked.sort_by_key(|(_, rank)| Reverse(*rank));
        ranked
    }

    /// The address that counts, by what was said so far.
    fn most(&self) -> Option<&Address> {
        self.ranked().first().map(|(address, _)| *address)
    }

    /// Whether it counts, whatever those say that have said nothing yet.
    fn is_certain(&self) -> bool {
        let mut silent =
            self.0.iter().enumerate().filter_map(|(place, said)| said.is_none().then_some(place));
        let Some(first_silent) = silent.next() else { return true };
        let silent = 1 + silent.count();
        let ranked = self.ranked();
        let Some(((_, most), others)) = ranked.split_first() else { return false };
        // They may all say the same: what another one says already, or something new.
        let mut rivals = others.iter().map(|(_, rank)| *rank).chain([(0, Reverse(usize::MAX))]);
        rivals.all(|(count, Reverse(first))| *most > (count + silent, Reverse(first.min(first_silent))))
    }

    /// Why there is no address.
    fn failure(&self, sentinels: &[RedisServer], master: &str) -> Failure {
        let why = |(RedisServer { broker, .. }, said): (&RedisServer, &Option<Said>)| match said {
            Some(Said::Refuses(why) | Said::Unsure(why) | Said::Nothing(why)) => {
                let place = broker.to_string();
                if why.contains(&place) { why.clone() } else { format!("{place}: {why}") }
            }
            Some(Said::Master(_)) | None => format!("{broker} does not answer"),
        };
        let all: Vec<_> = sentinels.iter().zip(&self.0).map(why).collect();
        let mut told = format!("no Sentinel tells where {master:?} is: {}", all.join("; "));
        if wants_name(&told) && sentinels.iter().all(is_nameless) {
            told += " (turted sends Sentinels no password, as `cluster.sentinel_password` is not set)";
        }
        let has = |is: fn(&Said) -> bool| self.0.iter().flatten().any(is);
        match has(|said| matches!(said, Said::Refuses(_))) && !has(|said| matches!(said, Said::Unsure(_))) {
            true => Failure::Unusable(told),
            false => Failure::Lost(told),
        }
    }
}

/// Whether a Sentinel wants to know who we are, or takes us for somebody who may not ask.
fn wants_name(told: &str) -> bool {
    ["NOAUTH", "NOPERM"].iter().any(|code| told.contains(code))
}

fn is_nameless(RedisServer { broker, .. }: &RedisServer) -> bool {
    broker.user.is_none() && broker.password.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter is the address that a Sentinel says, `.` one that has said nothing yet, `!` one that failed.
    fn votes(said: &str) -> Votes {
        let said = said.chars().map(|said| match said {
            '.' => None,
            '!' => Some(Said::Nothing(String::new())),
            host => Some(Said::Master(Address { host: host.to_string(), port: 1 })),
        });
        Votes(said.collect())
    }

    #[test]
    fn an_address_is_taken_as_soon_as_no_sentinel_can_change_it() {
        for (said, expected) in [
            (".", None),
            ("!", Some("")),
            ("a", Some("a")),
            ("a..", None),
            (".aa", Some("a")),
            ("!.a", None),
            ("a!.", Some("a")),
            ("!!a", Some("a")),
            ("ab.", None),
            ("abb", Some("b")),
            // Of two that have as many, that of the one that is named first.
            ("a.", Some("a")),
            (".a", None),
            ("ab", Some("a")),
            ("baab", Some("b")),
            ("...aa", None),
            (".aab.", None),
            ("a.a.b", None),
            ("aa.!b", Some("a")),
            ("!!!aa", Some("a")),
        ] {
            let votes = votes(said);
            let most = || votes.most().map_or("", |address| &*address.host);
            assert_eq!(votes.is_certain().then(most), expected, "{said}");
        }
    }
}
