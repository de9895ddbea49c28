//! What sessions are after all that their records say.

use std::collections::{BTreeMap, HashMap};

use super::session::{Change, SessionRecord, SessionState};
use crate::membership::{Memberships, Since};
use crate::name::Name;
use crate::session_key::SessionKey;

/// Whose proofs hold in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// The configuration that verified its users is the one of today.
    Same,
    /// It is another one. Sessions that are somebody by it are unknown.
    Another,
}

/// Puts the records of files together. Files are passed in their order, and the records of each in theirs.
///
/// ```
/// use turted_core::record::fold::{Fold, Verifier};
/// use turted_core::record::session::{Change, SessionRecord, SessionState};
/// use turted_core::{membership::Since, name::Name, session_key::SessionKey};
/// let key = SessionKey::of(b"id");
/// let record = |version, change| SessionRecord { key, version, change };
/// let mut fold = Fold::default();
/// fold.add(record(1, Change::Whole(SessionState::default())), Verifier::Same);
/// fold.add(record(2, Change::Joined(vec![(Name::new("chat").unwrap(), Since(7))])), Verifier::Same);
/// // It stands in a second file as well.
/// fold.add(record(1, Change::Whole(SessionState::default())), Verifier::Same);
/// assert_eq!((fold.version(), fold.number()), (2, 7));
/// let (_, state) = &fold.finish().sessions[0];
/// assert_eq!(state.memberships.channels[0].0.as_str(), "chat");
/// ```
#[derive(Debug, Default)]
pub struct Fold {
    sessions: HashMap<SessionKey, Folded>,
    version: u64,
    number: u64,
}

/// The sessions that are left when all records were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survivors {
    /// Each session that goes on, in the order of their names.
    pub sessions: Vec<(SessionKey, SessionState)>,
    /// A session whose client was given another one, and that one, which goes on.
    pub succeeded: Vec<(SessionKey, SessionKey)>,
    /// Sessions that are unknown because another configuration had verified who they are.
    pub unverified: usize,
}

#[derive(Debug)]
struct Folded {
    version: u64,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    GoesOn(Box<Parts>),
    Succeeded(SessionKey),
    Ended,
}

/// A session with its channels by name: a file may say that one session has joined any number of them.
#[derive(Debug)]
struct Parts {
    state: SessionState,
    channels: BTreeMap<Name, Since>,
    verifier: Verifier,
}

impl Fold {
    /// Adds a record.
    pub fn add(&mut self, record: SessionRecord, verifier: Verifier) {
        let SessionRecord { key, version, change } = record;
        self.version = self.version.max(version);
        self.number = self.number.max(highest(&change));
        let known = self.sessions.get_mut(&key).filter(|folded| folded.version < version);
        let fate = match (change, known) {
            (Change::Whole(state), _) => Fate::GoesOn(Parts::of(state, verifier)),
            (Change::Succeeded(successor), _) => Fate::Succeeded(successor),
            (Change::Ended, _) => Fate::Ended,
            (change, Some(Folded { version: known, fate: Fate::GoesOn(parts) })) => {
                *known = version;
                return parts.apply(change, verifier);
            }
            // A change of a session that has ended, or whose beginning is not there.
            (_, _) => return,
        };
        let folded = self.sessions.entry(key).or_insert(Folded { version, fate: Fate::Ended });
        if folded.version <= version {
            *folded = Folded { version, fate };
        }
    }

    /// The highest version that was added.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The highest number of a dispatch that was named.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The sessions that go on.
    #[must_use]
    pub fn finish(self) -> Survivors {
        let (mut survivors, mut succeeded) = (Survivors::default(), Vec::new());
        for (key, folded) in self.sessions {
            match folded.fate {
                Fate::Ended => {}
                Fate::Succeeded(successor) => succeeded.push((key, successor)),
                Fate::GoesOn(parts) => match parts.finish() {
                    Some(state) => survivors.sessions.push((key, state)),
                    None => survivors.unverified += 1,
                },
            }
        }
        survivors.sessions.sort_unstable_by_key(|(key, _)| *key);
        let goes_on =
            |key: &SessionKey| survivors.sessions.binary_search_by_key(key, |(key, _)| *key).is_ok();
        succeeded.retain(|(_, successor)| goes_on(successor));
        succeeded.sort_unstable();
        Survivors { succeeded, ..survivors }
    }
}

impl Parts {
    fn of(mut state: SessionState, verifier: Verifier) -> Box<Self> {
        let mut channels = BTreeMap::new();
        for (channel, since) in std::mem::take(&mut state.memberships.channels) {
            channels.entry(channel).or_insert(since);
        }
        Box::new(Self { state, channels, verifier })
    }

    fn apply(&mut self, change: Change, verifier: Verifier) {
        match change {
            Change::Joined(channels) => {
                for (channel, since) in channels {
                    self.channels.entry(channel).or_insert(since);
                }
            }
            Change::Told(channels) => self.state.presence.extend(channels),
            Change::Left(channels) => self.leave(&channels),
            Change::Proved { users, standing, left } => {
                self.state.memberships.users = users;
                self.state.standing = standing;
                self.verifier = verifier;
                self.leave(&left);
            }
            Change::Whole(_) | Change::Succeeded(_) | Change::Ended => {}
        }
    }

    fn leave(&mut self, channels: &[Name]) {
        for channel in channels {
            self.channels.remove(channel);
        }
        self.state.presence.retain(|channel| !channels.contains(channel));
    }

    fn finish(self) -> Option<SessionState> {
        if self.verifier == Verifier::Another && self.state.is_verified() {
            return None;
        }
        let mut presence = self.state.presence;
        presence.retain(|channel| self.channels.contains_key(channel));
        presence.sort_unstable();
        presence.dedup();
        let memberships =
            Memberships { channels: self.channels.into_iter().collect(), ..self.state.memberships };
        Some(SessionState { memberships, presence, ..self.state })
    }
}

/// The highest number of a dispatch that a change names.
fn highest(change: &Change) -> u64 {
    let held = |held: &[(Name, Since)]| held.iter().map(|(_, since)| since.0).max().unwrap_or(0);
    match change {
        Change::Whole(state) => state.highest(),
        Change::Joined(channels) => held(channels),
        Change::Proved { users, standing, .. } => held(users).max(standing.highest()),
        Change::Told(_) | Change::Left(_) | Change::Succeeded(_) | Change::Ended => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::session::tests::records;
    use super::*;
    use crate::auth::Verified;
    use crate::registry::IdentMode;
    use crate::standing::Standing;

    fn key(id: u8) -> SessionKey {
        SessionKey::of(&[id])
    }

    fn held(names: &[(&str, u64)]) -> Vec<(Name, Since)> {
        names.iter().map(|(name, since)| (Name::new(name).unwrap(), Since(*since))).collect()
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::new(name).unwrap()).collect()
    }

    fn fold(changes: Vec<(u8, Change)>) -> Survivors {
        let mut fold = Fold::default();
        for (version, (id, change)) in (1..).zip(changes) {
            fold.add(SessionRecord { key: key(id), version, change }, Verifier::Same);
        }
        fold.finish()
    }

    fn begun() -> Change {
        Change::Whole(SessionState::default())
    }

    #[test]
    fn changes_make_a_session_what_it_was_last() {
        let survivors = fold(vec![
            (1, begun()),
            (1, Change::Joined(held(&[("b", 3), ("a", 4)]))),
            (1, Change::Joined(held(&[("a", 9), ("c", 9)]))),
            (1, Change::Left(names(&["c", "never joined"]))),
            (
                1,
                Change::Proved {
                    users: held(&[("u", 5)]),
                    standing: Standing::default(),
                    left: names(&["b"]),
                },
            ),
        ]);
        let memberships = Memberships { users: held(&[("u", 5)]), channels: held(&[("a", 4)]) };
        let state = SessionState { memberships, ..SessionState::default() };
        assert_eq!(survivors.sessions, [(key(1), state)]);
    }

    #[test]
    fn a_session_that_ended_or_whose_beginning_is_gone_does_not_go_on() {
        let joined = || Change::Joined(held(&[("a", 1)]));
        for changes in [
            vec![(1, joined())],
            vec![(1, begun()), (1, Change::Ended)],
            vec![(1, begun()), (1, Change::Ended), (1, joined())],
        ] {
            assert_eq!(fold(changes), Survivors::default());
        }
        assert_eq!(fold(vec![(1, Change::Ended), (1, begun())]).sessions.len(), 1);
    }

    #[test]
    fn a_former_session_leads_to_the_one_behind_the_gap_while_that_goes_on() {
        let gap = || vec![(1, begun()), (2, begun()), (1, Change::Succeeded(key(2)))];
        let survivors = fold(gap());
        assert_eq!((survivors.sessions.len(), survivors.succeeded), (1, vec![(key(1), key(2))]));
        for end in [1, 2] {
            let survivors = fold(gap().into_iter().chain([(end, Change::Ended)]).collect());
            assert!(survivors.succeeded.is_empty(), "{end}");
        }
    }

    #[test]
    fn users_that_another_configuration_verified_are_unknown_and_others_go_on() {
        let mut standing = Standing::default();
        standing.accept(&Verified::user(Name::new("u").unwrap()), IdentMode::Replace);
        let proved = |id, version, users: &[(&str, u64)]| SessionRecord {
            key: key(id),
            version,
            change: Change::Proved { users: held(users), standing: standing.clone(), left: Vec::new() },
        };
        let mut fold = Fold::default();
        for id in 1..=3 {
            fold.add(SessionRecord { key: key(id), version: 1, change: begun() }, Verifier::Another);
        }
        fold.add(proved(1, 2, &[("u", 1)]), Verifier::Another);
        fold.add(proved(2, 2, &[("u", 1)]), Verifier::Same);
        let survivors = fold.finish();
        let keys: Vec<_> = survivors.sessions.iter().map(|(key, _)| *key).collect();
        let mut expected = vec![key(2), key(3)];
        expected.sort_unstable();
        assert_eq!((keys, survivors.unverified), (expected, 1));
    }

    proptest! {
        /// A start writes anew what it found; if it is killed meanwhile, the next one finds both.
        #[test]
        fn records_that_stand_in_a_second_file_change_nothing(mut records in records(), again: prop::sample::Index) {
            // No two records have one version.
            records.iter_mut().zip(1..).for_each(|(record, version)| record.version = version);
            let mut once = Fold::default();
            records.iter().for_each(|record| once.add(record.clone(), Verifier::Same));
            let mut twice = Fold::default();
            let from = again.index(records.len() + 1);
            for record in records.iter().chain(&records[from..]) {
                twice.add(record.clone(), Verifier::Same);
            }
            prop_assert_eq!((once.version(), once.number()), (twice.version(), twice.number()));
            prop_assert_eq!(once.finish(), twice.finish());
        }

        #[test]
        fn sessions_written_anew_are_what_they_were(records in records()) {
            let mut fold = Fold::default();
            records.into_iter().for_each(|record| fold.add(record, Verifier::Same));
            let version = fold.version();
            let survivors = fold.finish();
            let mut anew = Fold::default();
            for (key, state) in survivors.sessions.clone() {
                anew.add(SessionRecord { key, version, change: Change::Whole(state) }, Verifier::Same);
            }
            for (key, successor) in survivors.succeeded.clone() {
                anew.add(SessionRecord { key, version, change: Change::Succeeded(successor) }, Verifier::Same);
            }
            let again = anew.finish();
            prop_assert_eq!((again.sessions, again.succeeded), (survivors.sessions, survivors.succeeded));
        }
    }
}
