//! What a connection has proved beyond its name: the channels that are granted to it, and until when its
//! proofs hold; and which channels it has lost since. It belongs to the connection and moves with its session.

use std::mem;
use std::time::Duration;

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
    /// A slice and a box are small, and every connection has them.
    pub(crate) proofs: Box<[Proof]>,
    pub(crate) forfeited: Option<Box<Forfeited>>,
}

/// Channels that a connection has lost because what it had proved holds no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forfeited {
    /// The newest last.
    pub(crate) channels: Vec<Name>,
    /// The number of the last dispatch before the client was told.
    pub(crate) position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) user: Name,
    pub(crate) channels: Grants,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) leeway: Duration,
}

impl Proof {
    /// Until when it is accepted.
    fn end(&self) -> Option<UnixTime> {
        self.expires.map(|expires| UnixTime(expires.0.saturating_add(self.leeway)))
    }

    fn has_expired(&self, now: UnixTime) -> bool {
        self.end().is_some_and(|end| end < now)
    }
}

impl Standing {
    /// Takes over what an IDENT proved. It replaces what an earlier IDENT proved, unless it adds a user.
    pub fn accept(&mut self, verified: &Verified, mode: IdentMode) {
        let user = &verified.identity.name;
        let mut proofs = mem::take(&mut self.proofs).into_vec();
        proofs.retain(|proof| mode == IdentMode::Add && proof.user != *user);
        if !verified.channels.is_empty() || verified.expires.is_some() {
            proofs.reserve_exact(1);
            proofs.push(Proof {
                user: user.clone(),
                channels: verified.channels.clone(),
                expires: verified.expires,
                leeway: verified.leeway,
            });
        }
        self.proofs = proofs.into();
    }

    /// Whether one of the proofs lists `channel`.
    #[must_use]
    pub fn grants(&self, channel: &Name) -> bool {
        self.proofs.iter().any(|proof| proof.channels.cover(channel))
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let proof = |proof: &Proof| size_of::<Proof>() + proof.user.bytes() + proof.channels.bytes();
        let name = |name: &Name| size_of::<Name>() + name.bytes();
        let forfeited = self.forfeited.iter().flat_map(|forfeited| &forfeited.channels);
        self.proofs.iter().map(proof).sum::<usize>() + forfeited.map(name).sum::<usize>()
    }

    /// Notes the channels that the connection has just lost; `position` is the last dispatch that it is sent before
    /// it is told. At most `max` channels are kept, the oldest go first.
    pub fn forfeit(&mut self, channels: &[Name], position: u64, max: usize) {
        if channels.is_empty() {
            return;
        }
        let mut all = self.forfeited.take().map_or_else(Vec::new, |forfeited| forfeited.channels);
        all.retain(|channel| !channels.contains(channel));
        all.extend_from_slice(channels);
        all.drain(..all.len().saturating_sub(max));
        self.forfeited = Some(Box::new(Forfeited { channels: all, position }));
    }

    /// The lost channels, if a client that has seen no dispatch behind `position` may not have been told.
    #[must_use]
    pub fn forfeited_unseen(&self, position: u64) -> &[Name] {
        let unseen = self.forfeited.as_ref().filter(|forfeited| forfeited.position >= position);
        unseen.map_or(&[], |forfeited| &forfeited.channels)
    }

    /// The number of the dispatch that it names; 0 if it names none.
    pub(crate) fn highest(&self) -> u64 {
        self.forfeited.as_ref().map_or(0, |forfeited| forfeited.position)
    }

    /// Until when the first proof is accepted, its leeway included.
    #[must_use]
    pub fn next_expiry(&self) -> Option<UnixTime> {
        self.proofs.iter().filter_map(Proof::end).min()
    }

    /// When the first proof ends by its own word.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.proofs.iter().filter_map(|proof| proof.expires).min()
    }

    /// Whether this user's proof has expired at `now`.
    #[must_use]
    pub fn has_expired_for(&self, user: &Name, now: UnixTime) -> bool {
        self.proofs.iter().any(|proof| proof.user == *user && proof.has_expired(now))
    }

    /// Forgets the proofs that have expired at `now`, and returns their users.
    pub fn expire(&mut self, now: UnixTime) -> Vec<Name> {
        let mut proofs = mem::take(&mut self.proofs).into_vec();
        let expired = proofs.extract_if(.., |proof| proof.has_expired(now));
        let users = expired.map(|proof| proof.user).collect();
        self.proofs = proofs.into();
        users
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
    fn a_proof_is_accepted_for_its_leeway_and_says_when_it_ends_by_itself() {
        let mut standing = Standing::default();
        let leeway = Duration::from_secs(30);
        standing.accept(&Verified { leeway, ..proof("alice", &[], Some(10)) }, IdentMode::Add);
        standing.accept(&proof("bob", &[], Some(20)), IdentMode::Add);
        assert_eq!((standing.expires(), standing.next_expiry()), (Some(at(10)), Some(at(20))));
        assert_eq!(standing.expire(at(21)), [name("bob")]);
        assert_eq!((standing.expires(), standing.next_expiry()), (Some(at(10)), Some(at(40))));
        assert!(!standing.has_expired(at(40)));
        assert!(standing.has_expired(at(41)));
    }

    #[test]
    fn lost_channels_are_known_until_the_client_shows_that_it_was_told() {
        let names = |list: &[&str]| list.iter().map(|text| name(text)).collect::<Vec<_>>();
        let mut standing = Standing::default();
        standing.forfeit(&[], 9, 3);
        assert_eq!((standing.forfeited_unseen(0), standing.bytes()), (&[][..], 0));
        standing.forfeit(&names(&["a", "b"]), 10, 3);
        assert_eq!(standing.forfeited_unseen(10), names(&["a", "b"]));
        assert!(standing.forfeited_unseen(11).is_empty());
        standing.forfeit(&names(&["c", "a"]), 12, 3);
        assert_eq!(standing.forfeited_unseen(11), names(&["b", "c", "a"]));
        standing.forfeit(&names(&["d"]), 12, 3);
        assert_eq!(standing.forfeited_unseen(12), names(&["c", "a", "d"]));
        assert!(standing.bytes() > 3 * size_of::<Name>());
        standing.accept(&proof("alice", &[], None), IdentMode::Replace);
        assert!(!standing.forfeited_unseen(12).is_empty(), "an IDENT gives no channel back");
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
