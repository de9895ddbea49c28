//! The rules that all nodes should have alike: each as a digest under the secret of the cluster, by which others see that
//! theirs are others, and learn nothing else.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use turted_core::cluster::node::RULES_MAX;
use turted_core::name::Name;
use turted_core::secret::Secret;

/// What is signed begins so: nothing else of the cluster does.
const MARK: &[u8] = b"turted cluster rule\0";
/// What is told of a secret where the cluster has none that keeps its digests: a guess is not confirmed by 8 bits.
const OPEN_BITS: u64 = 0xFF;

/// A key of the configuration and its value, which may be a secret.
pub(crate) type Rule<'a> = (&'a str, &'a Secret, bool);

/// The rules of this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Under each of its secrets; what other nodes are told comes first.
    signed: Vec<Vec<(Name, u64)>>,
}

impl Rules {
    /// Those of a node with these secrets. If `is_open` the secrets are none: whoever reads in Redis can make them.
    pub(crate) fn new<'a>(
        rules: impl IntoIterator<Item = Rule<'a>> + Clone,
        secrets: &[Secret],
        is_open: bool,
    ) -> Self {
        let sign = |secret: &Secret| {
            let key = Key::new(HMAC_SHA256, secret.reveal().as_bytes());
            let digest = |(name, value, is_secret): Rule<'a>| {
                let digest = digest(&key, name, value.reveal());
                let told = if is_secret && is_open { digest & OPEN_BITS } else { digest };
                Some((Name::new(name).ok()?, told))
            };
            rules.clone().into_iter().filter_map(digest).take(RULES_MAX).collect()
        };
        Self { signed: secrets.iter().map(sign).collect() }
    }

    /// What other nodes are told.
    pub(super) fn told(&self) -> Vec<(Name, u64)> {
        self.signed.first().cloned().unwrap_or_default()
    }

    /// The keys in which another node differs by what it tells. While the secret is changed it may sign with any of ours.
    pub(super) fn differing(&self, theirs: &[(Name, u64)]) -> Vec<String> {
        let none = [Vec::new()];
        let ours = if self.signed.is_empty() { &none[..] } else { &self.signed };
        ours.iter().map(|ours| differing(ours, theirs)).min_by_key(Vec::len).unwrap_or_default()
    }
}

fn digest(key: &Key, name: &str, value: &str) -> u64 {
    let signed = [MARK, name.as_bytes(), b"\0", value.as_bytes()].concat();
    let mut first = [0; 8];
    first.copy_from_slice(&hmac::sign(key, &signed).as_ref()[..8]);
    u64::from_le_bytes(first)
}

fn differing(ours: &[(Name, u64)], theirs: &[(Name, u64)]) -> Vec<String> {
    let (ours, theirs) =
        (BTreeMap::from_iter(ours.iter().cloned()), BTreeMap::from_iter(theirs.iter().cloned()));
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differ = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    differ.map(|key| key.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(secrets: &[&str], password: &str, stall: &str) -> Rules {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::from(*secret)).collect();
        let [password, stall] = [password, stall].map(Secret::from);
        let rules = [("auth.password", &password, true), ("limits.outbox_stall", &stall, false)];
        Rules::new(rules, &secrets, false)
    }

    #[test]
    fn nodes_tell_the_keys_in_which_they_differ_secrets_included() {
        let first = node(&["s"], "tiger", "10s");
        assert_eq!(first.differing(&node(&["s"], "tiger", "10s").told()), [""; 0]);
        assert_eq!(first.differing(&node(&["s"], "lion", "10s").told()), ["auth.password"]);
        assert_eq!(first.differing(&node(&["s"], "tiger", "20s").told()), ["limits.outbox_stall"]);
        assert_eq!(first.differing(&[]), ["auth.password", "limits.outbox_stall"]);
    }

    #[test]
    fn nothing_differs_while_the_secret_of_the_cluster_is_changed() {
        let steps = [["old", "new"], ["new", "old"]];
        let nodes = steps.map(|secrets| node(&secrets, "tiger", "10s"));
        let [before, after] = [["old"], ["new"]].map(|secrets| node(&secrets, "tiger", "10s"));
        for (one, other) in [(&before, &nodes[0]), (&nodes[0], &nodes[1]), (&nodes[1], &after)] {
            assert_eq!(one.differing(&other.told()), [""; 0]);
            assert_eq!(other.differing(&one.told()), [""; 0]);
        }
        assert_eq!(before.differing(&after.told()).len(), 2);
    }

    #[test]
    fn without_a_secret_of_the_cluster_8_bits_of_a_secret_are_told() {
        let password = Secret::from("tiger");
        let rules = [("auth.password", &password, true), ("limits.outbox_stall", &password, false)];
        let told = Rules::new(rules, &[Secret::from("known")], true).told();
        assert!(told[0].1 <= OPEN_BITS && told[1].1 > OPEN_BITS, "{told:?}");
    }
}
