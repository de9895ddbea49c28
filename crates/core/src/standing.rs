//! What a connection has proved beyond its name: the channels that are granted to it, and until when its
//! proofs hold. It belongs to the connection and moves with its session.

use crate::auth::Verified;
use crate::channel::{ChannelRules, Grants, Join, JoinRefusal};
use crate::name::Name;
use crate::registry::IdentMode;
use crate::time::UnixTime;

/// What a connection has proved. For users without grants and expiry it is empty and allocates nothing.
///
/// ```
/// use std::time::Duration;
/// use turted_core::{auth::Verified, channel::Grants, name::Name, registry::IdentMode, standing::Standing, time::UnixTime};
/// let alice = Name::new("alice").unwrap();
/// let mut standing = Standing::default();
/// let verified = Verified {
///     channels: Grants::parse(&["chat"]).unwrap(),
///     expires: Some(UnixTime(Duration::from_secs(10))),
///     ..Verified::user(alice.clone())
/// };
/// standing.accept(&verified, IdentMode::Replace);
/// assert!(standing.grants(&Name::new("chat").unwrap()));
/// assert_eq!(standing.expire(UnixTime(Duration::from_secs(11))), [alice]);
/// assert!(!standing.grants(&Name::new("chat").unwrap()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    proofs: Vec<Proof>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Proof {
    user: Name,
    channels: Grants,
    expires: Option<UnixTime>,
}

impl Proof {
    fn has_expired(&self, now: UnixTime) -> bool {
        self.expires.is_some_and(|expires| expires < now)
    }
}

impl Standing {
    /// Takes over what an IDENT proved. It replaces what an earlier IDENT proved, unless it adds a user.
    pub fn accept(&mut self, verified: &Verified, mode: IdentMode) {
        let user = &verified.identity.name;
        self.proofs.retain(|proof| mode == IdentMode::Add && proof.user != *user);
        if verified.channels.is_empty() && verified.expires.is_none() {
            return;
        }
        self.proofs.reserve_exact(1);
        self.proofs.push(Proof {
            user: user.clone(),
            channels: verified.channels.clone(),
            expires: verified.expires,
        });
    }

    /// Whether one of the proofs lists `channel`.
    #[must_use]
    pub fn grants(&self, channel: &Name) -> bool {
        self.proofs.iter().any(|proof| proof.channels.cover(channel))
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.proofs.iter().map(|proof| size_of::<Proof>() + proof.user.bytes() + proof.channels.bytes()).sum()
    }

    /// When the first proof expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<UnixTime> {
        self.proofs.iter().filter_map(|proof| proof.expires).min()
    }

    /// Forgets the proofs that have expired at `now`, and returns their users.
    pub fn expire(&mut self, now: UnixTime) -> Vec<Name> {
        let expired = self.proofs.extract_if(.., |proof| proof.has_expired(now));
        expired.map(|proof| proof.user).collect()
    }

    /// Whether a proof has expired at `now`.
    #[must_use]
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.proofs.iter().any(|proof| proof.has_expired(now))
    }
}

/// What the rules look at in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Whether it is a user.
    pub is_identified: bool,
    /// What it has proved.
    pub standing: &'a Standing,
}

impl Applicant<'_> {
    /// Whether it may join `channel`.
    ///
    /// # Errors
    /// What the channel needs and the connection lacks.
    pub fn may_join(&self, channel: &Name, rules: &ChannelRules) -> Result<(), JoinRefusal> {
        match rules.need(channel) {
            Join::Open => Ok(()),
            Join::Identified | Join::Claim if !self.is_identified => Err(JoinRefusal::NotIdentified),
            Join::Claim if !self.standing.grants(channel) => Err(JoinRefusal::NotGranted),
            Join::Identified | Join::Claim => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channel::ChannelPattern;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime(Duration::from_secs(seconds))
    }

    fn proof(user: &str, channels: &[&str], expires: Option<u64>) -> Verified {
        Verified {
            channels: Grants::parse(channels).unwrap(),
            expires: expires.map(at),
            ..Verified::user(name(user))
        }
    }

    #[test]
    fn a_replaced_ident_takes_its_grants_with_it() {
        let mut standing = Standing::default();
        standing.accept(&proof("alice", &["a"], Some(10)), IdentMode::Replace);
        standing.accept(&proof("bob", &[], None), IdentMode::Replace);
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn an_added_user_brings_its_grants_and_keeps_the_others() {
        let mut standing = Standing::default();
        standing.accept(&proof("alice", &["a"], Some(10)), IdentMode::Add);
        standing.accept(&proof("bob", &["b"], Some(20)), IdentMode::Add);
        standing.accept(&proof("alice", &["c"], Some(30)), IdentMode::Add);
        let granted = ["a", "b", "c"].map(|channel| standing.grants(&name(channel)));
        assert_eq!(granted, [false, true, true]);
        assert_eq!(standing.next_expiry(), Some(at(20)));
        assert!(standing.expire(at(20)).is_empty(), "a token is good up to its last moment");
        assert!(standing.has_expired(at(21)));
        assert_eq!(standing.expire(at(21)), [name("bob")]);
        assert!(!standing.grants(&name("b")));
        assert!(standing.grants(&name("c")));
    }

    #[test]
    fn each_need_is_met_by_its_own_proof() {
        let rule = |text, join| (ChannelPattern::parse(text).unwrap(), join);
        let rules = ChannelRules::new([rule("i", Join::Identified), rule("c*", Join::Claim)]);
        let mut granted = Standing::default();
        granted.accept(&proof("alice", &["c1"], None), IdentMode::Replace);
        let nothing = Standing::default();
        let check = |is_identified, standing, expected: [Result<(), JoinRefusal>; 4]| {
            let applicant = Applicant { is_identified, standing };
            let results = ["o", "i", "c1", "c2"].map(|text| applicant.may_join(&name(text), &rules));
            assert_eq!(results, expected);
        };
        let (unknown, missing) = (Err(JoinRefusal::NotIdentified), Err(JoinRefusal::NotGranted));
        check(false, &nothing, [Ok(()), unknown, unknown, unknown]);
        check(true, &nothing, [Ok(()), Ok(()), missing, missing]);
        check(true, &granted, [Ok(()), Ok(()), Ok(()), missing]);
    }
}
