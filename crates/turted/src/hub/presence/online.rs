//! Which users are online, for a backend that asks: what nodes of a cluster ask each other, and what comes of it.

use serde::{Deserialize, Serialize};
use turted_core::name::Name;
use turted_core::time::UnixTime;

use super::Presence;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::questions::Whom;

/// What a node asks others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnlineQuestion {
    /// Which of these users have connections.
    Online(Vec<String>),
}

/// What is known of some users, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnlineAnswer {
    pub(crate) users: Vec<Online>,
    /// Whether all workers have counted.
    pub(crate) is_all: bool,
}

/// What is known of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Online {
    pub(crate) connections: usize,
    /// When it had one last, in milliseconds since 1970.
    pub(crate) last_seen: Option<u64>,
}

impl OnlineAnswer {
    /// Adds what another node knows of the same users. Returns whether it is an answer about all of them.
    fn add(&mut self, other: &Self) -> bool {
        let is_whole = other.is_all && other.users.len() == self.users.len();
        if is_whole {
            for (own, other) in self.users.iter_mut().zip(&other.users) {
                own.connections = own.connections.saturating_add(other.connections);
                own.last_seen = own.last_seen.max(other.last_seen);
            }
        }
        is_whole
    }
}

impl Presence {
    /// What this node knows of users that have so many connections.
    pub(crate) fn online(
        &self,
        users: &[Name],
        (connections, is_all): (Vec<usize>, bool),
        now: UnixTime,
    ) -> OnlineAnswer {
        let known = |(user, connections): (&Name, usize)| {
            let seen = if connections > 0 { Some(now) } else { self.last_seen.of(user) };
            let last_seen = seen.map(|time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX));
            Online { connections, last_seen }
        };
        OnlineAnswer { users: users.iter().zip(connections).map(known).collect(), is_all }
    }
}

/// Asks the other nodes about users while this one counts. Returns what all of them know, and how many did not answer.
pub(crate) async fn everywhere(
    cluster: &Cluster,
    users: &[Name],
    here: impl Future<Output = OnlineAnswer>,
) -> (OnlineAnswer, usize) {
    let names = users.iter().map(|user| user.as_str().to_owned()).collect();
    let question = serde_json::to_vec(&OnlineQuestion::Online(names)).expect("texts can be JSON");
    let (mut sum, gathered) = tokio::join!(here, cluster.gather(Whom::Others, question));
    let Ok(gathered) = gathered else {
        // Too many questions are under way: no other node was asked.
        let others = cluster.status().nodes().len().saturating_sub(1);
        return (sum, others);
    };
    let mut silent = gathered.silent.len();
    for (_, answer) in gathered.answers {
        let answer = serde_json::from_slice::<OnlineAnswer>(&answer).unwrap_or_default();
        silent += usize::from(!sum.add(&answer));
    }
    (sum, silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_nodes_are_added_up_and_one_that_is_not_whole_does_not_count() {
        let known = |connections, last_seen| Online { connections, last_seen };
        let answer = |users: &[Online], is_all| OnlineAnswer { users: users.to_vec(), is_all };
        let mut sum = answer(&[known(1, Some(9)), known(0, None)], true);
        assert!(sum.add(&answer(&[known(2, Some(7)), known(0, Some(3))], true)));
        assert!(!sum.add(&answer(&[known(2, None), known(1, None)], false)));
        assert!(!sum.add(&answer(&[known(2, None)], true)));
        assert!(!sum.add(&OnlineAnswer::default()));
        assert_eq!(sum, answer(&[known(3, Some(9)), known(0, Some(3))], true));
    }
}
